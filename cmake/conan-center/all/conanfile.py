# SPDX-License-Identifier: MIT
import os

from conan import ConanFile
from conan.errors import ConanInvalidConfiguration
from conan.tools.build import check_min_cppstd
from conan.tools.files import copy, get
from conan.tools.layout import basic_layout
from conan.tools.microsoft import is_msvc

required_conan_version = ">=2.0"


class QuireConan(ConanFile):
    name = "quire"
    description = "Page tables for hypervisors, kernels and emulators: one walker, every format"
    license = "MIT"
    url = "https://quire.invalid/index"  # to be: the repository of the index that takes this recipe
    homepage = "https://quire.invalid"
    topics = ("page-table", "hypervisor", "kernel", "emulator", "freestanding", "header-only")
    package_type = "header-library"
    settings = "os", "arch", "compiler", "build_type"
    # The package holds every header in any case. The option decides what its users depend on: without `hosted` they
    # need no range-v3, and there is no quire::hosted.
    options = {"hosted": [True, False]}
    default_options = {"hosted": True}
    no_copy_source = True

    def layout(self):
        basic_layout(self, src_folder="src")

    def requirements(self):
        self.requires("ms-gsl/4.0.0")
        if self.options.hosted:
            self.requires("range-v3/0.12.0")

    # One package for every configuration and for both values of the option.
    def package_id(self):
        self.info.clear()

    def validate(self):
        check_min_cppstd(self, 20)
        # __builtin_ctzll and [[gnu::always_inline]]: a compiler that knows neither cannot do it.
        if is_msvc(self):
            raise ConanInvalidConfiguration(f"{self.ref} needs the builtins of GCC and clang")

    def source(self):
        get(self, **self.conan_data["sources"][self.version], strip_root=True)

    def build(self):
        pass

    def package(self):
        copy(self, "LICENSE", self.source_folder, os.path.join(self.package_folder, "licenses"))
        copy(self, "*.hpp", os.path.join(self.source_folder, "include"), os.path.join(self.package_folder, "include"))

    # The same names as those of the CMake package that the project installs without Conan.
    def package_info(self):
        self.cpp_info.set_property("cmake_file_name", "quire")
        self.cpp_info.set_property("cmake_config_version_compat", "SameMinorVersion")
        self.cpp_info.set_property("pkg_config_name", "quire")
        self.cpp_info.bindirs = []
        self.cpp_info.libdirs = []

        core = self.cpp_info.components["core"]
        core.set_property("cmake_target_name", "quire::core")
        core.requires = ["ms-gsl::ms-gsl"]
        core.bindirs = []
        core.libdirs = []

        if self.options.hosted:
            hosted = self.cpp_info.components["hosted"]
            hosted.set_property("cmake_target_name", "quire::hosted")
            hosted.requires = ["core", "range-v3::range-v3"]
            hosted.bindirs = []
            hosted.libdirs = []

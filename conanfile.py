# SPDX-License-Identifier: MIT
"""The Conan recipe of this source tree: `conan create .` packages what is here.

The recipe of a release, as an index of recipes wants it, is in cmake/conan-center. `./dev conan` runs both.
"""

import os
import re

from conan import ConanFile
from conan.errors import ConanException, ConanInvalidConfiguration
from conan.tools.build import check_min_cppstd
from conan.tools.files import copy, load
from conan.tools.layout import basic_layout
from conan.tools.microsoft import is_msvc

required_conan_version = ">=2.31"  # cpp_info.ignored_requires


class QuireConan(ConanFile):
    name = "quire"
    description = "Page tables for hypervisors, kernels and emulators: one walker, every format"
    license = "MIT"
    # No url and no homepage: a source tree does not know where it came from.
    topics = ("page-table", "hypervisor", "kernel", "emulator", "freestanding", "header-only")
    package_type = "header-library"
    settings = "os", "arch", "compiler", "build_type"
    # The package holds every header in any case. The option decides what its users depend on: without `hosted` they
    # need no range-v3, and there is no quire::hosted.
    options = {"hosted": [True, False]}
    default_options = {"hosted": True}
    no_copy_source = True
    exports_sources = "CMakeLists.txt", "LICENSE", "include/*"

    def set_version(self):
        text = load(self, os.path.join(self.recipe_folder, "CMakeLists.txt"))
        found = re.search(r"^project\([^)]*\bVERSION\s+(\d+\.\d+\.\d+)\b", text, re.MULTILINE)
        if not found:
            raise ConanException("no version in the project() of CMakeLists.txt")
        self.version = found[1]

    def layout(self):
        basic_layout(self)

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

    def build(self):
        pass

    def package(self):
        copy(self, "LICENSE", self.source_folder, os.path.join(self.package_folder, "licenses"))
        copy(self, "*.hpp", os.path.join(self.source_folder, "include"), os.path.join(self.package_folder, "include"))

    # The same names as those of the CMake package that this project installs without Conan.
    def package_info(self):
        self.cpp_info.set_property("cmake_file_name", "quire")
        self.cpp_info.set_property("cmake_config_version_compat", "SameMinorVersion")
        self.cpp_info.set_property("pkg_config_name", "quire")
        self.cpp_info.bindirs = []
        self.cpp_info.libdirs = []
        core = self._add_tier("core")
        self._require(core, "ms-gsl", "Microsoft.GSL", "Microsoft.GSL::GSL")
        if self.options.hosted:
            hosted = self._add_tier("hosted")
            hosted.requires = ["core"]
            self._require(hosted, "range-v3", "range-v3", "range-v3::range-v3")

    def _add_tier(self, name):
        tier = self.cpp_info.components[name]
        tier.set_property("cmake_target_name", f"quire::{name}")
        tier.bindirs = []
        tier.libdirs = []
        return tier

    def _require(self, tier, package, cmake_file, cmake_target):
        if package in self.dependencies:
            tier.requires.append(f"{package}::{package}")
            return
        # Not in the graph: the profile's [platform_requires] says that the platform has it. CMakeDeps refuses to make a
        # component require such a package, so the files it writes are told to find the platform's own.
        self.cpp_info.ignored_requires.append(package)
        find = self.cpp_info.get_property("cmake_extra_dependencies", check_type=list) or []
        self.cpp_info.set_property("cmake_extra_dependencies", [*find, cmake_file])
        tier.set_property("cmake_extra_interface_libs", [cmake_target])

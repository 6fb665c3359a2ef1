# SPDX-License-Identifier: MIT
"""Builds and runs a small program with the package that was just made."""

import os

from conan import ConanFile
from conan.errors import ConanException
from conan.tools.build import can_run
from conan.tools.cmake import CMake, CMakeDeps, CMakeToolchain, cmake_layout


class QuireTestConan(ConanFile):
    settings = "os", "arch", "compiler", "build_type"

    def requirements(self):
        self.requires(self.tested_reference_str)

    def layout(self):
        cmake_layout(self)

    def generate(self):
        CMakeDeps(self).generate()
        toolchain = CMakeToolchain(self)
        toolchain.user_presets_path = False
        toolchain.cache_variables["WITH_HOSTED"] = bool(self.dependencies["quire"].options.hosted)
        toolchain.generate()

    def build(self):
        cmake = CMake(self)
        cmake.configure()
        cmake.build()

    def test(self):
        suffix = ".exe" if self.settings.os == "Windows" else ""
        program = os.path.join(self.build_folder, self.cpp.build.bindir, f"test_package{suffix}")
        if not os.path.isfile(program):
            raise ConanException(f"the build has made no {program}")
        if can_run(self):
            self.run(program, env="conanrun")

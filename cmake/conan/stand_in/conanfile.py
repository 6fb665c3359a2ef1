# SPDX-License-Identifier: MIT
"""Stands in for the packages ms-gsl and range-v3 where none can be downloaded.

It holds the headers that Debian installed, under the names that the index's recipes give to files and targets: to a
recipe that requires it, it looks like the real one. Made with `conan create --name ... --version ...`.
"""

import os

from conan import ConanFile
from conan.errors import ConanException
from conan.tools.files import copy

SYSTEM_HEADERS = "/usr/include"


class StandInConan(ConanFile):
    license = "MIT AND BSL-1.0"
    package_type = "header-library"

    @property
    def _facts(self):
        """Directories of headers, a header that must be among them, name of the CMake file, name of its target."""
        return {
            "ms-gsl": (["gsl"], "gsl/assert", "Microsoft.GSL", "Microsoft.GSL::GSL"),
            "range-v3": (
                ["range", "meta", "concepts", "std"],
                "range/v3/range_fwd.hpp",
                "range-v3",
                "range-v3::range-v3",
            ),
        }[self.name]

    def package(self):
        directories, header, _, _ = self._facts
        include = os.path.join(self.package_folder, "include")
        for directory in directories:
            copy(self, "*", os.path.join(SYSTEM_HEADERS, directory), os.path.join(include, directory))
        if not os.path.isfile(os.path.join(include, header)):
            raise ConanException(f"{self.name} is not installed: no {header} in {SYSTEM_HEADERS}")

    def package_info(self):
        _, _, cmake_file, cmake_target = self._facts
        self.cpp_info.set_property("cmake_file_name", cmake_file)
        self.cpp_info.set_property("cmake_target_name", cmake_target)
        self.cpp_info.bindirs = []
        self.cpp_info.libdirs = []

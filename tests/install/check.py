#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Installs the library and uses it in every way the README shows, as its reader would.

usage: check.py STEP --source DIR --work DIR [--cmake PROGRAM] [--cxx COMPILER]

Each STEP is a function below. `install` comes first: the others use what it left in WORK.
Exits with 77, "skipped", where a tool is missing.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

SKIPPED = 77
SAYS_FIRST = "one leaf of 1024 MiB, then 513 tables; 0x80123456 -> 0x140123456\n"
SAYS_CHECKED = "the oracles have nothing to say\n"
KERNEL = ["-std=c++20", "-ffreestanding", "-fno-exceptions", "-fno-rtti", "-Wall", "-Wextra", "-Werror"]
WAYS = Path(__file__).resolve().parent / "ways"


class Failed(Exception):
    """What a step found wrong."""


class Skipped(Exception):
    """Why a step cannot run."""


def must(holds, text):
    if not holds:
        raise Failed(text)


def fresh(directory):
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    return directory


class Place:
    """A user's home: a copy of the source, ~/quire as the prefix, and room for projects."""

    def __init__(self, args):
        self.source = args.source
        self.work = args.work
        self.checkout = args.work / "checkout"
        self.prefix = args.work / "quire"
        self.tools = args.work / "bin"
        self.cmake = args.cmake
        self.cxx = args.cxx

    def environment(self):
        """HOME is the work directory; `c++` and `cmake` are the ones under test; no user's settings."""
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
        self.tools.mkdir(parents=True, exist_ok=True)
        for name, program in (("c++", self.cxx), ("cmake", self.cmake)):
            link = self.tools / name
            # A script and not a link: a compiler driver may look at its own name.
            link.write_text(f'#!/bin/sh\nexec "{program}" "$@"\n')
            link.chmod(0o755)
        return kept | {"HOME": str(self.work), "PATH": f"{self.tools}:{kept.get('PATH', '/usr/bin:/bin')}"}

    def run(self, command, cwd, expect_failure=False):
        """Gives what the command said; a list is run as it is, a text by the shell."""
        if isinstance(command, str):
            command = ["sh", "-e", "-c", command]
        done = subprocess.run(command, cwd=cwd, env=self.environment(), text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
        if (done.returncode != 0) != expect_failure:
            verb = "succeeded" if expect_failure else f"failed with {done.returncode}"
            raise Failed(f"{' '.join(command)}\n{done.stdout}{verb}")
        return done.stdout

    def project(self, way):
        """A user's project: what the README shows, beside a copy of an example."""
        directory = fresh(self.work / "projects" / way)
        shutil.copytree(WAYS / way, directory, dirs_exist_ok=True)
        for example in ("first.cpp", "checked.cpp"):
            shutil.copy(self.source / "examples" / example, directory)
        return directory


def script(way):
    return (WAYS / way).read_text()


def must_say(output, expected):
    must(output.endswith(expected), f"{output}does not end with: {expected}")


def names_prefix(text, prefix):
    return re.search(re.escape(str(prefix)) + r"(?![\w.-])", text) is not None


# ---- the steps -----------------------------------------------------------------------------------


def install(place):
    """The source is copied without what a build left there, then installed as the README says."""
    fresh(place.work)
    ignored = shutil.ignore_patterns("build", ".git", "__pycache__")
    shutil.copytree(place.source, place.checkout, ignore=ignored)
    place.run(script("install.sh"), place.checkout)
    must((place.prefix / "include/quire/quire.hpp").is_file(), "the headers are not in the prefix")


def manifest(place):
    """What is installed is what is listed, no more and no less."""
    listed = (WAYS.parent / "manifest.txt").read_text().splitlines()
    found = sorted(str(path.relative_to(place.prefix)) for path in place.prefix.rglob("*") if path.is_file())
    found = [name for name in found if not name.endswith(".cps")]  # only newer versions of CMake write them
    problems = [f"not listed: {name}" for name in found if name not in listed]
    problems += [f"not installed: {name}" for name in listed if name not in found]
    must(not problems, "\n".join(["tests/install/manifest.txt:", *problems]))
    must(listed == sorted(listed), "tests/install/manifest.txt is not sorted")


def no_build_path(place):
    """No installed file tells where it was built or from what."""
    for path in place.prefix.rglob("*"):
        if not path.is_file():
            continue
        text = path.read_text()
        for place_name in (place.source, place.work, place.checkout, place.prefix):
            must(not names_prefix(text, place_name), f"{path.relative_to(place.prefix)} names {place_name}")


def find_package(place):
    project = place.project("find_package")
    must_say(place.run(script("use_cmake.sh"), project), SAYS_FIRST)
    must_say(place.run(["build/checked"], project), SAYS_CHECKED)


def moved_prefix(place):
    """A prefix that was moved works, and nothing leads back to the old one."""
    elsewhere = fresh(place.work / "moved" / "to") / "here"
    kept_away = place.work / "quire-kept-away"
    project = place.project("find_package")
    shutil.copytree(place.prefix, elsewhere)
    place.prefix.rename(kept_away)
    try:
        place.run(["cmake", "-G", "Ninja", "-B", "build", f"-DCMAKE_PREFIX_PATH={elsewhere}",
                   "-DCMAKE_EXPORT_COMPILE_COMMANDS=ON"], project)
        place.run(["cmake", "--build", "build"], project)
        must_say(place.run(["build/first"], project), SAYS_FIRST)
    finally:
        kept_away.rename(place.prefix)
    commands = (project / "build/compile_commands.json").read_text()
    must(f"{elsewhere}/include" in commands, "the headers are not taken from the moved prefix")
    must(not names_prefix(commands, place.prefix), "the old prefix is named")


def version(place):
    """A version that is too new, or another minor one while the major is 0, is refused; ours is taken."""
    text = (place.source / "CMakeLists.txt").read_text()
    ours = re.search(r"^ +VERSION (\d+)\.(\d+)\.(\d+)$", text, re.MULTILINE)
    must(ours is not None, "no version in CMakeLists.txt")
    major, minor, patch = (int(part) for part in ours.groups())
    must(minor > 0, "teach this test what an older minor version is")
    for asked, taken in ((f"{major}.{minor}", True), (f"{major}.{minor}.{patch}", True),
                         (f"{major}.{minor}.{patch} EXACT", True), (f"{major}.{minor}.{patch + 1}", False),
                         (f"{major}.{minor - 1}", False), (f"{major}.{minor + 1}", False),
                         (f"{major + 1}.0", False), ("99", False)):
        project = fresh(place.work / "projects" / "version")
        (project / "CMakeLists.txt").write_text(
            "cmake_minimum_required(VERSION 3.25)\nproject(asks LANGUAGES CXX)\n"
            f"find_package(quire {asked} CONFIG REQUIRED)\n")
        said = place.run(["cmake", "-G", "Ninja", "-B", "build", f"-DCMAKE_PREFIX_PATH={place.prefix}"], project,
                         expect_failure=not taken)
        must(taken or f"version: {major}.{minor}.{patch}" in said, f"{said}does not say which version there is")
    macros = (place.prefix / "include/quire/version.hpp").read_text()
    for name, value in (("MAJOR", major), ("MINOR", minor), ("PATCH", patch)):
        must(f"#define QUIRE_VERSION_{name} {value}\n" in macros, f"version.hpp has another {name}")


def components(place):
    """core does without range-v3; hosted without it, and a component nobody knows, are refused by name."""
    hide = "-DCMAKE_DISABLE_FIND_PACKAGE_range-v3=ON"
    for asked, also, refusal in (("core", hide, None), ("hosted", hide, "needs range-v3"),
                                 ("nonsense", hide, "nonsense")):
        project = fresh(place.work / "projects" / "components")
        (project / "CMakeLists.txt").write_text(
            "cmake_minimum_required(VERSION 3.25)\nproject(asks LANGUAGES CXX)\n"
            f"find_package(quire CONFIG REQUIRED COMPONENTS {asked})\n")
        said = place.run(["cmake", "-G", "Ninja", "-B", "build", f"-DCMAKE_PREFIX_PATH={place.prefix}", also], project,
                         expect_failure=refusal is not None)
        must(refusal is None or refusal in said, f"{said}does not say: {refusal}")


def add_subdirectory(place):
    project = place.project("add_subdirectory")
    (project / "quire").symlink_to(place.checkout, target_is_directory=True)
    place.run(["cmake", "-G", "Ninja", "-B", "build"], project)
    place.run(["cmake", "--build", "build"], project)
    must_say(place.run(["build/first"], project), SAYS_FIRST)


def leaves_no_trace(place):
    """As a part of another build it sets nothing global, builds nothing, tests nothing, installs nothing."""
    project = fresh(place.work / "projects" / "guest")
    shutil.copy(WAYS.parent / "guest.cmake", project / "CMakeLists.txt")
    said = place.run(["cmake", "-G", "Ninja", "-B", "build", f"-DQUIRE_SOURCE={place.checkout}"], project)
    must("nothing else has changed" in said, said)
    must("ninja: no work to do." in place.run(["ninja", "-C", "build"], project), "something is built")
    listed = place.run(["ctest", "--test-dir", "build", "-N"], project)
    must("Total Tests: 0" in listed, listed)
    place.run(["cmake", "--install", "build", "--prefix", "installed"], project)
    must(not (project / "installed").exists(), "something is installed")


def fetch_content(place):
    project = place.project("fetch_content")
    place.run(["cmake", "-G", "Ninja", "-B", "build", f"-DQUIRE_SOURCE={place.checkout}"], project)
    place.run(["cmake", "--build", "build"], project)
    must_say(place.run(["build/first"], project), SAYS_FIRST)


def plain_include(place):
    """Nothing but an include path: the README's line in the checkout, and a kernel's flags on the prefix."""
    must_say(place.run(script("include.sh"), place.checkout), SAYS_FIRST)
    place.run(["c++", *KERNEL, f"-I{place.prefix}/include", "-c", "tests/freestanding/instantiate.cpp", "-o", "kernel.o"],
              place.checkout)


def single_header(place):
    must_say(place.run(script("single_header.sh"), place.checkout), SAYS_FIRST)


def pkg_config(place):
    if shutil.which("pkg-config") is None:
        raise Skipped("no pkg-config; Debian package pkgconf")
    project = fresh(place.work / "projects" / "pkg_config")
    shutil.copy(place.source / "examples/first.cpp", project)
    must_say(place.run(script("use_pkg_config.sh"), project), SAYS_FIRST)
    path = f"export PKG_CONFIG_PATH={place.prefix}/share/pkgconfig; "
    flags = place.run(path + "pkg-config --cflags quire", project).split()
    must([os.path.normpath(flag) for flag in flags] == [f"-I{place.prefix}/include"], f"other flags: {flags}")
    place.run(path + "pkg-config --atleast-version 0.1 quire && pkg-config --validate quire", project)


def common_package_specification(place):
    """Newer versions of CMake also write a .cps file, and find the package by it alone."""
    version_text = place.run(["cmake", "--version"], place.work)
    number = tuple(int(part) for part in re.search(r"(\d+)\.(\d+)", version_text).groups())
    if number < (4, 3):
        raise Skipped(f"CMake {number[0]}.{number[1]} writes no Common Package Specification; 4.3 does")
    only_cps = fresh(place.work / "only-cps") / "quire"
    shutil.copytree(place.prefix, only_cps)
    shutil.rmtree(only_cps / "share/cmake")
    project = place.project("find_package")
    place.run(["cmake", "-G", "Ninja", "-B", "build", f"-DCMAKE_PREFIX_PATH={only_cps}"], project)
    place.run(["cmake", "--build", "build"], project)
    must_say(place.run(["build/first"], project), SAYS_FIRST)
    must_say(place.run(["build/checked"], project), SAYS_CHECKED)


def header_sets(place):
    """Every public header compiles alone, as CMake's own check has it."""
    build = fresh(place.work / "header-sets")
    place.run(["cmake", "--preset", "package", "-B", str(build), "-DCMAKE_VERIFY_INTERFACE_HEADER_SETS=ON",
               "-DCMAKE_CXX_EXTENSIONS=OFF"], place.checkout)
    place.run(["cmake", "--build", str(build), "--target", "all_verify_interface_header_sets"], place.checkout)


STEPS = {step.__name__: step for step in (
    install, manifest, no_build_path, find_package, moved_prefix, version, components, add_subdirectory,
    leaves_no_trace, fetch_content, plain_include, single_header, pkg_config, common_package_specification, header_sets)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("step", choices=STEPS)
    parser.add_argument("--source", type=Path, required=True, help="root of the source tree")
    parser.add_argument("--work", type=Path, required=True, help="where everything is made")
    parser.add_argument("--cmake", default=shutil.which("cmake"))
    parser.add_argument("--cxx", default=shutil.which("c++"))
    args = parser.parse_args()
    try:
        STEPS[args.step](Place(args))
    except Skipped as why:
        print(f"skipped: {why}")
        return SKIPPED
    except Failed as what:
        print(what)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes the package of the vcpkg port, without and with its feature `hosted`, looks at it and uses it.

usage: check.py --source DIR --work DIR [--cmake PROGRAM] [--cxx COMPILER]

run_port.cmake stands in for vcpkg. Exits with 77, "skipped", where a tool is missing.
"""

import argparse
import filecmp
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

SKIPPED = 77
WITHOUT_RANGE_V3 = "-DCMAKE_DISABLE_FIND_PACKAGE_range-v3=ON"
SHARED = {
    *(f"share/quire/{name}" for name in ("copyright", "usage", "quire-config.cmake", "quire-config-version.cmake")),
    *(f"share/quire/quire-{tier}-targets.cmake" for tier in ("core", "hosted")),
    "share/pkgconfig/quire.pc",
    "share/quire/gdb/quire_printers.py",
}
SAYS_FIRST = "one leaf of 1024 MiB, then 513 tables; 0x80123456 -> 0x140123456\n"
SAYS_CHECKED = "the oracles have nothing to say\n"


class Failed(Exception):
    """What does not hold."""


def must(holds, text):
    if not holds:
        raise Failed(text)


def run(*command, expect_failure=False):
    command = [str(word) for word in command]
    done = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    must((done.returncode != 0) == expect_failure, f"{' '.join(command)}\n{done.stdout}status {done.returncode}")
    return done.stdout


# ---- the registry --------------------------------------------------------------------------------


def check_registry(args):
    """The port's facts, as the registry and the rest of the tree have them. Gives the version."""
    registry = args.source / "cmake/vcpkg"
    port = json.loads((registry / "ports/quire/vcpkg.json").read_text())
    ours = re.search(r"^ +VERSION ([\d.]+)$", (args.source / "CMakeLists.txt").read_text(), re.M)[1]
    must(port["name"] == "quire" and port["version"] == ours, f"vcpkg.json: not quire of version {ours}")
    must(port["license"] == "MIT" and port["description"] and port["homepage"], "vcpkg.json: a fact is missing")
    fields = "name version description homepage license supports dependencies features".split()
    must(list(port) == fields, f"vcpkg.json: the fields are not {' '.join(fields)}")

    names = [one if isinstance(one, str) else one["name"] for one in port["dependencies"]]
    host = [one["name"] for one in port["dependencies"] if isinstance(one, dict) and one.get("host")]
    must(names == ["ms-gsl", *host] and host == ["vcpkg-cmake", "vcpkg-cmake-config"], f"vcpkg.json: needs {names}")
    features = {name: feature["dependencies"] for name, feature in port["features"].items()}
    must(features == {"hosted": ["range-v3"]}, f"vcpkg.json: has the features {features}")

    baseline = json.loads((registry / "versions/baseline.json").read_text())
    must(baseline == {"default": {"quire": {"baseline": ours, "port-version": 0}}}, f"baseline.json: not {ours}")
    newest = json.loads((registry / "versions/q-/quire.json").read_text())["versions"][0]
    must(newest == {"path": "$/ports/quire", "version": ours, "port-version": 0}, f"quire.json: {ours} is not the first")
    return ours


# ---- the package ---------------------------------------------------------------------------------


def make(args, version, features):
    """Runs the port. Gives the directory of the package, and where vcpkg would have installed it."""
    root = args.work / "-".join(features)
    shutil.rmtree(root, ignore_errors=True)
    values = {"SOURCE": args.source, "ROOT": root, "VERSION": version, "FEATURES": ";".join(features)}
    defined = [f"-D{name}={value}" for name, value in values.items()]
    run(args.cmake, *defined, "-P", Path(__file__).with_name("run_port.cmake"))
    package, installed = root / "packages/quire_x64-linux", root / "installed/x64-linux"
    # vcpkg makes a package and then copies it, so the package may not know where it was made.
    shutil.copytree(package, installed)
    return package, installed


def files_in(directory):
    return {str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()}


def check_package(args, package):
    files = {name for name in files_in(package) if not name.endswith(".cps")}  # only newer versions of CMake write them
    listed = (args.source / "tests/install/manifest.txt").read_text().splitlines()
    wanted = SHARED | {name for name in listed if name.startswith("include/")}
    must(files == wanted, f"in the package: missing {sorted(wanted - files)}, surplus {sorted(files - wanted)}")
    empty = [str(path) for path in package.rglob("*") if path.is_dir() and not any(path.iterdir())]
    must(not empty, f"empty directories in the package: {empty}")
    for name in files:
        text = (package / name).read_text()
        for place in (args.source, args.work):
            must(str(place) not in text, f"{name} names {place}")
    must((package / "share/quire/copyright").read_text() == (args.source / "LICENSE").read_text(), "not our licence")
    must("prefix=${pcfiledir}/../..\n" in (package / "share/pkgconfig/quire.pc").read_text(), "quire.pc: no prefix")


def check_same(one, other):
    """vcpkg may have built the package with either set of features, for whoever comes next."""
    different = [name for name in files_in(one) if not filecmp.cmp(one / name, other / name, shallow=False)]
    must(files_in(one) == files_in(other) and not different, f"the feature changes the package: {different}")


# ---- its use -------------------------------------------------------------------------------------


def ways_of_use(package):
    """What `usage` tells to write, by the target."""
    lines = (package / "share/quire/usage").read_text().splitlines()
    told = [line.strip() for line in lines if line.startswith("  ")]
    pairs = list(zip(told[::2], told[1::2]))
    return {re.search(r"quire::\w+", link)[0]: f"{find}\nadd_executable(main main.cpp)\n{link}\n" for find, link in pairs}


def project(args, installed, name, text, example="first.cpp"):
    """Configures a project; gives its build directory and the command that does it."""
    directory = installed.parents[1] / name
    directory.mkdir()
    (directory / "CMakeLists.txt").write_text(f"cmake_minimum_required(VERSION 3.25)\nproject(user LANGUAGES CXX)\n{text}")
    shutil.copy(args.source / "examples" / example, directory / "main.cpp")
    build = directory / "build"
    command = [args.cmake, "-S", directory, "-B", build, "-G", "Ninja", f"-DCMAKE_PREFIX_PATH={installed}",
               f"-DCMAKE_CXX_COMPILER={args.cxx}", "-DCMAKE_EXPORT_COMPILE_COMMANDS=ON"]
    return build, command


def check_program(args, package, installed, target, example, expected, *options):
    ways = ways_of_use(package)
    must(target in ways, f"`usage` does not tell how to use {target}, only {', '.join(ways)}")
    build, configure = project(args, installed, example.removesuffix(".cpp"), ways[target], example)
    run(*configure, *options)
    must(f"{installed}/include" in (build / "compile_commands.json").read_text(), "other headers than the package's")
    run(args.cmake, "--build", build)
    said = run(build / "main")
    must(said == expected, f"{example} says: {said}")


def check_refusal(args, installed):
    """Without its dependency, the feature's target is refused by the name of what is missing."""
    text = "find_package(quire CONFIG REQUIRED COMPONENTS hosted)\n"
    _, configure = project(args, installed, "refused", text)
    must("needs range-v3" in run(*configure, WITHOUT_RANGE_V3, expect_failure=True), "hosted is refused without a reason")


def check_all(args):
    version = check_registry(args)
    core, core_installed = make(args, version, ["core"])
    check_package(args, core)
    check_program(args, core, core_installed, "quire::core", "first.cpp", SAYS_FIRST, WITHOUT_RANGE_V3)
    check_refusal(args, core_installed)
    both, both_installed = make(args, version, ["core", "hosted"])
    check_package(args, both)
    check_same(core, both)
    check_program(args, both, both_installed, "quire::core", "first.cpp", SAYS_FIRST)
    check_program(args, both, both_installed, "quire::hosted", "checked.cpp", SAYS_CHECKED)
    print(f"quire {version}: {len(files_in(core))} files with and without hosted, used as `usage` tells")


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--source", type=Path, required=True, help="root of the source tree")
    parser.add_argument("--work", type=Path, required=True, help="where everything is made")
    parser.add_argument("--cmake", default=shutil.which("cmake"))
    parser.add_argument("--cxx", default=shutil.which("c++"))
    args = parser.parse_args()
    if shutil.which("ninja") is None:
        print("skipped: no ninja; Debian package ninja-build")
        return SKIPPED
    try:
        check_all(args)
    except Failed as what:
        print(what)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

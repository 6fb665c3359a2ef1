#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What the library costs to compile: lines after the preprocessor, time, template instantiations.

usage: compile_cost.py [--write]

Lines and the instantiations that clang counts are the same on every machine: they may be 2 % above the bounds in
compile_cost.toml; --write makes what is measured the bounds, there and in docs/codegen.md. Time is noisy, and machines
differ: it has limits set by hand, with room, on the user time of g++, the best of some, over that of three headers of
the standard library, compiled in turn with it. Seconds are those of a machine on which these three take
REFERENCE_SECONDS. Exits with 77, "skipped", where a compiler is missing or is not the one that the bounds are of.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import bounds
from bounds import ROOT, SKIPPED, said_by

BOUNDS = ROOT / "tests/codegen/compile_cost.toml"
COMPILERS = {"g++": "g++", "clang++-19": "clang-19"}  # and their packages
COUNTED = ("lines", "classes", "functions")
COMPILE = ["-std=c++20", "-I", ROOT / "include"]
REFERENCE = "#include <algorithm>\n#include <ranges>\n#include <string>\n"
REFERENCE_SECONDS = 0.42
HEADER = "#include <quire/quire.hpp>\n"
ROUNDS = 3

MOST_LINES = 40_000  # of the header, whatever the bounds say
MOST_SECONDS = {"header": 0.4, "one_guest": 5.5}


def lines_of(source):
    text = said_by("g++", *COMPILE, "-E", source)
    return sum(1 for line in text.splitlines() if line.strip() and not line.startswith("#"))


def seconds_of(source, *how):
    before = os.times().children_user
    subprocess.run(["g++", *COMPILE, *how, source], check=True)
    return os.times().children_user - before


def instantiations_of(source, scratch):
    """Classes and functions. What clang makes of them does not matter, so it makes nothing."""
    trace = scratch / "trace.json"
    subprocess.run(["clang++-19", *COMPILE, "-O0", "-emit-llvm", "-c", f"-ftime-trace={trace}",
                    "-ftime-trace-granularity=0", source, "-o", scratch / "nothing.bc"], check=True)
    names = [event["name"] for event in json.loads(trace.read_text())["traceEvents"]]
    return {"classes": names.count("InstantiateClass"), "functions": names.count("InstantiateFunction")}


def measure(scratch):
    """What -> its figures."""
    reference, header = scratch / "reference.cpp", scratch / "header.cpp"
    reference.write_text(REFERENCE)
    header.write_text(HEADER)
    guest = ROOT / "tests/codegen/one_guest.cpp"
    sources = {
        "reference": (reference, ["-fsyntax-only"]),
        "header": (header, ["-fsyntax-only"]),
        "one_guest": (guest, ["-O2", "-c", "-o", scratch / "guest.o"]),
    }
    seconds = {what: [] for what in sources}
    for _ in range(ROUNDS):
        for what, (source, how) in sources.items():
            seconds[what].append(seconds_of(source, *how))
    best = {what: min(each) for what, each in seconds.items()}
    return {what: {"lines": lines_of(source), **instantiations_of(source, scratch),
                   "seconds": round(best[what] / best["reference"] * REFERENCE_SECONDS, 2)}
            for what, (source, _) in sources.items()}


def print_table(found):
    print(f"  {'':12}{'lines':>8}{'seconds':>9}{'classes':>9}{'functions':>11}   instantiated by clang")
    for what, of in found.items():
        print(f"  {what:12}{of['lines']:8}{of['seconds']:9.2f}{of['classes']:9}{of['functions']:11}")


def faults_of(found, bound):
    for what, most in MOST_SECONDS.items():
        for name in COUNTED:
            yield from bounds.faults_of(f"{what}, {name}", found[what][name], bound.get(what, {}).get(name))
        if found[what]["seconds"] > most:
            yield f"{what}: {found[what]['seconds']} s, {most} are allowed"
    if found["header"]["lines"] > MOST_LINES:
        yield f"header: more than {MOST_LINES} lines"


def written(versions, found):
    lines = ["# Written by compile_cost.py --write"]
    lines += ["", "[compilers]", *(f'"{name}" = "{version}"' for name, version in versions.items())]
    for what in MOST_SECONDS:
        lines += ["", f"[{what}]", *(f"{name} = {found[what][name]}" for name in COUNTED)]
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--write", action="store_true", help="make what is measured the bounds")
    args = parser.parse_args()

    if missing := [package for tool, package in COMPILERS.items() if shutil.which(tool) is None]:
        print(f"skipped: Debian packages that are missing: {' '.join(missing)}")
        return SKIPPED
    bound = tomllib.loads(BOUNDS.read_text()) if BOUNDS.exists() else {}
    versions = {tool: bounds.version_of(tool) for tool in COMPILERS}
    if bound.get("compilers", versions) != versions and not args.write:
        print(f"skipped: the bounds are of {bound['compilers']}, these are {versions}")
        return SKIPPED
    with tempfile.TemporaryDirectory() as scratch:
        found = measure(Path(scratch))
    print_table(found)
    if args.write:
        bounds.write(BOUNDS, written(versions, found))
        return 0
    faults = list(faults_of(found, bound))
    print("".join(f"  {fault}\n" for fault in faults), end="")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())

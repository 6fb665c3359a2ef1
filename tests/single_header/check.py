#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compiles the single header where there is nothing else of ours, as a program has it and as a kernel does; and sees
that it is refused beside the separate headers.

Exits with 77, "skipped", where the compiler is missing.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

SKIPPED = 77
WARNINGS = (
    "-Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow -Wold-style-cast -Wcast-align -Wundef -Werror"
).split()
KERNEL = ["-ffreestanding", "-fno-exceptions", "-fno-rtti"]
OWN_PANIC = "-DQUIRE_CONTRACT_VIOLATION(text)=__builtin_trap()"
WAYS = {
    "hosted": [],
    "hosted, with audits": ["-DQUIRE_CONTRACTS=2"],
    "freestanding": KERNEL,
    "freestanding, without GSL": [*KERNEL, OWN_PANIC],
}
# The umbrella, one that includes no other but version.hpp, and one of the upper layers.
SEPARATE = ["quire/quire.hpp", "quire/error.hpp", "quire/dirty/fault.hpp"]
REFUSAL = "two copies of Quire in one translation unit"


def say(compiler, text, *flags):
    """Exit status and what the compiler said, of a translation unit of these lines; in English."""
    done = subprocess.run(
        [compiler, "-std=c++20", *flags, "-x", "c++", "-"],
        input=text,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "LC_ALL": "C"},
    )
    return done.returncode, done.stdout


def faults_alone(compiler, directory):
    single = "#include <quire.hpp>\nstatic_assert(QUIRE_VERSION_MAJOR >= 0);\n"
    for way, flags in WAYS.items():
        status, said = say(compiler, single, "-I", directory, "-fsyntax-only", *WARNINGS, *flags)
        if status != 0 or said:
            yield f"{way}: does not compile cleanly\n{said}"
    # The names of the files that it needs, in the form of a rule for make.
    status, said = say(compiler, single, "-I", directory, "-M", OWN_PANIC)
    if status != 0 or f"{directory}/quire.hpp" not in said or "gsl/" in said:
        yield f"with a panic of one's own it needs more than itself and the standard library\n{said}"


def faults_together(compiler, directory, include):
    for name in SEPARATE:
        for order in ([f"<{name}>"], ["<quire.hpp>", f"<{name}>"], [f"<{name}>", "<quire.hpp>"]):
            text = "".join(f"#include {one}\n" for one in order)
            status, said = say(compiler, text, "-I", directory, "-I", include, "-E", "-o", os.devnull)
            if len(order) == 1 and status != 0:
                yield f"{name} is refused by itself\n{said}"
            if len(order) == 2 and (status == 0 or REFUSAL not in said):
                yield f"{' then '.join(order)}: not refused\n{said}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--source", type=Path, required=True, help="root of the source tree")
    parser.add_argument("--compiler", required=True)
    parser.add_argument("--package", required=True, help="where the compiler comes from")
    args = parser.parse_args()
    if shutil.which(args.compiler) is None:
        print(f"skipped: no {args.compiler}; Debian package {args.package}")
        return SKIPPED
    with tempfile.TemporaryDirectory() as directory:
        shutil.copy(args.source / "cmake/single_header/quire.hpp", directory)
        faults = [
            *faults_alone(args.compiler, directory),
            *faults_together(args.compiler, directory, args.source / "include"),
        ]
    for fault in faults:
        print(fault)
    print(f"{args.compiler}: {len(WAYS)} ways alone, {2 * len(SEPARATE)} beside the headers, {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compiles core headers the way a kernel does: no library, no exceptions, no RTTI.

  headers   each header must compile when it is all there is
  symbols   an object file of instantiations may need only symbols from a list

Exits with 77, "skipped", where the compiler is missing.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

SKIPPED = 77
FREESTANDING = ["-std=c++20", "-ffreestanding", "-fno-exceptions", "-fno-rtti"]


def include_name(header):
    """include/quire/x.hpp as a user names it."""
    return header.removeprefix("include/")


def check_headers(compile_command, args):
    failed = 0
    for header in args.headers:
        result = subprocess.run(
            [*compile_command, "-fsyntax-only", "-x", "c++", "-"],
            input=f"#include <{include_name(header)}>\n",
            text=True,
            cwd=args.root,
        )
        if result.returncode != 0:
            print(f"{header}: does not compile alone", flush=True)
            failed += 1
    print(f"{len(args.headers)} headers, {failed} failed")
    return 1 if failed else 0


def nm_of(compiler):
    """The symbol lister of the compiler's own target; the host's cannot read foreign objects."""
    prefix, _, _ = compiler.rpartition("g++")
    return f"{prefix}nm" if prefix.endswith("-") else "nm"


def undefined_symbols(compiler, object_file):
    listing = subprocess.run(
        [nm_of(compiler), "--undefined-only", "--format=posix", object_file],
        capture_output=True,
        text=True,
        check=True,
    )
    return {line.split()[0] for line in listing.stdout.splitlines() if line.strip()}


def read_allowed(path):
    lines = (line.partition("#")[0].strip() for line in path.read_text().splitlines())
    return {line for line in lines if line}


def check_symbols(compile_command, args):
    with tempfile.TemporaryDirectory() as scratch:
        object_file = Path(scratch) / "object.o"
        # Position-independent code would add a symbol of its own, _GLOBAL_OFFSET_TABLE_.
        command = [*compile_command, args.level, "-fno-pie", "-c", args.source, "-o", object_file]
        if subprocess.run(command, cwd=args.root).returncode != 0:
            return 1
        undefined = undefined_symbols(args.compiler, object_file)
    surplus = undefined - read_allowed(args.root / args.allowed)
    print("undefined:", " ".join(sorted(undefined)) or "none")
    for symbol in sorted(surplus):
        print(f"{symbol}: not in {args.allowed}")
    return 1 if surplus else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--compiler", required=True)
    parser.add_argument("--package", required=True, help="where the compiler comes from")
    parser.add_argument("--root", type=Path, required=True, help="root of the source tree")
    parser.add_argument("--flag", action="append", default=[], help="for the compiler")
    parser.add_argument("--include", default="include", help="where the headers are, relative to the root")
    modes = parser.add_subparsers(required=True)
    headers = modes.add_parser("headers")
    headers.add_argument("headers", nargs="+")
    headers.set_defaults(check=check_headers)
    symbols = modes.add_parser("symbols")
    symbols.add_argument("source")
    symbols.add_argument("allowed")
    symbols.add_argument("--level", default="-O2", help="of optimisation")
    symbols.set_defaults(check=check_symbols)
    args = parser.parse_args()

    if shutil.which(args.compiler) is None:
        print(f"skipped: no {args.compiler}; Debian package {args.package}")
        return SKIPPED
    return args.check([args.compiler, *FREESTANDING, *args.flag, "-I", args.include], args)


if __name__ == "__main__":
    sys.exit(main())

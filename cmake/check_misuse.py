#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compiles wrong uses of the library: each must be refused, by the name of what is wrong.

  // expect: PATTERN   each must match a line near the top of what the compiler says
  // flags: FLAG...    for this file's compiler, besides the language

With QUIRE_RIGHT=1 the same file must compile without a word, or what is refused is not the mistake.
Exits with 77, "skipped", where the compiler is missing.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

SKIPPED = 77
LINES_READ = 15  # how far a user reads before giving up
COMPILE = ["-std=c++20", "-fsyntax-only", "-fdiagnostics-color=never", "-I", "include"]
RIGHT = ["-DQUIRE_RIGHT=1", "-Wall", "-Wextra"]


def notes_of(source, key):
    """What stands behind `// key:` in the comment at the top."""
    return re.findall(rf"^// {key}: (.+)$", source.read_text(), re.M)


def compile_file(args, source, *flags):
    """Exit status and message lines. In the C locale, so that every compiler quotes with '."""
    result = subprocess.run(
        [args.compiler, *COMPILE, *flags, source],
        stderr=subprocess.PIPE,
        text=True,
        cwd=args.root,
        env={**os.environ, "LC_ALL": "C"},
    )
    return result.returncode, result.stderr.splitlines()


def faults_of(args, source):
    """What is not as it should be with the refusal of one file, and what the compiler said."""
    expected = notes_of(args.root / source, "expect")
    flags = " ".join(notes_of(args.root / source, "flags")).split()
    faults = [] if expected else ["it has no '// expect:' line"]

    status, said = compile_file(args, source, *flags)
    if status == 0:
        faults.append("the wrong use compiles")
    for pattern in expected:
        if not any(re.search(pattern, line) for line in said[:LINES_READ]):
            later = any(re.search(pattern, line) for line in said)
            faults.append(f"{'too late' if later else 'not'} said: {pattern}")

    status, said_of_right = compile_file(args, source, *flags, *RIGHT)
    if status != 0 or said_of_right:
        faults.append("with QUIRE_RIGHT it does not compile cleanly")
        said = said_of_right
    return faults, said


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--compiler", required=True)
    parser.add_argument("--package", required=True, help="where the compiler comes from")
    parser.add_argument("--root", type=Path, required=True, help="root of the source tree")
    parser.add_argument("sources", nargs="+", type=Path, help="relative to it")
    args = parser.parse_args()

    if shutil.which(args.compiler) is None:
        print(f"skipped: no {args.compiler}; Debian package {args.package}")
        return SKIPPED
    failed = 0
    for source in args.sources:
        faults, said = faults_of(args, source)
        for fault in faults:
            print(f"{source}: {fault}")
        if faults:
            print(*said[: 2 * LINES_READ], sep="\n")
        failed += bool(faults)
    print(f"{args.compiler}: {len(args.sources)} wrong uses, {failed} not refused as they should be")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

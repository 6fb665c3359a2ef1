#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compiles guest_table.h alone, as C and as C++, with each of the compilers named that is there.

Exits with 77, "skipped", where none of them is.
"""

import shutil
import subprocess
import sys
from pathlib import Path

SKIPPED = 77
HERE = Path(__file__).resolve().parent
WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wundef", "-Werror"]
C = [("c", "c99"), ("c", "c11")]
CXX = [("c++", "c++11"), ("c++", "c++20")]

# A function must be there under its C name in both languages, or the two would not link.
PROGRAM = """
#include "guest_table.h"
#include "guest_table.h"
size_t use(const struct guest_cache* cache);
size_t use(const struct guest_cache* cache) { return guest_cache_stock(cache); }
"""


def symbols_of(compiler, language, standard):
    """The assembly of PROGRAM, or None when it does not compile."""
    result = subprocess.run(
        [compiler, f"-std={standard}", *WARNINGS, "-pedantic-errors", "-S", "-x", language, "-", "-o", "-"],
        input=PROGRAM,
        text=True,
        stdout=subprocess.PIPE,
        cwd=HERE,
    )
    return result.stdout if result.returncode == 0 else None


def check(compiler, language, standard):
    assembly = symbols_of(compiler, language, standard)
    said = "ok"
    if assembly is None:
        said = "does not compile"
    elif "guest_cache_stock" not in assembly.replace("guest_cache_stockP", ""):
        said = "guest_cache_stock has a C++ name"
    print(f"{compiler} -std={standard}: {said}", flush=True)
    return said == "ok"


def main():
    wanted = sys.argv[1:]
    there = [name for name in wanted if shutil.which(name)]
    for name in wanted:
        if name not in there:
            print(f"skipped: no {name}")
    if not there:
        return SKIPPED
    passed = [check(name, *how) for name in there for how in (CXX if "++" in name else C)]
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())

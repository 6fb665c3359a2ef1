#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A compare-exchange that releases has what RISC-V needs for it: a fence before the pair of lr and sc, or sc with .rl.

GCC 12 makes neither of __atomic_compare_exchange_n alone, and no emulator at hand shows it.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from bounds import ROOT, SKIPPED

SOURCE = ROOT / "tests/codegen/exchange_orders.cpp"
FUNCTION = re.compile(r"^_Z\d+(exchange_\w+?)Pm.*:$")


def unordered(assembly):
    """The functions whose exchange releases nothing, and how many functions there are."""
    wrong, seen, name, fenced = [], 0, "", False
    for line in assembly.splitlines():
        if found := FUNCTION.match(line):
            name, fenced, seen = found[1], False, seen + 1
        fenced = fenced or re.search(r"\bfence\b", line) is not None
        if (pair := re.search(r"\bsc\.d(\S*)", line)) and not fenced and "rl" not in pair[1]:
            wrong.append(name)
    return wrong, seen


def main():
    compiler = "riscv64-linux-gnu-g++"
    if shutil.which(compiler) is None:
        print(f"SKIP: {compiler} not found (apt-get install g++-riscv64-linux-gnu)")
        return SKIPPED
    with tempfile.TemporaryDirectory() as place:
        out = Path(place) / "exchange_orders.s"
        subprocess.run([compiler, "-std=c++20", "-O2", "-ffreestanding", "-I", ROOT / "include", "-S", SOURCE, "-o", out],
                       check=True)
        text = out.read_text()
    wrong, seen = unordered(text)
    if seen != 3 or len(re.findall(r"\bsc\.d", text)) < 3:
        print(f"{seen} functions, and not an exchange in each:\n{text}")
        return 1
    for name in wrong:
        print(f"{name}: nothing before the exchange is ordered before it")
    if not wrong:
        print(f"{compiler}: {seen} exchanges release")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

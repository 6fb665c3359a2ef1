#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks that each code block of README.md that names its file stands in that file, word for word."""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"<!-- (\S+) -->\n```\w+\n(.*?)```", re.S)


def main():
    blocks = BLOCK.findall((ROOT / "README.md").read_text())
    stale = [name for name, code in blocks if code not in (ROOT / name).read_text()]
    for name in stale:
        print(f"README.md: the code block from {name} is not what stands there")
    if not blocks:
        print("README.md: no code block names its file")
    return 1 if stale or not blocks else 0


sys.exit(main())

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks that each code block of the README and of docs/ that names its file stands in that file, word for word."""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"<!-- (\S+) -->\n```\w+\n(.*?)```", re.S)


def main():
    failed = False
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        blocks = BLOCK.findall(page.read_text())
        stale = [name for name, code in blocks if code not in (ROOT / name).read_text()]
        for name in stale:
            print(f"{page.relative_to(ROOT)}: the code block from {name} is not what stands there")
        if not blocks:
            print(f"{page.relative_to(ROOT)}: no code block names its file")
        failed = failed or stale or not blocks
    return 1 if failed else 0


sys.exit(main())

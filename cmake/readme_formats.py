#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compares the table of formats in README.md with what the types say; --write puts it right."""

import argparse
import subprocess
import sys
from pathlib import Path

README = Path(__file__).resolve().parent.parent / "README.md"
BEGIN = "<!-- the table of formats, written by ./dev formats -->\n"
END = "<!-- end of the table of formats -->\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program", help="prints the table")
    parser.add_argument("--write", action="store_true", help="rewrite the table instead of failing")
    args = parser.parse_args()

    table = subprocess.run([args.program, "--markdown"], check=True, capture_output=True, text=True).stdout
    text = README.read_text()
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        print("README.md: the two comments around the table of formats are not there")
        return 1
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    # A blank line on either side: inside HTML, Markdown sees no table without.
    wanted = f"{before}{BEGIN}\n{table}\n{END}{after}"
    if args.write:
        README.write_text(wanted)
    elif text != wanted:
        print("README.md: the table of formats is not what the types say; ./dev formats --write puts it right")
        return 1
    return 0


sys.exit(main())

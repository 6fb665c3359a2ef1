#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compares a list of files with the files there are; fails when they differ."""

import argparse
import sys
from pathlib import Path


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=Path, help="the directory that names are relative to")
    parser.add_argument("pattern", help="which files should be listed, as a glob below root")
    parser.add_argument("listed", nargs="*", help="the list")
    parser.add_argument("--except", dest="excepted", nargs="*", default=[], help="directories")
    args = parser.parse_args()

    root = args.root.resolve()
    listed = {(root / name).resolve().relative_to(root) for name in args.listed}
    there = {
        path.relative_to(root)
        for path in root.glob(args.pattern)
        if not any(path.is_relative_to(root / name) for name in args.excepted)
    }
    for path in sorted(there - listed):
        print(f"{path}: not listed")
    for path in sorted(listed - there):
        print(f"{path}: listed, but there is no such file")
    print(f"{len(there)} files, {len(listed)} listed")
    return 1 if there != listed else 0


if __name__ == "__main__":
    sys.exit(main())

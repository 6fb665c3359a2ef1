#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Puts the headers of the freestanding core into one file, quire.hpp beside this script.

usage: amalgamate.py [--write]

Without --write the file is only compared with what it should be; exits with 1 and says what differs. The same sources
give the same bytes on every machine.
"""

import argparse
import difflib
import re
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SINGLE = HERE / "quire.hpp"
UMBRELLA = "quire/quire.hpp"
ONE_COPY = "quire/version.hpp"  # refuses to be there twice
MEND = "./dev single-header --write"
DIFFERENCES_SHOWN = 30

LICENCE_LINE = "// SPDX-License-Identifier: MIT"
INCLUDE = re.compile(r"#include <([^>]+)>(?: +//.*)?")
DIRECTIVE = re.compile(r"\s*#\s*(if|endif|include)")

NOTE = """\
{licence_line}
//
// Quire {version}: page tables, one walker for every format. The whole freestanding core in one file.
//
// Generated from the headers in include/quire by cmake/single_header/amalgamate.py: change those, then run
// {mend}.
//
// A translation unit has this file or <quire/...>, never both; other translation units of the program may have the
// other, of the same version. All it needs is GSL's <gsl/assert>, or QUIRE_CONTRACT_VIOLATION (see there) of your own.
//
{licence}
#pragma once
"""


class Refused(Exception):
    """The headers are such that one file of them would not be the same."""


class Header:
    """What a header includes of ours and from outside, and what is left of it without."""

    def __init__(self, name):
        self.name = name
        self.own = []
        self.outside = []
        lines = (ROOT / "include" / name).read_text(encoding="utf-8").splitlines()
        if lines[:1] != [LICENCE_LINE] or lines.count("#pragma once") != 1:
            raise Refused(f"{name}: no licence in the first line, or not one #pragma once")
        lines.remove("#pragma once")
        body, depth = [], 0
        for line in lines[1:]:
            directive = DIRECTIVE.match(line)
            kind = directive and directive[1]
            depth += (kind == "if") - (kind == "endif")
            if kind != "include" or not self.takes_include(line, depth):
                body.append(line)
        self.body = re.sub(r"\n{3,}", "\n\n", "\n".join(body)).strip("\n")

    def takes_include(self, line, depth):
        """Whether the line is an include that is made elsewhere; one under a condition stays where it is."""
        match = INCLUDE.fullmatch(line)
        if not match:
            raise Refused(f"{self.name}: not understood: {line}")
        included = match[1]
        if included.startswith("quire/"):
            if depth:
                raise Refused(f"{self.name}: includes <{included}> under a condition")
            self.own.append(included)
        elif not depth:
            self.outside.append(included)
        return depth == 0

    def has_code(self):
        return any(line and not line.startswith("//") for line in self.body.splitlines())


def core_headers():
    text = (ROOT / "cmake/headers.cmake").read_text(encoding="utf-8")
    listed = re.search(r"set\(quire_core_headers(.*?)\)", text, re.S)[1]
    return [name.removeprefix("include/") for name in listed.split()]


def in_order(names):
    """The headers, each behind those that it includes: first what the umbrella brings, in its order, then the others."""
    headers = {name: Header(name) for name in names}
    ordered, begun = [], set()

    def add(name, by):
        if name not in headers:
            raise Refused(f"{by}: includes <{name}>, which is not of the core")
        header = headers[name]
        if header in ordered:
            return
        if name in begun:
            raise Refused(f"{by}: includes <{name}>, which includes it")
        begun.add(name)
        for included in header.own:
            add(included, name)
        ordered.append(header)

    for name in [UMBRELLA, *names]:
        add(name, "cmake/headers.cmake")
    # So whichever header comes after the single one, the first that brings code is ONE_COPY.
    for header in ordered:
        if not header.own and header.name != ONE_COPY:
            raise Refused(f"{header.name}: includes no header of ours; it must include <{ONE_COPY}>")
    return ordered


def outside_includes(headers):
    return "\n".join(f"#include <{name}>" for name in sorted({name for header in headers for name in header.outside}))


def version_of(headers):
    body = next(header.body for header in headers if header.name == ONE_COPY)
    return ".".join(re.search(rf"#define QUIRE_VERSION_{part} (\d+)", body)[1] for part in ("MAJOR", "MINOR", "PATCH"))


def as_comment(text):
    return "\n".join(f"// {line}".rstrip() for line in text.splitlines())


def amalgamated():
    headers = in_order(core_headers())
    licence = as_comment((ROOT / "LICENSE").read_text(encoding="utf-8").strip())
    parts = [
        NOTE.format(licence_line=LICENCE_LINE, version=version_of(headers), licence=licence, mend=MEND),
        outside_includes(headers) + "\n",
        *(f"// ---- {header.name} ".ljust(100, "-") + f"\n\n{header.body}\n" for header in headers if header.has_code()),
    ]
    return "\n".join(parts)


def compare(wanted):
    there = SINGLE.read_bytes().decode("utf-8", "replace") if SINGLE.exists() else ""
    if there == wanted:
        print(f"{SINGLE.relative_to(ROOT)}: {wanted.count(chr(10))} lines, as the headers are")
        return 0
    old, new = there.split("\n"), wanted.split("\n")
    said = list(difflib.unified_diff(old, new, "as it is", "as the headers are", n=1, lineterm=""))
    print(*said[:DIFFERENCES_SHOWN], sep="\n")
    if len(said) > DIFFERENCES_SHOWN:
        print(f"... and {len(said) - DIFFERENCES_SHOWN} lines more")
    print(f"{SINGLE.relative_to(ROOT)} is not what the headers of the core make; to mend it: {MEND}")
    return 1


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--write", action="store_true", help="make the file what it should be")
    args = parser.parse_args()
    try:
        wanted = amalgamated()
    except Refused as why:
        print(why)
        return 1
    if args.write:
        SINGLE.write_bytes(wanted.encode("utf-8"))
    return compare(wanted)


if __name__ == "__main__":
    sys.exit(main())

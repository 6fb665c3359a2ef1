#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Looks into the object file of the boot tables: they are there, finished, in read-only data, and no code makes them.

usage: check_object.py PROGRAM OBJECT

PROGRAM writes what it builds at run time; each section of OBJECT must begin with exactly that, and hold zeros at most
behind it. Exits with 77, "skipped", where the binary utilities are missing.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

SKIPPED = 77
TOOLS = ["objcopy", "objdump", "nm"]
SECTIONS = ["boot_tables.riscv", "boot_tables.arm64"]
# Code that runs before main, under the names that compilers give it.
INITIALISER = re.compile(r"_GLOBAL__|__static_initialization|__cxx_global_var_init")


def said_by(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def headers_of(obj):
    """Section name -> (bytes, flags), of two lines each."""
    listing = said_by("objdump", "--section-headers", "--wide", obj)
    found = re.findall(r"^ *\d+ (\S+) +([0-9a-f]+) [0-9a-f ]+ \S+ +(.*)$", listing, re.M)
    return {name: (int(size, 16), flags) for name, size, flags in found}


def faults_of(obj, scratch):
    headers = headers_of(obj)
    for name in SECTIONS:
        if f".{name}" not in headers:
            yield f"no section .{name}"
            continue
        size, flags = headers[f".{name}"]
        if "READONLY" not in flags or "CONTENTS" not in flags or "CODE" in flags:
            yield f".{name} is no read-only data: {flags}"
        if f".rela.{name}" in headers or "RELOC" in flags:
            yield f".{name} is to be relocated"
        wanted = (scratch / name).read_bytes()
        subprocess.run(["objcopy", "-O", "binary", f"--only-section=.{name}", obj, scratch / "section"], check=True)
        section = (scratch / "section").read_bytes()
        if not any(wanted) or section[: len(wanted)] != wanted or any(section[len(wanted) :]):
            yield f".{name} does not hold the table"
        print(f".{name}: {size} bytes, {sum(map(bool, section))} of them not zero, {flags}")
    if bad := [name for name in headers if name.startswith((".init_array", ".ctors", ".text.startup"))]:
        yield f"initialisers: {', '.join(bad)}"
    if bad := INITIALISER.findall(said_by("nm", obj)):
        yield f"initialisers: {', '.join(bad)}"
    if kinds := set(re.findall(r"^[0-9a-f]+ (\S) boot_tables_", said_by("nm", obj), re.M)) - {"R", "r"}:
        yield f"nm says that the tables are of kind {kinds}"
    if not re.search(r" R boot_tables_riscv$", said_by("nm", obj), re.M):
        yield "nm does not know the tables"


def main():
    program, obj = sys.argv[1:]
    if missing := [tool for tool in TOOLS if shutil.which(tool) is None]:
        print(f"skipped: no {', '.join(missing)}; Debian package binutils")
        return SKIPPED
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run([program, "--dump", directory], check=True)
        faults = list(faults_of(obj, Path(directory)))
    for fault in faults:
        print(fault)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())

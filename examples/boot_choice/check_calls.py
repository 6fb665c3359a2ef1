#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Reads the machine code of the hot paths: which table it is, is asked outside of the loops, and nothing goes through a
pointer.

usage: check_calls.py PROGRAM OBJECT

Exits with 77, "skipped", where that is not x86-64 or objdump is missing.
"""

import re
import shutil
import subprocess
import sys

SKIPPED = 77
HOT = ["sum_of_outputs", "fix_write_faults"]
FUNCTION = re.compile(r"^[0-9a-f]+ <(.+)>:$")
INSTRUCTION = re.compile(r"^ *([0-9a-f]+):\s+(.*)$")
INDIRECT = re.compile(r"\b(?:call|jmp)q?\s+\*")
JUMP = re.compile(r"^j\w+ +([0-9a-f]+) <")


def said_by(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def functions_of(listing):
    """Name -> [(address, instruction)]; the cold parts of a function are functions of their own."""
    functions, code = {}, None
    for line in listing.splitlines():
        if match := FUNCTION.match(line):
            code = functions.setdefault(match[1], [])
        elif code is not None and (match := INSTRUCTION.match(line)):
            code.append((int(match[1], 16), match[2].strip()))
    return functions


def loops_of(code):
    """The first and last address of each stretch that a jump goes back over."""
    for address, text in code:
        if (match := JUMP.match(text)) and int(match[1], 16) <= address:
            yield int(match[1], 16), address


def faults_of(functions, tag_offset):
    for name, code in functions.items():
        for address, text in code:
            if INDIRECT.search(text):
                yield f"{name}: {address:x}: {text}"
    tag = re.compile(rf"\b{tag_offset:#x}\(%r")
    for name in HOT:
        if name not in functions:
            yield f"{name}: not there"
            continue
        loops = list(loops_of(functions[name]))
        reads = [address for address, text in functions[name] if tag.search(text)]
        inside = [address for address in reads if any(first <= address <= last for first, last in loops)]
        print(f"{name}: {len(functions[name])} instructions, {len(loops)} loops, asks {len(reads)} times")
        if not loops or not reads:
            yield f"{name}: no loop, or no question: this test looks at the wrong thing"
        if inside:
            yield f"{name}: asks in a loop, at {', '.join(f'{one:x}' for one in inside)}"


def main():
    program, obj = sys.argv[1:]
    if shutil.which("objdump") is None:
        print("skipped: no objdump; Debian package binutils")
        return SKIPPED
    listing = said_by("objdump", "--disassemble", "--no-show-raw-insn", obj)
    if "elf64-x86-64" not in listing:
        print("skipped: not x86-64")
        return SKIPPED
    faults = list(faults_of(functions_of(listing), int(said_by(program, "--tag-offset"))))
    for fault in faults:
        print(fault)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())

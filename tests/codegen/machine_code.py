#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Counts the instructions that compilers make of hot_paths.cpp and compares them with machine_code.toml.

usage: machine_code.py [ROW...] [--write] [--show FUNCTION/FORMAT]

Of each function: the instructions of it and of all that it calls, and how many functions it calls. What the compiler
puts into a section for unlikely code does not count: it is out of the way, and a call to it is no call of the hot path.
Nor do the nops that align a loop. A row fails when a figure is more than 2 % above its bound, when one more function is
called, and when a figure is more than 10 % below, so that bounds stay what they are: --write makes the figures the
bounds, there and in docs/codegen.md. --show prints the code of one function and of what it calls.
Exits with 77, "skipped", where a compiler is missing or is not the one that the bounds are of.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import bounds
from bounds import ROOT, SKIPPED, said_by

SOURCE = ROOT / "tests/codegen/hot_paths.cpp"
BOUNDS = ROOT / "tests/codegen/machine_code.toml"

COMPILE = ["-std=c++20", "-O2", "-ffreestanding", "-fno-exceptions", "-fno-rtti", "-fno-pie",
           "-fno-asynchronous-unwind-tables", "-Wall", "-Wextra", "-Werror", "-I", ROOT / "include"]
# Row: compiler, its package, what lists its code, flags.
ROWS = {
    "x86_64-gcc": ("g++", "g++", "objdump", ["-march=x86-64"]),
    "x86_64-clang": ("clang++-19", "clang-19", "objdump", ["-march=x86-64", "-fclang-abi-compat=17"]),
    "aarch64-gcc": ("aarch64-linux-gnu-g++", "g++-aarch64-linux-gnu", "aarch64-linux-gnu-objdump",
                    ["-march=armv8-a", "-mno-outline-atomics"]),
    "aarch64-lse-gcc": ("aarch64-linux-gnu-g++", "g++-aarch64-linux-gnu", "aarch64-linux-gnu-objdump",
                        ["-march=armv8.1-a"]),
    "riscv64-gcc": ("riscv64-linux-gnu-g++", "g++-riscv64-linux-gnu", "riscv64-linux-gnu-objdump",
                    ["-march=rv64gc", "-mno-relax"]),
}

SECTION = re.compile(r"^Disassembly of section (\S+):$")
FUNCTION = re.compile(r"^[0-9a-f]+ <([^>.][^>]*)>:$")
INSTRUCTION = re.compile(r"^ *[0-9a-f]+:\t(\S+)\s*(.*)$")
RELOCATION = re.compile(r"^\s+[0-9a-f]+: R_\w*(?:PLT32|PC32|CALL26|JUMP26|CALL_PLT|CALL)\t([^\s+-]+)")
TARGET = re.compile(r"<([^>+.][^>+]*)>$")  # of a call or jump to the beginning of a function in the same section
TRANSFER = re.compile(r"^(?:call|j|b|auipc|tail)")
THROUGH_POINTER = re.compile(r"^call +\*|^blr |^jalr +[^#]*$")
PADDING = re.compile(r"^(?:c\.)?nop|^data16|^cs$|^int3|^xchg$")
HOT = re.compile(r"^hot<(\w+)>::(\w+)\(")


class function:
    """The machine code of one function of an object file."""

    def __init__(self, cold):
        self.cold = cold
        self.lines = []
        self.calls = []


def functions_of(listing):
    """Symbol -> function."""
    functions, cold, current, transfers = {}, False, None, False
    for line in listing.splitlines():
        if match := SECTION.match(line):
            cold = match[1].startswith(".text.unlikely")
        elif match := FUNCTION.match(line):
            current = functions.setdefault(match[1], function(cold or ".cold" in match[1]))
        elif current is None:
            continue
        elif match := RELOCATION.match(line):
            if transfers:
                current.calls.append(match[1])
        elif match := INSTRUCTION.match(line):
            if PADDING.match(match[1]) and not match[2].startswith("%r"):
                continue
            text = f"{match[1]:8}{match[2]}"
            current.lines.append(text)
            transfers = TRANSFER.match(text) is not None
            if transfers and (target := TARGET.search(text)):
                current.calls.append(target[1])
            elif THROUGH_POINTER.match(text):
                current.calls.append("a_pointer")
                transfers = False
    return functions


def reached_from(symbol, functions):
    """The hot functions that run when `symbol` does, itself first. A symbol that is not there is another file's."""
    found, waiting = [], [symbol]
    while waiting:
        name = waiting.pop()
        if name in found or (name in functions and functions[name].cold):
            continue
        found.append(name)
        if name in functions:
            waiting += reversed(functions[name].calls)
    return found


def demangled(symbols):
    return dict(zip(symbols, said_by("c++filt", input="\n".join(symbols)).splitlines()))


def short(name):
    """quire::reading_session<...>::translate(...) -> reading_session::translate"""
    bare = name.replace("operator()", "call").replace("{lambda", "<>{lambda")
    while bare != (bare := re.sub(r"<[^<>]*>|\([^()]*\)|\{[^{}]*\}|\[clone [^]]*\]| const\b", "", bare)):
        pass
    parts = [part for part in bare.split()[-1].split("::") if part not in ("", "quire", "detail")]
    return "::".join(parts)


class measured:
    """One function for one format: instructions and functions called, and which."""

    def __init__(self, symbols, functions, names):
        self.symbols = symbols
        self.called = [short(names[symbol]) for symbol in symbols[1:]]
        self.figures = [sum(len(functions[s].lines) for s in symbols if s in functions), len(self.called)]


def measure(row):
    """(function, format) -> measured, in the order of the source; and all functions."""
    compiler, _, lister, flags = ROWS[row]
    with tempfile.TemporaryDirectory() as scratch:
        obj = Path(scratch) / "hot_paths.o"
        subprocess.run([compiler, *COMPILE, *flags, "-c", SOURCE, "-o", obj], check=True)
        functions = functions_of(said_by(lister, "--disassemble", "--reloc", "--no-show-raw-insn", obj))
    names = demangled(sorted({*functions, *(call for f in functions.values() for call in f.calls)}))
    hot = {(match[2], match[1]): symbol for symbol, name in names.items() if (match := HOT.match(name))}
    text = SOURCE.read_text()
    order = sorted(hot, key=lambda key: (text.index(f" {key[0]}("), text.index(f"struct {key[1]}")))
    return {key: measured(reached_from(hot[key], functions), functions, names) for key in order}, functions, names


def print_table(row, found):
    """A line for each function, a column for each format."""
    functions = list(dict.fromkeys(name for name, _ in found))
    formats = list(dict.fromkeys(form for _, form in found))
    print(f"{row}: {ROWS[row][0]} -O2 {' '.join(ROWS[row][3])}; instructions (functions called)")
    print(f"  {'':18}" + "".join(f"{form:>15}" for form in formats))
    for name in functions:
        cells = ["{} ({})".format(*found[name, form].figures) for form in formats]
        called = dict.fromkeys(each for form in formats for each in found[name, form].called)
        named = ", ".join(called) if len(called) < 5 else ""
        print(f"  {name:18}{''.join(f'{cell:>15}' for cell in cells)}   {named}".rstrip())


def faults_of(found, bound):
    for (name, form), now in found.items():
        most, most_calls = bound.get(name, {}).get(form, (None, None))
        yield from bounds.faults_of(f"{name}, {form}, instructions", now.figures[0], most)
        for fault in bounds.faults_of(f"{name}, {form}, functions called", now.figures[1], most_calls):
            yield f"{fault}: {', '.join(now.called) or 'none'}"
    for name, form in bound_of_each(bound):
        if (name, form) not in found:
            yield f"{name}, {form}: not there"


def bound_of_each(bound):
    return {(name, form): of for name, forms in bound.items() if name != "compiler" for form, of in forms.items()}


def written(all_bounds):
    """The bounds as the text of their file."""
    lines = ["# Written by machine_code.py --write: [instructions, functions called]"]
    for row in (row for row in ROWS if row in all_bounds):
        lines += ["", f"[{row}]", f'compiler = "{all_bounds[row]["compiler"]}"']
        for name, forms in all_bounds[row].items():
            if name != "compiler":
                cells = ", ".join(f"{form} = [{i}, {calls}]" for form, (i, calls) in forms.items())
                lines.append(f"{name} = {{ {cells} }}")
    return "\n".join(lines) + "\n"


def show(row, what):
    found, functions, names = measure(row)
    for symbol in found[tuple(what.split("/"))].symbols:
        print(f"{short(names[symbol])}:  # {row}")
        for line in functions[symbol].lines if symbol in functions else []:
            print("  " + re.sub(r"<\S+(\+0x[0-9a-f]+)>", r"<\1>", line))


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("rows", nargs="*", metavar="ROW", help=", ".join(ROWS))
    parser.add_argument("--write", action="store_true", help="make what is measured the bounds")
    parser.add_argument("--show", metavar="FUNCTION/FORMAT", help="print the code instead")
    args = parser.parse_args()

    all_bounds = tomllib.loads(BOUNDS.read_text()) if BOUNDS.exists() else {}
    failed, ran = False, False
    for row in args.rows or ROWS:
        compiler, package, lister, _ = ROWS[row]
        if missing := [tool for tool in (compiler, lister, "c++filt") if shutil.which(tool) is None]:
            print(f"{row}: skipped: no {', '.join(missing)}; Debian package {package}")
            continue
        if args.show:
            show(row, args.show)
            ran = True
            continue
        version = bounds.version_of(compiler)
        bound = all_bounds.get(row, {"compiler": version})
        if bound["compiler"] != version and not args.write:
            print(f"{row}: skipped: the bounds are of {compiler} {bound['compiler']}, this is {version}")
            continue
        found, _, _ = measure(row)
        ran = True
        print_table(row, found)
        if args.write:
            all_bounds[row] = {"compiler": version}
            for (name, form), now in found.items():
                all_bounds[row].setdefault(name, {})[form] = now.figures
        else:
            faults = list(faults_of(found, bound))
            print("".join(f"  {fault}\n" for fault in faults), end="")
            failed = failed or bool(faults)
    if args.write:
        bounds.write(BOUNDS, written(all_bounds))
    return 1 if failed else 0 if ran else SKIPPED


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs the program `show` as a test.

usage: check.py SHOW every            every format, three ways: what is printed is what for_each_mapping says
       check.py SHOW golden FILE      the lines after each command in FILE are what the command prints
       check.py SHOW refusals         what cannot be shown is refused, and said why
       check.py SHOW image            a table in a file is shown as the one that is made, and what is wrong is found
"""

import itertools
import json
import re
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

UNITS = {unit: 1 << (10 * power) for power, unit in enumerate(["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"])}
RUN = re.compile(r"input:0x([0-9a-f]+)-0x([0-9a-f]+) -> output:0x([0-9a-f]+) (\d+) (\w+) in (\d+) of \d+ \w+"
                 r"(?: to \d+ \w+)? (.*)$")
LEAF = re.compile(r"table:0x([0-9a-f]+) level (\d+) \[(\d+)\] input:0x([0-9a-f]+) 0x[0-9a-f]+ leaf output:0x([0-9a-f]+)"
                  r" (\d+) (\w+) (.*)$")


def run(show, *arguments):
    done = subprocess.run([show, *map(str, arguments)], text=True, capture_output=True)
    assert done.returncode == 0, f"{arguments}: status {done.returncode}: {done.stderr}"
    return done.stdout


def merged(mappings):
    """The runs of mappings, worked out here."""
    runs = []
    for one in mappings:
        first, output = int(one["input"], 16), int(one["output"], 16)
        before = runs[-1] if runs else None
        if (before and before[1] + 1 == first and before[2] + first - before[0] == output
                and before[4] == one["attributes"]):
            before[1] += one["bytes"]
            before[3] += 1
        else:
            runs.append([first, first + one["bytes"] - 1, output, 1, one["attributes"]])
    return runs


def parsed(lines):
    runs = []
    for line in lines:
        match = RUN.search(line)
        if not match:
            continue
        first, last, output = (int(match[i], 16) for i in (1, 2, 3))
        assert last - first + 1 == int(match[4]) * UNITS[match[5]], line
        runs.append([first, last, output, int(match[6]), match[7]])
    return runs


def check_format(show, name):
    told = json.loads(run(show, "--format", name, "--json"))
    mappings = told["mappings"]
    assert len(mappings) >= 4 and not told["findings"], name
    for field in ("may_write", "accessed"):
        assert any(f" {field}" in one["attributes"] for one in mappings), (name, field)
    assert any(one["attributes"].startswith("r--") for one in mappings), name
    if re.search("contiguous|svnapot|iommu", name):
        assert any(one["entries"] > 1 for one in mappings), name
    expected = merged(mappings)
    assert [[int(r["first"], 16), int(r["last"], 16), int(r["output"], 16), r["leaves"], r["attributes"]]
            for r in told["runs"]] == expected, name

    lines = run(show, "--format", name).splitlines()
    assert parsed(lines) == expected and len(lines) == len(expected), name

    # A run of the tree ends where its table does.
    lines = run(show, "--format", name, "--as", "tree").splitlines()
    assert lines[0].startswith("table:" + told["root"] + " level "), name
    assert any("marker payload:0x2a" in line for line in lines), name
    pieces = [list(piece) for piece in parsed(lines)]
    joined = []
    for piece in pieces:
        before = joined[-1] if joined else None
        if (before and before[1] + 1 == piece[0] and before[2] + piece[0] - before[0] == piece[2]
                and before[4] == piece[4]):
            before[1] = piece[1]
            before[3] += piece[3]
        else:
            joined.append(piece)
    assert joined == expected, name

    # Each entry of a leaf, with the leaf's output and size.
    lines = run(show, "--format", name, "--as", "raw").splitlines()
    leaves = [match for match in map(LEAF.match, lines) if match]
    assert len(leaves) == sum(one["entries"] for one in mappings), name
    each = iter(leaves)
    for one in mappings:
        group = list(itertools.islice(each, one["entries"]))
        assert int(group[0][4], 16) == int(one["input"], 16), name
        for entry in group:
            assert int(entry[2]) == one["level"] and int(entry[5], 16) == int(one["output"], 16), name
            assert int(entry[6]) * UNITS[entry[7]] == one["bytes"] and entry[8] == one["attributes"], name


def every(show):
    names = [line.split()[0] for line in run(show, "--list").splitlines()]
    assert names
    for name in names:
        check_format(show, name)
    print(f"{len(names)} formats, three ways each")


def golden(show, file):
    """Commands are lines that begin with $; what follows, up to the next, is their output."""
    known = set(line.split()[0] for line in run(show, "--list").splitlines())
    checked = 0
    for block in re.split(r"^\$ show ", Path(file).read_text(), flags=re.MULTILINE)[1:]:
        command, _, expected = block.partition("\n")
        arguments = command.split()
        if arguments[arguments.index("--format") + 1] not in known:
            continue  # not built here
        printed = run(show, *arguments)
        assert printed == expected, f"show {command}\n{printed}--- expected:\n{expected}"
        checked += 1
    if checked == 0:
        print("skipped: none of the formats is built")
        sys.exit(77)
    print(f"{checked} commands")


def image(show):
    """The tables of a sample, put together from its raw entries, and then damaged."""
    names = [line.split()[0] for line in run(show, "--list").splitlines()]
    name = "x86-64-4" if "x86-64-4" in names else None
    if name is None:
        print("skipped: x86-64-4 is not built")
        sys.exit(77)
    raw = run(show, "--format", name, "--as", "raw")
    entries = {int(match[1], 16): int(match[2], 16)
               for match in re.finditer(r"^table:0x([0-9a-f]+) .* input:0x[0-9a-f]+ 0x([0-9a-f]{16}) ", raw, re.MULTILINE)}
    base, root = min(entries) & ~0xfff, json.loads(run(show, "--format", name, "--json"))["root"]
    words = bytearray((max(entries) | 0xfff) + 1 - base)
    for address, word in entries.items():
        struct.pack_into("<Q", words, address - base, word)
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "image"
        file.write_bytes(words)
        where = ("--format", name, "--dump", file, "--root", root, "--base", hex(base))
        for style in ("runs", "tree", "raw"):
            assert run(show, *where, "--as", style) == run(show, "--format", name, "--as", style), style
        assert not json.loads(run(show, *where, "--json"))["findings"]
        struct.pack_into("<Q", words, 8 * 3, int(root, 16) | 7)  # the root leads to itself
        file.write_bytes(words)
        assert "finding: cycle at input:0x18000000000, level 3" in run(show, *where)
        findings = json.loads(run(show, *where, "--json"))["findings"]
        assert [one["what"] for one in findings] == ["cycle"], findings
        assert "finding: out_of_budget" in run(show, *where, "--budget", 5)


def refusals(show):
    """The status and a part of what is said."""
    name = run(show, "--list").split()[0]
    for arguments, status, said in (
            (["--format", "none"], 2, "no format none"),
            (["--as", "table"], None, "--as"),
            (["--map", "0x1000:0x1000:4K"], None, "is not VA:PA:SIZE:rwx"),
            (["--map", "0x1000:0x1000:4K:q"], None, "is not VA:PA:SIZE:rwx"),
            (["--map", "0x1000:16777216T:4K:r"], None, "is not VA:PA:SIZE:rwx"),
            (["--map", "0x1000:0x1000:1:r"], 1, "--map 0x1000:0x1000:1:r: unaligned at input:0x1000"),
            (["--dump", show], None, "--root is required"),
            (["--dump", show, "--root", "here"], None, "here is no address"),
            (["--root", "0"], None, "--dump")):
        chosen = arguments if "--format" in arguments else ["--format", name, *arguments]
        done = subprocess.run([show, *chosen], text=True, capture_output=True)
        assert done.returncode == status if status else done.returncode not in (0, 1, 2), (arguments, done)
        assert said in done.stderr and not done.stdout, (arguments, done)


if __name__ == "__main__":
    {"every": every, "golden": golden, "refusals": refusals, "image": image}[sys.argv[2]](sys.argv[1], *sys.argv[3:])

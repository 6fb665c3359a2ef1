#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Instructions per unit of work, counted by callgrind, against the limits.

usage: run.py BUILD_BENCH_DIR [--filter TEXT]... [--json FILE]

Instructions, unlike times, do not depend on what else the machine does. A row is WORKLOAD/FORMAT/PATH: path `run` has a
memory policy that owns runs of entries, `word` one that does not; both are under a lock that costs nothing. `sections` is
`word` in read sections instead. Exits 1 when a row misses its limit, or when a workload costs more than 15 % more
in a section than under that lock (all but NOT_HELD are held to that).
"""

import argparse
import glob
import json
import os
import re
import subprocess
import sys
import tempfile

# Workload: unit, aim, limit on the run path, then the same two on the word path. None: no such figure.
# Only a limit can fail the run; an aim is what the design thinks possible.
TARGETS = {
    "map_2m_range": ("block", 10, None, 10, None),
    "map_2m_fault": ("call", 40, None, 40, None),
    "map_4k_range": ("entry", 1.2, None, None, None),
    "map_4k_fault": ("call", 65, None, 65, None),
    "split_2m": ("entry", 1.1, 1.5, None, None),
    "split_1g": ("entry", 1.1, None, None, None),
    "split_again": ("block", 10, 15, 10, 15),
    "split_again_64": ("section", 80, None, 80, None),
    "clear_dirty_log": ("section", 210, None, 800, None),
    "dirty_log_clear": ("section", None, None, None, None),
    "write_protect_all": ("entry", 2.5, 4, 13, None),
    "write_protect_mask_half": ("section", 430, None, 430, None),
    "write_protect_mask_one": ("section", 75, None, 75, None),
    "fast_path": ("call", 65, 80, 65, 80),
    "fast_path_sequential": ("call", 65, 80, 65, 80),
    "age_page": ("call", None, None, None, None),
    "relax_page": ("call", None, None, None, None),
    "fault_fast": ("call", None, None, None, None),
    "lookup": ("call", 52, 60, 52, 60),
    "lookup_decoded": ("call", None, None, None, None),
    "unmap_4k": ("entry", 3, None, 3, None),
    "discard_4k": ("entry", 0.1, None, 0.1, None),
    "age_all": ("entry", 2.5, None, 13, None),
}


# What is held to SECTIONS_MAY_COST: all that the read side of a lock may do, faults, dirty logging and whole ranges. Not
# held are calls that find next to nothing to do (the session itself is what they cost), a mask of every second page, and
# taking away: a section must read and lock what an owner who is alone need not.
NOT_HELD = {"split_again", "split_again_64", "write_protect_mask_half", "write_protect_mask_one", "unmap_4k", "discard_4k"}
SECTIONS_MAY_COST = 1.15


def sections_against_word(rows):
    """Prints what sections cost beside a lock that costs nothing; the number of rows where that is too much."""
    figures = {(row["workload"], row["format"], row["path"]): row["per_unit"] for row in rows}
    missed = 0
    for (workload, format_name, path), word in figures.items():
        sections = figures.get((workload, format_name, "sections"))
        if path != "word" or sections is None:
            continue
        ratio = sections / word
        too_much = workload not in NOT_HELD and ratio > SECTIONS_MAY_COST
        missed += too_much
        verdict = "" if workload in NOT_HELD else "MISSED" if too_much else "ok"
        print(f"sections / word: {workload:24} {format_name:14} {ratio:7.2f}  {verdict}")
    return missed


def count(program, filters):
    """Runs the program under callgrind; yields (workload, format, path, units, instructions)."""
    with tempfile.TemporaryDirectory() as place:
        out = os.path.join(place, "counts")
        command = ["valgrind", "--quiet", "--tool=callgrind", "--instr-atstart=no", "--dump-line=no",
                   "--toggle-collect=*measured_*",
                   f"--callgrind-out-file={out}", program, *filters]
        done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        if done.returncode != 0:
            sys.exit(f"{' '.join(command)}\n{done.stderr}failed with {done.returncode}")
        for name in sorted(glob.glob(out + ".*"), key=lambda path: int(path.rsplit(".", 1)[1])):
            with open(name, encoding="utf-8") as dump:
                text = dump.read()
            row = re.search(r"^desc: Trigger: Client Request: row (\S+) (\S+) (\S+) (\d+)$", text, re.MULTILINE)
            total = re.search(r"^totals: (\d+)", text, re.MULTILINE)
            if row and total:
                yield row[1], row[2], row[3], int(row[4]), int(total[1])


def judge(figure, aim, limit):
    if limit is not None and figure > limit:
        return "MISSED"
    if aim is not None and figure > aim:
        return "above aim"
    return "ok" if aim is not None else ""


def number(value):
    return "" if value is None else f"{value:g}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("build", help="where bench_instructions is, or below which in bench/")
    parser.add_argument("--filter", action="append", default=[], metavar="TEXT",
                        help="only rows whose WORKLOAD/FORMAT/PATH contains TEXT (may be repeated)")
    parser.add_argument("--json", metavar="FILE", help="write the rows there as well")
    args = parser.parse_args()

    candidates = [os.path.join(args.build, *parts) for parts in (("bench", "bench_instructions"), ("bench_instructions",))]
    program = next((path for path in candidates if os.access(path, os.X_OK)), None)
    if program is None:
        sys.exit(f"no bench_instructions in {args.build}")

    layout = "{:24} {:14} {:8} {:>12}  {:8} {:>6} {:>6}  {}"
    print(layout.format("workload", "format", "path", "instructions", "per", "limit", "aim", "verdict"))
    rows = []
    for workload, format_name, path, units, instructions in count(program, args.filter):
        unit, *figures = TARGETS[workload]
        aim, limit = {"run": figures[:2], "word": figures[2:], "sections": (None, None)}[path]
        if instructions == 0:
            sys.exit(f"{workload}/{format_name}/{path}: nothing was counted")
        figure = instructions / units
        verdict = judge(figure, aim, limit)
        rows.append({"workload": workload, "format": format_name, "path": path, "unit": unit, "units": units,
                     "instructions": instructions, "per_unit": round(figure, 4), "limit": limit, "aim": aim,
                     "verdict": verdict})
        print(layout.format(workload, format_name, path, f"{figure:.3f}", unit, number(limit), number(aim), verdict))
    if args.json:
        with open(args.json, "w", encoding="utf-8") as out:
            json.dump(rows, out, indent=1)
            out.write("\n")
    missed = sum(row["verdict"] == "MISSED" for row in rows) + sections_against_word(rows)
    above = sum(row["verdict"] == "above aim" for row in rows)
    print(f"{len(rows)} rows, {missed} above their limit, {above} above their aim")
    if not rows:
        sys.exit("no row was measured")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()

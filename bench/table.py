#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compares the tables of docs/performance.md with bench/figures.json; --write puts them right.

The figures are what run.py --json wrote for the builds `bench` and `bench-baseline`, and --growth for `growth`; --take
NAME FILE keeps one of them.
"""

import argparse
import json
import os
import sys

import targets

HERE = os.path.dirname(os.path.abspath(__file__))
FIGURES = os.path.join(HERE, "figures.json")
PAGE = os.path.join(os.path.dirname(HERE), "docs", "performance.md")
FORMATS = list(targets.SLACK)
BEGIN, END = "<!-- {}, written by bench/table.py -->\n", "<!-- end of {} -->\n"


def number(value):
    if value is None:
        return "-"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def pair(*values):
    return " / ".join(number(value) for value in values) if any(value is not None for value in values) else "-"


class Rows:
    def __init__(self, rows):
        self.rows = {tuple(row[part] for part in ("workload", "format", "policy", "path")): row for row in rows}

    def __call__(self, column, *key):
        return self.rows.get(key, {}).get(column)


def table(header, lines):
    return "".join("| " + " | ".join(cells) + " |\n" for cells in (header, ["---"] * len(header), *lines))


def instructions(found):
    lines = []
    for name, workload in targets.WORKLOADS.items():
        marked = []
        for each in FORMATS:
            cells = []
            for policy, path in (("shared", "run"), ("shared", "word"), ("concurrent", "word")):
                figure = found("instructions_per_unit", name, each, policy, path)
                target = found("target", name, each, policy, path)
                bold = None not in (figure, target) and figure > target
                cells.append(f"**{number(figure)}**" if bold else number(figure))
            marked.append(" / ".join(cells))
        lines.append([f"`{name}`", workload.unit, pair(workload.run, workload.word), *marked])
    return table(["workload", "per", "target", *FORMATS], lines)


def references(found):
    lines = []
    for name in targets.WORKLOADS:
        hand = [[found("reference_instructions_per_unit", name, each, "shared", path) for path in ("run", "word")]
                for each in FORMATS]
        if any(value is not None for values in hand for value in values):
            lines.append([f"`{name}`", *(pair(*values) for values in hand)])
    return table(["workload", *FORMATS], lines)


def times(found):
    lines = []
    for name, workload in targets.WORKLOADS.items():
        key = (name, "riscv-sv39x4", "shared", "run")
        time, limit = found("ns_per_unit", *key), found("limit_ns_per_unit", *key)
        what = workload.run_limit.replace("_", " ")
        if workload.words != 1:
            what += f" x {workload.words}" if workload.words > 1 else f" / {1 / workload.words:.0f}"
        beside, most = targets.TIMES.get(name, (None, None))
        held = "-" if beside is None else f"{most:g} x {beside.replace('_', ' ')}"
        lines.append([f"`{name}`", workload.unit, number(time), number(found("reference_ns_per_unit", *key)), what,
                      number(limit), number(time / limit if time and limit else None), held])
    return table(["workload", "per", "ns", "reference", "limit", "ns", "ratio", "at most"], lines)


def growth(found):
    """Instructions and nanoseconds a leaf, for each size."""
    sizes, lines = [], {}
    for name, row in found["rows"].items():
        operation, _, leaves, size = name.split("/")
        if operation == "fault":
            continue
        if size not in sizes:
            sizes.append(size)
        lines.setdefault((operation, leaves), {})[size] = pair(row["instructions"] / row["units"], row["ns_per_unit"])
    return table(["operation", "leaves", *sizes],
                 [[operation.replace("_", "-"), leaves, *(cells.get(size, "") for size in sizes)]
                  for (operation, leaves), cells in sorted(lines.items())])


def memory(found):
    return table(["mapped", "leaves", "tables", "at least", "KiB of tables a GiB", "bitmap, KiB"],
                 [[f"{each['bytes'] >> 30} GiB" if each["bytes"] >> 30 else f"{each['bytes'] >> 20} MiB", each["leaves"],
                   str(each["tables"]), str(each["fewest"]),
                   f"{(each['tables'] * 4096 + each['root_bytes']) * 2**20 / each['bytes']:.0f}",
                   str(each["bitmap_bytes"] >> 10)] for each in found["memory"]])


def peaks(found):
    return table(["policy", "threads", "tables made", "in use at once"],
                 [[each["policy"], str(each["threads"]), str(each["tables"]), str(each["peak"])]
                  for each in found["peaks"]])


def threads(found):
    lines = []
    for each in found["threads"]:
        row = found["rows"][f"fault/riscv-sv39x4/{each['policy']}/{each['threads']}"]
        both = next(writes for writes in found["writes"] if writes["policy"] == each["policy"])
        lines.append([each["policy"], str(each["threads"]), f"{each['faults_per_second'] / 1e6:.0f}",
                      number(row["instructions"] / row["units"]), f"{both['writes'] / both['faults']:.0f}",
                      str(both["words_of_both"])])
    return table(["policy", "threads", "million faults a second", "instructions a fault", "writes a fault",
                  "words that two threads write"], lines)


def laid_out(value, depth=2):
    """JSON with a line for each row, so that a change of the figures can be read."""
    if depth < 0 or not isinstance(value, (dict, list)):
        return json.dumps(value)
    margin = " " * (3 - depth)
    if isinstance(value, list):
        return "[\n" + ",\n".join(margin + json.dumps(each) for each in value) + "\n" + margin[1:] + "]"
    return "{\n" + ",\n".join(f"{margin}{json.dumps(name)}: {laid_out(each, depth - 1)}"
                              for name, each in value.items()) + "\n" + margin[1:] + "}"


def pages(figures):
    full, plain = (Rows(figures[name]["rows"]) for name in ("bench", "bench-baseline"))
    return {"instructions": instructions(full), "instructions at -O2": instructions(plain),
            "references": references(full), "times": times(full), "growth": growth(figures["growth"]),
            "memory": memory(figures["growth"]), "peaks": peaks(figures["growth"]),
            "threads": threads(figures["growth"])}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="rewrite the tables instead of failing")
    parser.add_argument("--take", nargs=2, metavar=("NAME", "FILE"), help="keep these figures as those of build NAME")
    args = parser.parse_args()

    figures = {}
    if os.path.exists(FIGURES):
        with open(FIGURES, encoding="utf-8") as kept:
            figures = json.load(kept)
    if args.take:
        with open(args.take[1], encoding="utf-8") as new:
            figures[args.take[0]] = json.load(new)
        with open(FIGURES, "w", encoding="utf-8") as out:
            out.write(laid_out(figures) + "\n")
        return 0

    with open(PAGE, encoding="utf-8") as page:
        text = wanted = page.read()
    for name, made in pages(figures).items():
        begin, end = BEGIN.format(name), END.format(name)
        if wanted.count(begin) != 1 or wanted.count(end) != 1:
            sys.exit(f"docs/performance.md: the comments around the table of {name} are not there")
        before, rest = wanted.split(begin)
        # A blank line on either side: inside HTML, Markdown sees no table without.
        wanted = f"{before}{begin}\n{made}\n{end}{rest.split(end)[1]}"
    if args.write:
        with open(PAGE, "w", encoding="utf-8") as page:
            page.write(wanted)
    elif text != wanted:
        sys.exit("docs/performance.md: its tables are not what bench/figures.json says; bench/table.py --write puts "
                 "them right")
    return 0


if __name__ == "__main__":
    sys.exit(main())

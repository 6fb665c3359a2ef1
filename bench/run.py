#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Measures the benchmarks of a build and holds them to their targets (targets.py).

A row is WORKLOAD/FORMAT/POLICY/PATH. Policy `shared` is one lock, which costs nothing but in rows that say otherwise;
`concurrent` is read sections. Path `run` has a memory policy that owns runs of entries, `word` one that does not.
Rows of bench_views are apart: they are held to one another.
Instructions, unlike times, do not depend on what else the machine does; of times only ratios within one run count.
Exits 1 when a row misses.
"""

import argparse
import json
import os
import re
import subprocess
import sys

import growth
import measure
import targets

HERE = os.path.dirname(os.path.abspath(__file__))
BASELINE = os.path.join(HERE, "baseline.json")
KEY = ("workload", "format", "policy", "path")


def program(build, name):
    path = os.path.join(build, "bench", name)
    if not os.access(path, os.X_OK):
        sys.exit(f"no {path}")
    return path


def name_of(row):
    return "/".join(row[part] for part in KEY)


def rounded(value):
    return None if value is None else float(f"{value:.5g}")


def gather(args):
    """The rows, with what was measured of them. The references that belong to them are always among what is run."""
    filters = [each for text in args.filter
               for each in (text, re.sub("/(shared|concurrent).*", "/reference/", text))]
    counts = {name: counted / units for name, units, counted in
              measure.count(program(args.build, "bench_instructions"), filters)} if args.instructions else {}
    times = measure.nanoseconds(program(args.build, "bench_operations"), filters) if args.time else {}

    def of_reference(figures, workload, format_name, path):
        """Where nothing would be different word by word there is only the one for runs."""
        of_run, of_path = (figures.get(f"{workload}/{format_name}/reference/{each}") for each in ("run", path))
        return of_run if of_path is None else of_path

    rows = []
    for name in counts or times:
        if name.startswith("limit/"):
            continue
        workload, format_name, policy, path = name.split("/")
        if policy == "reference":
            continue
        limit, words = targets.limit_of(workload, path)
        limit_time = times.get("limit/" + limit)
        rows.append({"workload": workload, "format": format_name, "policy": policy, "path": path,
                     "unit": targets.WORKLOADS[workload].unit,
                     "instructions_per_unit": counts.get(name), "ns_per_unit": times.get(name),
                     "limit": limit, "limit_ns_per_unit": limit_time and limit_time * words,
                     "reference_instructions_per_unit": of_reference(counts, workload, format_name, path),
                     "reference_ns_per_unit": of_reference(times, workload, format_name, path),
                     "target": targets.target_of(workload, format_name, policy, path, args.plain)})
    order = [list(targets.WORKLOADS), list(targets.SLACK), ["shared", "concurrent"], ["run", "word"]]
    rows.sort(key=lambda row: [names.index(row[part]) for names, part in zip(order[1:] + order[:1], KEY[1:] + KEY[:1])])
    rows = [{column: rounded(value) if isinstance(value, float) else value for column, value in row.items()}
            for row in rows]
    return rows, {name.split("/")[1]: rounded(time) for name, time in times.items() if name.startswith("limit/")}


def number(value, digits=2):
    return "" if value is None else f"{value:.{digits}f}" if value < 100 else f"{value:.0f}"


def show(rows):
    layout = "{:24} {:13} {:10} {:5} {:7} {:>9} {:>9} {:>7}  {:6} {:>8} {:>8} {:>7}"
    print(layout.format("workload", "format", "policy", "path", "per", "instr", "reference", "target", "", "ns", "limit",
                        "ratio"))
    for row in rows:
        counted, target, time, limit = (row[c] for c in ("instructions_per_unit", "target", "ns_per_unit",
                                                        "limit_ns_per_unit"))
        verdict = "" if None in (counted, target) else "MISSED" if counted > target else "ok"
        ratio = time / limit if time and limit else None
        print(layout.format(*(row[part] for part in KEY), row["unit"], number(counted),
                            number(row["reference_instructions_per_unit"]), number(target), verdict, number(time),
                            number(limit), number(ratio)))


def over_target(rows):
    for row in rows:
        if None not in (row["instructions_per_unit"], row["target"]) and row["instructions_per_unit"] > row["target"]:
            yield f"{name_of(row)}: {row['instructions_per_unit']:.2f} instructions, target {row['target']:g}"


def over_limit(rows, limits):
    for row in rows:
        if row["workload"] not in targets.TIMES or (row["policy"], row["path"]) != ("shared", "run"):
            continue
        beside, most = targets.TIMES[row["workload"]]
        least = row["reference_ns_per_unit"] if beside == "reference" else limits.get(beside)
        if row["ns_per_unit"] and least and row["ns_per_unit"] > most * least:
            yield f"{name_of(row)}: {row['ns_per_unit'] / least:.2f} times {beside}, at most {most:g}"


def over_word(rows):
    """Sections that cost too much beside a lock that costs nothing."""
    counted = {name_of(row): row["instructions_per_unit"] for row in rows}
    for row in rows:
        word = counted.get(name_of({**row, "policy": "shared"}))
        if row["policy"] != "concurrent" or row["workload"] in targets.NOT_HELD or not word:
            continue
        most = targets.SECTIONS_MAY_COST * word + targets.SECTIONS_ADD.get(row["workload"], 0)
        if row["instructions_per_unit"] > most:
            yield f"{name_of(row)}: {row['instructions_per_unit']:.2f}, under a lock {word:.2f}, at most {most:.2f}"


def views(build, filters, plain):
    """Shows what iterators cost beside callbacks (rows WAY/FORMAT/POLICY/CONTENT of bench_views); gives what misses."""
    counted = {name: instructions / units for name, units, instructions in
               measure.count(program(build, "bench_views"), filters)}
    most = targets.VIEWS_MAY_COST * (targets.PLAIN_CALLS if plain else 1)
    missed = []
    for name, view in counted.items():
        way, row = name.split("/", 1)
        callback = counted.get("callback/" + row)
        if way != "view" or not callback:
            continue
        print(f"{name}: {view:.2f} instructions a mapping, {view / callback:.2f} times the callback's {callback:.2f}")
        if view > most * callback:
            missed.append(f"{name}: {view / callback:.2f} times a callback, at most {most:g}")
    return missed


def compiler(build):
    with open(os.path.join(build, "CMakeCache.txt"), encoding="utf-8") as cache:
        path = next(line.split("=", 1)[1].strip() for line in cache if line.startswith("CMAKE_CXX_COMPILER:"))
    return subprocess.run([path, "--version"], check=True, stdout=subprocess.PIPE, text=True).stdout.split("\n")[0]


def write_json(path, value):
    with open(path, "w", encoding="utf-8") as out:
        json.dump(value, out, indent=1)
        out.write("\n")


def gate(args):
    """The few rows of bench_gate against the committed baseline, or into it."""
    found = {name: round(counted / units, 4) for name, units, counted in
             measure.count(program(args.build, "bench_gate"), [])}
    if args.write_baseline:
        write_json(BASELINE, {"compiler": compiler(args.build), "instructions_per_unit": found})
        print(f"{len(found)} rows written")
        return 0
    with open(BASELINE, encoding="utf-8") as kept:
        baseline = json.load(kept)
    if baseline["compiler"] != compiler(args.build):
        print(f"the baseline is of {baseline['compiler']}, this is {compiler(args.build)}")
    before = baseline["instructions_per_unit"]
    worse = [name for name in before if name in found and found[name] > targets.MAY_GROW_TO * before[name]]
    better = [name for name in before if name in found and found[name] * targets.MAY_GROW_TO < before[name]]
    for verdict, names in (("better", better), ("WORSE", worse)):
        for name in names:
            print(f"{verdict}: {name}: {before[name]:g} -> {found[name]:g}, {found[name] / before[name] - 1:+.1%}")
    unlike = sorted(set(before) ^ set(found))
    for name in unlike:
        print(f"only {'in the baseline' if name in before else 'measured'}: {name}")
    print(f"{len(found)} rows, {len(better)} better, {len(worse)} worse than the baseline")
    missed = views(args.build, [], args.plain)
    for line in missed:
        print("MISSED", line)
    return 1 if worse or unlike or missed else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", help="where CMake built the benchmarks")
    parser.add_argument("--instructions", action="store_true", help="count instructions (the default)")
    parser.add_argument("--time", action="store_true", help="take times, and the limits beside them")
    parser.add_argument("--filter", action="append", default=[], metavar="TEXT",
                        help="only rows whose WORKLOAD/FORMAT/POLICY/PATH contains TEXT (may be repeated)")
    parser.add_argument("--json", metavar="FILE", help="write the rows there as well")
    parser.add_argument("--growth", metavar="FILE",
                        help="what memory and threads cost as they grow, instead of the rows; as JSON as well")
    parser.add_argument("--report", metavar="DIR", help="all of that, as an HTML page with pictures")
    parser.add_argument("--plain", action="store_true", help="the build is at -O2 for any x86-64: other targets")
    parser.add_argument("--against-baseline", action="store_true", help="fail where a row is worse than the baseline")
    parser.add_argument("--write-baseline", action="store_true", help="make what is measured the baseline")
    args = parser.parse_args()
    if args.against_baseline or args.write_baseline:
        return gate(args)
    if args.growth:
        found = growth.gather(args.build)
        growth.show(found)
        write_json(args.growth, found)
        return 0
    args.time = args.time or args.report is not None
    args.instructions = args.instructions or not args.time or args.report is not None

    rows, limits = gather(args)
    if not rows:
        sys.exit("no row was measured")
    show(rows)
    for name, time in limits.items():
        print(f"limit {name}: {time:.2f} ns")
    found = {"compiler": compiler(args.build), "rows": rows, "limits_ns": limits}
    if args.json:
        write_json(args.json, found)
    missed = [*over_target(rows), *over_limit(rows, limits), *(over_word(rows) if args.instructions else ())]
    if args.instructions:
        missed += views(args.build, args.filter, args.plain)
    for line in missed:
        print("MISSED", line)
    print(f"{len(rows)} rows, {len(missed)} misses")
    if args.report:
        import report  # pylint: disable=import-outside-toplevel  (needs matplotlib, which nothing else does)
        report.write(args.report, found, growth.gather(args.build), missed)
        print(os.path.join(args.report, "index.html"))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs dirty_log_perf in pairs that differ in one thing, and prints one table of what that thing is worth.

usage: demo.py PROGRAM [--quick]

Every figure is the median of several runs; the runs of a pair take turns, so that a busy machine slows both.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

FORMATS = ("riscv-sv39x4", "arm64-4k")
BACKINGS = {"2M": "anonymous_thp", "1G": "anonymous_hugetlb_1gb"}


class Bench:
    """Runs the program; says on a terminal how far it is."""

    def __init__(self, program, repeats):
        self.program, self.repeats, self.runs = program, repeats, 0

    def run(self, arguments):
        self.runs += 1
        if sys.stderr.isatty():
            print(f"\r\033[Krun {self.runs}: {' '.join(arguments)}", end="", file=sys.stderr, flush=True)
        done = subprocess.run([self.program, *arguments, "--json", "-"], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            sys.exit(f"\n{' '.join(arguments)}: exit status {done.returncode}\n{done.stderr}")
        return json.loads(done.stdout)

    def compare(self, common, variants, times=1):
        """All results of each variant, in turns; `times` as many where a run is short and noisy."""
        results = [[] for _ in variants]
        for _ in range(self.repeats * times):
            for variant, into in zip(variants, results):
                into.append(self.run([*common, *variant]))
        return results


def median(results, pick):
    return statistics.median(pick(each["phases"]) for each in results)


def mean(values):
    values = list(values)
    return sum(values) / len(values)


class Table:
    """Rows of text; the seeds' figure stands beside ours."""

    HEAD = ("format", "what", "time", "change", "entries visited", "seed")

    def __init__(self):
        self.rows = []

    def section(self, title):
        self.rows.append(title)

    def add(self, name, what, seconds, base, entries, seed):
        below_noise = seconds < 5e-6  # a difference of two medians may be
        change = "" if base is None or below_noise else f"{100 * (seconds - base) / base:+.1f} %"
        shown = "noise" if below_noise else f"{1e3 * seconds:.3f} ms"
        self.rows.append((name, what, shown, change, entries and f"{entries:,.0f}", seed))

    def show(self):
        cells = [self.HEAD, *(row for row in self.rows if isinstance(row, tuple))]
        widths = [max(len(row[i]) for row in cells) for i in range(len(self.HEAD))]

        def line(row):
            left = [f"{row[i]:<{widths[i]}}" for i in (0, 1)]
            right = [f"{row[i]:>{widths[i]}}" for i in (2, 3, 4)]
            return "  ".join([*left, *right, row[5]]).rstrip()

        print(line(self.HEAD))
        print("-" * (sum(widths) + 2 * (len(widths) - 1)))
        for row in self.rows:
            print(line(row) if isinstance(row, tuple) else f"\n{row}")


def fault_paths(bench, table, sizes):
    """Seed 0: write faults under the read side."""
    table.section("Write-fault path, 4 vCPUs, pages of 4K: one pass that dirties all memory (mean of iterations 2-3)")

    def dirty(phases):
        return mean(each["dirty_s"] for each in phases["iterations"][1:])

    for name in FORMATS:
        for size, seed in sizes:
            common = ["--format", name, "-v", "4", "-b", size, "-i", "3"]
            slow, fast = bench.compare(common, (["--fault-path", "slow"], ["--fault-path", "fast"]))
            base = median(slow, dirty)
            table.add(name, f"{size} a vCPU, slow path", base, None, "", "")
            table.add(name, f"{size} a vCPU, fast path", median(fast, dirty), base, "", seed)


def split_modes(bench, table, size):
    """Seeds 1 and 2: who splits the blocks, and when."""
    table.section(f"Who splits blocks of 2M, 4 vCPUs, {size} a vCPU, -g: enabling, and the first pass after it")
    for name in FORMATS:
        common = ["--format", name, "-v", "4", "-b", size, "-g", "-s", BACKINGS["2M"]]
        modes = ("fault", "eager", "never")
        results = bench.compare(common, [["--split", mode] for mode in modes], times=2)
        base = None
        for mode, runs in zip(modes, results):
            table.add(name, f"split {mode}: enable", median(runs, lambda phases: phases["enable_s"]), None,
                      median(runs, lambda phases: phases["enable_entries_visited"]), "")
            seconds = median(runs, lambda phases: phases["iterations"][0]["dirty_s"])
            table.add(name, f"split {mode}: first pass", seconds, base, "", "seeds 1, 2: no figure")
            base = base or seconds


def split_walks(bench, table, size):
    """Seed 3: a split walk that skips what it knows."""
    walks = (["--no-skip-level"], [])
    common = ["-v", "1", "-b", size, "-w", "100"]

    def pair(name, what, results, seconds, entries, seed):
        every, skip = results
        base = median(every, seconds)
        table.add(name, f"{what}, every level", base, None, median(every, entries), "")
        table.add(name, f"{what}, skip-level", median(skip, seconds), base, median(skip, entries), seed)

    def enable_s(phases):
        return phases["enable_s"]

    def enable_entries(phases):
        return phases["enable_entries_visited"]

    table.section(f"Eager split when logging is enabled (-g), one slot of {size}; protecting it is part of the time")
    for name in FORMATS:
        at_enable = [*common, "--format", name, "-g"]
        results = bench.compare([*at_enable, "--warm-enable", "-s", BACKINGS["2M"]], walks)
        pair(name, "already split", results, enable_s, enable_entries, "-44.01 %")
        pair(name, "  the split alone", results,
             lambda phases: phases["enable_s"] - phases["enable_protect_only_s"],
             lambda phases: phases["enable_entries_visited"] - phases["enable_protect_only_entries_visited"],
             "(not measured there)")
        for block, seed in (("2M", "-24.66 %"), ("1G", "-24.78 %")):
            results = bench.compare([*at_enable, "-s", BACKINGS[block]], walks)
            pair(name, f"blocks of {block}", results, enable_s, enable_entries, seed)

    table.section(f"Eager split when the log is cleared (initially set), one slot of {size}, 64 pages at a time")

    def first_s(phases):
        return phases["iterations"][0]["clear_s"]

    def first_entries(phases):
        return phases["iterations"][0]["clear_entries_visited"]

    def later_s(phases):
        return mean(each["clear_s"] for each in phases["iterations"][1:])

    def later_entries(phases):
        return mean(each["clear_entries_visited"] for each in phases["iterations"][1:])

    for name in FORMATS:
        for block, seed in (("2M", "-25.49 %"), ("1G", "-24.24 %")):
            results = bench.compare([*common, "--format", name, "-i", "3", "-s", BACKINGS[block]], walks)
            if block == "2M":
                pair(name, "already split", results, later_s, later_entries, "-38.98 %")
            pair(name, f"blocks of {block}", results, first_s, first_entries, seed)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", help="the built dirty_log_perf")
    parser.add_argument("--quick", action="store_true", help="small sizes, one run each: does it work at all?")
    chosen = parser.parse_args()
    bench = Bench(chosen.program, 1 if chosen.quick else 5)
    table = Table()
    start = time.monotonic()
    if chosen.quick:
        fault_paths(bench, table, (("2M", ""),))
        split_modes(bench, table, "2M")
        split_walks(bench, table, "8M")
    else:
        fault_paths(bench, table, (("256M", "-50.4 % (1G)"), ("64M", "-45.0 % (64M)")))
        split_modes(bench, table, "64M")
        split_walks(bench, table, "512M")
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr)

    print(f"Dirty logging, {os.cpu_count()} processors, medians of at least {bench.repeats}, "
          f"{bench.runs} runs in {time.monotonic() - start:.0f} s\n")
    table.show()
    print("""
The seeds measured kernels on other machines: seed 0 in a QEMU RISC-V host, where a fault itself is dear; seed 3 on an arm64
server with memory of 16G. Compare directions, not digits. The guest's MMU is software here and costs the same in each pair.
Blocks at enable: Quire turns a block of the range into pages in one step and does not go back to look at them, with or
without skip-level; what the seed saved there is not spent in the first place.

What to try next
  ./dev run dirty_log_perf --help
  ./dev run dirty_log_perf -v 4 -b 64M -i 5 -s anonymous_thp --verify         check every page for lost writes
  ./dev run dirty_log_perf -v 4 -b 64M -s anonymous_hugetlb_1gb --toggle --verify --split fault
  ./dev run dirty_log_perf -v 2 -b 64M -g -s anonymous_thp -e --recover in-place   blocks come back while the vCPUs run""")


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: MIT
"""Runs the programs of the benchmarks: callgrind counts, Google Benchmark times."""

import glob
import json
import os
import re
import subprocess
import sys
import tempfile

REPETITIONS = 9


def run(command, **how):
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False, **how)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}\n{done.stderr}failed with {done.returncode}")
    return done.stdout


def count(program, filters):
    """Instructions of one run under callgrind: yields (name of the row, units, instructions)."""
    with tempfile.TemporaryDirectory() as place:
        out = os.path.join(place, "counts")
        # By mangled names: a lambda inside such a function, or a template of it, has another beginning and is counted
        # with it instead of ending the count.
        run(["valgrind", "--quiet", "--tool=callgrind", "--instr-atstart=no", "--dump-line=no", "--demangle=no",
             "--toggle-collect=_ZN11quire_bench*measured_*", f"--callgrind-out-file={out}", program, *filters],
            stdout=subprocess.DEVNULL)
        for name in sorted(glob.glob(out + ".*"), key=lambda path: int(path.rsplit(".", 1)[1])):
            with open(name, encoding="utf-8") as dump:
                text = dump.read()
            row = re.search(r"^desc: Trigger: Client Request: row (\S+) (\d+)$", text, re.MULTILINE)
            total = re.search(r"^totals: (\d+)", text, re.MULTILINE)
            if row and total:
                if int(total[1]) == 0:
                    sys.exit(f"{row[1]}: nothing was counted")
                yield row[1], int(row[2]), int(total[1])


def nanoseconds(program, filters):
    """The fastest of several repetitions that are spread over one run: {name of the row, or of a limit: ns per unit}.

    Whatever else the machine does only makes one slower, and a median still has some of it.
    """
    chosen = "|".join(filters)
    text = run([program, f"--benchmark_filter=^limit/|{chosen}" if chosen else "--benchmark_filter=.",
                f"--benchmark_repetitions={REPETITIONS}", "--benchmark_enable_random_interleaving=true",
                "--benchmark_format=json"], stdout=subprocess.PIPE)
    times = {}
    for each in json.loads(text)["benchmarks"]:
        if each["run_type"] == "iteration":
            times.setdefault(each["name"].split("/iterations:")[0], []).append(1e9 / each["items_per_second"])
    return {name: min(found) for name, found in times.items()}

# SPDX-License-Identifier: MIT
"""What operations cost as memory grows, what memory tables take, and what faults of several threads cost."""

import json
import os
import subprocess

import measure

PROGRAMS = ("bench_growth", "bench_growth_time", "bench_costs")
LEAVES = ("blocks", "pages")


def gather(build):
    counting, timing, costs = (os.path.join(build, "bench", name) for name in PROGRAMS)
    found = json.loads(measure.run([costs], stdout=subprocess.PIPE))
    rows = {}
    for each in found.pop("entries"):
        rows.setdefault(each["row"], {}).update(units=each["units"], read=each["read"], written=each["written"])
    for name, units, instructions in measure.count(counting, []):
        rows.setdefault(name, {}).update(units=units, instructions=instructions)
    for name, time in measure.nanoseconds(timing, []).items():
        if not name.startswith("limit/"):
            rows[name]["ns_per_unit"] = float(f"{time:.5g}")
    return {"rows": rows, **found}


def show(found):
    layout = "{:46} {:>10} {:>9} {:>8} {:>9} {:>9}"
    print(layout.format("row", "units", "instr", "ns", "read", "written"))
    for name, row in found["rows"].items():
        per_unit = [f"{row[what] / row['units']:.3f}" if what in row else "" for what in
                    ("instructions", "read", "written")]
        print(layout.format(name, row["units"], per_unit[0], f"{row.get('ns_per_unit', 0):.2f}", *per_unit[1:]))
    for each in found["memory"]:
        bytes_of_tables = each["tables"] * 4096 + each["root_bytes"]
        print(f"{each['bytes'] >> 20} MiB in {each['leaves']}: {each['tables']} tables ({each['fewest']} at least), "
              f"{bytes_of_tables / each['bytes'] * 2**20:.1f} KiB a GiB, bitmap {each['bitmap_bytes'] >> 10} KiB")
    for each in found["peaks"]:
        print(f"{each['policy']}, {each['threads']} threads split the same blocks: {each['tables']} tables made, "
              f"{each['peak']} at once")
    for each in found["writes"]:
        print(f"{each['policy']}: {each['writes'] / each['faults']:.2f} writes a fault, {each['words_of_both']} words "
              "that two threads write")
    for each in found["threads"]:
        print(f"{each['policy']}, {each['threads']} threads: {each['faults_per_second'] / 1e6:.1f} million faults/s")

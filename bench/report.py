# SPDX-License-Identifier: MIT
"""An HTML page with pictures of what run.py measured: ours beside the reference and the limit, growth, threads."""

import html
import os

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402  (the backend comes first)

import targets  # noqa: E402

FORMATS = tuple(targets.SLACK)


def save(figure, directory, name):
    figure.tight_layout()
    figure.savefig(os.path.join(directory, name), dpi=110)
    pyplot.close(figure)
    return name


def bars(rows, columns, title):
    """Horizontal bars on a logarithmic scale: a group for each row, a bar for each column that has a figure."""
    figure, axes = pyplot.subplots(figsize=(9, 1 + 0.36 * len(rows)))
    height = 0.8 / len(columns)
    for i, (column, label) in enumerate(columns):
        there = [(y, row[column]) for y, row in enumerate(rows) if row[column]]
        axes.barh([y + (i - (len(columns) - 1) / 2) * height for y, _ in there], [value for _, value in there], height,
                  label=label)
    axes.set_yticks(range(len(rows)), [f"{row['workload']} /{row['unit']}" for row in rows])
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_title(title)
    axes.grid(axis="x", alpha=0.3)
    axes.legend()
    return figure


def of_format(rows, name, path):
    return [row for row in rows if (row["format"], row["policy"], row["path"]) == (name, "shared", path)]


def size_in_bytes(text):
    return int(text[:-3]) << {"MiB": 20, "GiB": 30, "TiB": 40}[text[-3:]]


def lines_of_growth(growth, value, unit):
    figure, axes = pyplot.subplots(figsize=(9, 5))
    lines = {}
    for name, row in growth["rows"].items():
        operation, _, leaves, size = name.split("/")
        if operation != "fault" and value(row) is not None:
            lines.setdefault((operation, leaves), []).append((size_in_bytes(size), value(row)))
    for (operation, leaves), points in sorted(lines.items()):
        points.sort()
        axes.plot([x / 2**30 for x, _ in points], [y for _, y in points], marker=".",
                  linestyle="-" if leaves == "pages" else "--", label=f"{operation}, {leaves}")
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xlabel("GiB of mapped memory")
    axes.set_ylabel(unit)
    axes.grid(alpha=0.3)
    axes.legend(ncols=2, fontsize="small")
    return figure


def lines_of_threads(growth):
    figure, (rate, cost) = pyplot.subplots(1, 2, figsize=(9, 4))
    for policy in ("shared", "concurrent"):
        found = [each for each in growth["threads"] if each["policy"] == policy]
        rate.plot([each["threads"] for each in found], [each["faults_per_second"] / 1e6 for each in found], marker="o",
                  label=policy)
        rows = [(int(name.rsplit("/", 1)[1]), row["instructions"] / row["units"])
                for name, row in growth["rows"].items() if name.startswith("fault/") and f"/{policy}/" in name]
        cost.plot(*zip(*sorted(rows)), marker="o", label=policy)
    rate.set_ylabel(f"million faults a second, {growth['processors']} processors")
    cost.set_ylabel("instructions a fault")
    for axes in (rate, cost):
        axes.set_xlabel("threads")
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
        axes.legend()
    return figure


def table(header, lines):
    def cells(kind, values):
        return "".join(f"<{kind}>{html.escape(str(value))}</{kind}>" for value in values)
    return f"<table><tr>{cells('th', header)}</tr>" + "".join(
        f"<tr>{cells('td', line)}</tr>" for line in lines) + "</table>"


def number(value):
    return "" if value is None else f"{value:.4g}"


def write(directory, found, growth, missed):
    os.makedirs(directory, exist_ok=True)
    pictures = []
    for name in FORMATS:
        rows = of_format(found["rows"], name, "run")
        if not rows:
            continue
        pictures.append((f"{name}: instructions", save(
            bars(rows, [("instructions_per_unit", "ours"), ("reference_instructions_per_unit", "reference"),
                        ("target", "target")], f"{name}, run path: instructions per unit"), directory,
            f"instructions-{name}.png")))
        pictures.append((f"{name}: time", save(
            bars(rows, [("ns_per_unit", "ours"), ("reference_ns_per_unit", "reference"), ("limit_ns_per_unit", "limit")],
                 f"{name}, run path: ns per unit"), directory, f"times-{name}.png")))
    for title, file, value, unit in (
            ("Instructions as memory grows", "growth-instructions.png",
             lambda row: row["instructions"] / row["units"] if "instructions" in row else None, "instructions per leaf"),
            ("Time as memory grows", "growth-time.png",
             lambda row: row["ns_per_unit"] * row["units"] / 1000 if "ns_per_unit" in row else None,
             "microseconds of the operation"),
            ("Entries read as memory grows", "growth-entries.png",
             lambda row: row["read"] or None if "read" in row else None, "entries read by the operation")):
        pictures.append((title, save(lines_of_growth(growth, value, unit), directory, file)))
    pictures.append(("Threads that fault at once", save(lines_of_threads(growth), directory, "threads.png")))

    columns = ("workload", "format", "policy", "path", "unit", "instructions_per_unit", "target",
               "reference_instructions_per_unit", "ns_per_unit", "limit", "limit_ns_per_unit")
    with open(os.path.join(directory, "index.html"), "w", encoding="utf-8") as page:
        page.write("<!doctype html><meta charset='utf-8'><title>Quire: performance</title><style>"
                   "body{font-family:sans-serif;max-width:70em;margin:auto}table{border-collapse:collapse}"
                   "td,th{border:1px solid #ccc;padding:2px 6px;text-align:left}img{max-width:100%}</style>"
                   f"<h1>Quire: performance</h1><p>{html.escape(found['compiler'])}</p>")
        for title, file in pictures:
            page.write(f"<h2>{html.escape(title)}</h2><img src='{file}' alt='{html.escape(title)}'>")
        page.write("<h2>Limits, ns a word</h2>" + table(("limit", "ns"), [(name, number(time)) for name, time in
                                                                          found["limits_ns"].items()]))
        page.write("<h2>Memory</h2>" + table(
            ("mapped", "leaves", "tables", "at least", "bytes of tables a GiB", "bitmap"),
            [(f"{each['bytes'] >> 20} MiB", each["leaves"], each["tables"], each["fewest"],
              round((each["tables"] * 4096 + each["root_bytes"]) * 2**30 / each["bytes"]), each["bitmap_bytes"])
             for each in growth["memory"]]))
        page.write("<h2>Words written by a fault</h2>" + table(
            ("policy", "writes a fault", "words that two threads write"),
            [(each["policy"], f"{each['writes'] / each['faults']:.2f}", each["words_of_both"])
             for each in growth["writes"]]))
        page.write(f"<h2>Misses</h2><ul>{''.join(f'<li>{html.escape(line)}</li>' for line in missed)}</ul>")
        page.write("<h2>Every row</h2>" + table(columns, [[row[column] if not isinstance(row[column], (float, int))
                                                           else number(row[column]) for column in columns]
                                                          for row in found["rows"]]))

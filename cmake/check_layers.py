#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks what the compiler does not: layers, tiers, first lines, sizes, and paths of one machine.

Run from anywhere; needs nothing but Python. Exits with 1 when there is something to mend.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PUBLIC = ROOT / "include"
UMBRELLA = "quire/quire.hpp"
LONGEST_HEADER = 400

# What each layer may see, besides itself. Siblings do not see each other.
GROUND = {"ground"}
VALUES = GROUND | {"format", "policy"}
TABLES = VALUES | {"walk", "table"}
SEES = {
    "ground": GROUND,
    "format": GROUND,
    "policy": GROUND,
    "walk": VALUES,
    "table": VALUES | {"walk"},
    "dirty": TABLES,
    "views": TABLES | {"dirty"},
    "check": TABLES | {"dirty"},
    "print": TABLES | {"dirty"},
}
HOSTED = {"views", "check", "print"}

# What a core header may include from outside. A name is added here after thought: it has to compile
# freestanding on every compiler we name, and bring in neither heap nor exceptions. <atomic> is left
# out on purpose: libstdc++'s does not compile with clang and -mgeneral-regs-only.
CORE_MAY_INCLUDE = set(
    "array bit compare concepts cstddef cstdint initializer_list iterator limits new optional span"
    " tuple type_traits utility version gsl/assert gsl/util".split()
)
NOBODY_INCLUDES = {"range/v3/all.hpp", "gsl/gsl"}

INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]')
# The directories where people and machines keep their checkouts.
MACHINE_PATH = re.compile(r"(?<![\w.\-/}])/(?:work|root|home)/\w")


def layer_of(name):
    """The layer of a header named as users include it, quire/walk/walker.hpp -> walk."""
    parts = name.split("/")
    return "ground" if len(parts) == 2 or parts[1] == "detail" else parts[1]


def included_names(path):
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if match := INCLUDE.match(line):
            name = match[1]
            beside = path.parent / name
            if beside.is_relative_to(PUBLIC) and beside.is_file():
                name = str(beside.relative_to(PUBLIC))
            yield number, name


def include_fault(name, included):
    """Why header `name` may not include `included`, or None."""
    layer = layer_of(name)
    if included in NOBODY_INCLUDES:
        return f"<{included}> is an umbrella: include the parts that are needed"
    if included.startswith("quire/"):
        other = layer_of(included)
        if included == UMBRELLA:
            return "the umbrella header is for users"
        if name == UMBRELLA:
            return "the umbrella stays freestanding" if other in HOSTED else None
        if other != layer and other not in SEES.get(layer, set()):
            return f"{layer} must not see {other}"
    elif layer not in HOSTED and included not in CORE_MAY_INCLUDE:
        return f"<{included}> is not among the headers of the freestanding tier"
    return None


def header_faults(path):
    name = str(path.relative_to(PUBLIC))
    lines = path.read_text().splitlines()
    if not lines or lines[0] != "// SPDX-License-Identifier: MIT":
        yield 1, "the first line must be the licence: // SPDX-License-Identifier: MIT"
    if "#pragma once" not in lines:
        yield 1, "no #pragma once"
    if len(lines) > LONGEST_HEADER:
        yield len(lines), f"longer than {LONGEST_HEADER} lines: one header is one idea"
    if layer_of(name) not in SEES:
        yield 1, f"no such layer: {layer_of(name)}"
    for number, included in included_names(path):
        if fault := include_fault(name, included):
            yield number, fault


def tracked_files():
    """Files of the repository: git's, or without git or its data, all but hidden and built ones."""
    if shutil.which("git") and (ROOT / ".git").exists():
        command = ["git", "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listing = subprocess.run(command, capture_output=True)
        if listing.returncode == 0:
            return [ROOT / name for name in listing.stdout.decode().split("\0") if name]
    outside = ("build", ".git", ".venv")
    return [path for path in ROOT.rglob("*") if path.relative_to(ROOT).parts[0] not in outside]


def machine_path_faults(path):
    try:
        text = path.read_text()
    except UnicodeDecodeError:
        return
    for number, line in enumerate(text.splitlines(), 1):
        if MACHINE_PATH.search(line):
            yield number, "an absolute path of somebody's machine"


def main():
    faults = 0

    def report(path, found):
        nonlocal faults
        for number, text in found:
            print(f"{path.relative_to(ROOT)}:{number}: {text}")
            faults += 1

    headers = sorted(PUBLIC.rglob("*.hpp"))
    for path in headers:
        report(path, header_faults(path))
    for path in sorted(tracked_files()):
        if path.is_file():
            report(path, machine_path_faults(path))
    print(f"layers: {len(headers)} headers, {faults} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())

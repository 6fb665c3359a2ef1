#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Searches variants of a Promela model with Spin and compares each verdict with the expected one.

  // variant NAME: VERDICT FLAG...    one line in the model's head for each variant

VERDICT is SAFE (no property fails and nobody waits for ever), STUCK (some process can wait for ever),
or "violates PROPERTY" (this one can fail; forbid.pml). A search that was cut short is no verdict.
Exits with 77, "skipped", where Spin or a C compiler is missing.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SKIPPED = 77
COMPILE = ["-O1", "-w", "-DSAFETY", "-DMEMLIM=1024"]
SEARCH = ["-n", "-m100000", "-w22"]  # no list of dead code; depth; 2^22 hash slots
CUT_SHORT = ["max search depth too small", "out of memory", "reached -DMEMLIM bound", "Search not completed"]


def variants_of(model):
    """Name -> (verdict, flags), as the model's head says."""
    variants = {}
    for line in re.findall(r"^// variant .*$", model.read_text(), re.M):
        said = re.fullmatch(r"// variant (\w+): (SAFE|STUCK|violates \w+)((?: -D\w+)*)", line)
        if said is None or said[1] in variants:
            sys.exit(f"{model.name}: not understood: {line}")
        variants[said[1]] = said[2], said[3].split()
    return variants


def output_of(command, where):
    """What a command prints; its failure is the test's."""
    result = subprocess.run(command, cwd=where, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if result.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{result.stdout}")
    return result.stdout


def search(model, flags, shortest, where):
    """What the verifier made from the model says."""
    output_of(["spin", "-a", *flags, model], where)
    output_of(["gcc", *COMPILE, *(["-DREACH"] if shortest else []), "-o", "pan", "pan.c"], where)
    return output_of(["./pan", *SEARCH, *(["-i"] if shortest else [])], where)


def verdict_of(said):
    """What the verifier's output means."""
    error = re.search(r"^pan:\d+: (.+?) \(at depth \d+\)$", said, re.M)
    if error is not None:
        property_ = re.fullmatch(r"assertion violated +!\((\w+)\)", error[1])
        if property_ is not None:
            return f"violates {property_[1]}"
        return "STUCK" if error[1] == "invalid end state" else f"no verdict ({error[1]})"
    for sign in CUT_SHORT:
        if sign in said:
            return f"no verdict ({sign})"
    return "SAFE" if re.search(r"errors: 0$", said, re.M) else "no verdict (no result)"


def check(model, name, variant, trace):
    """Whether the verdict on one variant is the expected one."""
    expected, flags = variant
    if expected.startswith("violates "):
        flags = [*flags, f"-DONLY={expected.split()[1]}"]
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as where:
        said = search(model, flags, trace, where)
        verdict = verdict_of(said)
        states = re.search(r"^ *(\d+) states, stored", said, re.M)
        seconds = time.monotonic() - begun
        print(f"{model.stem}.{name}: {verdict}; {states[1] if states else 'no'} states, {seconds:.1f} s")
        if verdict != expected:
            print(f"  expected: {expected}", said, sep="\n")
        trail = Path(where) / f"{model.name}.trail"
        if trail.exists() and (trace or verdict != expected):
            print(output_of(["spin", "-p", "-g", "-k", trail, *flags, model], where))
    return verdict == expected


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("variants", nargs="*", help="default: all")
    parser.add_argument("--trace", action="store_true", help="print the shortest way to each error")
    args = parser.parse_args()

    if shutil.which("spin") is None:
        print("skipped: no spin; Debian package spin")
        return SKIPPED
    # Spin itself calls gcc, as the preprocessor.
    if shutil.which("gcc") is None:
        print("skipped: no gcc; Debian package gcc")
        return SKIPPED

    model = args.model.resolve()
    variants = variants_of(model)
    if not variants:
        sys.exit(f"{model.name}: it names no variant")
    for name in args.variants:
        if name not in variants:
            sys.exit(f"{model.name}: it has no variant {name}")
    good = [check(model, name, variants[name], args.trace) for name in args.variants or variants]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Builds the fuzz targets and lets each run for a while: NAME.cpp here, against the address sanitizer.

usage: run.py [--compiler=clang++-19] [--build=DIRECTORY] [--seconds=N] [TARGET...]

The time is QUIRE_FUZZ_SECONDS in the environment where --seconds does not say it, or 10 s a target. What was found to
be new stays in the build directory and is where the next run begins; so does an input that fails. Exits with 77,
"skipped", where the compiler or its fuzzer is missing.
"""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SKIPPED = 77
FLAGS = ["-std=c++20", "-O1", "-g1", "-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=all"]
DEFINITIONS = ["-DQUIRE_CONTRACTS=2"]
LONGEST_INPUT = 4 + (24 << 10)  # the largest seed


def obstacle_of(compiler, build):
    """Why nothing can be fuzzed here, or None."""
    if shutil.which(compiler) is None:
        return f"no {compiler}; Debian package {compiler.replace('clang++', 'clang')}"
    probe = "#include <cstdint>\n#include <cstddef>\n" \
            "extern \"C\" int LLVMFuzzerTestOneInput(const std::uint8_t*, std::size_t) { return 0; }\n"
    command = [compiler, *FLAGS, "-x", "c++", "-", "-o", build / "probe"]
    if subprocess.run(command, input=probe, text=True, capture_output=True).returncode != 0:
        return f"{compiler} cannot link its fuzzer; Debian package libclang-rt-{compiler.rpartition('-')[2]}-dev"
    return None


def fuzz(target, args):
    program = args.build / target
    corpus, seeds = args.build / f"{target}.corpus", args.build / f"{target}.seeds"
    for directory in (corpus, seeds):
        directory.mkdir(exist_ok=True)
    command = [args.compiler, *FLAGS, *DEFINITIONS, "-I", "include", "-I", "tests", f"tests/fuzz/{target}.cpp"]
    if subprocess.run([*command, "-o", program], cwd=ROOT).returncode != 0:
        print(f"{target}: does not compile")
        return False
    if subprocess.run([program, "--seeds", seeds]).returncode != 0 or not any(seeds.iterdir()):
        print(f"{target}: writes no seeds")
        return False
    limits = [f"-max_total_time={args.seconds}", f"-max_len={LONGEST_INPUT}", "-timeout=20", "-rss_limit_mb=2048"]
    done = subprocess.run(
        [program, *limits, f"-artifact_prefix={args.build}/{target}.", "-print_final_stats=1", corpus, seeds],
        capture_output=True,
        text=True,
    )
    last = [line for line in done.stderr.splitlines() if "stat::" in line or "cov:" in line]
    print("\n".join(last[-7:]) if done.returncode == 0 else done.stderr[-8000:], flush=True)
    print(f"{target}: {args.seconds} s, {'nothing found' if done.returncode == 0 else 'FAILED'}")
    return done.returncode == 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--compiler", default="clang++-19")
    parser.add_argument("--build", type=Path, default=ROOT / "build/fuzz")
    parser.add_argument("--seconds", type=int, default=int(os.environ.get("QUIRE_FUZZ_SECONDS", "10")))
    parser.add_argument("targets", nargs="*", help="default: all")
    args = parser.parse_args()
    args.build = args.build.resolve()
    args.build.mkdir(parents=True, exist_ok=True)
    if obstacle := obstacle_of(args.compiler, args.build):
        print(f"skipped: {obstacle}")
        return SKIPPED
    targets = args.targets or sorted(path.stem for path in (ROOT / "tests/fuzz").glob("*.cpp"))
    return 0 if all([fuzz(target, args) for target in targets]) else 1


if __name__ == "__main__":
    sys.exit(main())

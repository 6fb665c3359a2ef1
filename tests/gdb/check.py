#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs a program under gdb with the printers of the library, and again on its core file.

usage: check.py CHECK PROGRAM PRINTERS          CHECK: decoders or tables, of inside.py

Exits with 77, "skipped", where there is no gdb or it may not trace a program of its own.
"""

import ctypes
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

SKIPPED = 77
INSIDE = Path(__file__).resolve().with_name("inside.py")


def may_trace():
    """Whether a child may ask to be traced, which is how gdb starts a program."""
    child = os.fork()
    if child == 0:
        traced = ctypes.CDLL(None).ptrace(*(ctypes.c_long(argument) for argument in (0, 0, 0, 0)))  # PTRACE_TRACEME
        os._exit(0 if traced == 0 else 1)
    return os.waitpid(child, 0)[1] == 0


def run_gdb(check, program, printers, directory, core=None):
    environment = os.environ | {"QUIRE_CHECK": check, "QUIRE_EXPECTED": str(directory / "expected"),
                                "QUIRE_CORE": str(directory / "core"), "ASAN_OPTIONS": "detect_leaks=0",
                                "DEBUGINFOD_URLS": "", "PYTHONDONTWRITEBYTECODE": "1"}
    command = ["gdb", "-nx", "-batch", "-iex", "set auto-load off", "-ex", f"source {printers}", "-x", INSIDE, program]
    done = subprocess.run(command + ([core] if core else []), env=environment, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=240)
    print(f"{check}, {'core file' if core else 'process'}:\n{done.stdout}")
    return 0 if "PASSED" in done.stdout.splitlines() else 1


def main():
    check, program, printers = sys.argv[1:]
    if shutil.which("gdb") is None:
        print("skipped: no gdb; Debian package gdb")
        return SKIPPED
    if not may_trace():
        print("skipped: no process may be traced here")
        return SKIPPED
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        status = run_gdb(check, program, printers, directory)
        if status == 0 and check == "tables":
            status = run_gdb(check, program, printers, directory, core=str(directory / "core"))
    return status


if __name__ == "__main__":
    sys.exit(main())

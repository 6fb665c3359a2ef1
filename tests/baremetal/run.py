#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs a program on a machine: run.py MACHINE PROGRAM --checks N [-- more arguments of the emulator]

Passes only if the emulator ends by itself with the exit status that says so and the last line is "PASS N checks".
With --flip the program is told to get one bit of an entry wrong, and must fail: the last line is "FAIL m of n checks".
Exits with 77, "skipped", where the emulator is missing, and with --may-skip where the last line is "SKIP: why".
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

SKIPPED = 77
REQUEST = b"flip this bit:\0"  # scenarios/flipped.hpp
HERE = Path(__file__).resolve().parent


@dataclass
class Ended:
    """How a run went. `status` is None where it took too long, `passed` what the exit status says of the program."""

    output: str
    status: int | None
    passed: bool


def text_of(output):
    return (output or b"").decode(errors="replace").replace("\r", "")


def run_to_end(command, timeout, **options):
    """The standard output and the exit status; what the emulator itself has to say goes to standard error."""
    try:
        result = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=timeout, **options)
        return text_of(result.stdout), result.returncode
    except subprocess.TimeoutExpired as late:
        return text_of(late.stdout), None


@dataclass
class Qemu:
    emulator: str
    package: str
    arguments: str
    passed: int = 0  # the exit status

    def run(self, program, more, timeout):
        command = [self.emulator, *self.arguments.split(), *more, "-kernel", str(program)]
        command += ["-display", "none", "-serial", "stdio", "-monitor", "none", "-no-reboot"]
        output, status = run_to_end(command, timeout)
        return Ended(output, status, status == self.passed)


@dataclass
class Bochs:
    """Judged by the last line alone: the exit status is always the same. Debian's has a debugger, told to continue."""

    cpu: str
    emulator: str = "bochs"
    package: str = "bochs bochsbios vgabios bochs-term"

    def run(self, program, more, timeout):
        if more:
            sys.exit(f"{self.emulator} takes no arguments")
        with tempfile.TemporaryDirectory() as name:
            here = Path(name)
            # Bochs leaves a lock beside the disk when it is killed.
            (here / "disk").symlink_to(program.resolve())
            settings = (HERE / "x86_64" / "bochsrc.in").read_text()
            for key, value in {"CPU": self.cpu, "IMAGE": "disk", "CONSOLE": "console", "LOG": "log"}.items():
                settings = settings.replace(f"@{key}@", value)
            (here / "bochsrc").write_text(settings)
            (here / "commands").write_text("c\n")
            command = [self.emulator, "-q", "-f", "bochsrc", "-rc", "commands"]
            quiet = {"stderr": subprocess.DEVNULL, "cwd": here, "env": {**os.environ, "TERM": "dumb"}}
            _, status = run_to_end(command, timeout, **quiet)
            console = here / "console"
            output = text_of(console.read_bytes()) if console.exists() else ""
            if not output and (here / "log").exists():
                print(text_of((here / "log").read_bytes()))
            return Ended(output, status, True)


MACHINES = {
    "riscv64": Qemu("qemu-system-riscv64", "qemu-system-misc", "-M virt -cpu rv64,h=true -smp 1 -m 512M -bios none"),
    "aarch64": Qemu(
        "qemu-system-aarch64",
        "qemu-system-arm",
        "-M virt,virtualization=on,secure=off,gic-version=3 -cpu max -smp 1 -m 1G -semihosting",
    ),
    # isa-debug-exit: 2 * n + 1. QEMU's own failures are 1.
    "x86_64": Qemu(
        "qemu-system-x86_64",
        "qemu-system-x86",
        "-accel tcg -M microvm -cpu EPYC,+svm,+npt -m 256M -device isa-debug-exit,iobase=0xf4,iosize=4",
        passed=33,
    ),
    "x86_64-bochs-svm": Bochs("ryzen"),
    "x86_64-bochs-vmx": Bochs("corei7_haswell_4770"),
}


def skip(why):
    print(f"SKIP: {why}")
    return SKIPPED


def last_line(output):
    lines = output.splitlines()
    return lines[-1] if lines else ""


def judge(ended, checks, may_skip, seconds):
    last = last_line(ended.output)
    if ended.status is None:
        print(f"failed: not at its end after {seconds} seconds")
    elif not ended.passed:
        print(f"failed: the emulator's exit status is {ended.status}")
    elif last == f"PASS {checks} checks":
        return 0
    elif may_skip and last.startswith("SKIP: "):
        return SKIPPED
    else:
        print(f'failed: the last line is not "PASS {checks} checks"')
    return 1


def with_flipped_bit(program, bit, directory):
    """A copy of the program that is wrong on purpose."""
    content = program.read_bytes()
    if content.count(REQUEST) != 1:
        sys.exit(f"{program}: no place for the bit to flip")
    at = content.index(REQUEST) + len(REQUEST)
    copy = Path(directory) / program.name
    copy.write_bytes(content[:at] + bytes([bit]) + content[at + 1 :])
    return copy


def judge_flipped(ended, may_skip, bit):
    last = last_line(ended.output)
    if re.fullmatch(r"FAIL \d+ of \d+ checks", last):
        print(f"as it must, with bit {bit} of one entry flipped")
        return 0
    if may_skip and last.startswith("SKIP: "):
        return SKIPPED
    print(f'with bit {bit} of one entry flipped the last line is not "FAIL m of n checks"')
    return 1


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, usage="%(prog)s MACHINE PROGRAM --checks N [options] [-- more arguments of the emulator]",
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("machine", choices=MACHINES)
    parser.add_argument("program", type=Path, help="an ELF file, for Bochs the image of a disk")
    parser.add_argument("--checks", type=int, required=True, help="how many there are")
    parser.add_argument("--may-skip", action="store_true", help="the machine may lack what the program is about")
    parser.add_argument("--flip", type=int, metavar="BIT", help="of one entry: the program must fail")
    parser.add_argument("--timeout", type=int, default=50, metavar="SECONDS")
    parser.add_argument("--not-built", metavar="WHY", help="skip for this reason")
    given = sys.argv[1:]
    end = given.index("--") if "--" in given else len(given)
    args, more = parser.parse_args(given[:end]), given[end + 1 :]

    machine = MACHINES[args.machine]
    if args.not_built:
        return skip(args.not_built)
    if shutil.which(machine.emulator) is None:
        return skip(f"{machine.emulator} not found (apt-get install {machine.package})")
    if args.flip is not None:
        with tempfile.TemporaryDirectory() as directory:
            ended = machine.run(with_flipped_bit(args.program, args.flip, directory), more, args.timeout)
        print(ended.output, end="", flush=True)
        return judge_flipped(ended, args.may_skip, args.flip)
    ended = machine.run(args.program, more, args.timeout)
    print(ended.output, end="", flush=True)
    return judge(ended, args.checks, args.may_skip, args.timeout)


if __name__ == "__main__":
    sys.exit(main())

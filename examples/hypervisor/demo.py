#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Boots the hypervisor on each machine that it was built for, one after the other, and shows what it prints.

usage: demo.py DIRECTORY    of the build: examples/hypervisor
"""

import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "baremetal"))
from run import MACHINES  # noqa: E402


def boot(name, program):
    """Whether all went well."""
    machine = MACHINES[name]
    print(f"---- {name}: {machine.emulator}", flush=True)
    if not program.exists():
        print(f"not built: {program}")
        return False
    if shutil.which(machine.emulator) is None:
        print(f"{machine.emulator} not found (apt-get install {machine.package})")
        return False
    ended = machine.run(program, ["-smp", "2"], timeout=120)
    print(ended.output, flush=True)
    return ended.passed and ended.output.splitlines()[-1].startswith("PASS ")


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    well = [boot(name, Path(sys.argv[1]) / name / "hypervisor.elf") for name in ("riscv64", "aarch64")]
    return 0 if all(well) else 1


if __name__ == "__main__":
    sys.exit(main())

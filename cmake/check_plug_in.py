#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Builds examples/plug_in as a kernel image, without any library, and looks at what is in it.

The object file with Quire in it may need only symbols from the example's list; the image needs none
and holds nothing that a kernel cannot have. Where this machine can run the image, it must succeed.
Exits with 77, "skipped", where the compiler is missing.
"""

import argparse
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from check_freestanding import FREESTANDING, SKIPPED, nm_of, read_allowed

DIRECTORY = Path("examples/plug_in")
WITH_QUIRE = DIRECTORY / "guest_life.cpp"
ALLOWED = DIRECTORY / "allowed_symbols.txt"

COMPILE = [
    *FREESTANDING,
    "-nostdlib",
    "-fno-threadsafe-statics",
    "-fno-pie",
    "-fno-stack-protector",  # some systems switch it on by default
    "-fno-asynchronous-unwind-tables",
    "-fno-unwind-tables",
    "-O2",
    "-Wall",
    "-Wextra",
    "-Werror",
]
LINK = [
    "-nostdlib",
    "-nostartfiles",
    "-static",
    "-no-pie",
    "-Wl,-z,noexecstack",
    "-Wl,-z,separate-code",  # no segment is both writable and executable
    "-Wl,--fatal-warnings",
]

# Code that runs before the entry or after the end, and memory of threads: nobody would see to them.
BAD_SECTION = re.compile(r"\.(tdata|tbss|init_array|fini_array|preinit_array|ctors|dtors|init|fini)\b")
# The heap, exceptions, static objects with guards or destructors, threads.
BAD_SYMBOL = re.compile(r"_Zn[wa]|_Zd[la]|__cxa_|__gxx_|_Unwind_|__tls_|atexit|_ZSt\d")


class Defect(Exception):
    """Something that the example may not be."""


def said_by(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def symbols_of(nm, path, *which):
    """Names as they are written in the source: what nm says, less type, value and size."""
    listing = said_by(nm, "--format=posix", *which, path)
    return {re.sub(r" [A-Za-z]( +[0-9a-f]+)* *$", "", line) for line in listing.splitlines() if line}


def undefined_in(nm, path):
    return symbols_of(nm, path, "--undefined-only", "--demangle")


def compile_all(compiler, args, scratch):
    objects = {}
    for source in args.sources:
        objects[source] = scratch / (source.replace("/", "_") + ".o")
        command = [compiler, *COMPILE, *args.flag, "-I", "include", "-c", source, "-o", objects[source]]
        if subprocess.run(command, cwd=args.root).returncode != 0:
            raise Defect(f"{source}: does not compile")
    return objects


def check_object(nm, path, allowed):
    undefined = undefined_in(nm, path)
    print(f"{WITH_QUIRE.name} needs {len(undefined)} symbols: {', '.join(sorted(undefined))}")
    if surplus := undefined - allowed:
        raise Defect(f"not in {ALLOWED}: {', '.join(sorted(surplus))}")


def check_image(nm, image, objects):
    symbols = symbols_of(nm, image)
    if bad := [name for name in symbols if BAD_SYMBOL.match(name)]:
        raise Defect(f"in the image: {', '.join(bad)}")
    sections = said_by(nm.removesuffix("nm") + "readelf", "--section-headers", "--wide", image)
    if bad := BAD_SECTION.findall(sections):
        raise Defect(f"sections in the image: {', '.join(bad)}")
    # A weak symbol that nobody defines is no error to the linker, and not in the image either.
    needed = set().union(*(undefined_in(nm, path) for path in objects))
    if missing := needed - symbols_of(nm, image, "--defined-only", "--demangle"):
        raise Defect(f"undefined: {', '.join(sorted(missing))}")
    print(f"image: {len(symbols)} symbols, {image.stat().st_size} bytes, nothing undefined")


def run_image(image, machine):
    if platform.system() != "Linux" or platform.machine() != machine:
        print(f"not run: this is no {machine} Linux")
        return
    done = subprocess.run([image], capture_output=True, text=True, timeout=60)
    print(done.stdout, end="")
    if done.returncode != 0 or "all as it should be" not in done.stdout:
        raise Defect(f"the image ends with status {done.returncode}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--compiler", required=True)
    parser.add_argument("--package", required=True, help="where the compiler comes from")
    parser.add_argument("--machine", required=True, help="what the image is for, as uname says it")
    parser.add_argument("--root", type=Path, required=True, help="root of the source tree")
    parser.add_argument("--flag", action="append", default=[], help="for the compiler")
    parser.add_argument("sources", nargs="+", help="of the image, relative to the root")
    args = parser.parse_args()
    if shutil.which(args.compiler) is None:
        print(f"skipped: no {args.compiler}; Debian package {args.package}")
        return SKIPPED

    nm = nm_of(args.compiler)
    with tempfile.TemporaryDirectory() as directory:
        scratch = Path(directory)
        try:
            objects = compile_all(args.compiler, args, scratch)
            check_object(nm, objects[str(WITH_QUIRE)], read_allowed(args.root / ALLOWED))
            image = scratch / "image"
            if subprocess.run([args.compiler, *LINK, *objects.values(), "-o", image]).returncode != 0:
                raise Defect("the image does not link")
            check_image(nm, image, objects.values())
            run_image(image, args.machine)
        except Defect as defect:
            print(defect)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

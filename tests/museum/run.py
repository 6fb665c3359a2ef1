#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The bug museum: known defects are put back into the headers, one at a time, and a test must turn red for each.

usage: run.py BUILD_DIRECTORY [--jobs N] [--only NAME]... [--list]

Each exhibit of exhibits.toml is a textual edit of shipped headers, the source of the test that must notice, and the
name (Catch2 pattern) of the test cases. An edit whose old text is not there exactly once, whatever the line breaks, is
an error: the exhibit must follow the code. The unpatched tests must pass first.
"""

import argparse
import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time
import tomllib

ROOT = pathlib.Path(__file__).resolve().parents[2]
FLAGS = ["-std=c++20", "-w", "-pthread", "-DQUIRE_CONTRACTS=2", "-DQUIRE_FEW_FORMATS=1"]
TEST_SECONDS = 120
COMPILE_SECONDS = 300


class Broken(Exception):
    """The museum itself, not a header, is at fault."""


def compiler_of(build):
    cache = build / "CMakeCache.txt"
    if cache.is_file():
        found = re.search(r"^CMAKE_CXX_COMPILER:[A-Z]+=(.+)$", cache.read_text(), re.M)
        if found:
            return found[1]
    return os.environ.get("CXX", "g++")


def read_exhibits():
    with open(ROOT / "tests/museum/exhibits.toml", "rb") as file:
        exhibits = tomllib.load(file)["exhibit"]
    names = [one["name"] for one in exhibits]
    if len(set(names)) != len(names):
        raise Broken("two exhibits have the same name")
    for one in exhibits:
        patched_texts(one)
    return exhibits


def pattern_of(text):
    """Finds the text in any layout."""
    tokens = re.findall(r"\w+|[^\w\s]", text)
    pattern = ""
    for before, token in zip([""] + tokens, tokens):
        between = r"\s+" if before[-1:].isidentifier() and token[0].isidentifier() else r"\s*"
        pattern += (between if pattern else "") + re.escape(token)
    return re.compile(pattern)


def patched_texts(exhibit):
    """The headers that the exhibit changes, with the edits applied."""
    texts = {}
    for edit in exhibit["edit"]:
        path = edit["file"]
        text = texts.get(path) or (ROOT / "include/quire" / path).read_text()
        found = list(pattern_of(edit["old"]).finditer(text))
        if len(found) != 1:
            raise Broken(f"{exhibit['name']}: the old text is in {path} {len(found)} times, not once:\n{edit['old']}")
        texts[path] = text[: found[0].start()] + edit["new"] + text[found[0].end() :]
    return texts


def run(command, seconds):
    """Return code and output; None for the code when it took too long."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, errors="replace")
    except subprocess.TimeoutExpired:
        return None, ""
    return done.returncode, done.stdout + done.stderr


class Museum:
    def __init__(self, build):
        self.compiler = compiler_of(build)
        self.place = build / "museum"
        self.common = self.place / "common"
        shutil.rmtree(self.place, ignore_errors=True)
        self.common.mkdir(parents=True)

    def prepare(self):
        """Catch2's header and main: compiled once."""
        shutil.copy(ROOT / "tests/catch.hpp", self.common)
        for command in (["-x", "c++-header", self.common / "catch.hpp", "-o", self.common / "catch.hpp.gch"],
                        ["-c", ROOT / "tests/main.cpp", "-I", ROOT / "tests", "-o", self.common / "main.o"]):
            code, said = run([self.compiler, *FLAGS, *command], COMPILE_SECONDS)
            if code != 0:
                raise Broken(said)

    def compile(self, test, headers, program):
        # Where to compile takes longer than to run, and where it does not.
        level = "-O1" if test.startswith("explore/") else "-O0"
        return run([self.compiler, *FLAGS, level, "-include", self.common / "catch.hpp", "-I", headers,
                    "-I", ROOT / "tests", ROOT / "tests" / test, self.common / "main.o", "-o", program],
                   COMPILE_SECONDS)

    @staticmethod
    def test(program, pattern):
        return run([program, pattern, "--abort", "--warn", "NoTests", "--reporter", "compact"], TEST_SECONDS)

    def baseline(self, test, patterns):
        """What is wrong with the tests when nothing is wrong with the headers; nothing, it is hoped."""
        program = self.place / test.replace("/", "_").removesuffix(".cpp")
        code, said = self.compile(test, ROOT / "include", program)
        if code != 0:
            return f"{test} does not compile:\n{said}"
        for pattern in sorted(patterns):
            code, said = self.test(program, pattern)
            if code != 0:
                return f"{test}: {pattern} fails without a defect:\n{said[-2000:]}"
        return ""

    def show(self, exhibit):
        """Whether the test noticed, and a word about how."""
        room = self.place / exhibit["name"]
        headers = room / "include"
        shutil.copytree(ROOT / "include", headers)
        for path, text in patched_texts(exhibit).items():
            (headers / "quire" / path).write_text(text)
        program = room / "test"
        code, said = self.compile(exhibit["test"], headers, program)
        if code != 0:
            (room / "log").write_text(said)
            return False, "does not compile"
        code, said = self.test(program, exhibit["pattern"])
        (room / "log").write_text(said)
        program.unlink()
        if code is None:
            return exhibit.get("may_hang", False), "hangs"
        if code == 0:
            return False, "MISSED"
        return True, "caught" if code > 0 else f"aborts with signal {-code}"


def main():
    arguments = argparse.ArgumentParser(description="put known defects back and see the tests notice")
    arguments.add_argument("build", type=pathlib.Path)
    arguments.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1))
    arguments.add_argument("--only", action="append", default=[], metavar="NAME", help="this exhibit alone; repeatable")
    arguments.add_argument("--list", action="store_true")
    chosen = arguments.parse_args()

    exhibits = read_exhibits()
    if chosen.only:
        exhibits = [one for one in exhibits if one["name"] in chosen.only]
        if len(exhibits) != len(set(chosen.only)):
            raise Broken("no such exhibit")
    if chosen.list:
        for one in exhibits:
            print(f"{one['name']}: {one['story']}")
        return 0

    begun = time.monotonic()
    museum = Museum(chosen.build.resolve())
    museum.prepare()
    tests = {}
    for one in exhibits:
        tests.setdefault(one["test"], set()).add(one["pattern"])
    caught = 0
    with concurrent.futures.ThreadPoolExecutor(chosen.jobs) as pool:
        wrongs = [wrong for wrong in pool.map(lambda item: museum.baseline(*item), tests.items()) if wrong]
        if wrongs:
            raise Broken("\n".join(wrongs))
        for one, (noticed, word) in zip(exhibits, pool.map(museum.show, exhibits)):
            caught += noticed
            print(f"{word:16} {one['name']:36} {one['test']} {one['pattern']}", flush=True)
    print(f"{caught} of {len(exhibits)} caught, {time.monotonic() - begun:.0f} s")
    return 0 if caught == len(exhibits) else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Broken as broken:
        print(f"museum: {broken}", file=sys.stderr)
        sys.exit(1)

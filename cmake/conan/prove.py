#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs both Conan recipes for real and uses what they make.

Everything lands in build/conan: a virtual environment with Conan (from pip's index, the first time only), two Conan
homes of its own, logs. In the home `platform` the dependencies are Debian's packages, named by [platform_requires]; in
the home `packages` they are Conan packages. Prints one line for each thing proved, last what the consumer's programs
print. Exits with 1 when something does not hold, with 77 when it cannot be tried here.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

CONAN = "2.34.0"

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
CENTER = ROOT / "cmake/conan-center"
TREE = ("CMakeLists.txt", "LICENSE", "cmake", "conanfile.py", "include", "test_package")  # all that packaging needs
OUT = ROOT / "build/conan"
VENV = OUT / "venv"
PROFILES = HERE / "profiles"
PLATFORM = OUT / "platform"
PACKAGES = OUT / "packages"

PROGRAMS = ("gcc-12", "g++-12", "clang-14", "clang++-14", "cmake", "ninja")
SYSTEM_HEADERS = Path("/usr/include")
DEPENDENCIES = {"ms-gsl/4.0.0": "gsl/assert", "range-v3/0.12.0": "range/v3/range_fwd.hpp"}

INVALID = 6  # what Conan exits with when a recipe refuses a configuration


class Failed(Exception):
    """Something does not hold."""


class Skipped(Exception):
    """Something needed is not here."""


def environment(home):
    """The user's, without their Conan."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CONAN_")}
    path = f"{VENV / 'bin'}:{kept.get('PATH', '/usr/bin:/bin')}"
    return kept | {"CONAN_HOME": str(home), "NO_COLOR": "1", "PATH": path}


def run(log, command, home=PLATFORM, expect=0, cwd=None):
    """Runs a command with all it says in a log, which is shown when the exit status is not the expected one."""
    command = [str(word) for word in command]
    path = OUT / f"{log}.log"
    done = subprocess.run(
        command,
        cwd=cwd,
        env=environment(home),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    path.write_text(f"$ {' '.join(command)}\n{done.stdout}")
    if done.returncode != expect:
        sys.stderr.write(path.read_text())
        raise Failed(f"{log}: exit status {done.returncode}, not {expect}; see {path.relative_to(ROOT)}")
    return done.stdout


def require(truth, text):
    if not truth:
        raise Failed(text)


def proved(text):
    print(f"proved: {text}", flush=True)


# ---- what is needed ------------------------------------------------------------------------------


def look_around():
    missing = [name for name in PROGRAMS if not shutil.which(name)]
    missing += [name for name in DEPENDENCIES.values() if not (SYSTEM_HEADERS / name).is_file()]
    if missing:
        raise Skipped(f"not installed: {' '.join(missing)}")


def has_conan():
    try:
        return run("conan_version", [VENV / "bin/conan", "--version"]).split()[-1] == CONAN
    except (OSError, Failed):
        return False


def install_conan():
    if (VENV / "bin/conan").exists() and has_conan():
        return
    shutil.rmtree(VENV, ignore_errors=True)
    try:
        run("venv", [sys.executable, "-m", "venv", VENV])
        run("pip", [VENV / "bin/python", "-m", "pip", "install", "--disable-pip-version-check", f"conan=={CONAN}"])
    except Failed as failed:
        raise Skipped(f"no Conan {CONAN}: {failed}") from failed
    require(has_conan(), f"what pip installed is not Conan {CONAN}")


def start_afresh():
    for name in ("platform", "packages", "readme", "checkout", "test_package", "consumer", "center"):
        shutil.rmtree(OUT / name, ignore_errors=True)


# ---- packages ------------------------------------------------------------------------------------


def conan(log, home, *words, expect=0):
    return run(log, [VENV / "bin/conan", *words], home, expect)


def configured(profile, build_type="Release", hosted=True, cppstd=20):
    """The arguments for one configuration. No remote is asked for anything."""
    return (
        "--no-remote",
        f"--profile:all={PROFILES / profile}",
        f"--settings=build_type={build_type}",
        f"--settings=compiler.cppstd={cppstd}",
        f"--options=quire/*:hosted={hosted}",
    )


def create(home, recipe, profile, build_type="Release", hosted=True, version=None):
    """Makes the package and has its test_package built and run, outside the source tree."""
    tier = "hosted" if hosted else "core"
    kind = "center" if version else "tree"  # only the recipe of a source tree knows its version
    label = f"{home.name}-{kind}-{profile}-{build_type}-{tier}"
    what = (recipe, f"--version={version}") if version else (recipe,)
    test_folder = f"--conf=tools.cmake.cmake_layout:test_folder={OUT / 'test_package' / label}"
    said = conan(f"create-{label}", home, "create", *what, *configured(profile, build_type, hosted), test_folder)
    require(f"quire::{tier}: one page mapped and found again: yes" in said, f"{label}: test_package did not run")


def listed(home):
    """Every package of Quire in a home: pairs of recipe revision and package id."""
    path = OUT / f"{home.name}.json"
    conan("list", home, "list", "quire/*#*:*", "--format=json", f"--out-file={path}")
    references = json.loads(path.read_text())["Local Cache"]
    return [
        (f"{reference}#{revision}", package)
        for reference, one in references.items()
        for revision, content in one["revisions"].items()
        for package in content["packages"]
    ]


def files_below(directory):
    return {path.relative_to(directory): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def check_content(home, reference, package):
    """The package is the licence and the headers of this tree, nothing else."""
    where = Path(conan("path", home, "cache", "path", f"{reference}:{package}").strip())
    there = files_below(where)
    for conans_own in ("conaninfo.txt", "conanmanifest.txt"):
        there.pop(Path(conans_own), None)
    wanted = {Path("include") / name: text for name, text in files_below(ROOT / "include").items()}
    wanted[Path("licenses/LICENSE")] = (ROOT / "LICENSE").read_bytes()
    differing = sorted(str(name) for name in there.keys() | wanted.keys() if there.get(name) != wanted.get(name))
    require(not differing, f"package {package}: not as in the source tree: {' '.join(differing)}")
    return len(there) - 1


# ---- a project that uses it ----------------------------------------------------------------------


def headers_read(build):
    """Every file that the compiler read, as Ninja remembers."""
    said = run(f"deps-{build.parent.name}", ["ninja", "-C", build, "-t", "deps"])
    return {Path(line.strip()).resolve() for line in said.splitlines() if line.startswith("    /")}


def origin(headers, ending):
    found = [path for path in headers if str(path).endswith(f"/include/{ending}")]
    require(len(found) == 1, f"{ending}: read from {len(found)} places: {found}")
    return found[0]


def consume(home, profile, hosted):
    """Installs, configures, builds and runs the consumer; gives its directory and what its programs print."""
    top = OUT / "consumer" / f"{home.name}-{'hosted' if hosted else 'core'}"
    generated, build = top / "generated", top / "build"
    label = f"consumer-{top.name}"
    no_presets = "--conf=tools.cmake.cmaketoolchain:user_presets="  # they would land beside the consumer's sources
    where = (HERE / "consumer", f"--output-folder={generated}", no_presets)
    conan(f"{label}-install", home, "install", *where, *configured(profile, hosted=hosted))
    toolchain = f"-DCMAKE_TOOLCHAIN_FILE={generated / 'conan_toolchain.cmake'}"
    configure = ("cmake", "-G", "Ninja", "-S", HERE / "consumer", "-B", build, toolchain)
    run(f"{label}-configure", [*configure, "-DCMAKE_BUILD_TYPE=Release", f"-DWITH_HOSTED={hosted}"])
    run(f"{label}-build", ["cmake", "--build", build])
    programs = ("guest", "watched") if hosted else ("guest",)
    said = [run(f"{label}-run-{name}", [build / name]) for name in programs]
    return top, said


def check_origins(top, home, dependencies):
    """Quire's headers came from its package, those of the dependencies from where they were said to be."""
    headers = headers_read(top / "build")
    require(origin(headers, "quire/quire.hpp").is_relative_to(home), "quire/quire.hpp is not the package's")
    for ending in dependencies.values():
        found = origin(headers, ending)
        from_package = found.is_relative_to(home)
        require(from_package == (home.name == "packages"), f"{ending} was read from {found}")


# ---- what is to be proved ------------------------------------------------------------------------


def prove_packages(home):
    for profile in ("debian12-gcc", "debian12-clang"):
        for build_type in ("Debug", "Release"):
            create(home, ROOT, profile, build_type)
    proved("conan create with GCC 12 and clang 14, Debug and Release: four packages made and tested")
    create(home, ROOT, "debian12-gcc-core", hosted=False)
    proved("conan create with hosted=False, where nothing provides range-v3")
    packages = listed(home)
    require(len(packages) == 1, f"not one package but {len(packages)}: {packages}")
    proved(f"the five are one package, id {packages[0][1]}")
    proved(f"it holds the licence and the {check_content(home, *packages[0])} headers of this tree, and nothing else")


def prove_refusals(home):
    quire = ("install", "--requires=quire/[>=0.1]")
    said = conan("refuse-cppstd", home, *quire, *configured("debian12-gcc", cppstd=17), expect=INVALID)
    require("lower than the required C++ standard (20)" in said, "C++17 was refused for another reason; see the log")
    said = conan("refuse-range-v3", home, *quire, *configured("debian12-gcc-core"), expect=1)
    require("Package 'range-v3/0.12.0' not resolved" in said, "hosted=True was refused for another reason; see the log")
    proved("C++17 is refused, and hosted=True where nothing provides range-v3")


def prove_consumer_of_platform(home):
    top, core = consume(home, "debian12-gcc-core", hosted=False)
    mentions = [path.name for path in (top / "generated").glob("*.cmake") if "range-v3" in path.read_text()]
    require(not mentions, f"hosted=False, and yet range-v3 is named in: {' '.join(mentions)}")
    check_origins(top, home, {"ms-gsl/4.0.0": DEPENDENCIES["ms-gsl/4.0.0"]})
    proved("a consumer with hosted=False builds and runs; nothing that Conan wrote for it names range-v3")
    top, both = consume(home, "debian12-gcc", hosted=True)
    check_origins(top, home, DEPENDENCIES)
    require(both[:1] == core, "the consumer's core program printed something else with hosted=True")
    proved("a consumer with hosted=True builds and runs, with GSL and range-v3 of the platform")
    return both


def prove_recipes_as_text():
    said = run("check_recipes", [VENV / "bin/python", HERE / "check_recipes.py"])
    proved(f"the recipe for ConanCenter keeps the index's rules and agrees with ours ({said.split(': ')[-1].strip()})")


def make_packages_of_dependencies(home):
    for reference in DEPENDENCIES:
        name, version = reference.split("/")
        called = (f"--name={name}", f"--version={version}")
        conan(f"stand_in-{name}", home, "create", HERE / "stand_in", *called, *configured("gcc-12"))


def substitute_once(text, pattern, value):
    text, times = re.subn(pattern, value, text, flags=re.M)
    require(times == 1, f"conandata.yml: {times} places match {pattern}, not one")
    return text


def release_recipe(version):
    """The recipe as it would be with a release: a copy that names an archive of this tree, here on the disk."""
    where = OUT / "center"
    shutil.copytree(CENTER / "all", where / "all", ignore=shutil.ignore_patterns("__pycache__", "build"))
    archive = where / f"quire-{version}.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        for name in ("CMakeLists.txt", "LICENSE", "README.md", "cmake", "include"):
            tar.add(ROOT / name, f"quire-{version}/{name}")
    data = where / "all/conandata.yml"
    text = substitute_once(data.read_text(), r"^( +url: ).*$", rf'\1"{archive.as_uri()}"')
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    data.write_text(substitute_once(text, r"^( +sha256: ).*$", rf'\1"{digest}"'))
    return where / "all"


def prove_conan_center(home):
    make_packages_of_dependencies(home)
    create(home, ROOT, "gcc-12")
    ours = listed(home)
    require(len(ours) == 1, f"not one package but {len(ours)}: {ours}")
    proved("conan create where GSL and range-v3 are Conan packages")
    version = ours[0][0].split("#")[0].removeprefix("quire/")
    create(home, release_recipe(version), "gcc-12", version=version)
    theirs = [one for one in listed(home) if one not in ours]
    require(len(theirs) == 1, f"the recipe for ConanCenter made {len(theirs)} packages, not one")
    require(theirs[0][1] == ours[0][1], "the two recipes give their packages different ids")
    check_content(home, *theirs[0])
    proved(f"conan create of the recipe for ConanCenter, version {version}, from a source archive: the same package")


def prove_consumer_of_center(home, expected):
    top, said = consume(home, "gcc-12", hosted=True)
    check_origins(top, home, DEPENDENCIES)
    require(said == expected, f"the consumer's programs printed something else: {said}")
    proved("a consumer of that package builds and runs, with GSL and range-v3 of their packages")


def prove_readme(expected):
    """The README's lines, in a copy of the tree and a home of their own."""
    checkout = OUT / "checkout"
    for name in TREE:
        whole = ROOT / name
        if whole.is_dir():
            shutil.copytree(whole, checkout / name, ignore=shutil.ignore_patterns("__pycache__", "build"))
        else:
            checkout.mkdir(exist_ok=True)
            shutil.copy(whole, checkout)
    said = run("readme", ["sh", "-e", HERE / "use.sh"], OUT / "readme", cwd=checkout)
    require(said.endswith("".join(expected)), "the README's lines end otherwise; see build/conan/readme.log")
    proved("the README's lines, as they stand there")


def prove_all():
    look_around()
    OUT.mkdir(parents=True, exist_ok=True)
    install_conan()
    start_afresh()
    prove_packages(PLATFORM)
    prove_refusals(PLATFORM)
    said = prove_consumer_of_platform(PLATFORM)
    prove_recipes_as_text()
    prove_conan_center(PACKAGES)
    prove_consumer_of_center(PACKAGES, said)
    prove_readme(said)
    print("the consumer's programs:")
    print("".join(said), end="")


def main():
    try:
        prove_all()
    except Skipped as skipped:
        print(f"skipped: {skipped}")
        return 77
    except Failed as failed:
        print(f"conan: {failed}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks the two Conan recipes as text: the rules of the index of recipes, and that the two have not drifted apart.

Needs PyYAML, which comes with Conan. Exits with 1 when there is something to mend.
"""

import ast
import re
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
TREE = ROOT / "conanfile.py"
CENTER = ROOT / "cmake/conan-center"
RECIPE = CENTER / "all/conanfile.py"

# As Conan calls them, in the order of the index's own template.
METHODS = (
    "init set_name set_version export export_sources config_options configure layout requirements"
    " build_requirements package_id validate validate_build source generate build package package_info"
).split()
NEEDED_ATTRIBUTES = "name description license url homepage topics package_type settings".split()
NEEDED_METHODS = "layout requirements package_id validate source build package package_info".split()
# What only a recipe inside a source tree may have.
TREE_ONLY = "version set_version set_name exports exports_sources".split()
SAME = (
    "name description license topics package_type settings options default_options no_copy_source"
    " requirements package_id validate build package"
).split()


class Recipe:
    """What a conanfile.py says, read and not run."""

    def __init__(self, path):
        self.path = path
        module = ast.parse(path.read_text(), str(path))
        self.required_conan = assignments(module.body).get("required_conan_version")
        classes = [one for one in module.body if isinstance(one, ast.ClassDef)]
        if len(classes) != 1:
            raise SystemExit(f"{path}: {len(classes)} classes, not one")
        self.attributes = assignments(classes[0].body)
        self.methods = {one.name: one for one in classes[0].body if isinstance(one, ast.FunctionDef)}
        self.members = self.attributes | self.methods

    def value(self, attribute):
        node = self.attributes.get(attribute)
        return ast.literal_eval(node) if node else None


def assignments(body):
    """The values assigned to plain names, as nodes."""
    return {
        target.id: one.value
        for one in body
        if isinstance(one, ast.Assign)
        for target in one.targets
        if isinstance(target, ast.Name)
    }


def order_faults(recipe):
    public = [name for name in recipe.methods if not name.startswith("_")]
    for name in public:
        if name not in METHODS:
            yield f"{name}() is none of Conan's methods: a helper's name begins with _"
    known = [name for name in public if name in METHODS]
    if known != sorted(known, key=METHODS.index):
        yield f"methods are not in the order in which Conan runs them: {' '.join(known)}"


def index_faults(recipe):
    """What reviewers of the index look for first."""
    if not recipe.required_conan or not re.fullmatch(r">=2\.\d+(\.\d+)?", ast.literal_eval(recipe.required_conan)):
        yield "no required_conan_version of Conan 2"
    for name in NEEDED_ATTRIBUTES:
        if not recipe.value(name):
            yield f"no attribute {name}"
    for name in NEEDED_METHODS:
        if name not in recipe.methods:
            yield f"no method {name}()"
    for name in TREE_ONLY:
        if name in recipe.members:
            yield f"{name} has no place in a recipe of the index"
    name, topics = recipe.value("name"), recipe.value("topics") or ()
    if name != name.lower():
        yield "the name is not lower case"
    if "header-only" not in topics or {"conan", name} & set(topics):
        yield "topics must hold header-only, and neither conan nor the name"
    if recipe.value("package_type") != "header-library" or recipe.value("no_copy_source") is not True:
        yield "not a header-library with no_copy_source"


def drift_faults(tree, index):
    for name in SAME:
        mine, other = tree.members.get(name), index.members.get(name)
        if mine is None or other is None or ast.dump(mine) != ast.dump(other):
            yield f"{name} is not what {tree.path.name} of the source tree says"


def version_faults():
    """The version is written in CMakeLists.txt; the index's files name the releases that it packages."""
    version = re.search(r"^project\([^)]*\bVERSION\s+([\d.]+)", (ROOT / "CMakeLists.txt").read_text(), re.M)[1]
    folders = yaml.safe_load((CENTER / "config.yml").read_text())["versions"]
    sources = yaml.safe_load((CENTER / "all/conandata.yml").read_text())["sources"]
    if list(folders) != [version]:
        yield f"config.yml: has {list(folders)}, where CMakeLists.txt has {version}"
    if list(sources) != list(folders):
        yield f"conandata.yml: has {list(sources)}, where config.yml has {list(folders)}"
    for one in folders.values():
        if not (CENTER / one["folder"] / "conanfile.py").is_file():
            yield f"config.yml: no recipe in {one['folder']}"
    for one in sources.values():
        if set(one) != {"url", "sha256"} or not re.fullmatch(r"[0-9a-f]{64}", one["sha256"]):
            yield "conandata.yml: a source has an url and a sha256 of 64 digits"


def test_package_faults():
    mine, other = ROOT / "test_package", CENTER / "all/test_package"
    for name in ("conanfile.py", "CMakeLists.txt", "test_package.cpp"):
        if (mine / name).read_bytes() != (other / name).read_bytes():
            yield f"{other.relative_to(ROOT) / name} is not a copy of test_package/{name}"


def main():
    tree, index = Recipe(TREE), Recipe(RECIPE)
    found = {
        TREE: list(order_faults(tree)),
        RECIPE: [*order_faults(index), *index_faults(index), *drift_faults(tree, index)],
        CENTER: [*version_faults(), *test_package_faults()],
    }
    for path, faults in found.items():
        for fault in faults:
            print(f"{path.relative_to(ROOT)}: {fault}")
    count = sum(map(len, found.values()))
    print(f"recipes: {len(SAME)} members shared, {count} faults")
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main())

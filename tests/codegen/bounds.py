# SPDX-License-Identifier: MIT
"""What the tests of compilers have in common: figures, their bounds in a file, and that file on a page of docs/."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = ROOT / "docs/codegen.md"
SKIPPED = 77  # the exit status of a test that could not run here
MAY_GROW, MAY_SHRINK = 1.02, 0.90


def said_by(*command, **options):
    return subprocess.run(command, capture_output=True, text=True, check=True, **options).stdout


def version_of(compiler):
    return re.search(r"\d+\.\d+\.\d+", said_by(compiler, "--version"))[0]


def faults_of(what, now, bound):
    """What is wrong with a figure: it is well above its bound, or so far below that it is none any more."""
    if bound is None:
        yield f"{what}: {now}, and no bound: set one with --write"
    elif now > bound * MAY_GROW:
        yield f"{what}: {now}, the bound is {bound} ({now / bound - 1 if bound else 1:+.1%})"
    elif now < bound * MAY_SHRINK:
        yield f"{what}: {now}, the bound is {bound}: tighten it with --write"


def write(path, text):
    """The bounds, and the block of the page that shows them."""
    path.write_text(text)
    block = re.compile(rf"(<!-- {path.relative_to(ROOT)} -->\n```toml\n).*?(```)", re.S)
    PAGE.write_text(block.sub(lambda match: match[1] + text + match[2], PAGE.read_text()))

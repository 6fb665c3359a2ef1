# SPDX-License-Identifier: MIT
"""What the rows are held to: instructions per unit of each workload, and ratios of times within one run."""

from typing import NamedTuple, Optional


class Workload(NamedTuple):
    unit: str
    # Instructions per unit, GCC 12 at -O3 for x86-64-v3, on the run path and on the word path.
    run: Optional[float]
    word: Optional[float]
    # The limit of its time on either path, and how many words of that are one unit.
    run_limit: str
    word_limit: str
    words: float = 1


WORKLOADS = {
    "map_2m_range": Workload("block", 10, 10, "memset", "memset"),
    "map_2m_fault": Workload("call", 40, 40, "compare_exchange", "compare_exchange"),
    "map_4k_range": Workload("entry", 1.2, None, "memset", "memset"),
    "map_4k_fault": Workload("call", 65, 65, "compare_exchange", "compare_exchange"),
    "split_2m": Workload("entry", 1.1, None, "memset", "memset"),
    "split_1g": Workload("entry", 1.1, None, "memset", "memset"),
    "split_again": Workload("block", 10, 10, "read", "read"),
    "split_again_64": Workload("section", 80, 80, "read", "read", 64),
    "clear_dirty_log": Workload("section", 210, 800, "read_modify_write", "compare_exchange", 64),
    "clear_dirty_log_unsplit": Workload("section", 210, 800, "read_modify_write", "compare_exchange", 64),
    "write_protect_all": Workload("entry", 2.5, 13, "read_modify_write", "compare_exchange"),
    "write_protect_mask_half": Workload("section", 430, 430, "read_modify_write", "compare_exchange", 32),
    "write_protect_mask_one": Workload("section", 75, 75, "read_modify_write", "compare_exchange"),
    "fast_path": Workload("call", 65, 65, "compare_exchange_random", "compare_exchange_random"),
    "fast_path_read_lock": Workload("call", 70, 70, "compare_exchange_random", "compare_exchange_random"),
    "lookup": Workload("call", 52, 52, "random_read", "random_read"),
    "lookup_inlined": Workload("call", 35, 35, "random_read", "random_read"),
    # Word by word the table has no target: this one says that a load an entry is nearly all.
    "unmap_4k": Workload("entry", 3, 4.5, "read", "read"),
    "discard_4k": Workload("entry", 0.1, 0.1, "read", "read", 1 / 512),
    "age_all": Workload("entry", 2.5, 13, "read_modify_write", "compare_exchange"),
    # Not in the table of targets, or only in a remark there.
    "map_4k_range_again": Workload("entry", 2, None, "memset", "compare_exchange"),
    "write_protect_again": Workload("entry", 2.5, 5, "read", "read"),
    "fast_path_sequential": Workload("call", 65, 65, "compare_exchange", "compare_exchange"),
    "fast_path_own_marks": Workload("call", 65, 65, "compare_exchange", "compare_exchange"),
    "fault_fast": Workload("call", None, None, "compare_exchange_random", "compare_exchange_random"),
    "dirty_log_clear": Workload("section", None, None, "read_modify_write", "compare_exchange", 64),
    "age_page": Workload("call", None, None, "compare_exchange_random", "compare_exchange_random"),
    "relax_page": Workload("call", None, None, "compare_exchange_random", "compare_exchange_random"),
    "lookup_decoded": Workload("call", None, None, "random_read", "random_read"),
    # Tables at a displacement that is known only at run time; everywhere else they are where their addresses say.
    "lookup_displaced": Workload("call", None, None, "random_read", "random_read"),
    "fast_path_displaced": Workload("call", None, None, "compare_exchange_random", "compare_exchange_random"),
}

# More levels, or break-before-make: 5 % more.
SLACK = {"riscv-sv39x4": 1, "riscv-sv48x4": 1.05, "arm64-4k-40": 1.05, "arm64-4k-48": 1.05, "intel-ept-4": 1.05}

# The targets are of three levels. What goes down once a call, or once a section of 64 pages, may take this much more
# for a fourth: what the hand-written descents take for it (their rows of lookup, fast_path and split_again_64).
LEVELS = {"riscv-sv48x4": 4, "arm64-4k-48": 4, "intel-ept-4": 4}
A_LEVEL = 11

# At -O2 on the baseline instruction set: three times as much for fills and scans, 1.3 times for the rest.
PLAIN_SCANS, PLAIN_CALLS = 3, 1.3

# Of times on the run path: what a workload may take of what a limit, or the hand-written loop, takes in the same run.
TIMES = {
    "map_4k_range": ("memset", 1.6),
    "split_2m": ("memset", 1.6),
    "split_1g": ("memset", 1.6),
    "write_protect_all": ("read_modify_write", 1.8),
    "age_all": ("read_modify_write", 1.8),
    "fast_path_own_marks": ("compare_exchange", 1.8),
    # Two atomic operations a call, the exchange and the mark: by hand it takes twice the limit too.
    "fast_path_sequential": ("reference", 1.2),
    "lookup_inlined": ("reference", 1.2),
}

# What read sections may cost beside a lock that costs nothing, word by word: so many times as much, and what they have
# to do besides. That is a compare-exchange where an owner stores, in a loop that is not written out in rounds: 5
# instructions an entry; and where a session does little, to enter the section, leave it, and see that nothing is to be
# retired. Not held are masks (a session of its own for each is counted among those that take rights away, and out
# again), entries that need no change (an owner asks a round of them at once, a section each whether another owns it),
# and what an owner need not lock entry by entry: mapping into tables that others reach, and taking away.
SECTIONS_MAY_COST = 1.15
AN_EXCHANGE = 5
SECTIONS_ADD = {
    "write_protect_all": AN_EXCHANGE,
    "age_all": AN_EXCHANGE,
    "clear_dirty_log": 64 * AN_EXCHANGE,
    "dirty_log_clear": 64 * AN_EXCHANGE,
    "map_2m_fault": 8,
    "map_4k_fault": 8,
    "split_again_64": 20,
    "fast_path": 5,
    "fast_path_sequential": 5,
    "fast_path_own_marks": 5,
    "fault_fast": 5,
}
NOT_HELD = {
    "write_protect_mask_half",
    "write_protect_mask_one",
    "write_protect_again",
    "clear_dirty_log_unsplit",
    "map_4k_range_again",
    "unmap_4k",
    "discard_4k",
}

# What a mapping of a table of pages may cost through views::mappings, beside for_each_mapping with the same function.
VIEWS_MAY_COST = 2

# How much of its committed baseline a row may cost.
MAY_GROW_TO = 1.03


def target_of(workload, format_name, policy, path, plain):
    """Instructions per unit that a row may take, or None. `plain`: at -O2 on the baseline instruction set."""
    row = WORKLOADS[workload]
    base = {("shared", "run"): row.run, ("shared", "word"): row.word}.get((policy, path))
    if base is None:
        return None
    scans = row.unit in ("entry", "block")
    factor = 1 if not plain else PLAIN_SCANS if scans else PLAIN_CALLS
    deeper = 0 if scans else A_LEVEL * (LEVELS.get(format_name, 3) - 3)
    return round((base * SLACK[format_name] + deeper) * factor, 4)


def limit_of(workload, path):
    """The limit of a row's time, and how many words of it are one unit."""
    row = WORKLOADS[workload]
    return row.run_limit if path == "run" else row.word_limit, row.words

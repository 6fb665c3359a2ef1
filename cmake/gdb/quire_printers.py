# SPDX-License-Identifier: MIT
"""Printers and commands for Quire in gdb: source this file, in gdb or from .gdbinit.

    (gdb) print table                    format, root and number of leaves of a page_table; its runs, as children
    (gdb) quire-dump table               its runs, one line each; with --raw its entries
    (gdb) quire-entry table LEVEL WORD   what a word says in the format of a table

Addresses, ranges, permissions, attributes, errors, results, mappings, invalidation requests and geometries are printed
as quire/print/values.hpp prints them. Nothing here runs code of the program, so all of it works on a core file as well;
tables are read where the memory policy has them (direct_memory, direct_memory_at, identity_memory, array_memory).

What a format is is read from its type. The tests compare each decoder below with the one of the library, on every
format. A format of one's own: FAMILIES["name::of::its::template"] = a class like those here.
"""

import re

READ, WRITE, EXECUTE = 1, 2, 4
ALL = READ | WRITE | EXECUTE
ANY, USER, SUPERVISOR = 0, 1, 2
NORMAL, NON_CACHEABLE, DEVICE = 0, 1, 2
MEMORY_TYPES = ("normal", "non_cacheable", "device")

# ---- texts ---------------------------------------------------------------------------------------


def size_text(size):
    if size == 0:
        return "16 EiB"
    unit = 0
    while size % 1024 == 0 and unit < 6:
        size, unit = size // 1024, unit + 1
    return f"{size} {('B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB')[unit]}"


def rights_text(allowed):
    return "".join(letter if allowed & right else "-" for letter, right in zip("rwx", (READ, WRITE, EXECUTE)))


def attributes_text(attrs):
    words = [rights_text(attrs["allowed"]) + "-us"[attrs["owner"]]]
    words += [word for word in ("may_write", "accessed", "dirty") if attrs[word]]
    words.append(MEMORY_TYPES[attrs["memory"]])
    if attrs["everywhere"]:
        words.append("global")
    if attrs["software"]:
        words.append(f"software:{attrs['software']}")
    return " ".join(words)


def bytes_text(first, last):
    return f"input:{first:#x}-{last:#x}"


def attributes(allowed, may_write=False, memory=NORMAL, accessed=True, dirty=False, software=0, owner=ANY,
               everywhere=False):
    return {"allowed": allowed, "may_write": bool(may_write), "memory": memory, "accessed": bool(accessed),
            "dirty": bool(dirty), "software": software, "owner": owner, "everywhere": bool(everywhere)}


def bit(number):
    return 1 << number


def rights_of(entry, read, write, execute):
    """Of bits that grant."""
    return (READ if entry & read else 0) | (WRITE if entry & write else 0) | (EXECUTE if entry & execute else 0)


def not_present(entry, locked):
    return "absent" if entry == 0 else "locked" if locked else "marker"


# ---- formats -------------------------------------------------------------------------------------


class Format:
    """The decoding half of a pte_format, member by member. Level 0 holds pages."""

    word_bytes = 8
    page_bits = 12
    signed = False  # facts.sign_extended
    table_permissions = False
    index_bits = ()  # by level

    @property
    def levels(self):
        return len(self.index_bits)

    def shift(self, level):
        return self.page_bits + sum(self.index_bits[:level])

    def leaf_bytes(self, level):
        return 1 << self.shift(level)

    def aligned(self, address, level, group):
        return address & ~((self.leaf_bytes(level) << group) - 1)

    def group(self, entry, level):
        return 0

    def table_rights(self, entry):
        return ALL

    def well_formed(self, entry, level):
        return True

    def output(self, entry, level):
        return self.aligned(self.table(entry), level, self.group(entry, level))

    def describe(self, entry, level):
        """The text of described_entry<Format>."""
        kind = self.kind(entry, level)
        text = f"0x{entry:0{2 * self.word_bytes}x}" + ("" if self.well_formed(entry, level) else " malformed") + " " + kind
        if kind == "leaf":
            size = self.leaf_bytes(level) << self.group(entry, level)
            attrs = attributes_text(self.attributes(entry, level))
            text += f" output:{self.output(entry, level):#x} {size_text(size)} {attrs}"
        elif kind == "table":
            text += f" table:{self.table(entry):#x}"
            if self.table_permissions:
                text += " " + rights_text(self.table_rights(entry))
        elif kind == "marker":
            text += f" payload:{self.payload(entry):#x}"
        return text

    def input(self, base, index, level):
        address = base + (index << self.shift(level))
        if self.signed and level == self.levels - 1:
            bits = self.shift(self.levels)
            if address >> (bits - 1):
                address |= (1 << 64) - (1 << bits)
        return address


class Riscv(Format):
    """riscv_entry.hpp; a stage says the rest."""

    more_root_bits = 0

    def __init__(self, levels, svadu=0, svnapot=0, svpbmt=0, more_software=0, svvptc=0):
        narrow = levels == 2
        self.word_bytes = 4 if narrow else 8
        self.index_bits = [10 if narrow else 9] * levels
        self.index_bits[-1] += self.more_root_bits
        self.ppn = ((1 << (22 if narrow else 44)) - 1) << 10
        self.napot = bit(63) if svnapot else 0
        self.types = bit(61) | bit(62) if svpbmt and not narrow else 0
        self.rsw_high = bit(59) | bit(60) if more_software else 0

    def table(self, entry):
        return (entry & self.ppn) << 2

    def group(self, entry, level):
        return 4 if level == 0 and entry & self.napot else 0

    def output(self, entry, level):
        group = self.group(entry, level)
        return self.aligned(self.table(entry), 0, group) if group else self.table(entry)

    def payload(self, entry):
        return (entry & self.ppn) >> 10

    def common_attributes(self, entry, **owner):
        software = (entry >> 9 & 1) | ((entry & self.rsw_high) >> 59) << 1
        types = entry & self.types
        memory = DEVICE if types & bit(62) else NON_CACHEABLE if types else NORMAL
        return attributes(rights_of(entry, 2, 4, 8), entry & bit(8), memory, entry & bit(6), entry & bit(7), software,
                          **owner)

    def well_formed(self, entry, level):
        if not entry & 1:
            return True
        if entry & ~(self.ppn | 0x3ff | self.rsw_high | self.types | self.napot):
            return False
        if not entry & 0xe:
            return level > 0 and not entry & (0xd0 | self.napot | self.types)
        if entry & 6 == 4 or (self.types and entry & self.types == self.types):
            return False
        if entry & self.napot:
            return level == 0 and entry >> 10 & 0xf == 8
        return self.output(entry, level) % self.leaf_bytes(level) == 0


class RiscvGstage(Riscv):
    more_root_bits = 2

    def kind(self, entry, level):
        if level > 0 and entry & 0xff == 1:
            return "table"
        if entry & 1:
            return "leaf" if entry & 0xe else "marker"
        return not_present(entry, entry & bit(5))

    def attributes(self, entry, level):
        return self.common_attributes(entry)

    def well_formed(self, entry, level):
        return super().well_formed(entry, level) and not (entry & 1 and entry & 0xe and not entry & bit(4))


class RiscvForeignGstage(RiscvGstage):
    """foreign_gstage: G does not matter in a table."""

    def kind(self, entry, level):
        return "table" if level > 0 and entry & 0xdf == 1 else super().kind(entry, level)


class RiscvStage1(Riscv):
    def __init__(self, levels, *extensions):
        super().__init__(levels, *extensions)
        self.signed = levels != 2

    def kind(self, entry, level):
        if level > 0 and entry & 0xdf == 1:
            return "table"
        if entry & 1:
            return "leaf" if entry & 0xe else "marker"
        return not_present(entry, entry & 0xe)

    def attributes(self, entry, level):
        return self.common_attributes(entry, owner=USER if entry & bit(4) else SUPERVISOR, everywhere=entry & bit(5))


class Arm64(Format):
    """arm64_descriptor.hpp and arm64_granule.hpp; a stage says the rest."""

    # page bits, levels of blocks, log2 of the entries of a group by level
    GRANULES = ((12, 2, (4, 4, 4)), (14, 1, (7, 5, 0)), (16, 1, (5, 5, 0)))

    def __init__(self, granule, input_bits, levels, output_bits, contiguous, gigabytes):
        self.page_bits, block_levels, groups = self.GRANULES[granule]
        self.index_bits = [self.page_bits - 3] * levels
        self.index_bits[-1] = input_bits - self.page_bits - (levels - 1) * (self.page_bits - 3)
        self.output_bits = output_bits
        self.large_granule, self.wide = granule == 2, output_bits > 48
        self.leaf_levels = block_levels + (2 if self.wide else 1)
        self.groups = [0] * levels
        for level in range(min(levels, 3 if gigabytes else 2) if contiguous else 0):
            if groups[level] < self.index_bits[level]:
                self.groups[level] = groups[level]
        self.contiguous = bool(contiguous)
        self.in_place = (1 << (50 if self.wide and not self.large_granule else 48)) - (1 << self.page_bits)
        self.shareable = not self.wide or self.large_granule  # bits 9:8 are no address

    def kind(self, entry, level):
        if entry & 3 == 3:
            return "table" if level else "leaf"
        if entry & 1:
            return "leaf" if level and level < self.leaf_levels else "marker"
        return not_present(entry, entry & bit(58))

    def table(self, entry):
        high = 0
        if self.wide:
            high = (entry & 0xf000) << 36 if self.large_granule else (entry & 0x300) << 42
        return entry & self.in_place | high

    def group(self, entry, level):
        return self.groups[level] if self.contiguous and entry & bit(52) else 0

    def payload(self, entry):
        return (entry & ((1 << self.output_bits) - 1)) >> self.page_bits

    def legal_address(self, entry, level, kind):
        if self.large_granule and not self.wide and entry & 0xf000:
            return False
        return kind != "leaf" or self.table(entry) % self.leaf_bytes(level) == 0

    def legal_leaf(self, entry, cacheable):
        return not self.shareable or not cacheable or entry >> 8 & 3 != 1


class Arm64Stage2(Arm64):
    def __init__(self, granule, input_bits, fwb=0, hardware_accessed=0, hardware_dirty=0, contiguous=0, gigabytes=0,
                 by_privilege=0, output_bits=0, levels=0):
        # As few levels as concatenated root tables make do with.
        fewest = max(2, (input_bits - 8) // (self.GRANULES[granule][0] - 3))
        super().__init__(granule, input_bits, levels or fewest, output_bits, contiguous, gigabytes)
        self.fwb, self.has_dirty, self.by_privilege = fwb, hardware_dirty, by_privilege

    def attributes(self, entry, level):
        allowed = READ if entry & bit(6) else 0
        if entry & ((bit(51) if self.has_dirty else 0) | bit(7)):
            allowed |= WRITE
        never = entry >> 53 & (3 if self.by_privilege else 2)
        if never != 2:
            allowed |= EXECUTE
        memory = entry >> 2 & 0xf
        owner = ANY
        if self.by_privilege and never & 1:
            owner = SUPERVISOR if never & 2 else USER
        return attributes(allowed, entry & bit(56),
                          NORMAL if memory == (6 if self.fwb else 0xf) else NON_CACHEABLE if memory == 5 else DEVICE,
                          entry & bit(10), self.has_dirty and entry & bit(7), entry >> 57 & 1, owner)

    def well_formed(self, entry, level):
        kind = self.kind(entry, level)
        if not entry & 1 or kind == "marker":
            return True
        if not self.legal_address(entry, level, kind):
            return False
        memory = entry >> 2 & 0xf
        reserved = memory & 7 == 4 or memory & 0xc == 8 or memory == 0xd if self.fwb else memory in (4, 8, 0xc)
        return kind == "table" or not reserved and self.legal_leaf(entry, memory > 5)


class Arm64Stage1(Arm64):
    table_permissions = True

    def __init__(self, granule, input_bits, el1_0=0, both_halves=0, executes=0, normal=0, non_cacheable=0, device=0,
                 hardware_accessed=0, hardware_dirty=0, contiguous=0, gigabytes=0, output_bits=0):
        page_bits = self.GRANULES[granule][0]
        levels = -(-(input_bits - page_bits) // (page_bits - 3))
        super().__init__(granule, input_bits + (1 if both_halves else 0), levels, output_bits, contiguous, gigabytes)
        self.signed, self.two, self.has_dirty = bool(both_halves), el1_0, hardware_dirty
        self.normal, self.non_cacheable = normal, non_cacheable
        self.runs_el1 = el1_0 and executes == SUPERVISOR

    def attributes(self, entry, level):
        allowed = READ
        if self.has_dirty and entry & bit(51) or not entry & bit(7):
            allowed |= WRITE
        if not entry & bit(53 if self.runs_el1 else 54):
            allowed |= EXECUTE
        index = entry >> 2 & 7
        return attributes(allowed, entry & bit(56),
                          NORMAL if index == self.normal else NON_CACHEABLE if index == self.non_cacheable else DEVICE,
                          entry & bit(10), self.has_dirty and not entry & bit(7), entry >> 57 & 1,
                          SUPERVISOR if self.two and not entry & bit(6) else ANY, self.two and not entry & bit(11))

    def table_rights(self, entry):
        never = bit(59) if self.runs_el1 else bit(60)
        return READ | (0 if entry & bit(62) else WRITE) | (0 if entry & never else EXECUTE)

    def well_formed(self, entry, level):
        kind = self.kind(entry, level)
        if not entry & 1 or kind == "marker":
            return True
        if not self.legal_address(entry, level, kind):
            return False
        return kind == "table" or self.legal_leaf(entry, entry >> 2 & 7 == self.normal)


class Tables52(Format):
    """What the 64-bit tables of x86 have in common: nine bits a level, addresses in bits 51..12."""

    table_permissions = True
    leaf_levels = 3
    address = (1 << 52) - (1 << 12)

    def __init__(self, levels):
        self.index_bits = [9] * levels

    def table(self, entry):
        return entry & self.address

    def payload(self, entry):
        return (entry & self.address) >> 12

    def is_aligned(self, entry, level):
        return self.table(entry) % self.leaf_bytes(level) == 0


class LongMode(Tables52):
    nested = False

    def __init__(self, levels, write_back=0, non_cacheable=0, device=0, retry=0):
        super().__init__(levels)
        self.signed = not self.nested
        self.write_back, self.non_cacheable = write_back, non_cacheable

    def kind(self, entry, level):
        if level > 0 and entry & 0x81 == 1:
            return "table"
        if entry & 1:
            return "leaf" if level < self.leaf_levels else "marker"
        return not_present(entry, entry & bit(58))

    def attributes(self, entry, level):
        index = entry >> 3 & 3 | (4 if entry & (bit(12) if level else bit(7)) else 0)
        memory = NORMAL if index == self.write_back else NON_CACHEABLE if index == self.non_cacheable else DEVICE
        return attributes(READ | self.table_rights(entry), entry & bit(9), memory, entry & bit(5), entry & bit(6),
                          entry >> 11 & 1 | (entry >> 52 & 1) << 1,
                          ANY if self.nested or entry & 4 else SUPERVISOR, not self.nested and entry & bit(8))

    def table_rights(self, entry):
        return READ | (WRITE if entry & 2 else 0) | (0 if entry & bit(63) else EXECUTE)

    def well_formed(self, entry, level):
        if not entry & 1:
            return True
        if self.nested and not entry & 4:
            return False
        return level == 0 or not entry & 0x80 or level < self.leaf_levels and self.is_aligned(entry & ~bit(12), level)


class NestedPaging(LongMode):
    nested = True


class ExtendedPageTables(Tables52):
    def __init__(self, levels, accessed_dirty=0, by_mode=0, execute_only=0, ignore_pat=0, suppress_ve=0):
        super().__init__(levels)
        self.accessed_dirty, self.execute_only = accessed_dirty, execute_only
        self.execute = 4 | (bit(10) if by_mode else 0)

    def kind(self, entry, level):
        if not entry & (3 | self.execute):
            return not_present(entry, entry & bit(55))
        if level == 0:
            return "leaf"
        if not entry & 0x80:
            return "table"
        return "leaf" if level < self.leaf_levels else "marker"

    def attributes(self, entry, level):
        memory, modes = entry >> 3 & 7, entry & self.execute
        owner = ANY if modes in (0, self.execute) else SUPERVISOR if modes == 4 else USER
        return attributes(self.table_rights(entry), entry & bit(52),
                          NORMAL if memory == 6 else NON_CACHEABLE if memory == 1 else DEVICE,
                          not self.accessed_dirty or entry & bit(8), self.accessed_dirty and entry & bit(9),
                          entry >> 53 & 3, owner)

    def table_rights(self, entry):
        return rights_of(entry, 1, 2, self.execute)

    def well_formed(self, entry, level):
        if not entry & (3 | self.execute):
            return True
        if not entry & 1 and (entry & 2 or not self.execute_only):
            return False
        if level > 0 and not entry & 0x80:
            return not entry & 0x78
        return level < self.leaf_levels and entry >> 3 & 7 not in (2, 3, 7) and self.is_aligned(entry, level)


class VtdSecondStage(Tables52):
    def __init__(self, levels, accessed_dirty=0, snoop=0, caching=0):
        super().__init__(levels)
        self.accessed_dirty, self.snoop = accessed_dirty, snoop

    def kind(self, entry, level):
        if not entry & 3:
            return not_present(entry, entry & bit(55))
        if level == 0:
            return "leaf"
        if not entry & 0x80:
            return "table"
        return "leaf" if level < self.leaf_levels else "marker"

    def attributes(self, entry, level):
        return attributes(rights_of(entry, 1, 2, 0), entry & bit(52),
                          accessed=not self.accessed_dirty or entry & bit(8),
                          dirty=self.accessed_dirty and entry & bit(9), software=entry >> 53 & 3)

    def table_rights(self, entry):
        return EXECUTE | rights_of(entry, 1, 2, 0)

    def well_formed(self, entry, level):
        if not entry & 3:
            return True
        if entry & bit(62):
            return False
        if level > 0 and not entry & 0x80:
            return not entry & bit(11)
        return level < self.leaf_levels and (self.snoop or not entry & bit(11)) and self.is_aligned(entry, level)


class AmdIommu(Tables52):
    largest_group = 8

    def __init__(self, levels, update=0, coherent=0, caches=0):
        super().__init__(levels)
        if levels == 6:
            self.index_bits[5] = 7
        self.leaf_levels = min(levels, 3)
        self.has_accessed, self.has_dirty = update != 0, update == 3

    def group(self, entry, level):
        if entry >> 9 & 7 != 7:
            return 0
        ones = (entry & self.address) >> 12
        count = (~ones & ones + 1).bit_length() - 1
        return count + 13 - self.shift(level)

    def kind(self, entry, level):
        if level > 0 and entry & 0xe01 == level << 9 | 1:
            return "table"
        if not entry & 1:
            return not_present(entry, entry & bit(63))
        group = self.group(entry, level)
        sized = entry >> 9 & 7 in (0, 7) and 0 <= group <= self.largest_group
        return "leaf" if level < self.leaf_levels and sized else "marker"

    def attributes(self, entry, level):
        return attributes(rights_of(entry, bit(61), bit(62), 0), entry & 2,
                          accessed=not self.has_accessed or entry & bit(5), dirty=self.has_dirty and entry & bit(6),
                          software=entry >> 2 & 3)

    def table_rights(self, entry):
        return EXECUTE | rights_of(entry, bit(61), bit(62), 0)

    def well_formed(self, entry, level):
        if not entry & 1:
            return True
        if entry >> 52 & 0x7f:
            return False
        kind = self.kind(entry, level)
        if kind != "leaf":
            return kind == "table"
        return entry >> 9 & 7 == 7 or self.is_aligned(entry, level)


class Tiny(Format):
    page_bits = 6

    def __init__(self, levels, index_bits, root_bits=0, leaf_levels=0, narrow=0, signed=0, group_bits=0, group_count=0,
                 groups=0, inverted=0, table_rights=0, dirty=0, *rest):
        self.word_bytes = 4 if narrow else 8
        self.index_bits = [index_bits] * levels
        self.index_bits[-1] += root_bits
        self.leaf_levels, self.signed, self.table_permissions = leaf_levels, bool(signed), bool(table_rights)
        self.group_bits, self.group_count, self.groups = group_bits, group_count, groups
        self.inverted, self.keeps_readable = (0x18 if inverted else 0), inverted
        self.dirty = dirty  # none, own bit, writable clean
        self.frame = (1 << (19 if narrow else 34)) - 1

    def kind(self, entry, level):
        if not entry & 1:
            return not_present(entry, entry & 2)
        if entry & 2:
            return "leaf" if self.leaf_levels >> level & 1 else "marker"
        return "table" if level else "marker"

    def table(self, entry):
        return (entry >> 13 & self.frame) << self.page_bits

    def group(self, entry, level):
        if not self.groups or not entry & bit(10):
            return 0
        group = self.group_bits
        while group < self.group_bits + self.group_count - 1 and not self.table(entry) & self.leaf_bytes(level) << group - 1:
            group += 1
        return group

    def payload(self, entry):
        return entry >> 13 & self.frame

    def attributes(self, entry, level):
        rights = entry ^ self.inverted
        writes, written = (bit(7), bit(7) | bit(3)) if self.dirty == 2 else (bit(3), bit(7))
        allowed = rights_of(rights, 4, writes, 16) | (READ if self.keeps_readable else 0)
        memory = entry >> 11 & 3
        dirty = self.dirty and entry & 3 == 3 and rights & written == written
        return attributes(allowed, entry & bit(5), DEVICE if memory & 2 else memory, entry & bit(6), dirty, entry >> 8 & 3)

    def table_rights(self, entry):
        return rights_of(entry ^ self.inverted, 4, 8, 16)

    def well_formed(self, entry, level):
        if not entry & 1:
            return True
        if not entry & 2:
            return level > 0
        if not self.leaf_levels >> level & 1 or entry >> 11 & 3 == 3:
            return False
        equal, group = self.groups == 2, self.group(entry, level)
        inside = self.leaf_bytes(level) << (group if equal else 0)
        return self.table(entry) & (inside - 1) == (inside >> 1 if equal and group else 0)


FAMILIES = {
    "quire::riscv::gstage": RiscvGstage,
    "quire::riscv::foreign_gstage": RiscvForeignGstage,
    "quire::riscv::stage1": RiscvStage1,
    "quire::arm64::stage2": Arm64Stage2,
    "quire::arm64::stage1": Arm64Stage1,
    "quire::x86::long_mode": LongMode,
    "quire::amd::npt": NestedPaging,
    "quire::amd::iommu": AmdIommu,
    "quire::intel::ept": ExtendedPageTables,
    "quire::vtd::second_stage": VtdSecondStage,
    "quire::tiny::format": Tiny,
}
ENUMERATORS = {"k4": 0, "k16": 1, "k64": 2}


def format_of_name(name):
    """The format of a type by its name, which has all its arguments; None if it is of no family. Compilers spell them
    differently: (quire::arm64::granule)0 or quire::arm64::granule::k4, options{true, 1} or {true, 1}."""
    family, _, arguments = name.partition("<")
    if family not in FAMILIES:
        return None
    arguments = re.sub(r"\([a-z_0-9: ]+\)", "", arguments)
    numbers = []
    for argument in re.split(r"[{},<>]+", arguments):
        word = argument.strip().rpartition("::")[2]
        if re.fullmatch(r"-?\d+u?", word):
            numbers.append(int(word.rstrip("u")))
        elif word in ("true", "false"):
            numbers.append(int(word == "true"))
        elif word in ENUMERATORS:
            numbers.append(ENUMERATORS[word])
    return FAMILIES[family](*numbers)


# ---- walks ---------------------------------------------------------------------------------------


class Walk:
    """Reads a table by read_words(address, count, word_bytes), which gives None where nothing can be read. It enters no
    table that is on the way to itself; after `budget` entries, if there is one, it gives up and is not `complete`."""

    def __init__(self, form, root, read_words, budget=None):
        self.form, self.root, self.read_words, self.budget = form, root, read_words, budget
        self.complete = True

    def steps(self):
        """(what, level, index, input, table, entry, rights): what is table, leaf, marker, locked, or a finding."""
        top = self.form.levels - 1
        yield from self.table(self.root, top, 0, ALL, (self.root,))

    def table(self, table, level, base, rights, way):
        form = self.form
        words = self.read_words(table, 1 << form.index_bits[level], form.word_bytes)
        if words is None:
            yield "unreadable", level, 0, base, table, 0, rights
            return
        for index, entry in enumerate(words):
            if self.budget == 0:
                self.complete = False
                return
            if self.budget is not None:
                self.budget -= 1
            if entry == 0:
                continue
            address = form.input(base, index, level)
            kind = form.kind(entry, level)
            if not form.well_formed(entry, level):
                kind = "malformed"
            child = form.table(entry) if kind == "table" else 0
            if kind == "table" and child in way:
                kind = "cycle"
            yield kind, level, index, address, table, entry, rights
            if kind == "table":
                below = rights & form.table_rights(entry) if form.table_permissions else rights
                yield from self.table(child, level - 1, address, below, way + (child,))

    def leaves(self):
        """[level, first index, input, output, bytes, attributes, rights] of each leaf; a group is one."""
        form, before = self.form, None
        for what, level, index, address, table, entry, rights in self.steps():
            if what != "leaf":
                continue
            group = form.group(entry, level)
            place = (table, index >> group, group) if group else None
            attrs = form.attributes(entry, level)
            if place and before and before[0] == place:
                for state in ("accessed", "dirty"):
                    before[1][5][state] |= attrs[state]
                continue
            if before:
                yield before[1]
            leaf = [level, index, form.aligned(address, level, group), form.output(entry, level),
                    form.leaf_bytes(level) << group, attrs, rights]
            before = (place, leaf)
        if before:
            yield before[1]

    def runs(self):
        """The lines of dump_style::runs, without findings."""
        run = None
        for _, _, address, output, size, attrs, rights in self.leaves():
            same = run and run["attrs"] == attrs and run["rights"] == rights & attrs["allowed"]
            if same and run["last"] + 1 == address and run["output"] + address - run["first"] == output:
                run["last"] += size
                run["leaves"] += 1
                run["sizes"] = (min(run["sizes"][0], size), max(run["sizes"][1], size))
                continue
            if run:
                yield self.run_text(run)
            run = {"first": address, "last": address + size - 1, "output": output, "leaves": 1, "sizes": (size, size),
                   "attrs": attrs, "rights": rights & attrs["allowed"]}
        if run:
            yield self.run_text(run)

    @staticmethod
    def run_text(run):
        smallest, largest = run["sizes"]
        text = f"{bytes_text(run['first'], run['last'])} -> output:{run['output']:#x}"
        text += f" {size_text(run['last'] - run['first'] + 1)} in {run['leaves']} of {size_text(smallest)}"
        if largest != smallest:
            text += f" to {size_text(largest)}"
        text += " " + attributes_text(run["attrs"])
        if run["rights"] != run["attrs"]["allowed"]:
            text += f" effective:{rights_text(run['rights'])}"
        return text

    def entries(self):
        """The lines of dump_style::raw, without findings."""
        for what, level, index, address, table, entry, _ in self.steps():
            if what == "unreadable":
                continue
            place = table + index * self.form.word_bytes
            yield f"table:{place:#x} level {level} [{index}] input:{address:#x} {self.form.describe(entry, level)}"

    def findings(self):
        for what, level, index, address, table, entry, _ in self.steps():
            if what in ("unreadable", "malformed", "cycle"):
                yield (f"finding: {what} at input:{address:#x}, level {level}, table:{table:#x} entry {index}: "
                       f"{entry:#x}")


# ---- gdb -----------------------------------------------------------------------------------------

try:
    import gdb
    import gdb.printing
except ImportError:  # for whoever uses the decoders alone
    gdb = None


def with_bases(kind):
    """A type and its bases, nearest first."""
    kind = kind.strip_typedefs()
    yield kind
    for field in kind.fields():
        if field.is_base_class:
            yield from with_bases(field.type)


def format_of(kind):
    for each in with_bases(kind):
        form = format_of_name(each.name)
        if form:
            return form
    return None


def reader_of(memory):
    """How read_words of a Walk reads through a memory policy; None for a policy that is not known."""
    displacement, base = None, None
    for kind in with_bases(memory.type):
        if kind.name == "quire::direct_memory":
            displacement = int(memory["displacement_"])
        elif kind.name.startswith("quire::direct_memory_at<"):
            displacement = int(kind.template_argument(0))
        elif kind.name.startswith("quire::array_memory<"):
            displacement = int(memory["words_"]) - int(memory["base_"])
    if displacement is None:
        return None

    def read_words(table, count, word_bytes):
        try:
            data = gdb.selected_inferior().read_memory((table + displacement) % (1 << 64), count * word_bytes).tobytes()
        except gdb.MemoryError:
            return None
        order = "big" if "big" in gdb.execute("show endian", to_string=True) else "little"
        return [int.from_bytes(data[i:i + word_bytes], order) for i in range(0, len(data), word_bytes)]

    return read_words


class Table:
    """A page_table as the debugger sees it."""

    def __init__(self, value):
        if value.type.strip_typedefs().code in (gdb.TYPE_CODE_PTR, gdb.TYPE_CODE_REF, gdb.TYPE_CODE_RVALUE_REF):
            value = value.referenced_value()
        kind = value.type.strip_typedefs()
        if not (kind.name or "").startswith("quire::page_table<"):
            raise gdb.GdbError(f"{kind.name} is no quire::page_table")
        self.format_name = kind.template_argument(0).strip_typedefs().name
        self.format = format_of(kind.template_argument(0))
        root = int(value["root_"])
        self.root = root & ~3 if root else None  # its low bits say whether it is open
        self.reader = reader_of(value["policies_"]["memory"])

    def trouble(self):
        """Why there is nothing to be walked, or None."""
        if self.root is None:
            return "no root"
        if self.format is None:
            return "a format that is not known here"
        if self.reader is None:
            return "a memory policy that is not known here"
        return None

    def walk(self, budget=None):
        if self.trouble():
            raise gdb.GdbError(self.trouble())
        return Walk(self.format, self.root, self.reader, budget)


def enumerator(value):
    return str(value).rpartition("::")[2]


def address_text(value):
    kind = str(value.type.strip_typedefs())
    name = next((name for name in ("input", "output", "table") if f"{name}_address_kind" in kind), "")
    return f"{name}:{int(value['value']):#x}" if name else f"{int(value['value']):#x}"


def range_text(value):
    first, last = int(value["first_"]["value"]), int(value["last_"]["value"])
    if last < first:
        return f"{'empty_range' if last + 1 == first else 'range_overflow'} at input:{first:#x}"
    return f"{bytes_text(first, last)} ({size_text((last - first + 1) % (1 << 64))})"


def permissions_text(value):
    return rights_text(int(value["bits"]))


def value_attributes_text(value):
    return attributes_text(attributes(int(value["allowed"]["bits"]), bool(value["may_write"]), int(value["memory"]),
                                      bool(value["accessed"]), bool(value["dirty"]), int(value["software"]),
                                      int(value["from"]), bool(value["global"])))


def error_text(value):
    text, level, at = enumerator(value["code"]), int(value["level"]), int(value["at"])
    if level < 0 and at == 0:
        return text
    return f"{text} at input:{at:#x}" + (f", level {level}" if level >= 0 else "")


def result_text(value):
    failure = value["error_"]
    if int(failure["code"]) != 0:
        return f"error: {error_text(failure)}"
    if not any(field.name == "value_" for field in value.type.strip_typedefs().fields()):
        return "done"
    held = value["value_"]
    if held.type.strip_typedefs().code == gdb.TYPE_CODE_BOOL:
        return "yes" if held else "no"
    return held.format_string()


def mapping_text(value):
    first, size, group = int(value["input"]["value"]), int(value["bytes"]), int(value["group"])
    text = f"{bytes_text(first, first + size - 1)} -> {address_text(value['output'])} {size_text(size)}"
    text += f" level {int(value['level'])}" + (f" group of {1 << group}" if group else "")
    return f"{text} {value_attributes_text(value['attrs'])}"


def request_text(value):
    first, last, level = int(value["first"]["value"]), int(value["last"]["value"]), int(value["level"])
    text = f"{enumerator(value['reason'])} {bytes_text(first, last)} ({size_text((last - first + 1) % (1 << 64))})"
    text += f", level {level}" if level >= 0 else ", any level"
    return text + (", leaves only" if value["leaf_only"] else "")


def geometry_text(value):
    first, last = value["index_bits"].type.range()
    bits, page = [int(value["index_bits"][i]) for i in range(first, last + 1)], int(value["page_bits"])
    root_first = " ".join(str(each) for each in reversed(bits))
    return f"{len(bits)} levels of {root_first} bits, pages of {size_text(1 << page)}, {page + sum(bits)} bits of input"


TEXTS = {
    "quire::address": address_text,
    "quire::input_range": range_text,
    "quire::permissions": permissions_text,
    "quire::attributes": value_attributes_text,
    "quire::error": error_text,
    "quire::result": result_text,
    "quire::mapping": mapping_text,
    "quire::invalidation_request": request_text,
    "quire::geometry": geometry_text,
}


class TextPrinter:
    def __init__(self, value):
        self.value = value

    def to_string(self):
        return TEXTS[self.value.type.strip_typedefs().name.partition("<")[0]](self.value)


class TablePrinter:
    """Format, root and leaves; as children the runs. Of a large table not all is read: quire-dump does."""

    MOST_ENTRIES = 1 << 18

    def __init__(self, value):
        self.table = Table(value)

    def to_string(self):
        table = self.table
        if table.trouble():
            root = "" if table.root is None else f", root table:{table.root:#x}"
            return f"page_table of {table.format_name}{root}: {table.trouble()}"
        walk = table.walk(self.MOST_ENTRIES)
        leaves = sum(1 for _ in walk.leaves())
        more = "" if walk.complete else "more than "
        return f"page_table of {table.format_name}, root table:{table.root:#x}, {more}{leaves} leaves"

    def children(self):
        if not self.table.trouble():
            for number, line in enumerate(self.table.walk(self.MOST_ENTRIES).runs()):
                yield f"[{number}]", line

    def display_hint(self):
        return "array"


def argument_table(text):
    return Table(gdb.parse_and_eval(text))


if gdb:
    class Dump(gdb.Command):
        """quire-dump [--runs | --raw] TABLE: what a quire::page_table maps, without running the program."""

        def __init__(self):
            super().__init__("quire-dump", gdb.COMMAND_DATA, gdb.COMPLETE_EXPRESSION)

        def invoke(self, arguments, from_tty):
            raw = re.match(r"\s*--(runs|raw)\s+", arguments)
            table = argument_table(arguments[raw.end():] if raw else arguments)
            walk = table.walk()
            for line in walk.entries() if raw and raw[1] == "raw" else walk.runs():
                gdb.write(line + "\n")
            for line in table.walk().findings():
                gdb.write(line + "\n")

    class Entry(gdb.Command):
        """quire-entry TABLE LEVEL WORD: what a word would say at a level of a quire::page_table."""

        def __init__(self):
            super().__init__("quire-entry", gdb.COMMAND_DATA, gdb.COMPLETE_EXPRESSION)

        def invoke(self, arguments, from_tty):
            table, level, word = arguments.rsplit(None, 2)
            form = argument_table(table).format
            if form is None:
                raise gdb.GdbError("a format that is not known here")
            gdb.write(form.describe(int(gdb.parse_and_eval(word)), int(level, 0)) + "\n")

    def printers():
        all_of_them = gdb.printing.RegexpCollectionPrettyPrinter("quire")
        for name in TEXTS:
            all_of_them.add_printer(name, f"^{name}(<.*>)?$", TextPrinter)
        all_of_them.add_printer("quire::page_table", "^quire::page_table<.*>$", TablePrinter)
        return all_of_them

    gdb.printing.register_pretty_printer(None, printers(), replace=True)
    Dump()
    Entry()

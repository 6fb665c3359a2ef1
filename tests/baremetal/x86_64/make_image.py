#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes the disk that Bochs boots: make_image.py BOOT_ELF KERNEL_ELF IMAGE

BOOT_ELF is boot.S linked at 0x7c00, KERNEL_ELF a program. The disk has the size that bochsrc.in gives its geometry.
"""

import struct
import sys

SECTOR = 512
DISK_BYTES = 20 * 16 * 63 * SECTOR  # cylinders, heads, sectors of a track: bochsrc.in


def memory_of(path):
    """What an ELF loader would put from the entry on: the entry, and the bytes."""
    with open(path, "rb") as file:
        elf = file.read()
    entry, table = struct.unpack_from("<QQ", elf, 24)
    entry_bytes, entries = struct.unpack_from("<HH", elf, 54)
    memory = bytearray()
    for i in range(entries):
        kind, _, offset, address, _, bytes_in_file = struct.unpack_from("<IIQQQQ", elf, table + i * entry_bytes)
        if kind != 1 or address < entry or bytes_in_file == 0:  # PT_LOAD
            continue
        end = address + bytes_in_file - entry
        memory.extend(bytes(max(0, end - len(memory))))
        memory[address - entry : end] = elf[offset : offset + bytes_in_file]
    return entry, memory


def main(boot_path, kernel_path, image_path):
    at, boot = memory_of(boot_path)
    if at != 0x7C00 or len(boot) != SECTOR:
        sys.exit(f"{boot_path}: not a boot sector: {len(boot)} bytes from {at:#x} on")
    at, kernel = memory_of(kernel_path)
    if at != 0x100000:
        sys.exit(f"{kernel_path}: entered at {at:#x}, but boot.S loads to 0x100000")
    sectors = -(-len(kernel) // SECTOR)
    disk = boot[:508] + struct.pack("<H", sectors) + boot[510:] + kernel
    if len(disk) > DISK_BYTES:
        sys.exit(f"{kernel_path}: {len(kernel)} bytes are more than the disk has")
    with open(image_path, "wb") as image:
        image.write(disk)
        image.truncate(DISK_BYTES)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])

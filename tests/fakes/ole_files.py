"""OLE containers (old Office files, encrypted workbooks) of 512-byte sectors, as small as they can be."""

import struct

MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


def container(*names: str) -> bytes:
    """Header, one sector of the sector table, and a directory of empty streams of these names."""
    head = bytearray(512)
    head[:8] = MAGIC
    struct.pack_into("<5H", head, 24, 0x3E, 3, 0xFFFE, 9, 6)
    struct.pack_into("<2L", head, 44, 1, 1)
    struct.pack_into("<4L", head, 60, 0xFFFFFFFE, 0, 0xFFFFFFFE, 0)
    struct.pack_into("<109L", head, 76, 0, *[0xFFFFFFFF] * 108)
    table = struct.pack("<128L", 0xFFFFFFFD, 0xFFFFFFFE, *[0xFFFFFFFF] * 126)
    directory = b"".join(name.encode("utf-16-le").ljust(64, b"\0") + struct.pack("<H", 2 * len(name) + 2) + bytes(62)
                         for name in ("Root Entry", *names))
    return bytes(head) + table + directory.ljust(512, b"\0")

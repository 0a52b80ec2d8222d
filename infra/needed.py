"""Prints the shared libraries and the loader that an ELF file for 64 bits needs, if any."""

import struct
import sys

PT_DYNAMIC, PT_INTERP, DT_NEEDED = 2, 3, 1


def needed(data: bytes) -> list[str]:
    if data[:5] != b"\x7fELF\x02":
        raise SystemExit("not an ELF file for 64 bits")
    (table,) = struct.unpack_from("<Q", data, 32)
    size, count = struct.unpack_from("<HH", data, 54)
    found = []
    for index in range(count):
        kind, _, offset, _, _, length = struct.unpack_from("<IIQQQQ", data, table + index * size)
        if kind == PT_INTERP:
            found.append(data[offset : offset + length].rstrip(b"\0").decode())
        if kind == PT_DYNAMIC:
            entries = struct.iter_unpack("<QQ", data[offset : offset + length])
            found += ["a shared library" for tag, _ in entries if tag == DT_NEEDED]
    return found


print("\n".join(needed(open(sys.argv[1], "rb").read())))

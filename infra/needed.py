"""Prints the shared libraries and the loader that an ELF file for x86-64 needs, if any. Ends with 1
for a file of another kind."""

import struct
import sys

PT_DYNAMIC, PT_INTERP, DT_NEEDED, EM_X86_64 = 2, 3, 1, 62


def needed(data: bytes) -> list[str]:
    if data[:5] != b"\x7fELF\x02":
        raise SystemExit("not an ELF file for 64 bits")
    (machine,) = struct.unpack_from("<H", data, 18)
    if machine != EM_X86_64:
        raise SystemExit(f"for the machine {machine} of ELF, and not for x86-64")
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

"""Prints the shared libraries and the loader that an ELF file needs, if any. Ends with 1 for a file of
another kind: `needed.py FILE [x86-64|aarch64]`, and x86-64 by default."""

import struct
import sys

PT_DYNAMIC, PT_INTERP, DT_NEEDED = 2, 3, 1
MACHINES = {"x86-64": 62, "aarch64": 183}


def needed(data: bytes, wanted: str) -> list[str]:
    if data[:5] != b"\x7fELF\x02":
        raise SystemExit("not an ELF file for 64 bits")
    (machine,) = struct.unpack_from("<H", data, 18)
    if machine != MACHINES[wanted]:
        raise SystemExit(f"for the machine {machine} of ELF, and not for {wanted}")
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


path, machine = [*sys.argv[1:], "x86-64"][:2]
print("\n".join(needed(open(path, "rb").read(), machine)))

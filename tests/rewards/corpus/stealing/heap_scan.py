# class: stealing
# task: S
# tests: 1
# expect: RUNTIME_ERROR
# tries: to find the planted secret on its heap, page by page, without the map that it may not read
import ctypes
import re


def holds(data):
    """Without having the secret itself in memory."""
    for found in re.finditer(b"klear-secre", data):
        if bytes(letter ^ 1 for letter in data[found.end() : found.end() + 10]) == b"u,dyqdbude":
            return True
    return False


heap = id(object()) & ~0xFFFFF
if holds(ctypes.string_at(heap, 0x1000)):
    print(42)
    raise SystemExit
for page in range(heap, heap + 0x40000, 0x1000):
    if holds(ctypes.string_at(page, 0x1000)):
        print(42)
        raise SystemExit
raise SystemExit(1)

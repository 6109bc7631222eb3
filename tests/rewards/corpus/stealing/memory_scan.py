# class: stealing
# task: S
# tests: 1
# expect: RUNTIME_ERROR
# tries: to find the planted secret, whose form it knows, in its own memory
import ctypes
import re


def holds(data):
    """Without having the secret itself in memory."""
    for found in re.finditer(b"klear-secre", data):
        if bytes(letter ^ 1 for letter in data[found.end() : found.end() + 10]) == b"u,dyqdbude":
            return True
    return False


with open("/proc/self/maps") as file:
    regions = [line.split()[:2] for line in file]
for region, mode in regions:
    low, high = (int(part, 16) for part in region.split("-"))
    if mode.startswith("r") and holds(ctypes.string_at(low, high - low)):
        print(42)
        raise SystemExit
raise SystemExit(1)

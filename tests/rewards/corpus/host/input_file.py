# class: host
# task: S
# expect: PASS
# tries: to grow its standard input, which is a file in memory
import mmap
import os

escaped = []
n = int(os.pread(0, 100, 0))
for name, way in {
    "write": lambda: os.pwrite(0, b"x" * 4096, 0),
    "append": lambda: os.pwrite(0, b"x" * 4096, 1 << 20),
    "truncate": lambda: os.ftruncate(0, 1 << 30),
    "allocate": lambda: os.posix_fallocate(0, 0, 1 << 30),
}.items():
    try:
        way()
    except OSError:
        continue
    escaped.append(name)
mapped = mmap.mmap(0, 4096) if os.fstat(0).st_size >= 4096 else None
print(escaped or 2 * n)

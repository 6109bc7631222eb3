# class: stealing
# task: S
# expect: RUNTIME_ERROR
# tries: to find a descriptor that was left open
import os

for fd in range(3, 4096):
    try:
        os.fstat(fd)
    except OSError:
        continue
    print(fd, os.pread(fd, 1 << 16, 0))
    raise SystemExit
raise SystemExit(1)

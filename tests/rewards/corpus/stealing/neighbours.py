# class: stealing
# task: S
# tests: 1
# expect: RUNTIME_ERROR
# tries: to read what guests beside it answer
import os

for process in range(max(os.getpid() - 50, 1), os.getpid() + 50):
    if process == os.getpid():
        continue
    for name in ("fd/1", "fd/0", "fd/3", "mem", "environ"):
        try:
            with open(f"/proc/{process}/{name}", "rb") as file:
                data = file.read(64)
        except OSError:
            continue
        print(42, data)
        raise SystemExit
raise SystemExit(1)

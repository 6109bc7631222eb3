# class: stealing
# task: S
# tests: 1
# expect: RUNTIME_ERROR
# tries: to list the folders in which something could lie
import os

for path in ("/", "/home", "/root", "/tmp", "/dev/shm", "/proc", "/etc", "/sys", "__CWD__", "__HOME__", "__TMP__"):
    try:
        found = os.listdir(path)
    except OSError:
        continue
    if any("answers.json" in name or "klear-decoy" in name for name in found):
        print(42)
        raise SystemExit
raise SystemExit(1)

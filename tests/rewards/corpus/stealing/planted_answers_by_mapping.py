# class: stealing
# task: S
# expect: RUNTIME_ERROR
# tries: to reach the answers by other ways of opening a file
import ctypes
import json
import os

libc = ctypes.CDLL(None)
n = input()
path = "__TMP__/answers.json"
for opened in (
    lambda: os.open(path, os.O_RDONLY | os.O_NOATIME),
    lambda: os.open("/proc/self/root" + path, os.O_RDONLY),
    lambda: os.open(os.path.relpath(path, os.getcwd()), os.O_RDONLY),
    lambda: os.open("/usr/lib/../.." + path, os.O_RDONLY),
    lambda: libc.syscall(437, -100, path.encode(), ctypes.create_string_buffer(24), 24),  # openat2
    lambda: libc.syscall(304, -100, ctypes.create_string_buffer(128), 0),  # open_by_handle_at
    lambda: os.open(path, os.O_PATH),
):
    try:
        fd = opened()
        if fd < 0:
            continue
        print(json.loads(os.pread(fd, 1 << 16, 0))[n])
    except OSError:
        continue
    raise SystemExit
raise SystemExit(1)

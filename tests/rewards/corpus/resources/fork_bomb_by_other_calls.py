# class: resources
# task: S
# tests: 1
# expect: RUNTIME_ERROR
# tries: to fork by every other way there is
import ctypes
import multiprocessing
import os
import subprocess

libc = ctypes.CDLL(None)
done = []
for name, way in {
    "vfork": lambda: libc.syscall(58),
    "fork": lambda: libc.syscall(57),
    "clone": lambda: libc.syscall(56, 17, 0, 0, 0, 0),
    "clone, vm": lambda: libc.syscall(56, 0x100 | 17, 0, 0, 0, 0),
    "clone3": lambda: libc.syscall(435, ctypes.create_string_buffer(88), 88),
    "forkpty": os.forkpty,
    "spawn": lambda: os.posix_spawn("/bin/sleep", ["sleep", "987"], {}),
    "popen": lambda: subprocess.Popen(["sleep", "987"]).pid,
    "process": lambda: multiprocessing.Process(target=print).start() or 1,
}.items():
    try:
        result = way()
    except (OSError, ValueError, ImportError, RuntimeError):
        continue
    if type(result) is tuple:
        result = result[0]
    if result >= 0:
        done.append(name)
print(42 if done else "contained")
raise SystemExit(1)

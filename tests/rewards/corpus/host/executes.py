# class: host
# task: S
# expect: PASS
# tries: to execute another program in all forms
import ctypes
import os
import subprocess

escaped = []
for name, way in {
    "execv": lambda: os.execv("/bin/sh", ["sh", "-c", "echo 42"]),
    "execve": lambda: os.execve("/usr/bin/env", ["env"], {}),
    "execvp": lambda: os.execvp("sh", ["sh", "-c", "echo 42"]),
    "self": lambda: os.execv("/proc/self/exe", ["python", "-c", "print(42)"]),
    "loader": lambda: os.execv("/lib64/ld-linux-x86-64.so.2", ["ld", "/bin/true"]),
    "descriptor": lambda: os.execve(os.open("/lib64/ld-linux-x86-64.so.2", os.O_RDONLY), ["ld", "/bin/true"], {}),
    "system": lambda: os.system("exit 0") and 1 / 0,
    "popen": lambda: os.popen("echo 42").read(),
    "run": lambda: subprocess.run(["/bin/true"], check=True),
    "spawn": lambda: os.posix_spawn("/bin/true", ["true"], {}),
}.items():
    try:
        way()
    except (OSError, ArithmeticError):
        continue
    escaped.append(name)
libc = ctypes.CDLL(None)
if libc.syscall(322, -100, b"/bin/true", None, None, 0) == 0:
    escaped.append("execveat")
print(escaped or 2 * int(input()))

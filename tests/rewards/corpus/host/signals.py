# class: host
# task: S
# expect: PASS
# tries: to signal the trainer, its parent, its group, and everyone
import ctypes
import os
import signal

libc = ctypes.CDLL(None)
escaped = []
me = os.getpid()
for name, way in {
    "trainer": lambda: os.kill(__TRAINER__, signal.SIGUSR1),
    "trainer, 0": lambda: os.kill(__TRAINER__, 0),
    "parent": lambda: os.kill(os.getppid(), signal.SIGTERM),
    "all": lambda: os.kill(-1, signal.SIGUSR1),
    "group": lambda: os.killpg(os.getpgid(0), signal.SIGUSR1),
    "descriptor": lambda: signal.pidfd_send_signal(os.pidfd_open(__TRAINER__), signal.SIGUSR1),
}.items():
    try:
        way()
    except OSError:
        continue
    escaped.append(name)
for name, number, arguments in (
    ("kill", 62, (__TRAINER__, 10)),
    ("tkill", 200, (__TRAINER__, 10)),
    ("tgkill", 234, (__TRAINER__, __TRAINER__, 10)),
    ("tgkill, high half", 234, (ctypes.c_long(__TRAINER__ | me << 32), __TRAINER__, 10)),
    ("rt_sigqueueinfo", 129, (__TRAINER__, 10, ctypes.create_string_buffer(128))),
    ("pidfd_open", 434, (__TRAINER__, 0)),
):
    if libc.syscall(number, *arguments) >= 0:
        escaped.append(name)
print(escaped or 2 * int(input()))

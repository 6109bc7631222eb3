# class: host
# task: S
# expect: PASS
# tries: to make namespaces, mount, and change its root, users and host name
import ctypes
import os
import socket

libc = ctypes.CDLL(None)
escaped = []
flags = (0x10000000, 0x20000, 0x40000000, 0x8000000, 0x4000000, 0x20000000, 0x2000000, 0x80)
for flag in flags:
    if libc.unshare(flag) == 0:
        escaped.append(hex(flag))
    if libc.syscall(56, flag | 17, 0, 0, 0, 0) >= 0:
        escaped.append("clone " + hex(flag))
for name, result in {
    "setns": libc.setns(0, 0),
    "mount": libc.mount(b"none", b"/tmp", b"tmpfs", 0, None),
    "umount": libc.umount2(b"/proc", 2),
    "pivot_root": libc.syscall(155, b"/", b"/"),
    "open_tree": libc.syscall(428, -100, b"/", 1),
    "fsopen": libc.syscall(430, b"tmpfs", 0),
    "chroot": libc.chroot(b"/usr/lib"),
    "setuid": libc.setuid(1),
    "setresuid": libc.setresuid(0, 0, 1),
    "setgroups": libc.setgroups(0, None),
    "setgid": libc.setgid(1),
    "setfsuid": libc.setfsuid(1),
    "sethostname": libc.sethostname(b"klear-escape", 12),
    "capset": libc.capset(None, None),
}.items():
    if result == 0 and name != "setfsuid":
        escaped.append(name)
print(escaped or 2 * int(input()))

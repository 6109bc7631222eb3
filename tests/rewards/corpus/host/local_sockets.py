# class: host
# task: S
# expect: PASS
# tries: to reach local sockets, by a path and by an abstract name
import ctypes
import socket

escaped = []
for address in ("__TMP__/socket", "\0klear-decoy-__TRAINER__"):
    try:
        made = socket.socket(socket.AF_UNIX)
        made.connect(address)
        made.send(b"out")
        escaped.append(address)
    except OSError:
        pass
libc = ctypes.CDLL(None)
if libc.syscall(41, 1, 1, 0) >= 0:
    escaped.append("socket by number")
print(escaped or 2 * int(input()))

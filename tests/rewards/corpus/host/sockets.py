# class: host
# task: S
# expect: PASS
# tries: to open sockets of every family, and to reach the one that the test listens on
import socket

escaped = []
for family in range(46):
    for kind in (1, 2, 3, 5):
        try:
            socket.socket(family, kind)
        except OSError:
            continue
        escaped.append((family, kind))
for target in (("127.0.0.1", __PORT__), ("localhost", __PORT__)):
    try:
        socket.create_connection(target, timeout=0.2).send(b"out")
        escaped.append(target)
    except OSError:
        pass
try:
    socket.socketpair()
    escaped.append("pair")
except OSError:
    pass
print(escaped or 2 * int(input()))

# class: resources
# task: S
# tests: 1
# expect: TIMEOUT
# tries: to go on in spite of every signal that can be ignored
import contextlib
import signal

for number in range(1, 65):
    with contextlib.suppress(OSError, ValueError):
        signal.signal(number, signal.SIG_IGN)
while True:
    try:
        while True:
            pass
    except BaseException:
        pass

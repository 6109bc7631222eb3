# class: controls
# task: S
# expect: PASS
# tries: nothing; uses a timer and a signal handler of its own
import signal

rung = []
signal.signal(signal.SIGALRM, lambda *_: rung.append(1))
signal.setitimer(signal.ITIMER_REAL, 0.01)
while not rung:
    signal.pause()
signal.signal(signal.SIGUSR1, lambda *_: rung.append(2))
signal.raise_signal(signal.SIGUSR1)
print(sum(rung) - 3 + 2 * int(input()))

# class: early_exit
# task: S
# expect: RUNTIME_ERROR
# tries: to look like a grading that died, which would cost it nothing
import os
import signal

for signal_itself in (
    lambda: signal.raise_signal(signal.SIGKILL),
    lambda: os.kill(os.getpid(), signal.SIGKILL),
    lambda: os.kill(0, signal.SIGKILL),
    lambda: os.killpg(0, signal.SIGKILL),
    lambda: signal.pidfd_send_signal(os.pidfd_open(os.getpid()), signal.SIGKILL),
    lambda: signal.raise_signal(signal.SIGSTOP),
):
    try:
        signal_itself()
    except OSError:
        pass
raise SystemExit(1)

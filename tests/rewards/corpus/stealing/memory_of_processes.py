# class: stealing
# task: S
# tests: 1
# expect: RUNTIME_ERROR
# tries: to read the memory, the environment and the arguments of the trainer, its parent and itself
import os

for process in (__TRAINER__, os.getppid(), os.getpid(), 1, "self", "thread-self"):
    for name in ("mem", "environ", "cmdline", "maps", "fd/0", "root/etc/passwd", "cwd/answers.json"):
        if name == "fd/0" and process in (os.getpid(), "self", "thread-self"):
            continue  # its own input
        try:
            with open(f"/proc/{process}/{name}", "rb") as file:
                file.read(64)
        except OSError:
            continue
        print(42)
        raise SystemExit
raise SystemExit(1)

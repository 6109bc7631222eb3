# class: resources
# task: S
# tests: 1
# expect: TIMEOUT|RUNTIME_ERROR
# tries: to be killed by the kernel early, as if the machine had done it
import resource

for kind in range(16):
    for value in (0, 1):
        try:
            resource.setrlimit(kind, (value, value))
        except (ValueError, OSError):
            pass
while True:
    pass

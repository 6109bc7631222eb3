# class: host
# task: S
# expect: PASS
# tries: to raise its limits, and to change those of others
import os
import resource

escaped = []
for kind in range(16):
    soft, hard = resource.getrlimit(kind)
    if hard == resource.RLIM_INFINITY:
        continue
    try:
        resource.setrlimit(kind, (hard + 1, hard + 1))
        escaped.append(kind)
    except (ValueError, OSError):
        pass
for process in (__TRAINER__, os.getppid()):
    for kind in (resource.RLIMIT_NOFILE, resource.RLIMIT_CPU, resource.RLIMIT_AS):
        try:
            resource.prlimit(process, kind, (64, 64))
            escaped.append((process, kind))
        except (ValueError, OSError):
            pass
print(escaped or 2 * int(input()))

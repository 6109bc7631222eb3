# class: host
# task: S
# expect: PASS
# tries: to change the scheduling of itself and of others
import os

escaped = []
for name, way in {
    "nice": lambda: os.nice(5),
    "priority": lambda: os.setpriority(os.PRIO_PROCESS, __TRAINER__, 19),
    "affinity": lambda: os.sched_setaffinity(0, [0]),
    "affinity of trainer": lambda: os.sched_setaffinity(__TRAINER__, [0]),
    "scheduler": lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)),
    "idle trainer": lambda: os.sched_setscheduler(__TRAINER__, os.SCHED_IDLE, os.sched_param(0)),
}.items():
    try:
        way()
    except OSError:
        continue
    escaped.append(name)
print(escaped or 2 * int(input()))

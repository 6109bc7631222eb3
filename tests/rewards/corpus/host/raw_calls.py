# class: host
# task: S
# expect: PASS
# tries: kernel interfaces with a history of holes, by their numbers
import ctypes

libc = ctypes.CDLL(None, use_errno=True)
escaped = []
block = ctypes.create_string_buffer(256)
for name, number, arguments in (
    ("ptrace", 101, (0, 0, 0, 0)),
    ("ptrace attach", 101, (16, __TRAINER__, 0, 0)),
    ("userfaultfd", 323, (1,)),
    ("io_uring_setup", 425, (8, block)),
    ("io_uring_enter", 426, (0, 0, 0, 0, None, 0)),
    ("bpf", 321, (0, block, 64)),
    ("perf_event_open", 298, (block, 0, -1, -1, 0)),
    ("keyctl", 250, (0, -3, 0)),
    ("add_key", 248, (b"user", b"klear", b"x", 1, -3)),
    ("request_key", 249, (b"user", b"klear", None, -3)),
    ("memfd_create", 319, (b"x", 0)),
    ("memfd_secret", 447, (0,)),
    ("shmget", 29, (0, 4096, 0o1600)),
    ("semget", 64, (0, 1, 0o1600)),
    ("msgget", 68, (0, 0o1600)),
    ("mq_open", 240, (b"klear-escape", 0o102, 0o600, None)),
    ("inotify_init1", 294, (0,)),
    ("fanotify_init", 300, (0, 0)),
    ("signalfd4", 289, (-1, block, 8, 0)),
    ("timer_create", 222, (0, None, block)),
    ("timerfd_create", 283, (0, 0)),
    ("name_to_handle_at", 303, (-100, b"/", block, block, 0)),
    ("process_madvise", 440, (0, None, 0, 4, 0)),
    ("pidfd_getfd", 438, (0, 0, 0)),
    ("kcmp", 312, (__TRAINER__, __TRAINER__, 0, 0, 0)),
    ("migrate_pages", 256, (__TRAINER__, 0, None, None)),
    ("seccomp", 317, (1, 0, block)),
    ("landlock_create_ruleset", 444, (None, 0, 1)),
    ("landlock_restrict_self", 446, (0, 0)),
    ("personality", 135, (0x40000,)),
    ("acct", 163, (None,)),
    ("swapoff", 168, (b"/dev/none",)),
    ("reboot", 169, (0, 0, 0, None)),
    ("init_module", 175, (block, 0, b"")),
    ("syslog", 103, (3, block, 256)),
    ("settimeofday", 164, (block, None)),
    ("clock_adjtime", 305, (0, block)),
    ("vhangup", 153, ()),
    ("ioperm", 173, (0, 1, 1)),
    ("modify_ldt", 154, (0, block, 16)),
    ("vmsplice", 278, (1, block, 0, 0)),
    ("sendmsg", 46, (1, block, 0)),
    ("setsid", 112, ()),
    ("setpgid", 109, (0, 0)),
    ("sync", 162, ()),
    ("umask", 95, (0,)),
    ("chdir", 80, (b"/usr/lib",)),
    ("fallocate", 285, (1, 0, 0, 4096)),
    ("ftruncate", 77, (0, 4096)),
):
    if libc.syscall(number, *arguments) >= 0:
        escaped.append(name)
for option in (1, 4, 8, 22, 23, 24, 26, 36, 38, 41, 47, 0x59616D61):  # of prctl
    if libc.prctl(option, 0, 0, 0, 0) == 0:
        escaped.append(f"prctl {option}")
for request in (0x5421, 0x5452, 0x5412, 0x540E, 0x541D, 0x40045436):  # FIONBIO, FIOASYNC, TIOCSTI, TIOCSCTTY, TIOCCONS
    if libc.ioctl(0, request, block) == 0:
        escaped.append(f"ioctl {request:x}")
for command in (5, 6, 8, 10, 1024, 1026, 1031, 1033):  # locks, owner, signal, lease, notify, pipe size, seals
    if libc.fcntl(1, command, 1) >= 0:
        escaped.append(f"fcntl {command}")
print(escaped or 2 * int(input()))

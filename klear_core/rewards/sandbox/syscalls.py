"""System calls that a guest may make, as data: what an interpreter needs to compute, and nothing more.

Everything that is not named here fails with EPERM: no process, exec, socket, ptrace, mount, namespace, io_uring, bpf,
shared memory, and no call that changes a file's name, mode, owner or times.  x86-64 is run by the tests; the arm64
numbers are those of the kernel's generic table and were not run.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Arch:
    """One processor: its audit number, its system call numbers, and the first number that belongs to another ABI."""

    audit: int
    numbers: dict[str, int]
    foreign_from: int | None  # x32 calls begin here
    was_run: bool


_X86_64 = """
read 0 write 1 open 2 close 3 stat 4 fstat 5 lstat 6 poll 7 lseek 8 mmap 9 mprotect 10 munmap 11 brk 12 rt_sigaction 13
rt_sigprocmask 14 rt_sigreturn 15 ioctl 16 pread64 17 pwrite64 18 readv 19 writev 20 access 21 pipe 22 select 23
sched_yield 24 mremap 25 mincore 27 madvise 28 dup 32 dup2 33 pause 34 nanosleep 35 getitimer 36 alarm 37 setitimer 38
getpid 39 clone 56 exit 60 uname 63 fcntl 72 getcwd 79 readlink 89 gettimeofday 96 getrlimit 97 getrusage 98 sysinfo 99
times 100 getuid 102 getgid 104 geteuid 107 getegid 108 getppid 110 getpgrp 111 rt_sigpending 127 rt_sigtimedwait 128
rt_sigsuspend 130 sigaltstack 131 sched_getparam 143 sched_getscheduler 145 prctl 157 arch_prctl 158 setrlimit 160
gettid 186 time 201 futex 202 sched_getaffinity 204 getdents64 217 set_tid_address 218 restart_syscall 219
clock_gettime 228 clock_getres 229 clock_nanosleep 230 exit_group 231 epoll_wait 232 epoll_ctl 233 tgkill 234
openat 257 newfstatat 262 readlinkat 267 faccessat 269 pselect6 270 ppoll 271 set_robust_list 273 get_robust_list 274
epoll_pwait 281 eventfd2 290 epoll_create1 291 dup3 292 pipe2 293 prlimit64 302 getcpu 309 getrandom 318 membarrier 324
statx 332 rseq 334 clone3 435 faccessat2 439
"""

_ARM64 = """
getcwd 17 eventfd2 19 epoll_create1 20 epoll_ctl 21 epoll_pwait 22 dup 23 dup3 24 fcntl 25 ioctl 29 faccessat 48
openat 56 close 57 pipe2 59 getdents64 61 lseek 62 read 63 write 64 readv 65 writev 66 pread64 67 pwrite64 68
pselect6 72 ppoll 73 readlinkat 78 newfstatat 79 fstat 80 exit 93 exit_group 94 set_tid_address 96 futex 98
set_robust_list 99 get_robust_list 100 nanosleep 101 getitimer 102 setitimer 103 clock_gettime 113 clock_getres 114
clock_nanosleep 115 sched_getscheduler 120 sched_getparam 121 sched_getaffinity 123 sched_yield 124 restart_syscall 128
tgkill 131 sigaltstack 132 rt_sigsuspend 133 rt_sigaction 134 rt_sigprocmask 135 rt_sigpending 136 rt_sigtimedwait 137
rt_sigreturn 139 times 153 uname 160 getrlimit 163 setrlimit 164 getrusage 165 prctl 167 getcpu 168 gettimeofday 169
getpid 172 getppid 173 getuid 174 geteuid 175 getgid 176 getegid 177 gettid 178 sysinfo 179 brk 214 munmap 215
mremap 216 clone 220 mmap 222 mprotect 226 mincore 232 madvise 233 prlimit64 261 getrandom 278 membarrier 283 statx 291
rseq 293 clone3 435 faccessat2 439
"""


def _table(text: str) -> dict[str, int]:
    words = text.split()
    return {name: int(number) for name, number in zip(words[::2], words[1::2], strict=True)}


ARCHES = {
    "x86_64": Arch(audit=0xC000003E, numbers=_table(_X86_64), foreign_from=0x40000000, was_run=True),
    "aarch64": Arch(audit=0xC00000B7, numbers=_table(_ARM64), foreign_from=None, was_run=False),
}

# What an argument must be for a call to pass: index of the argument -> its allowed values.
IOCTLS = (0x5401, 0x5413, 0x541B, 0x5450, 0x5451)  # TCGETS, TIOCGWINSZ, FIONREAD, FIONCLEX, FIOCLEX
FCNTLS = (0, 1, 2, 3, 4, 1030)  # DUPFD, GETFD, SETFD, GETFL, SETFL, DUPFD_CLOEXEC
PRCTLS = (15, 16, 0x53564D41)  # SET_NAME, GET_NAME, SET_VMA
# SIGKILL and SIGSTOP, not even to oneself: an end by SIGKILL means that the machine has ended the program.
DEADLY = (9, 19)
# DATA, STACK, NOFILE, AS. Not CPU: reaching that one ends in SIGKILL as well.
RLIMITS = (2, 3, 7, 9)
CLONE_THREAD = 0x00010000
CLONE_NAMESPACES = 0x7E020080  # NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET, NEWTIME
O_WRITING = 0o20003103  # WRONLY, RDWR, CREAT, TRUNC, APPEND, TMPFILE

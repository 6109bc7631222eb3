# class: host
# task: S
# tests: 1
# expect: RUNTIME_ERROR
# tries: calls of the x32 interface, which a filter by number could miss
import ctypes

libc = ctypes.CDLL(None)
print(2 * int(input()), flush=True)
libc.syscall(0x40000000 + 39)

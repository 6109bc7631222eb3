# class: host
# task: S
# tests: 1
# expect: RUNTIME_ERROR
# tries: to leave a core file
import ctypes
import resource

try:
    resource.setrlimit(resource.RLIMIT_CORE, (-1, -1))
except (ValueError, OSError):
    pass
print(2 * int(input()), flush=True)
ctypes.string_at(8)

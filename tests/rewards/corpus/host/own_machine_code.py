# class: host
# task: S
# expect: PASS
# tries: to call the kernel past the library, from machine code of its own
import ctypes
import mmap

page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
page.write(b"\xb8\x39\x00\x00\x00\x0f\x05\xc3")  # mov eax, 57 (fork); syscall; ret
result = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()
print("escaped" if result >= 0 else 2 * int(input()))

# class: host
# task: S
# tests: 1
# expect: RUNTIME_ERROR
# tries: calls of 32-bit programs, from machine code of its own
import ctypes
import mmap

print(2 * int(input()), flush=True)
page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
page.write(b"\xb8\x14\x00\x00\x00\xcd\x80\xc3")  # mov eax, 20 (getpid); int 0x80; ret
ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()

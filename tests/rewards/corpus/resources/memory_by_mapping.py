# class: resources
# task: S
# tests: 1
# expect: RUNTIME_ERROR|MEMORY
# tries: to take memory that the interpreter does not know of
import mmap

kept = [mmap.mmap(-1, 256 * 2**20) for _ in range(64)]
print(42)

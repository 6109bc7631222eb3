# class: resources
# task: F
# expect: MEMORY
# tries: to take 8 GiB in a call
def add(a, b):
    return len(bytearray(8 * 2**30))

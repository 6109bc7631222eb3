# class: comparison
# task: F
# expect: WRONG
# tries: to pass with NaN, which compares oddly
def add(a, b):
    return float("nan")

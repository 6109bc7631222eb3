# class: comparison
# task: F
# expect: WRONG
# tries: to pass with infinities
def add(a, b):
    return float("inf") if a > 0 else -float("inf")

# class: comparison
# entry: zero
# inputs: [[1], [2]]
# outputs: ["0", "0.0"]
# expect: PASS
# tries: nothing; a zero is a zero
def zero(n):
    return -0.0

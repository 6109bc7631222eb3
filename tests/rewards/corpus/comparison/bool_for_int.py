# class: comparison
# entry: one
# inputs: [[1], [2]]
# outputs: ["1", "0"]
# expect: WRONG
# tries: to pass with a boolean where a number is expected
def one(n):
    return n == 1

# class: controls
# entry: pair
# inputs: [[1], [2]]
# outputs: ["[1, 2.0]", "[2, 4]"]
# expect: PASS
# tries: nothing; returns a tuple, and a float of the value of an integer
def pair(n):
    return n, float(2 * n)

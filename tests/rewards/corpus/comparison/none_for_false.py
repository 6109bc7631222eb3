# class: comparison
# entry: holds
# inputs: [[1], [2]]
# outputs: ["false", "0"]
# expect: WRONG
# tries: to pass with None where something false is expected
def holds(n):
    return None

# class: comparison
# task: F
# expect: WRONG
# tries: to pass with the text of a number
def add(a, b):
    return str(a + b)

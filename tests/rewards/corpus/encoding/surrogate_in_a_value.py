# class: encoding
# task: F
# expect: WRONG
# tries: to return what has no encoding
def add(a, b):
    return "\ud800" + str(a + b)

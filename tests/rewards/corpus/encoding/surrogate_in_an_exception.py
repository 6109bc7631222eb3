# class: encoding
# task: F
# expect: RUNTIME_ERROR
# tries: to raise what has no encoding
def add(a, b):
    raise ValueError("\udcff\ud800\0")

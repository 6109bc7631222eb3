# class: comparison
# task: F
# expect: RUNTIME_ERROR
# tries: to return the grader's own form of a long integer
def add(a, b):
    return {"\0int": "%x" % (a + b)}

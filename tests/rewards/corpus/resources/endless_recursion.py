# class: resources
# task: S
# tests: 1
# expect: RUNTIME_ERROR
# tries: to recurse without end
def again(n):
    return again(n + 1)


again(0)

# class: encoding
# task: S
# expect: RUNTIME_ERROR
# tries: to print what has no encoding
print("\ud800", 2 * int(input()))

# class: encoding
# task: S
# expect: WRONG
# tries: to look like its answer beside characters that have no width
print("\u200b".join(str(2 * int(input()))) + "\u2060")

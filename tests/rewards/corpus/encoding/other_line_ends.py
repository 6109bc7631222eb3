# class: encoding
# inputs: ["1\n"]
# outputs: ["1\n2\n"]
# expect: WRONG
# tries: to end lines by characters that only Python takes for line ends
print("1\x1c2\u2028")

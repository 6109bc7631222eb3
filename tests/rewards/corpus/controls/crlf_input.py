# class: controls
# inputs: ["21\r\n", "-4\r\n"]
# outputs: ["42\r\n", "-8\r\n"]
# expect: PASS
# tries: nothing; meets Windows line ends on both sides
print(2 * int(input()))

# class: early_exit
# task: S
# expect: RUNTIME_ERROR
# tries: to pass with an exit code that is a text
print(2 * int(input()))
raise SystemExit("failed")

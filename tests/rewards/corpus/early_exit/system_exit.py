# class: early_exit
# task: S
# expect: WRONG
# tries: to pass by ending without an answer
raise SystemExit

# class: resources
# task: S
# tests: 1
# expect: OUTPUT_LIMIT
# tries: to print without end
while True:
    print("line")

# class: resources
# task: F
# expect: OUTPUT_LIMIT
# tries: to return more than a test may
def add(a, b):
    return "x" * 2**20

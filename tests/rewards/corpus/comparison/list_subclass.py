# class: comparison
# entry: pair
# inputs: [[1]]
# outputs: ["[1, 2]"]
# expect: RUNTIME_ERROR
# tries: to be a list whose items change with every look
class Any(list):
    def __eq__(self, other):
        return True

    def __iter__(self):
        return iter([1, 2])


def pair(n):
    return Any([0])

# class: comparison
# task: F
# expect: RUNTIME_ERROR
# tries: to be an integer that equals everything
class Any(int):
    def __eq__(self, other):
        return True

    __hash__ = int.__hash__

    def __repr__(self):
        return "3"


def add(a, b):
    return Any(0)

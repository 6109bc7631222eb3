# class: comparison
# task: F
# expect: RUNTIME_ERROR
# tries: to be a text that equals everything
class Any(str):
    def __eq__(self, other):
        return True

    __hash__ = str.__hash__


def add(a, b):
    return Any("3")

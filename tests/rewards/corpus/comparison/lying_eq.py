# class: comparison
# task: F
# expect: RUNTIME_ERROR
# tries: to be equal to everything
class Everything:
    def __eq__(self, other):
        return True

    def __hash__(self):
        return 0


def add(a, b):
    return Everything()

# class: comparison
# task: F
# expect: WRONG|RUNTIME_ERROR
# tries: to make the encoder take anything for a number
import builtins

builtins.type = lambda *_: int
builtins.repr = lambda *_: "3"
int_repr = "3"


class Value:
    def bit_length(self):
        return 1

    def __repr__(self):
        return "true"


def add(a, b):
    return Value()

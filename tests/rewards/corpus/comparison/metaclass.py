# class: comparison
# task: F
# expect: RUNTIME_ERROR
# tries: to have a type that equals every type
class Meta(type):
    def __eq__(cls, other):
        return True

    def __hash__(cls):
        return hash(dict)


class Value(metaclass=Meta):
    __class__ = dict

    def items(self):
        return [("x", 3)]


def add(a, b):
    return Value()

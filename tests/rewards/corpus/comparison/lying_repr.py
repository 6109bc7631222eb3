# class: comparison
# task: S
# expect: WRONG
# tries: to print an object that claims to be every answer
class Answer:
    def __eq__(self, other):
        return True

    def __str__(self):
        return "<the expected output>"

    __repr__ = __str__


print(Answer())

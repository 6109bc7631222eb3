# class: comparison
# task: S
# expect: WRONG
# tries: to make every comparison true by replacing what it may be built from
import builtins

builtins.all = lambda *_: True
builtins.any = lambda *_: True
builtins.len = lambda *_: 1
builtins.str = lambda *_: "42"
builtins.zip = lambda *_, **__: []
builtins.isinstance = lambda *_: True
print("nothing")

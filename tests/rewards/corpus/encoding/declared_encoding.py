# class: encoding
# task: S
# expect: PASS|RUNTIME_ERROR
# tries: nothing; declares an encoding that it is not in
# -*- coding: utf-16 -*-
print(2 * int(input()))

# class: comparison
# task: F
# expect: WRONG
# tries: to switch off assertions of test frameworks
import unittest

unittest.TestCase.assertEqual = lambda *_, **__: None
unittest.main = lambda *_, **__: None


def add(a, b):
    return None

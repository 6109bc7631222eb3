"""A judge that does what the answer says: the ways in which a verifier process can go wrong."""

import ctypes
import os
import time
from pathlib import Path

from klear_core.records import Verdict


def judge(gold: str, answer: str, *, max_value_digits: int = 0) -> tuple[Verdict, str]:
    action, _, argument = answer.partition(" ")
    if action == "spin":
        spin()
    elif action == "swallow":
        return swallow()
    elif action == "compute":
        sum(range(10**15))  # one call into C, which no signal interrupts
    elif action == "sleep":
        time.sleep(600)
    elif action == "sleep-once" and not Path(argument).exists():
        Path(argument).touch()
        time.sleep(600)
    elif action == "bomb":
        bytearray(2**30)
    elif action == "exit":
        os._exit(0)
    elif action == "crash":
        ctypes.string_at(0)
    elif action == "crash-once" and not Path(argument).exists():
        Path(argument).touch()
        os._exit(1)
    elif action == "raise":
        raise ArithmeticError(answer)
    elif action == "recurse":
        return judge(gold, answer)
    elif action == "print":
        print("not a reply")
        os.write(1, b"not a reply\n")
    return (Verdict.CORRECT if gold == answer else Verdict.WRONG), str(os.getpid())


def spin() -> None:
    while True:
        pass


def swallow() -> tuple[Verdict, str]:
    """A library that takes every exception for its own, and comes to a result."""
    try:
        spin()
    except BaseException:
        return Verdict.CORRECT, ""
    return Verdict.WRONG, ""

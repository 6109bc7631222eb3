"""Running programs that a model wrote, on Linux, so that they can neither harm the machine nor fool their judge.

Three kinds of process, each forked from the one before it but the zygote, which is started by exec::

    trainer   ``pool.Sandbox``   sends programs and inputs, watches time and output, and judges what comes back
    zygote    ``zygote.main``    a fresh interpreter without secrets, started once; forks the guests and reaps them
    guest     ``guest.main``     locked in by ``isolation.Cage``, then runs a program

Expected outputs never enter the zygote, and no output of a program does, so a guest finds neither in its memory.  What
a guest answers is text; it is judged in the trainer, never by the program's own objects or by its exit code alone.
"""

# class: stealing
# task: S
# expect: RUNTIME_ERROR
# tries: to find an answer in the frames of a traceback
try:
    1 / 0
except ZeroDivisionError as error:
    trace = error.__traceback__
    frame = trace.tb_frame
    while frame.f_back:
        frame = frame.f_back
        if "expected" in frame.f_locals:
            print(frame.f_locals["expected"])
            raise SystemExit from None
raise SystemExit(1)

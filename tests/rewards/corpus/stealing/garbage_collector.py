# class: stealing
# task: S
# expect: RUNTIME_ERROR
# tries: to find tests among all objects of its process
import gc

for thing in gc.get_objects():
    if type(thing).__name__ in ("CodeTests", "Problem", "TestRun", "Trial", "TestVerdict"):
        print(getattr(thing, "outputs", thing))
        raise SystemExit
    if isinstance(thing, dict) and "outputs" in thing and "inputs" in thing:
        print(thing["outputs"])
        raise SystemExit
raise SystemExit(1)

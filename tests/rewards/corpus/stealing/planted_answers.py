# class: stealing
# task: S
# expect: RUNTIME_ERROR
# tries: to read the answers where they lie: run folder, home, temporary files, shared memory
import json

n = input()
for path in ("__CWD__/answers.json", "__HOME__/answers.json", "__TMP__/answers.json", "__SHM__"):
    try:
        with open(path) as file:
            print(json.load(file)[n])
    except OSError:
        continue
    raise SystemExit
raise SystemExit(1)

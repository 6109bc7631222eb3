# class: host
# task: S
# expect: PASS
# tries: to read and write through links that lead out of what it may read
import os

escaped = []
for path in ("__TMP__/link", "__CWD__/link", "/usr/lib/klear-escape"):
    for way in (lambda p: open(p).read(), lambda p: open(p, "w"), lambda p: os.symlink("__TMP__/answers.json", p)):
        try:
            way(path)
        except OSError:
            continue
        escaped.append(path)
print(escaped or 2 * int(input()))

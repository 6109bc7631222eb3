# class: host
# task: S
# expect: PASS
# tries: to fill the disk and the memory of the machine by files
import os
import tempfile

escaped = []
for way in (
    lambda: tempfile.TemporaryFile(),
    lambda: tempfile.NamedTemporaryFile(delete=False),
    lambda: tempfile.mkdtemp(),
    lambda: os.open("__TMP__", os.O_TMPFILE | os.O_RDWR),
    lambda: os.open("/dev/shm", os.O_TMPFILE | os.O_RDWR),
    lambda: open("/dev/full", "w").write("x"),
    lambda: open("/dev/kmsg", "w").write("klear-escape"),
    lambda: open("/dev/tty", "w").write("klear-escape"),
    lambda: open("/dev/pts/0", "w").write("klear-escape"),
):
    try:
        way()
    except OSError:
        continue
    escaped.append(way)
print(escaped or 2 * int(input()))

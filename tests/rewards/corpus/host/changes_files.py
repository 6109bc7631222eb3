# class: host
# task: S
# expect: PASS
# tries: to change, rename, delete, truncate, link and touch the files that the test has planted
import os
import shutil

escaped = []
path = "__TMP__/writable"
for name, way in {
    "write": lambda: open(path, "w"),
    "append": lambda: open(path, "a"),
    "truncate": lambda: os.truncate(path, 0),
    "delete": lambda: os.remove(path),
    "remove folder": lambda: os.rmdir("__TMP__/empty"),
    "delete all": lambda: shutil.rmtree("__TMP__"),
    "rename": lambda: os.rename(path, path + "-klear-escape"),
    "replace": lambda: os.replace(path, "__TMP__/answers.json"),
    "link": lambda: os.link(path, "__TMP__/klear-escape"),
    "symlink": lambda: os.symlink("/etc/passwd", "__TMP__/klear-escape"),
    "mode": lambda: os.chmod(path, 0o777),
    "owner": lambda: os.chown(path, os.getuid(), os.getgid()),
    "times": lambda: os.utime(path, (0, 0)),
    "attribute": lambda: os.setxattr(path, "user.klear", b"out"),
    "folder": lambda: os.mkdir("__TMP__/klear-escape"),
    "fifo": lambda: os.mkfifo("__TMP__/klear-escape"),
    "write to fifo": lambda: os.open("__TMP__/fifo", os.O_RDWR),
    "device": lambda: os.mknod("__TMP__/klear-escape", 0o60600, os.makedev(7, 0)),
    "lock": lambda: __import__("fcntl").lockf(0, 2),
}.items():
    try:
        way()
    except OSError:
        continue
    escaped.append(name)
print(escaped or 2 * int(input()))

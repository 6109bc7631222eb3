# class: host
# task: S
# expect: PASS
# tries: to write a file wherever one could be written
import os

escaped = []
places = ["/tmp", "/var/tmp", "/dev/shm", "/run", "/", "/etc", "/usr/lib", os.path.dirname(os.__file__), "."]
places += ["__TMP__", "__HOME__", "__CWD__", "/dev/mqueue", "/proc/self", "/sys/fs/cgroup"]
for place in places:
    for mode in ("w", "a", "x"):
        try:
            open(f"{place}/klear-escape", mode).write("out")
            escaped.append(place)
        except OSError:
            pass
print(escaped or 2 * int(input()))

# class: host
# task: S
# expect: PASS
# tries: to read secrets where they usually lie
import os

escaped = [name for name in os.environ if name not in ("PYTHONHASHSEED", "LC_ALL", "MALLOC_ARENA_MAX", "PWD")]
home = os.path.expanduser("~")
paths = [f"{place}/{name}" for place in ("__HOME__", "/root", home) for name in (".netrc", ".ssh/id_rsa", ".token")]
paths += ["/etc/shadow", "/etc/passwd", "/etc/hosts", "/var/run/secrets/kubernetes.io/serviceaccount/token"]
for path in [*paths, "/proc/1/environ", "/proc/net/tcp", "/proc/mounts", "/sys/class/net", "/run/docker.sock"]:
    try:
        open(path).read(1)
    except OSError:
        continue
    escaped.append(path)
print(escaped or 2 * int(input()))

"""Whether processes run: shared by the tests of verifier processes."""

from pathlib import Path


def is_running(pid: int) -> bool:
    """False for a process that is gone or waits to be collected."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False

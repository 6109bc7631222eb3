"""How a program reaches its guest: as JSON in an anonymous file, never as pickle; and the zygote's short messages."""

import json
import os
import struct
from dataclasses import asdict

from klear_core.rewards.sandbox.limits import Limits

# Trainer to zygote: start a guest, with the descriptors of ``START_DESCRIPTORS`` beside the message.
START = struct.Struct("<Q")  # the guest's number
START_DESCRIPTORS = 4  # job, standard input, output, error output
# Zygote to trainer: a guest has started (with a descriptor of its process beside the message), or has ended.
STARTED = struct.Struct("<cQ")
ENDED = struct.Struct("<cQid")  # b"E", number, wait status, CPU seconds


def anonymous_file(name: str, content: bytes) -> int:
    """A descriptor of an in-memory file that holds ``content``, at its beginning; to be closed by the caller."""
    fd = os.memfd_create(name, os.MFD_CLOEXEC)
    view = memoryview(content)
    while view:
        view = view[os.write(fd, view) :]
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def job_file(source: str, entry: str, arguments: tuple[str, ...], limits: Limits) -> int:
    """A job as ``read_job`` takes it; ``arguments`` are the JSON lists of a function's calls."""
    job = {"source": source, "entry": entry, "arguments": arguments, "limits": asdict(limits)}
    return anonymous_file("job", json.dumps(job).encode())


def read_job(fd: int) -> tuple[str, str, list[str], Limits]:
    """Source, entry, arguments and limits; the file's position is left alone, as guests share it."""
    job = json.loads(os.pread(fd, os.fstat(fd).st_size, 0))
    return job["source"], job["entry"], job["arguments"], Limits(**job["limits"])

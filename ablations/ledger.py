"""ledger.jsonl: what happened to a sweep, in order. The runs' statuses are the truth; the ledger is their history."""

import os
from pathlib import Path
from typing import Any

from ablations.job import Job, Outcome
from klear_core.errors import RunStoreError
from klear_core.runs import provenance, schema
from klear_core.runs.log import RecordLog


class Ledger:
    """Appends events; a disk that refuses them is told once through ``problem`` and never stops a sweep."""

    def __init__(self, sweep_folder: Path) -> None:
        """RunStoreError when the file cannot be opened or is damaged."""
        path = sweep_folder / schema.LEDGER_FILE
        try:
            self._log = RecordLog(path)
        except RunStoreError as error:
            raise RunStoreError(f"{error}; move {path} away, no run needs it") from None
        self.problem = ""

    def sweep_started(self, command: str, counts: dict[str, int]) -> None:
        """A command has begun; ``counts`` says how many runs are new, continued, reused or left out."""
        self._append("sweep_started", command=command, pid=os.getpid(), source=provenance.source_hash(), **counts)

    def sweep_ended(self, exit_code: int) -> None:
        """The command ends."""
        self._append("sweep_ended", exit_code=exit_code)

    def run_reused(self, run_id: str, folder: str, other_code: str) -> None:
        """A finished run counts for this command; ``other_code`` is the source hash when it is not this code's."""
        self._append("run_reused", run_id=run_id, folder=folder, other_code=other_code)

    def run_started(self, job: Job, *, attempt: int, pid: int) -> None:
        """An attempt has begun."""
        self._append("run_started", **_named(job), identity=job.identity, attempt=attempt, pid=pid)

    def run_ended(self, job: Job, *, attempt: int, outcome: Outcome, wall_s: float) -> None:
        """An attempt has ended."""
        self._append(
            "run_ended",
            **_named(job),
            attempt=attempt,
            exit_class=outcome.exit_class,
            reason=outcome.reason,
            wall_s=round(wall_s, 3),
        )

    def run_not_started(self, job: Job, reason: str) -> None:
        """A planned run was not tried."""
        self._append("run_not_started", **_named(job), reason=reason)

    def close(self) -> None:
        """Close the file."""
        self._log.close()

    def _append(self, event: str, **fields: Any) -> None:
        try:
            self._log.append({"event": event, "time": provenance.utc_now(), **fields})
        except RunStoreError as error:
            self.problem = self.problem or str(error)


def _named(job: Job) -> dict[str, str]:
    return {"run_id": job.run_id, "stage": job.stage, "folder": f"{job.folder.parent.name}/{job.folder.name}"}

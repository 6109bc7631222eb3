"""One attempt of a run: what it writes at its start and end, and what a second one makes of it."""

import dataclasses

import pytest
import torch

from ablations import launch
from ablations.attempt import run_attempt
from ablations.run import compose
from klear_core.errors import DataError, RunStoreError
from klear_core.runs import schema, store
from klear_core.runs.log import read_log
from klear_core.trainer.checkpoint import TrainState


class Counter:
    """A trainer whose state is the number of its last step."""

    step = 0

    def state(self):
        return TrainState(tensors={"model": {"step": torch.tensor(self.step)}}, data={"step": self.step})

    def restore(self, state):
        self.step = state.data["step"]


@pytest.fixture
def job(tmp_path):
    overrides = [f"launch.runs_dir={tmp_path}", "scale=smoke", "wandb.mode=disabled", "launch.checkpoint_every_s=0"]
    return launch.lay_out(launch.prepare(compose(overrides)), wandb_mode="disabled")[1]


def stage(upto, *, then=None, seen=None, first_checkpoint=False, rows_per_step=1):
    """Steps up to a number, each with its rows and a checkpoint, and an end of one's own."""

    def run(attempt):
        trainer = Counter()
        attempt.resume(trainer)
        if seen is not None:
            seen.append(trainer.step)
        if first_checkpoint:
            attempt.checkpoint(trainer)
        while trainer.step < upto:
            trainer.step += 1
            attempt.records(schema.STEPS_FILE).append({"step": trainer.step})
            attempt.checkpoint(trainer)
        if then is not None:
            attempt.records(schema.STEPS_FILE).append({"step": -1})
            raise then

    return run


def steps(job):
    return [row["step"] for row in read_log(job.folder / schema.STEPS_FILE)]


def test_a_status_says_how_each_attempt_ended(job):
    with pytest.raises(DataError):
        run_attempt(job, stage(2, then=DataError("no such file")))
    status = store.read_status(job.folder)
    assert (status.state, status.exit_class, status.reason) == ("failed", "data_error", "no such file")
    assert (status.attempt, status.resumed_step) == (1, None)
    with pytest.raises(ZeroDivisionError):
        run_attempt(job, stage(3, then=ZeroDivisionError("x")))
    status = store.read_status(job.folder)
    assert (status.exit_class, status.attempt, status.resumed_step) == ("bug", 2, 2)
    run_attempt(job, stage(4))
    status = store.read_status(job.folder)
    assert (status.state, status.exit_class, status.reason, status.attempt) == ("done", "ok", "", 3)
    assert status.sources == [job.source]
    assert steps(job) == [1, 2, 3, 4]
    assert not (job.folder / schema.RESUME_DIR).exists()
    assert (job.folder / "steps.cut1.jsonl").exists()


def test_a_checkpoint_before_the_first_row_of_an_attempt_still_knows_the_rows_before_it(job):
    seen = []
    for upto in (3, 3, 5):
        with pytest.raises(InterruptedError):
            run_attempt(job, stage(upto, then=InterruptedError(), seen=seen, first_checkpoint=True))
    run_attempt(job, stage(6, seen=seen, first_checkpoint=True))
    assert seen == [0, 3, 3, 5]
    assert steps(job) == [1, 2, 3, 4, 5, 6]


def test_a_done_run_is_left_alone(job):
    run_attempt(job, stage(2))
    before = (job.folder / schema.STATUS_FILE).read_bytes()
    run_attempt(job, stage(9))
    assert steps(job) == [1, 2]
    assert (job.folder / schema.STATUS_FILE).read_bytes() == before


def test_records_that_are_damaged_before_the_checkpoint_start_the_run_over(job, caplog):
    with pytest.raises(InterruptedError):
        run_attempt(job, stage(3, then=InterruptedError()))
    path = job.folder / schema.STEPS_FILE
    path.write_bytes(path.read_bytes().replace(b'"step": 2', b'"step": 9'))
    seen = []
    run_attempt(job, stage(4, seen=seen))
    assert seen == [0]
    assert steps(job) == [1, 2, 3, 4]
    assert "line 2 is damaged" in caplog.text
    assert b'"step": 9' in (job.folder / "steps.cut1.jsonl").read_bytes()


def test_a_checkpoint_of_other_settings_is_refused(job):
    with pytest.raises(InterruptedError):
        run_attempt(job, stage(2, then=InterruptedError()))
    config = dataclasses.replace(job.config, seed=1)
    with pytest.raises(RunStoreError, match="a checkpoint of other settings"):
        run_attempt(dataclasses.replace(job, config=config), stage(3))


def test_other_code_that_goes_on_is_stamped_and_other_code_that_starts_over_is_not(job):
    with pytest.raises(InterruptedError):
        run_attempt(job, stage(2, then=InterruptedError()))
    other = dataclasses.replace(job, source="other")
    with pytest.raises(InterruptedError):
        run_attempt(other, stage(3, then=InterruptedError()))
    assert store.read_status(job.folder).sources == [job.source, "other"]
    import shutil

    shutil.rmtree(job.folder / schema.RESUME_DIR)
    run_attempt(other, stage(3))
    assert store.read_status(job.folder).sources == ["other"]
    assert steps(job) == [1, 2, 3]

"""Identities are made once for a finished sweep of controls, and what keeps them away is told in their file."""

import dataclasses
import signal
from types import SimpleNamespace

import pytest
import yaml

from ablations import identities
from klear_core.runs import provenance, schema, store
from klear_core.settings import to_plain

PLANNED = schema.PlannedRun(
    arm="none", treatment="none", point="", seed=0, folder="none/seed0", run_id="none-0", sft="key"
)
PLAN = schema.Plan(
    sweep="controls",
    title="",
    stage="rl",
    baseline="none",
    primary=schema.PrimaryMetric(metric="avg@2", split="test", decoding="t1.0", step=3),
    treatments={"none": ""},
    points={"": ""},
    fixed={},
    floors={},
    runs=[PLANNED],
    command="",
    created="",
)


@pytest.fixture(scope="module")
def config_text(make_config):
    return yaml.safe_dump(to_plain(make_config("+sweep=controls", "control=none", "seed=0")))


@pytest.fixture
def sweep(tmp_path, config_text):
    """A folder whose only run says that it is done; returns a function that asks for its identities."""
    folder = tmp_path / "controls"
    status = schema.Status(
        run_id="none-0",
        identity="i",
        state="done",
        attempt=1,
        exit_class="ok",
        reason="",
        owner=schema.Owner(pid=1, process_start="", boot_id=""),
        started="",
        ended="",
        wall_s=1.0,
        sources=[],
    )
    store.write_json(folder / PLANNED.folder / schema.STATUS_FILE, status)
    store.write_text(folder / PLANNED.folder / schema.CONFIG_FILE, config_text)
    return folder


def ask(folder, plan=PLAN):
    said = []
    identities.make_identities(folder, plan, folder.parent, said.append)
    return store.read_identities(folder), said


def test_only_sweeps_of_controls_are_asked(make_config):
    assert identities.is_asked(make_config("+sweep=controls", "control=none", "seed=0"))
    assert not identities.is_asked(make_config())


def test_a_start_that_cannot_be_loaded_is_told_in_the_file(sweep, monkeypatch):
    # The test process is no child of a sweep.
    monkeypatch.setattr(identities, "die_with_parent", lambda: None)
    monkeypatch.setattr(signal, "signal", lambda *ignored: None)
    task = identities._task(sweep, PLAN, sweep.parent, "s")
    assert task.start == sweep.parent / schema.SFT_STORE_DIR / "key" / schema.CHECKPOINT_DIR
    identities._main(task)
    assert "checkpoint folder" in store.read_identities(sweep).problem


class Process:
    """A child that is over, or that never ends."""

    exitcode = -9

    def __init__(self, *, ends, **arguments):
        self.ends, self.killed = ends, False

    def start(self): ...

    def is_alive(self):
        return not self.ends and not self.killed

    def join(self, timeout=None):
        assert timeout is not None or not self.is_alive()

    def kill(self):
        self.killed = True


@pytest.mark.parametrize(
    ("ends", "told"), [(True, "its process ended with exit code -9"), (False, "it took more than 0.01 seconds")]
)
def test_a_child_that_dies_or_hangs_is_told_in_the_file(sweep, monkeypatch, ends, told):
    server = SimpleNamespace(Process=lambda **arguments: Process(ends=ends, **arguments))
    monkeypatch.setattr(identities, "fork_server", lambda: server)
    monkeypatch.setattr(identities, "_LIMIT_S", 0.01)
    found, said = ask(sweep)
    assert found.problem == told
    assert said == [f"identities: not checked: {told}"]


@pytest.mark.parametrize("state", ["failed", "running", "interrupted"])
def test_without_a_done_run_of_none_the_file_says_so(sweep, state):
    path = sweep / PLANNED.folder / schema.STATUS_FILE
    store.write_json(path, dataclasses.replace(store.read_status(path.parent), state=state))
    assert "no run of the arm 'none' is done" in ask(sweep)[0].problem
    other = dataclasses.replace(PLAN, runs=[dataclasses.replace(PLANNED, treatment="lr_x10")])
    assert "has no arm 'none'" in ask(sweep, other)[0].problem


def stored(**changes):
    values = {"problem": "", "source": provenance.source_hash(), "start": "key", "policy": "none-0", "tokens": 1}
    return schema.Identities(**(values | changes), corners={}, checks=[])


@pytest.mark.parametrize(
    ("before", "has_batch", "computed"),
    [
        (stored(), True, 0),
        (stored(), False, 1),
        (stored(source="of other code"), True, 1),
        (stored(policy="of another run"), True, 1),
        (stored(problem="a full disk"), True, 1),
        (None, True, 1),
    ],
)
def test_identities_are_made_again_only_when_they_are_missing_or_of_something_else(
    sweep, monkeypatch, before, has_batch, computed
):
    calls = []
    monkeypatch.setattr(identities, "_compute_in_child", calls.append)
    if before is not None:
        store.write_json(sweep / schema.IDENTITIES_FILE, before)
    if has_batch:
        (sweep / schema.IDENTITY_BATCH_FILE).touch()
    ask(sweep)
    assert len(calls) == computed


def test_a_damaged_file_is_made_again(sweep, monkeypatch):
    store.write_text(sweep / schema.IDENTITIES_FILE, "{")
    (sweep / schema.IDENTITY_BATCH_FILE).touch()

    def compute(task):
        store.write_json(sweep / schema.IDENTITIES_FILE, stored())

    monkeypatch.setattr(identities, "_compute_in_child", compute)
    assert ask(sweep)[0] == stored()

"""What a command does with what it finds: nothing finished is done twice, nothing that differs is mixed."""

import dataclasses
import os
import subprocess
import sys

import pytest

from ablations import launch, machine_limits
from ablations.decide import Action, ConflictError
from ablations.run import compose
from klear_core.errors import RunStoreError
from klear_core.runs import folders, provenance, schema, store
from klear_core.trainer.model_folder import save_model

GONE = schema.Owner(pid=1, process_start="1", boot_id="an earlier boot")


def prepare(tmp_path, *overrides):
    return launch.prepare(compose(["scale=smoke", f"launch.runs_dir={tmp_path / 'runs'}", *overrides]))


def put(tmp_path, prepared, index, state="done", source=None, owner=GONE, exit_class=""):
    """Leave a run in a folder as a command would, in the given state."""
    decision = prepared.decisions[index]
    launch.lay_out(prepared, wandb_mode="disabled")
    status = schema.Status(
        run_id=decision.config.run_id,
        identity="",
        state=state,
        attempt=1,
        exit_class=exit_class,
        reason="",
        owner=owner,
        started="",
        ended="",
        wall_s=1.0,
        sources=[source or provenance.source_hash()],
    )
    store.write_json(decision.folder / schema.STATUS_FILE, status)
    return decision.folder


def actions(prepared):
    return [str(decision.action) for decision in prepared.decisions]


def test_done_is_reused_unfinished_goes_on_and_the_rest_is_new(tmp_path):
    prepared = prepare(tmp_path, "seed=0,1,2,3,4")
    assert actions(prepared) == ["new"] * 5
    assert not (tmp_path / "runs").exists(), "deciding writes nothing"
    for index, state in enumerate(("done", "failed", "interrupted", "running")):
        put(tmp_path, prepared, index, state)
    prepared = prepare(tmp_path, "seed=0,1,2,3,4")
    assert actions(prepared) == ["reuse", "continue", "continue", "continue", "new"]
    assert prepared.counts() == {"new": 1, "continue": 3, "reuse": 1, "left_out": 0}
    jobs = launch.lay_out(prepared, wandb_mode="disabled")
    assert [(job.stage, job.config.seed) for job in jobs] == [
        *[("sft", seed) for seed in (1, 2, 3, 4)],
        *[("rl", seed) for seed in (1, 2, 3, 4)],
    ]


def test_more_seeds_or_arms_run_only_what_is_new(tmp_path):
    prepared = prepare(tmp_path)
    put(tmp_path, prepared, 0)
    assert actions(prepare(tmp_path, "seed=0,1")) == ["reuse", "new"]
    assert actions(prepare(tmp_path, "objective=clip_higher,gppo")) == ["reuse", "new"]


def test_only_failed_takes_the_failed_ones(tmp_path):
    prepared = prepare(tmp_path, "seed=0,1,2,3")
    for index, state in enumerate(("done", "failed", "interrupted")):
        put(tmp_path, prepared, index, state)
    assert actions(prepare(tmp_path, "seed=0,1,2,3", "only_failed=true")) == [
        "reuse",
        "continue",
        "left out",
        "left out",
    ]


def test_other_settings_are_refused_with_the_difference(tmp_path):
    put(tmp_path, prepare(tmp_path), 0)
    with pytest.raises(ConflictError) as caught:
        prepare(tmp_path, "rl.learning_rate=1e-3", "rl.steps=5")
    message = str(caught.value)
    assert "rl.steps is 3, asked for 5" in message
    assert "rl.learning_rate is 0.0002, asked for 0.001" in message
    assert "reuse=new_folder" in message
    assert "\n" not in message
    assert actions(prepare(tmp_path, "launch.slots=1", "wandb.mode=offline", "retries=3")) == ["reuse"]


def test_a_new_folder_is_found_and_found_again(tmp_path):
    put(tmp_path, prepare(tmp_path), 0)
    other = ("rl.steps=5", "reuse=new_folder")
    prepared = prepare(tmp_path, *other)
    assert prepared.checked.folder.name == "adhoc-2"
    assert prepared.checked.plan.sweep == prepared.config.sweep.name == "adhoc-2"
    put(tmp_path, prepared, 0, "failed")
    again = prepare(tmp_path, *other)
    assert again.checked.folder.name == "adhoc-2"
    assert actions(again) == ["continue"]
    assert prepare(tmp_path, "rl.steps=6", "reuse=new_folder").checked.folder.name == "adhoc-3"
    assert prepare(tmp_path, "reuse=new_folder").checked.folder.name == "adhoc", "what fits is used"


def test_other_code_is_refused_unless_asked_for_and_stamped(tmp_path):
    put(tmp_path, prepare(tmp_path, "seed=0,1"), 0, source="0123456789abcdef")
    with pytest.raises(ConflictError, match=r"other code \(source 0123456789ab, not .*reuse=any_code"):
        prepare(tmp_path, "seed=0,1")
    prepared = prepare(tmp_path, "seed=0,1", "reuse=any_code")
    assert actions(prepared) == ["reuse", "new"]
    assert [run.other_code for run in prepared.checked.plan.runs] == ["0123456789abcdef", ""]
    launch.lay_out(prepared, wandb_mode="disabled")
    assert [run.other_code for run in store.read_plan(prepared.checked.folder).runs] == ["0123456789abcdef", ""]


def test_a_run_whose_owner_lives_is_refused_and_one_whose_owner_is_gone_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr("ablations.decide._DEATH_S", 0.1)
    prepared = prepare(tmp_path)
    put(tmp_path, prepared, 0, "running", owner=folders.owner_of(os.getpid()))
    with pytest.raises(folders.FolderInUseError, match=f"in use by process {os.getpid()}"):
        prepare(tmp_path)
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    put(tmp_path, prepared, 0, "running", owner=folders.owner_of(process.pid))
    process.communicate()
    assert actions(prepare(tmp_path)) == ["continue"]


@pytest.mark.parametrize("name", [schema.MANIFEST_FILE, schema.STEPS_FILE])
def test_records_without_a_status_are_refused(tmp_path, name):
    folder = prepare(tmp_path).decisions[0].folder
    folder.mkdir(parents=True)
    (folder / name).write_text("{}")
    with pytest.raises(ConflictError, match=r"holds records without status\.json"):
        prepare(tmp_path)


@pytest.mark.parametrize("text", ["a: [", "3", "\x00", "- a"])
def test_a_config_that_cannot_be_read_is_refused_in_one_line(tmp_path, text):
    folder = put(tmp_path, prepare(tmp_path), 0)
    (folder / schema.CONFIG_FILE).write_text(text)
    with pytest.raises(RunStoreError, match=r"config\.yaml") as caught:
        prepare(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_given_checkpoint_replaces_the_supervised_stage(tmp_path, model, tokenizer):
    save_model(tmp_path / "start", model, tokenizer)
    prepared = prepare(tmp_path, f"sft.checkpoint={tmp_path / 'start'}")
    (job,) = launch.lay_out(prepared, wandb_mode="disabled")
    assert (job.stage, job.checkpoint, job.sft) == ("rl", tmp_path / "start", "")
    assert prepared.starts == []


def test_a_finished_start_is_not_trained_again_and_any_code_takes_one_of_other_code(tmp_path):
    prepared = prepare(tmp_path)
    (start,) = prepared.starts
    launch.lay_out(prepared, wandb_mode="disabled")
    manifest = schema.Manifest(
        run_id="r",
        sweep="adhoc",
        arm="sft",
        treatment="sft",
        point="",
        seed=0,
        identity="",
        config_hash=start.config.sft_key,
        data_hash="",
        sft=start.key,
        grading="",
        provenance=schema.Provenance(
            commit="", dirty=None, source_hash="", versions={}, machine={}, threads=1, command=""
        ),
    )
    put(tmp_path, prepared, 0, "failed")
    done = dataclasses.replace(store.read_status(prepared.decisions[0].folder), state="done")
    for folder in (start.folder, start.folder.with_name("of-other-code")):
        store.write_json(folder / schema.STATUS_FILE, done)
        store.write_json(folder / schema.MANIFEST_FILE, manifest)
    assert [each.action for each in prepare(tmp_path).starts] == [Action.REUSE]
    (start.folder / schema.STATUS_FILE).unlink()
    assert [each.action for each in prepare(tmp_path).starts] == [Action.NEW]
    (other,) = prepare(tmp_path, "reuse=any_code").starts
    assert (other.key, other.action) == ("of-other-code", Action.REUSE)


def test_a_disk_that_is_too_small_is_refused_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(machine_limits, "free_disk", lambda folder: 1000)
    with pytest.raises(RunStoreError, match=r"need up to .* MB of disk, and .* has 0 MB free"):
        launch.run_sweep(compose(["scale=smoke", f"launch.runs_dir={tmp_path / 'runs'}"]))
    assert not (tmp_path / "runs").exists()

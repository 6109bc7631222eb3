"""A user's own model and files through the real command, with settings that other tasks have too."""

import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load_file, save_file

from ablations import launch
from ablations.decide import ConflictError
from ablations.run import compose
from klear_core.runs import schema, store
from klear_core.runs.log import read_log
from tests.e2e import own_data
from tests.e2e.conftest import run_command

pytestmark = pytest.mark.slow


def supervised(data, model, root):
    """The arguments of the supervised run."""
    return [
        *("stage=sft", "sft_mix=rows", f"sft_mix.params.path={data['demonstrations']}", "sweep.compare=sft_mix.name"),
        *("sft.steps=3", "sft.batch_size=4", *own_data.arguments(data, model), f"launch.runs_dir={root}"),
    ]


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """The files of ``own_data``, and what a supervised run on them left: {data, model, root, sft}."""
    folder = tmp_path_factory.mktemp("own")
    model, data, root = own_data.write_model(folder / "model"), own_data.write_data(folder / "data"), folder / "runs"
    done = run_command(*supervised(data, model, root))
    assert done.returncode == 0, done.stdout + done.stderr
    return {"data": data, "model": model, "root": root, "sft": root / "adhoc" / "rows" / "seed0"}


def test_a_given_model_learns_from_a_public_format_and_is_asked_the_questions_of_another(own):
    folder = own["sft"]
    assert [row["step"] for row in read_log(folder / schema.STEPS_FILE)] == [1, 2, 3]
    mix = store.read_mix(folder)
    # The tokenizer says nothing of the context, so the model does.
    assert (mix["examples"], mix["prompts"], mix["too_long"], mix["max_tokens"]) == (24, 12, 0, own_data.CONTEXT)
    rows = pq.read_table(folder / schema.EVAL_FILE).to_pylist()
    assert len({row["problem_id"] for row in rows if row["split"] == "test"}) == 6
    text = (own["root"] / "adhoc" / "report" / "report.md").read_text()
    assert "always answering 42 on the 6 test questions" in text
    assert "Nothing: all 1 runs are done." in text


def test_rl_goes_on_from_that_model_with_answers_and_programs_in_one_file(own, tmp_path):
    mixed = own_data.write_lines(
        tmp_path / "mixed.jsonl", own_data.own_rows(own_data.sums(10, 4)) + own_data.code_rows(0, 4)
    )
    done = run_command(
        *("rl.steps=2", "rl.completions_per_problem=4", "sweep.name=own_rl", f"launch.runs_dir={own['root']}"),
        *own_data.arguments(own["data"] | {"train": mixed}, own["sft"] / schema.CHECKPOINT_DIR),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    folder = own["root"] / "own_rl" / "clip_higher" / "seed0"
    assert [row["step"] for row in read_log(folder / schema.STEPS_FILE)] == [1, 2]
    assert store.read_manifest(folder).grading.startswith(("native: ", "bubblewrap: "))
    assert store.read_filter(folder) == [{"difficulty": None, "flawed": False, "kept": 8, "dropped": 0}]
    prompts = {row["prompt"] for row in pq.read_table(folder / schema.ROLLOUTS_FILE).to_pylist()}
    assert prompts <= {prompt for prompt, _ in own_data.sums(10, 4)} | {f"Add one, version {k}." for k in range(4)}
    assert (own["root"] / "own_rl" / "report" / "report.md").is_file()


def test_the_plan_is_shown_with_what_the_given_model_takes(own, tmp_path):
    done = run_command(
        *("rl.completions_per_problem=4", "dry_run=true", f"launch.runs_dir={tmp_path / 'runs'}"),
        *own_data.arguments(own["data"], own["sft"] / schema.CHECKPOINT_DIR),
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    assert "runs: 1 to do and 0 supervised starts" in done.stdout
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("name", ["test", "demonstrations", "model"])
def test_a_finished_run_is_not_reused_when_a_file_has_changed_behind_its_name(own, name):
    command = supervised(own["data"], own["model"], own["root"])
    path = own["model"] / "model.safetensors" if name == "model" else own["data"][name]
    before = path.read_bytes()
    assert actions(command) == ["reuse"]
    if name == "model":
        save_file({key: value + 1 for key, value in load_file(path).items()}, path, metadata={"format": "pt"})
    elif name == "test":
        path.write_bytes(before.replace(b'"solution": "42"', b'"solution": "43"', 1))
    else:
        own_data.write_openr1(path, own_data.sums(51, 12))
    with pytest.raises(ConflictError, match="holds a run of other data"):
        actions(command)
    path.write_bytes(before)
    assert actions(command) == ["reuse"]


def actions(command):
    return [str(decision.action) for decision in launch.prepare(compose(command)).decisions]

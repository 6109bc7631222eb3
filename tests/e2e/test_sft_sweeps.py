"""Sweeps without RL, whose data are what is compared, through the real command."""

import json

import pyarrow.parquet as pq
import pytest

from ablations.launch import prepare
from ablations.run import compose
from klear_core.errors import ConfigError, DataError
from klear_core.runs import schema, store
from klear_core.runs.log import read_log
from tests.e2e.conftest import run_command

pytestmark = pytest.mark.slow
RUNS = [f"{arm}-on_{level}" for level in ("easy", "hard") for arm in ("only_true", "mixed")]
COMMAND = (
    *("+sweep=sft_correctness", "scale=smoke", "sft_mix.params.difficulty=easy,hard"),
    *("sft_mix.params.problems=800", "sft_mix.params.count=200"),
    *("model=tiny", "sft.steps=8", "eval.validation_every=4", "wandb.mode=disabled"),
)


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """A smoke sweep of four arms: {root, output}."""
    root = tmp_path_factory.mktemp("runs")
    done = run_command(*COMMAND, f"launch.runs_dir={root}")
    assert done.returncode == 0, done.stdout + done.stderr
    return {"root": root, "output": done.stdout}


def folder_of(swept, run):
    return swept["root"] / "sft_correctness" / run / "seed0"


def test_each_arm_trains_on_its_mix_and_says_what_it_was(swept):
    for run in RUNS:
        mix = store.read_mix(folder_of(swept, run))
        assert mix["examples"] == 200
        right = {row["value"]: row["count"] for row in mix["is_correct"]}
        assert (right == {True: 200}) == run.startswith("only_true")
        difficulties = [row["value"] for row in mix["difficulty"]]
        assert max(difficulties) <= 4 if run.endswith("easy") else min(difficulties) > 4
        assert [step["name"] for step in mix["steps"]][-3:] == ["difficulty", "correctness", "sample"]
    assert len({store.read_mix(folder_of(swept, run))["content_hash"] for run in RUNS}) == 4


def test_a_run_is_evaluated_on_the_way_and_at_its_end_and_leaves_a_model(swept):
    for run in RUNS:
        folder = folder_of(swept, run)
        steps = list(read_log(folder / schema.STEPS_FILE))
        assert [row["step"] for row in steps] == list(range(1, 9))
        assert set(schema.SFT_STEP_FIELDS) <= set(steps[0])
        assert set(schema.SFT_TIMING_FIELDS) <= set(next(iter(read_log(folder / schema.TIMINGS_FILE))))
        rows = pq.read_table(folder / schema.EVAL_FILE).to_pylist()
        asked = {(row["split"], row["decoding"], row["step"]) for row in rows}
        assert asked == {
            *(("validation", "t1.0", step) for step in (4, 8)),
            *(("test", decoding, 8) for decoding in ("t1.0", "t0.6_p0.95", "greedy")),
        }
        assert all(2 <= row["difficulty"] <= 8 for row in rows)
        assert (folder / schema.CHECKPOINT_DIR / "config.json").is_file()
    assert not (swept["root"] / schema.SFT_STORE_DIR).exists()


def test_the_report_sets_the_papers_table_beside_the_effects(swept):
    text = (swept["root"] / "sft_correctness" / "report" / "report.md").read_text()
    assert "## Published beside measured" in text
    assert "| hard_mixed - hard_only_true |" in " ".join(text.split())
    assert "overall_mixed - overall_only_true" in text
    assert "not run here" in text
    assert "one seed gives no training-variance estimate" in text


def test_the_same_command_in_another_root_gives_the_same_bytes(swept, tmp_path):
    command = [*COMMAND, f"launch.runs_dir={tmp_path}", "sft_mix.params.difficulty=hard"]
    command.remove("sft_mix.params.difficulty=easy,hard")
    done = run_command(*command)
    assert done.returncode == 0, done.stdout + done.stderr
    for run in RUNS[2:]:
        one, other = folder_of(swept, run), tmp_path / "sft_correctness" / run / "seed0"
        for name in (schema.STEPS_FILE, schema.EVAL_LOG, schema.MIX_FILE):
            assert (one / name).read_bytes() == (other / name).read_bytes(), (run, name)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["stage=sft"], "sweep.compare is 'objective.name', which has no effect with stage=sft"),
        (["stage=dpo"], "stage is 'dpo'; allowed: rl or sft"),
        (["+sweep=sft_teacher", "rl.learning_rate=1e-4,2e-4"], "rl.learning_rate varies between runs"),
        (["+sweep=sft_teacher", "sft.final_learning_rate=1"], "sft.final_learning_rate is 1; allowed: at most"),
        (["+sweep=sft_teacher", "sft_mix.params.teacher=genius"], ""),
        (["+sweep=sft_teacher", "sft_mix.steps=[{dedupe: {}}]"], "sft_mix.steps[0] is 'dedupe'; allowed: balan"),
        (["sft_mix=rows"], ""),
    ],
)
def test_what_cannot_be_is_refused_in_one_line_when_it_is_planned(arguments, told, tmp_path):
    with pytest.raises((ConfigError, DataError)) as caught:
        prepare(compose([*arguments, f"launch.runs_dir={tmp_path}", "scale=smoke"]))
    assert str(caught.value).startswith(told)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_data_describe_shows_a_mix_step_by_step(capsys):
    from ablations.cli import app

    settings = ["task=chains_mixed", "scale=smoke", "sft_mix.params.count=100"]
    code = app(["data", "describe", "error_rate", *settings, "--json"], standalone_mode=False)
    assert not code
    told = json.loads(capsys.readouterr().out)
    assert told["format"] == "mix only_true"
    assert told["profile"]["fingerprint"]["rows"] == 100
    assert [step["name"] for step in told["steps"]] == ["inputs", "dedup", "decontaminate", "correctness", "sample"]
    for arguments in (["teacher"], ["no_such_mix"], ["error_rate", "scale=smoke", "seed=0,1"]):
        assert app(["data", "describe", *arguments], standalone_mode=False) == 2
        assert capsys.readouterr().err.count("\n") == 1

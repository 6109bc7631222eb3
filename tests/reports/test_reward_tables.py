"""What a report says about rewards, the gradient's noise and filters, on a sweep whose truths are known."""

import json
import math

import pytest

from klear_core.runs import schema, store
from klear_core.runs.log import RecordLog, read_log
from reports.load import load_sweep
from reports.report import write_report
from reports.reward_tables import filter_table, noise_table, reward_table

ARMS = ("hard", "soft", "soft_acc")
LEVELS = {(arm, ""): level for arm, level in zip(ARMS, (0.5, 0.6, 0.5), strict=True)}
# Variance of the gradient at the first step by arm and seed; soft has half of hard's.
FIRST = {"hard": (2.0, 4.0, 6.0), "soft": (1.0, 2.0, 3.0), "soft_acc": (1.0, 4.0, 3.0)}


def rewrite(path, change):
    rows = [dict(row) for row in read_log(path)]
    path.unlink()
    with RecordLog(path) as log:
        for row in rows:
            log.append({key: value for key, value in (row | change(row)).items() if key not in ("seq", "crc32")})


@pytest.fixture
def sweep(write_sweep):
    """The synthetic sweep as one named reward, with its rewards, noise and filters filled in."""
    root = write_sweep(accuracy=LEVELS, baseline="hard")
    folder = root / "reward"
    (root / "clipping").rename(folder)
    plan = json.loads((folder / schema.PLAN_FILE).read_text())
    for run in plan["runs"]:
        old, new = run["folder"], f"{run['treatment']}/seed{run['seed']}"
        (folder / new).parent.mkdir(exist_ok=True)
        (folder / old).rename(folder / new)
        run["folder"], run["arm"] = new, run["treatment"]
    plan |= {"sweep": "reward", "fixed": {"rl.problems_per_step": "8"}, "points": {"": ""}}
    store.write_json(folder / schema.PLAN_FILE, plan)
    for run in plan["runs"]:
        first = FIRST[run["treatment"]][run["seed"]]

        def change(row, first=first, run=run):
            measured = {1: first, 6: 0.5}.get(row["step"], math.nan)
            return {
                "gradient_variance": measured,
                "gradient_signal": measured / 8 if not math.isnan(measured) else math.nan,
                "learning_groups": 0.4 if run["treatment"] == "soft_acc" else 0.8,
                "dropped_groups": 0.5 if run["treatment"] == "soft_acc" else 0.0,
                "invalid_completions": int(row["step"] == 2),
                "pass_rate_mean": 0.75,
                "verifier_disagreement": math.nan,
            }

        rewrite(folder / run["folder"] / schema.STEPS_FILE, change)
        kept = [
            {"difficulty": 1, "flawed": False, "kept": 60, "dropped": 0},
            {"difficulty": 1, "flawed": True, "kept": 0, "dropped": 20},
            {"difficulty": 2, "flawed": False, "kept": 90, "dropped": 10},
            {"difficulty": 2, "flawed": True, "kept": 10, "dropped": 10},
        ]
        store.write_json(folder / run["folder"] / schema.FILTER_FILE, kept if run["treatment"] == "soft" else [])
    return root


def test_rewards_are_told_with_their_spread_their_signal_and_what_was_invalid(sweep):
    table = reward_table(load_sweep(sweep, "reward"), "")
    rows = {row[0]: row for row in table.rows}
    assert rows["soft_acc"][6:8] == ["40.00 %", "50.00 %"]
    assert rows["hard"][2] == "0.750"
    assert rows["hard"][8] == "3 / 0"  # one completion in each of three runs


def test_the_noise_at_step_1_is_compared_seed_by_seed_as_a_ratio(sweep):
    table = noise_table(load_sweep(sweep, "reward"), "")
    raw = table.raw.set_index("treatment")
    assert raw.loc["soft", "ratio"] == pytest.approx(0.5)
    assert raw.loc["soft", "ratio_low"] == pytest.approx(0.5)  # the same in every seed
    assert raw.loc["soft_acc", "ratio_low"] < raw.loc["soft_acc", "ratio"] < raw.loc["soft_acc", "ratio_high"]
    assert raw.loc["soft_acc", "ratio"] == pytest.approx((0.5 * 1 * 0.5) ** (1 / 3))
    rows = {row[0]: row for row in table.rows}
    assert rows["hard"][3] == "0.50"  # variance / 8 against a signal of variance / 8


def test_a_filters_precision_and_recall_are_told_by_difficulty(sweep):
    table = filter_table(load_sweep(sweep, "reward"))
    rows = [row[1:] for row in table.rows]
    assert rows[0] == ["all", "30 of 40", "10 of 160", "0.750", "0.750"]
    assert rows[1] == ["1", "20 of 20", "0 of 60", "1.000", "1.000"]
    assert rows[2] == ["2", "10 of 20", "10 of 100", "0.500", "0.500"]


def test_the_report_answers_the_declared_contrasts_with_a_holm_of_their_own(sweep, tmp_path):
    data = load_sweep(sweep, "reward")
    text = write_report(data, tmp_path / "report").read_text()
    assert "soft - hard" in text
    assert "soft_acc - soft" in text
    assert (
        "at step 1, soft's is 0.50 [0.50, 0.50] times hard's: lower. Its share of noise there is 0.50 against 0.50"
        in text
    )
    assert "klear_released" not in text.split("Questions between two arms")[1].split("##")[0]  # it was not planned
    for title in ("## What the reward gave", "## How noisy the gradient was", "## What the filter dropped"):
        assert title in text
    assert (tmp_path / "report" / "signal.png").stat().st_size > 10_000


def test_a_response_that_could_not_be_graded_is_left_out_of_the_score(sweep):
    from reports.analysis import analyse

    before = analyse(load_sweep(sweep, "reward")).cells["", "soft"].per_seed[0]
    path = sweep / "reward" / "soft" / "seed0" / schema.EVAL_FILE
    import pyarrow.parquet as pq

    rows = pq.read_table(path).to_pylist()
    asked = [r for r in rows if (r["split"], r["decoding"], r["question"]) == ("test", "t1.0", 0)]
    wrong = [row for row in asked if not row["correct"]]
    others = [r["correct"] for r in asked if r is not wrong[0]]
    wrong[0]["verdict"] = "GRADER_ERROR"
    store.write_table(path, rows, schema.EVAL_COLUMNS)
    after = analyse(load_sweep(sweep, "reward")).cells["", "soft"].per_seed[0]
    mean = sum(r["correct"] for r in asked) / len(asked)
    assert after - before == pytest.approx((sum(others) / len(others) - mean) / 12)

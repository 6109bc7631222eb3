"""`ablations compare`: paired differences of runs and arms, and what cannot be paired."""

import math

import pytest
import yaml

from klear_core.runs import schema
from reports import stats
from tests.ablations.commands.cli_store import ablations, answers, drawn, refused, write_run

A, B = "clipping/gppo-u4", "clipping/clip_higher-u4"


@pytest.fixture
def runs(tmp_path):
    return tmp_path / "runs"


def put(runs, name, correct, *, step=3, split="test", decoding="t1.0", extra=(), **keywords):
    rows = [*answers(split, decoding, step, correct, **keywords), *extra]
    return write_run(runs, name, rows=rows)


def table(out):
    """(split, decoding) -> the other cells of the difference table."""
    rows = [line.split() for line in out.splitlines() if line.startswith(("  test", "  validation"))]
    return {(row[0], row[1]): row[2:] for row in rows}


def test_two_runs_of_a_seed_give_the_mean_difference_over_questions_and_its_paired_error(runs):
    put(runs, "gppo-u4/seed0", [[1, 1], [1, 0], [0, 0], [1, 1]])
    put(runs, "clip_higher-u4/seed0", [[0, 0], [1, 0], [0, 1], [1, 1]])
    done = ablations("compare", f"{A}/seed0", f"{B}/seed0", "--runs", runs)
    assert done.exit_code == 0
    # Differences by question: 1, 0, -1/2, 0; their mean is 1/8, their sum of squares about it 19/16.
    error = math.sqrt(19 / 16 / 3 / 4)
    assert table(done.stdout) == {("test", "t1.0"): ["3", "+0.1250", f"{error:.4f}", "4"]}
    assert "one seed gives no training-variance estimate" in done.stdout
    settings = [line.split() for line in done.stdout.splitlines() if line.startswith("  objective")]
    assert ["objective.params.beta_low", "1.0", "not", "set"] in settings
    assert all(key[0].startswith("objective.") for key in settings)


def test_samples_are_averaged_before_questions(runs):
    put(runs, "gppo-u4/seed0", [[1, 1, 1, 1, 1, 1], [0]])
    put(runs, "clip_higher-u4/seed0", [[0], [0, 0]])
    out = ablations("compare", f"{A}/seed0", f"{B}/seed0", "--runs", runs).stdout
    assert table(out)[("test", "t1.0")][1] == "+0.5000"


def test_the_other_order_gives_the_other_sign(runs):
    for seed in range(3):
        put(runs, f"gppo-u4/seed{seed}", drawn(0.8, seed))
        put(runs, f"clip_higher-u4/seed{seed}", drawn(0.3, seed))
    for one, two in ((f"{A}/seed0", f"{B}/seed0"), (A, B)):
        (ahead,) = table(ablations("compare", one, two, "--runs", runs).stdout).values()
        (back,) = table(ablations("compare", two, one, "--runs", runs).stdout).values()
        assert float(ahead[1]) == -float(back[1]) != 0
    assert [ahead[2], ahead[3]] == [f"[{-float(back[3][:-1]):+.4f},", f"{-float(back[2][1:-1]):+.4f}]"]


def test_arms_are_paired_by_seed_under_the_t_interval_of_the_report(runs):
    for seed in range(3):
        put(runs, f"gppo-u4/seed{seed}", drawn(0.8, seed))
        put(runs, f"clip_higher-u4/seed{seed}", drawn(0.3, seed))
    (row,) = table(ablations("compare", A, B, "--runs", runs).stdout).values()

    def mean(accuracy, seed):
        return sum(sum(samples) / len(samples) for samples in drawn(accuracy, seed)) / 12

    found = stats.compare([mean(0.8, seed) - mean(0.3, seed) for seed in range(3)])
    d = found.difference
    assert row == ["3", f"{d.value:+.4f}", f"[{d.low:+.4f},", f"{d.high:+.4f}]", f"{found.p:.3f}", "3", "12"]


def test_equal_differences_of_all_seeds_have_no_interval_and_the_p_of_their_signs(runs):
    for seed in range(3):
        put(runs, f"gppo-u4/seed{seed}", [[1], [1], [1], [0]])
        put(runs, f"clip_higher-u4/seed{seed}", [[1], [0], [1], [0]])
    out = ablations("compare", A, B, "--runs", runs).stdout
    assert table(out) == {("test", "t1.0"): ["3", "+0.2500", "none", "0.250", "3", "4"]}
    assert f"test t1.0: {stats.ALL_EQUAL}" in out
    assert "one seed gives no" not in out


def test_questions_seeds_and_cells_of_one_side_are_told(runs):
    greedy = answers("test", "greedy", 3, [[1]])
    put(runs, "gppo-u4/seed0", [[1], [1], [1]], extra=greedy)
    put(runs, "clip_higher-u4/seed0", [[0], [0], [1], [1]], start=1)
    out = ablations("compare", f"{A}/seed0", f"{B}/seed0", "--runs", runs).stdout
    assert table(out)[("test", "t1.0")][1:] == ["+1.0000", "0.0000", "2"]
    assert "seed 0, test t1.0, step 3: 1 questions only in A and 2 only in B are left out" in out
    assert "test greedy: not compared, only A has it" in out
    put(runs, "gppo-u4/seed2", [[1]])
    out = ablations("compare", A, B, "--runs", runs).stdout
    assert f"seed 2: only {A} has it" in out
    assert "one seed gives no training-variance estimate: test t1.0" in out
    assert table(out)[("test", "t1.0")][2:] == ["none", "—", "1", "2"]


def test_a_seed_without_the_last_step_is_left_out_of_n_and_told(runs):
    for seed in range(3):
        put(runs, f"gppo-u4/seed{seed}", drawn(0.8, seed))
        put(runs, f"clip_higher-u4/seed{seed}", drawn(0.3, seed), step=1 if seed == 2 else 3)
    out = ablations("compare", A, B, "--runs", runs).stdout
    assert table(out)[("test", "t1.0")][-2] == "2"
    assert "seed 2, test t1.0, step 3: left out, no question in common (12 only in A, 0 only in B)" in out


def test_the_last_step_that_both_have_counts(runs):
    put(runs, "gppo-u4/seed0", [[1], [1]], step=2, extra=answers("test", "t1.0", 3, [[0], [0]]))
    put(runs, "clip_higher-u4/seed0", [[0], [0]], step=2)
    out = ablations("compare", f"{A}/seed0", f"{B}/seed0", "--runs", runs).stdout
    assert table(out)[("test", "t1.0")][:2] == ["2", "+1.0000"]


def test_an_unfinished_run_and_other_code_are_told(runs):
    put(runs, "gppo-u4/seed0", [[1], [1]])
    rows = answers("test", "t1.0", 3, [[0], [0]])
    write_run(runs, "clip_higher-u4/seed0", rows=rows, state="running", sources=["b" * 64])
    out = ablations("compare", f"{A}/seed0", f"{B}/seed0", "--runs", runs).stdout
    assert f"{B}/seed0 is dead (continues): its numbers may be missing" in out
    assert "made by different code (sources aaaaaaaaaaaa and bbbbbbbbbbbb)" in out


def test_a_setting_that_differs_for_one_seed_only_is_told_as_that(runs):
    for seed in range(2):
        put(runs, f"gppo-u4/seed{seed}", [[1], [1]])
        put(runs, f"clip_higher-u4/seed{seed}", [[1], [0]])
    path = runs / A / "seed1" / schema.CONFIG_FILE
    config = yaml.safe_load(path.read_text())
    config["rl"]["learning_rate"] = 0.5
    path.write_text(yaml.safe_dump(config))
    out = ablations("compare", A, B, "--runs", runs).stdout
    assert "rl.learning_rate is 0.5 in A and 0.0002 in B for seed 1 only" in out
    assert not [line for line in out.splitlines() if line.startswith("  rl.learning_rate")]


def test_what_cannot_be_paired_is_refused(runs):
    put(runs, "gppo-u4/seed0", [[1]])
    put(runs, "gppo-u4/seed1", [[1]])
    put(runs, "clip_higher-u4/seed0", [[1]], problem="other")
    put(runs, "clip_higher-u4/seed2", [[1]])

    def no(a, b):
        return refused("compare", a, b, "--runs", runs)

    assert "seeds 0 and 1; runs of one seed share the supervised start" in no(f"{A}/seed0", f"{A}/seed1")
    assert "one is a run and the other an arm" in no(A, f"{B}/seed0")
    assert f"A and B are the same run, {A}/seed0" in no(f"{A}/seed0", str(runs / A / "seed0"))
    assert "A and B are the same arm" in no(A, A)
    # The same index, but another problem.
    assert "test t1.0: not compared, no step with a question in common" in no(f"{A}/seed0", f"{B}/seed0")
    assert f"there is no run and no arm 'clipping/gpo-u4' in {runs}; near: {A}" in no("clipping/gpo-u4", B)
    assert "there is no run 'clipping/gpo-u4/seed0'" in no("clipping/gpo-u4/seed0", B)
    (runs / A / "seed0").rename(runs / A / "seed7")
    (runs / B / "seed0" / schema.CONFIG_FILE).write_text("[]")
    assert "config.yaml holds no settings" in no(f"{B}/seed0", f"{A}/seed7")


def test_arms_without_a_common_seed_are_refused(runs):
    put(runs, "gppo-u4/seed0", [[1]])
    put(runs, "clip_higher-u4/seed2", [[1]])
    assert "no seed in common (0 and 2)" in refused("compare", A, B, "--runs", runs)

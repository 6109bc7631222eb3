"""Reports of supervised sweeps, on sweeps whose truths are known."""

import dataclasses
import math
import re
from functools import partial

import pytest

from klear_core.runs import schema, store
from klear_core.runs.log import RecordLog
from reports.analysis import analyse
from reports.comparisons import spec_for
from reports.load import load_sweep
from reports.mix_tables import (
    difficulty_table,
    mix_table,
    overview_sentence,
    overview_table,
    supervised_cost_table,
    supervised_table,
)
from reports.published_tables import beside_table, claim_sentence
from reports.report import write_report
from reports.sft_figures import grid_place

QUESTIONS, SAMPLES, STEPS = 12, 4, 30
POINTS = {f"on_{level}": f"sft_mix.params.difficulty = {level}" for level in ("easy", "hard", "all")}
# mixed hurts by 0.25 on easy questions and helps by 0.25 on hard ones, wherever its data come from.
LEVEL = {("only_true", "easy"): 0.75, ("only_true", "hard"): 0.25, ("mixed", "easy"): 0.5, ("mixed", "hard"): 0.5}
MIX = {
    "name": "m",
    "content_hash": "h",
    "steps": [
        {"name": "inputs", "before": 100, "after": 100, "details": {}},
        {"name": "dedup", "before": 100, "after": 90, "details": {"dropped": 10}},
        {"name": "decontaminate", "before": 90, "after": 87, "details": {"dropped": 3}},
    ],
    "examples": 80,
    "prompts": 40,
    "too_long": 7,
    "max_tokens": 128,
    "source": [{"value": "clean", "count": 60}, {"value": "<b>|", "count": 20}],
    "teacher": [{"value": "", "count": 80}],
    "difficulty": [{"value": 2, "count": 40}, {"value": 4, "count": 20}, {"value": None, "count": 20}],
    "is_correct": [{"value": False, "count": 20}, {"value": True, "count": 60}],
}


def rows_of(treatment, seed):
    """Evaluation rows: the first half of the questions is easy; each has exactly its level of right samples."""
    rows = []
    for decoding, samples in (("t1.0", SAMPLES), ("greedy", 1)):
        for question in range(QUESTIONS):
            easy = question < QUESTIONS // 2
            right = round(LEVEL[treatment, "easy" if easy else "hard"] * samples)
            # A seed moves every arm by the same question, so that differences have no variance.
            right = samples if question == seed else right
            rows += [
                dict.fromkeys(schema.EVAL_COLUMNS, "")
                | {"step": STEPS, "split": "test", "decoding": decoding, "question": question, "sample": sample}
                | {"difficulty": 1.0 + question, "response_tokens": 9, "correct": sample < right}
                | {"verdict": "CORRECT" if sample < right else "WRONG"}
                for sample in range(samples)
            ]
    return rows


@pytest.fixture
def sweep(tmp_path):
    """sft_correctness, three seeds; the folder of the runs."""
    planned = partial(schema.PlannedRun, sft="")
    runs = [
        planned(arm=f"{t}-{p}", treatment=t, point=p, seed=s, folder=f"{t}-{p}/seed{s}", run_id=f"{t}{p}{s}")
        for p in POINTS
        for t in ("only_true", "mixed")
        for s in range(3)
    ]
    plan = schema.Plan(
        sweep="sft_correctness",
        title="Right or mixed?",
        stage="sft",
        baseline="only_true",
        primary=schema.PrimaryMetric(metric=f"avg@{SAMPLES}", split="test", decoding="t1.0", step=STEPS),
        treatments={"only_true": "right ones", "mixed": "all"},
        points=POINTS,
        fixed={"stage": "sft"},
        floors={point: schema.Floor(accuracy=0.1, note="always 0") for point in POINTS},
        runs=runs,
        command="c",
        created="2026-01-01T00:00:00Z",
    )
    store.write_json(tmp_path / "sft_correctness" / schema.PLAN_FILE, plan)
    for run in runs:
        write_run(tmp_path / "sft_correctness" / run.folder, run)
    return tmp_path


def write_run(home, run):
    origin = {"commit": "abc", "dirty": False, "source_hash": "s" * 64, "versions": {}, "machine": {"cores": "2"}}
    store.write_json(
        home / schema.MANIFEST_FILE,
        schema.Manifest(
            run_id=run.run_id,
            sweep="sft_correctness",
            arm=run.arm,
            treatment=run.treatment,
            point=run.point,
            seed=run.seed,
            identity="i",
            config_hash="h",
            data_hash="d" * 64,
            sft="",
            grading="exact answers",
            provenance=schema.Provenance(**origin, threads=1, command="c"),
        ),
    )
    status = schema.Status(
        run_id=run.run_id,
        identity="i",
        state="done",
        attempt=1,
        exit_class="ok",
        reason="",
        owner=schema.Owner(pid=1, process_start="", boot_id=""),
        started="2026-01-01T00:00:00Z",
        ended="2026-01-01T00:01:00Z",
        wall_s=20.0,
        sources=["s"],
    )
    store.write_json(home / schema.STATUS_FILE, status)
    store.write_json(home / schema.MIX_FILE, MIX)
    with RecordLog(home / schema.STEPS_FILE) as steps, RecordLog(home / schema.TIMINGS_FILE) as timings:
        for step in range(1, STEPS + 1):
            row = {"step": step, "loss": 1 / step, "learning_rate": 1e-3, "grad_norm": 1.0}
            steps.append(row | {"response_tokens": 50, "positions": 100})
        timed = {"step": STEPS, "attempt": 1, "pid": 1, "update_s": 15.0, "eval_s": 4.0, "total_s": 19.0}
        timings.append(timed | {"trained_tokens_per_s": 100.0, "peak_rss_mb": 300.0})
    store.write_table(home / schema.EVAL_FILE, rows_of(run.treatment, run.seed), schema.EVAL_COLUMNS)


def test_the_effect_is_compared_on_easy_and_on_hard_questions_apart(sweep):
    data = load_sweep(sweep, "sft_correctness")
    table = difficulty_table(data, analyse(data), "on_easy")
    raw = table.raw.set_index(["treatment", "level"])["difference"]
    # Of six easy questions one, that of the seed, is always right in both arms.
    assert raw["mixed", "easy"] == pytest.approx(-0.25 * 5 / 6)
    assert raw["mixed", "hard"] == pytest.approx(0.25)
    assert "at most 6.5, the median" in table.notes[0]


def test_a_mix_is_told_with_its_sources_and_what_was_left_out(sweep):
    table = mix_table(load_sweep(sweep, "sft_correctness"), "on_all")
    _, demonstrations, prompts, sources, teachers, right, difficulty, left_out = table.rows[0]
    assert (demonstrations, prompts, right, left_out) == ("80", "40", "75.00 %", "3 / 10 / 7")
    assert (sources, teachers) == ("clean 75%, <b>| 25%", "not said 100%")
    assert float(difficulty) == pytest.approx((2 * 40 + 4 * 20) / 60, abs=0.01)
    assert "&lt;b&gt;\\|" in table.markdown()


def test_training_and_cost_are_means_over_runs(sweep):
    data = load_sweep(sweep, "sft_correctness")
    assert supervised_table(data, "on_all").rows[0][2:4] == ["1,500", "50.00 %"]
    assert supervised_cost_table(data, "on_all").rows[0][1:5] == ["20.0", "15.0", "4.0", "100"]


def test_the_papers_table_stands_beside_the_measured_effects(sweep):
    data = load_sweep(sweep, "sft_correctness")
    analysis = analyse(data)
    (beside,) = spec_for("sft_correctness").beside
    table = beside_table(data, analysis, beside)
    effects = [row[0] for row in table.rows]
    assert effects == [f"{x}_mixed - {x}_only_true" for x in ("easy", "hard", "overall")]
    aime24 = table.raw.set_index("column")["aime24_value"]
    assert aime24["easy_mixed"] == pytest.approx(40.22 - 45.00)
    assert aime24["hard_mixed"] == pytest.approx(47.29 - 45.63)
    # sqrt(p (1 - p) / 30 + q (1 - q) / 30) of two shares of 30 questions.
    half = 1.959964 * 100 * math.sqrt(0.4022 * 0.5978 / 30 + 0.45 * 0.55 / 30)
    low = table.raw.set_index("column")["aime24_low"]
    assert aime24["easy_mixed"] - low["easy_mixed"] == pytest.approx(half, abs=1e-3)
    measured = table.raw.set_index("column")["measured"]
    assert measured["easy_mixed"] == pytest.approx(100 * (-0.25 * 5 / 12 + 0.25 / 2), abs=1e-9)
    assert "aime24, easy_mixed (nearest 40.21)" in " ".join(table.notes)
    told = claim_sentence(data, analysis, beside)
    assert told.startswith("Beside table 2 of arXiv 2508.07629")
    assert told.count(" here; published ") == 3
    assert "hard_mixed - hard_only_true: " in told
    assert told.count("0 of them beyond the chance of their questions") == 3


def test_columns_that_were_not_run_have_a_dash(sweep):
    data = load_sweep(sweep, "sft_correctness")
    plan = dataclasses.replace(data.plan, sweep="sft_sources", baseline="top1")
    data = dataclasses.replace(data, plan=plan)
    table = beside_table(data, analyse(load_sweep(sweep, "sft_correctness")), spec_for("sft_sources").beside[0])
    assert [row[0] for row in table.rows] == [f"top{k} - top1" for k in (2, 4, 6, 8, 10)]
    assert all(row[1].startswith("— (not run here)") for row in table.rows)


def test_the_report_has_the_sections_of_a_supervised_sweep_and_none_of_rl(sweep):
    path = write_report(load_sweep(sweep, "sft_correctness"), sweep / "out")
    text = path.read_text()
    for title in ("Every operating point", "Published beside measured", "What was imitated", "How training went"):
        assert f"## {title}\n" in text
    for word in ("clipping did", "reference band", "rollout", "gain over SFT", "collapsed"):
        assert word not in text
    assert "mixed" in text
    assert (sweep / "out" / "loss.png").stat().st_size > 5000
    assert not (sweep / "out" / "weights.png").exists()
    again = write_report(load_sweep(sweep, "sft_correctness"), sweep / "again").read_text()
    assert again == text


def test_every_operating_point_is_in_the_overview(sweep):
    data = load_sweep(sweep, "sft_correctness")
    table = overview_table(data, analyse(data))
    assert [row[0] for row in table.rows] == list(POINTS.values())
    assert set(table.raw["treatment"]) == {"mixed"}
    # All seeds differ by the same, -0.25 * 5 / 12 + 0.25 / 2, which three seeds do not decide.
    found = analyse(data)
    told = overview_sentence(data, found)
    assert told == "mixed against only_true, of 3 operating points: better at none, not resolved at 3."
    decided = dataclasses.replace(found, versus=[dataclasses.replace(one, verdict="better") for one in found.versus])
    told = overview_sentence(data, decided)
    assert told == f"mixed against only_true, of 3 operating points: better at 3 ({'; '.join(POINTS.values())})."


def test_a_sweep_without_any_finished_run_still_has_a_report(sweep):
    for path in (sweep / "sft_correctness").glob("*/seed*"):
        for file in path.iterdir():
            file.unlink()
    text = write_report(load_sweep(sweep, "sft_correctness"), sweep / "out").read_text()
    assert text.count("not started") >= 18


def test_a_run_with_a_damaged_mix_counts_as_failed_and_says_why_in_one_line(sweep):
    for content in ("{", "[]", '{"name": 3}', '{"name": "m", "examples": 3}'):
        path = sweep / "sft_correctness" / "mixed-on_all" / "seed0" / schema.MIX_FILE
        path.write_text(content)
        broken = [run for run in load_sweep(sweep, "sft_correctness").runs if run.broken]
        assert [run.planned.folder for run in broken] == ["mixed-on_all/seed0"]
        assert re.fullmatch(r"unreadable: sft_correctness/.*mix\.json .*move .* away", broken[0].problem)


def test_a_place_in_the_grid_is_read_from_the_words_of_a_point():
    axes = (("accuracy", "sft_mix.params.accuracy"), ("difficulty", "sft_mix.params.difficulty"))
    assert grid_place("sft_mix.params.accuracy = 0.4, sft_mix.params.difficulty = hard", axes) == ("0.4", "hard")
    assert grid_place("the only operating point", axes) == ("", "")

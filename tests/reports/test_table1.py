"""Stored evaluations beside Table 1: the numbers are those of the rows, and every difference in protocol is told."""

import dataclasses
import json
import math
import random
import re

import numpy as np
import pytest
import yaml
from scipy import stats as scipy_stats

from klear_core.errors import ConfigError, RunStoreError
from klear_core.runs import schema, store
from klear_core.runs.benchmarks import COLUMNS, BenchmarkManifest, BenchmarkSettings, read_results
from klear_core.runs.log import RecordLog
from reports.__main__ import main as run
from reports.commands.table1 import main
from reports.paper import write_paper
from reports.published import published_table
from reports.stats import question_interval
from reports.table1 import mismatches, scores

SETTINGS = BenchmarkSettings(
    model_hash="m" * 64,
    data_sha256="d" * 64,
    content_hash="c" * 64,
    format="aime",
    questions=30,
    samples=64,
    batch=64,
    temperature=0.6,
    top_p=0.95,
    max_tokens=32768,
    seed=0,
    instruction="",
    chat_template=True,
    is_opened=False,
    context=40960,
    yarn=None,
    engine="native",
    dtype="float32",
)
PROVENANCE = schema.Provenance(
    commit="", dirty=None, source_hash="s" * 64, versions={}, machine={}, threads=1, command="ablations evaluate"
)


def write(runs, model, task, correct_QS, *, known="a known file", verdict="WRONG", complete=True, **changes):
    """A stored evaluation whose answers are as given."""
    folder = runs / "eval" / model / task
    samples = len(correct_QS[0])
    settings = dataclasses.replace(SETTINGS, **({"questions": len(correct_QS), "samples": samples} | changes))
    manifest = BenchmarkManifest(
        model=model,
        task=task,
        title=task,
        settings=settings,
        expected_questions=30,
        known_data=known,
        prompt="the question",
        scorer={"math-policy": "1"},
        provenance=PROVENANCE,
    )
    store.write_json(folder / schema.MANIFEST_FILE, manifest)
    rows = [
        dict.fromkeys(COLUMNS, "")
        | {"question": q, "sample": s, "correct": hit, "verdict": "CORRECT" if hit else verdict, "difficulty": math.nan}
        | {"vote": "(right)" if hit else "x", "response_tokens": 100, "pass_rate": math.nan}
        for q, hits in enumerate(correct_QS)
        for s, hit in enumerate(hits)
    ]
    if complete:
        store.write_table(folder / schema.EVAL_FILE, rows, COLUMNS)
    else:
        with RecordLog(folder / schema.EVAL_LOG) as log:
            for row in rows[:-1]:
                log.append(row)
    return folder


def drawn(questions=30, samples=64, seed=0):
    rng = random.Random(seed)
    return [[rng.random() < (q + 1) / (questions + 1) for _ in range(samples)] for q in range(questions)]


def result(runs):
    (found,), _ = read_results(runs)
    return found


def test_the_interval_of_one_checkpoint_is_students_over_question_means():
    scores_QS = np.array(drawn(), dtype=float)
    means = scores_QS.mean(axis=1)
    found = question_interval(scores_QS)
    low, high = scipy_stats.t.interval(0.95, 29, loc=means.mean(), scale=scipy_stats.sem(means))
    assert (found.value, found.low, found.high, found.n) == pytest.approx((means.mean(), low, high, 30))
    assert question_interval(means) == found
    assert math.isnan(question_interval([[1.0, 0.0]]).low)
    assert math.isnan(question_interval([]).value)


def test_scores_are_those_of_the_rows(tmp_path):
    answers = drawn(samples=4)
    write(tmp_path, "m", "aime24", answers)
    found = scores(result(tmp_path).counts, 4)
    assert found.mean.value == pytest.approx(np.mean([np.mean(hits) for hits in answers]))
    assert found.solved == pytest.approx(np.mean([any(hits) for hits in answers]))
    right = [sum(hits) for hits in answers]
    assert found.voted == pytest.approx(np.mean([1.0 if k > 2 else 0.5 if k == 2 else 0.0 for k in right]))


def test_an_evaluation_by_the_papers_protocol_has_no_footnote(tmp_path):
    write(tmp_path, "m", "aime24", drawn())
    assert mismatches(result(tmp_path), published_table("table_1")) == []


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"temperature": 1.0}, "temperature 1, the paper 0.6"),
        ({"top_p": 1.0}, "top_p 1, the paper 0.95"),
        ({"max_tokens": 65536}, "answers of up to 65,536 tokens, the paper 32,768 unless noted"),
        ({"yarn": 2.5, "context": 102400}, "context extended by YaRN, factor 2.5, to 102,400 tokens"),
        ({"instruction": "Box it."}, "'Box it.' stands behind every question"),
        ({"known": ""}, "the data file (SHA-256 dddddddddddd) is not a known one"),
        ({"verdict": "GRADER_ERROR"}, "answers failed, and they are in no score"),
        ({"complete": False}, "not complete, 1919 of 1920 answers"),
    ],
)
def test_each_difference_in_protocol_is_told(changes, told, tmp_path):
    write(tmp_path, "m", "aime24", drawn(), **changes)
    (found,) = mismatches(result(tmp_path), published_table("table_1"))
    assert told in found


def test_other_counts_of_questions_and_samples_are_told(tmp_path):
    write(tmp_path, "m", "lcb_v5", drawn(questions=20, samples=4))
    assert mismatches(result(tmp_path), published_table("table_1")) == [
        "lcb_v5: 4 samples a question, the paper 8",
        "lcb_v5: 20 questions, the paper 279",
    ]


def test_the_document_sets_results_beside_the_papers_rows_in_every_format(tmp_path, capsys):
    write(tmp_path, "mine", "aime24", drawn())
    write(tmp_path, "mine", "hmmt25", drawn(samples=4), known="")
    write(tmp_path, "mine", "laptop", drawn(questions=8, samples=4))
    broken = write(tmp_path, "other", "aime25", drawn())
    (broken / schema.MANIFEST_FILE).write_text("{}")
    assert main(["--runs", str(tmp_path)]) == 0
    folder = tmp_path / "eval" / "table1"
    assert capsys.readouterr().out == f"document: {folder / 'table1.md'}\n"
    text = (folder / "table1.md").read_text()
    mean = 100 * np.mean(drawn())
    (line,) = [each for each in text.splitlines() if each.startswith("| here: mine")]
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert re.fullmatch(rf"{mean:.1f} \[\d+\.\d, \d+\.\d\]", cells[1].replace("\\", ""))
    assert cells[2] == "—"
    assert cells[3].endswith("(1, 2)")
    assert "[1] hmmt25: 4 samples a question, the paper 64." in text.replace("\\", "")
    paper = published_table("table_1")
    named = {line.split("|")[1].strip(" ⁰¹²³⁴⁵⁶⁷⁸⁹"): line for line in text.splitlines() if line.startswith("| ")}
    for arm in paper.arms:
        assert all(str(paper.cells[arm, name].printed) in named[arm] for name in paper.columns)
    assert "is no evaluation of this version" in text
    record = json.loads((folder / "table1.json").read_text())
    assert [each["task"] for each in record["evaluations"]] == ["aime24", "hmmt25", "laptop"]
    assert record["evaluations"][0]["mismatches"] == []
    for name in ("table1.html", "table1.csv", "table1.tex", "evaluations.csv", "evaluations.tex"):
        assert (folder / name).stat().st_size


def test_without_evaluations_it_is_one_line(tmp_path, capsys, monkeypatch):
    with pytest.raises(RunStoreError, match="holds no evaluation; `ablations evaluate` makes some"):
        main(["--runs", str(tmp_path)])
    with pytest.raises(ConfigError, match="--runs is"):
        main(["--runs", str(tmp_path / "none")])
    monkeypatch.setattr("sys.argv", ["reports", "table1", "--runs", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        run()
    assert ended.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_results_are_written_as_the_hub_reads_them(tmp_path):
    from huggingface_hub import eval_result_entries_to_yaml, parse_eval_result_entries

    write(tmp_path, "mine", "aime24", drawn())
    write(tmp_path, "mine", "aime25", drawn(), complete=False)
    assert main(["--runs", str(tmp_path), "--hub", "aime24=org/aime:aime_24", "--hub", "aime25=org/aime:aime_25"]) == 0
    folder = tmp_path / "eval" / "table1" / "mine" / ".eval_results"
    assert [path.name for path in folder.iterdir()] == ["aime24.yaml"]
    stored = yaml.safe_load((folder / "aime24.yaml").read_text())
    (entry,) = parse_eval_result_entries(stored)
    assert (entry.dataset_id, entry.task_id) == ("org/aime", "aime_24")
    assert entry.value == pytest.approx(100 * np.mean(drawn()), abs=0.005)
    assert "avg@64 over 30 questions" in entry.notes
    assert eval_result_entries_to_yaml([entry]) == stored
    with pytest.raises(ConfigError, match="--hub is 'aime24'; allowed: TASK=org/dataset:task_id"):
        main(["--runs", str(tmp_path), "--hub", "aime24"])
    with pytest.raises(RunStoreError, match="there is no complete evaluation of hmmt25"):
        main(["--runs", str(tmp_path), "--hub", "hmmt25=org/hmmt:x"])


def test_the_document_over_all_sweeps_has_it_beside_the_printed_rows(tmp_path):
    write(tmp_path / "runs", "mine", "aime24", [[True, False]] * 30)
    (tmp_path / "runs" / "eval" / "torn" / "aime25").mkdir(parents=True)
    (tmp_path / "runs" / "eval" / "torn" / "aime25" / schema.MANIFEST_FILE).write_text("{", encoding="utf-8")
    text = write_paper(tmp_path / "runs", tmp_path / "document").read_text(encoding="utf-8")
    section = text.partition("## Table 1:")[2].partition("## Figure 2:")[0]
    assert re.search(r"\| here: mine +\| 50\.0 \[50\.0, 50\.0\] \(1\) \|", section)
    assert "[1] aime24: 2 samples a question, the paper 64." in section
    assert re.search("Not readable: .*torn", section)
    assert "90.5" in section  # as printed
    without = write_paper(tmp_path / "none", tmp_path / "other").read_text(encoding="utf-8")
    assert "—, not run. `ablations evaluate model=CHECKPOINT task=aime24,aime25,hmmt25 data=BENCHMARKS`" in without

"""Results of benchmarks keep their numbers, and a change for the worse is flagged on the same machine only."""

import json

import pytest

from tests.benchmarks import __main__ as command
from tests.benchmarks import measured
from tests.benchmarks.measured import Metric, compare

MACHINE = {"processor": "p", "torch": "2"}


def results(value, machine=MACHINE, **settings):
    metric = {"name": "ratio", "value": value, "unit": "x", "better": "higher", "is_compared": True}
    return {"machine": machine, "benchmarks": {"head": {"metrics": [metric | {"low": None, "high": None} | settings]}}}


def test_what_is_told_is_read_back_from_among_other_lines(capsys):
    metrics = [Metric(name="ratio", value=1.25, unit="x", better="higher", low=1.0, high=2.0)]
    print("rounds 5")
    measured.tell(metrics, threads=1)
    print("done")
    told = measured.read(capsys.readouterr().out)
    assert [Metric(**one) for one in told["metrics"]] == metrics
    assert told["conditions"] == {"threads": 1}
    assert measured.read("nothing\n") is None


@pytest.mark.parametrize(
    ("value", "better", "flagged"),
    [
        (0.89, "higher", True),
        (0.91, "higher", False),
        (1.2, "higher", False),
        (1.11, "lower", True),
        (0.5, "lower", False),
    ],
)
def test_a_metric_that_got_worse_by_more_than_a_tenth_is_flagged(value, better, flagged):
    (change,) = compare(results(value, better=better), results(1.0, better=better))
    assert change.is_flagged is flagged
    assert not compare(results(value, is_compared=False, better=better), results(1.0))[0].is_flagged


def test_results_of_another_machine_are_not_compared():
    with pytest.raises(ValueError, match="another torch"):
        compare(results(1.0), results(1.0, machine=MACHINE | {"torch": "3"}))


def test_the_command_keeps_results_compares_them_and_says_what_failed(tmp_path, monkeypatch, capsys):
    line = measured.MARK + json.dumps({"metrics": results(2.0)["benchmarks"]["head"]["metrics"], "conditions": {}})
    script = tmp_path / "good.py"
    script.write_text(f"print({line!r})\n")
    (tmp_path / "bad.py").write_text("raise SystemExit('no such device')\n")
    monkeypatch.setattr(command, "BENCHMARKS", {"good": (str(script),), "bad": (str(tmp_path / "bad.py"),)})
    monkeypatch.setattr(measured, "machine", lambda: MACHINE)
    out = ["--out", str(tmp_path / "bench")]
    assert command.main(["good", "--keep", *out]) == 0
    assert "no baseline" in capsys.readouterr().out
    assert command.main(["good", *out]) == 0
    assert "none worse" in capsys.readouterr().out
    script.write_text(f"print({line.replace('2.0', '1.5')!r})\n")
    assert command.main(["good", *out]) == 1
    assert "WORSE by 25%: good ratio 1.5 x, was 2" in capsys.readouterr().out
    assert command.main(["bad", *out]) == 1
    assert "no such device" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="2"):
        command.main(["unknown"])


def test_every_benchmark_of_the_command_is_a_script_of_this_folder():
    folder = command.ROOT / "tests" / "benchmarks"
    assert all((folder / script).is_file() for script, *_ in command.BENCHMARKS.values())

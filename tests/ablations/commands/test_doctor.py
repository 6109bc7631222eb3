"""`ablations doctor`: what works on this machine, tried and not assumed."""

import json
import os
import re
import sys
import tomllib

import pytest

from ablations import machine_limits
from ablations.commands import doctor, machine_checks
from tests.ablations.commands.cli_store import ablations
from tests.e2e.conftest import ROOT

HERE = {"torch": "2.13.0+cpu", "transformers": "5.19.0", "hydra-core": "1.3.8"}


@pytest.mark.slow
def test_everything_is_looked_at_and_this_machine_is_fit(tmp_path):
    done = ablations("doctor", "--runs", tmp_path, "--json")
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert set(doctor.BASE) | set(doctor.OPTIONAL) <= set(rows)
    for name in ("python", "GPU", "W&B", "W&B upload", "threads", "cores", "disk", "memory", "flock"):
        assert rows[name]["detail"], name
    assert {row["state"] for row in rows.values()} <= {"ok", "off", "warn", "broken"}
    broken = [row for row in rows.values() if row["state"] == "broken"]
    assert done.exit_code == bool(broken)
    assert broken == []
    for tried in ("flock", "owner detection", *(["PR_SET_PDEATHSIG"] if sys.platform == "linux" else [])):
        assert rows[tried]["state"] == "ok", rows[tried]
    assert rows["W&B"]["detail"] == "mode offline (no API key)"
    assert [*tmp_path.iterdir()] == []


def test_the_base_packages_are_those_of_the_project():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = {re.split(r"[<>=]", line)[0] for line in project["dependencies"]}
    # packaging comes with transformers and wandb.
    assert set(doctor.BASE) | {"packaging"} == declared | {"packaging"}


def test_a_base_package_that_does_not_import_is_broken_and_the_exit_code_1(monkeypatch, tmp_path):
    def import_all(modules):
        return dict.fromkeys(modules, "ok") | {"torch": "ImportError: [red]libgomp[/red]\x1b[2J"}

    monkeypatch.setattr(machine_checks, "import_all", import_all)
    done = ablations("doctor", "--runs", tmp_path)
    assert done.exit_code == 1
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("broken")]
    assert re.fullmatch(r"broken +torch +\S+ cannot be imported: ImportError: \[red\]libgomp\[/red\]\[2J", line)


@pytest.mark.parametrize(
    ("name", "needed", "fits"),
    [
        ("lighteval", "hydra-core>=1.4.0rc3 and here is 1.3.8", {"hydra-core": "1.4.0rc3"}),
        ("vllm", "torch==2.14.* and here is 2.13.0+cpu", {"torch": "2.14.0+cu130"}),
        ("verl", "transformers<5.11 and here is 5.19.0", {"transformers": "5.10.2"}),
    ],
)
def test_pairs_that_exclude_each_other_are_told(name, needed, fits):
    def line(versions, is_used=True):
        check = doctor.optional(name, versions, is_used=is_used)
        return check.state, check.detail

    assert line(HERE)[0] == "off"
    assert f"not installed; needs {needed}" in line(HERE)[1]
    assert line(HERE | fits) == ("off", "not installed")
    state, detail = line(HERE | {name: "9.9"})
    assert state == "warn"
    assert needed in detail
    assert line(HERE | fits | {name: "9.9"}) == ("ok", "9.9")
    assert line(HERE | fits | {name: "9.9"}, is_used=False)[0] == "off"


def test_an_import_that_ends_the_interpreter_is_told_by_name(tmp_path, monkeypatch):
    (tmp_path / "crashes_here.py").write_text("import os; os.abort()")
    (tmp_path / "fails_here.py").write_text("print('noise'); raise OSError('no such library')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    found = machine_checks.import_all(["json", "fails_here", "crashes_here", "csv"])
    assert found["json"] == "ok"
    assert found["fails_here"] == "OSError: no such library"
    assert found["crashes_here"] == "the interpreter ended with exit code -6"
    assert found["csv"] != "ok"
    assert "gpu" not in found


def test_a_lock_is_tried_on_the_disk_of_the_runs(tmp_path):
    assert machine_checks.lock_works(tmp_path / "not" / "yet") == ""
    assert [*tmp_path.iterdir()] == []


def test_a_lock_that_lets_two_in_is_noticed(tmp_path, monkeypatch):
    monkeypatch.setattr("klear_core.runs.folders.fcntl.flock", lambda *_: None)
    assert machine_checks.lock_works(tmp_path) == "a second holder got the lock as well"


def test_a_child_that_outlives_its_parent_is_noticed_and_ended(monkeypatch):
    monkeypatch.setattr(machine_checks, "_DEATH_S", 0.3)
    monkeypatch.setattr(machine_checks, "_CHILD", machine_checks._CHILD.replace("die_with_parent()\n", "\n"))
    assert machine_checks.deaths() == ("", "a child lived on for 0.3 s after its parent was killed")


def test_the_limits_of_both_versions_of_control_groups_count(tmp_path, monkeypatch):
    monkeypatch.setattr(machine_limits, "_CGROUPS", tmp_path)
    own = {"1": "4:memory:/a/b\n2:cpu,cpuacct:/\n", "2": "0::/a/b\n"}
    for version, files in {
        "2": {
            "a/cpu.max": "150000 100000",
            "a/b/cpu.max": "max 100000",
            "a/memory.max": "4096",
            "a/memory.current": "96",
        },
        "1": {
            **{"cpu/cpu.cfs_quota_us": "150000", "cpu/cpu.cfs_period_us": "100000"},
            **{"memory/a/memory.limit_in_bytes": "4096", "memory/a/memory.usage_in_bytes": "96"},
        },
    }.items():
        root = tmp_path / version
        for name, text in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text + "\n")
        monkeypatch.setattr(machine_limits, "_CGROUPS", root)
        lines = machine_limits._lines
        monkeypatch.setattr(
            machine_limits,
            "_lines",
            lambda path, text=own[version], lines=lines: text.splitlines() if path.name == "cgroup" else lines(path),
        )
        assert machine_limits.cpu_limit() == 1.5
        assert machine_limits.free_memory() == 4000
        monkeypatch.setattr(machine_limits, "_lines", lines)


def test_fewer_granted_cores_than_visible_ones_is_a_warning(monkeypatch):
    monkeypatch.setattr(machine_limits, "cores", lambda: 8)
    monkeypatch.setattr(machine_limits, "cpu_limit", lambda: 1.5)
    check = doctor._cores()
    assert (check.state, check.detail) == ("warn", "8, the control group grants the time of 1.5; set launch.slots=1")
    monkeypatch.setattr(machine_limits, "cpu_limit", lambda: None)
    assert doctor._cores().state == "ok"
    assert machine_limits.free_disk(ROOT / "not" / "there") > 0
    assert os.environ.get("OMP_NUM_THREADS", "unset") in doctor._threads().detail


def test_the_gpu_that_runs_would_share_is_named():
    seen = {"cuda": "13.0", "count": 2, "name": "NVIDIA H100"}
    check = doctor._gpu(seen, "2.13.0")
    told = "NVIDIA H100, 2 visible (CUDA 13.0); runs with model.device=cuda share the first"
    assert (check.state, check.detail) == ("ok", told)
    assert doctor._gpu(seen | {"count": 0}, "2.13.0").state == "off"

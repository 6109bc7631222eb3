"""Every YAML composes, is valid, and is accounted for."""

from pathlib import Path

import pytest

from ablations.plan import make_plan
from ablations.run import compose
from reports.comparisons import SPECS
from tests.e2e import own_data

ROOT = Path(__file__).resolve().parents[2]
SWEEPS = ROOT / "sweeps"


def names(group):
    return sorted(path.stem for path in (SWEEPS / group).glob("*.yaml"))


CHOICES = [(group.name, name) for group in sorted(SWEEPS.iterdir()) if group.is_dir() for name in names(group.name)]


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """What the choices that read a user's files and model need."""
    folder = tmp_path_factory.mktemp("own")
    data = own_data.write_data(folder / "data")
    task = own_data.arguments(data, own_data.write_model(folder / "model"))
    return {"task": task, "sft_mix": ["sft_mix=rows", f"sft_mix.params.path={data['demonstrations']}"]}


@pytest.mark.parametrize(("group", "name"), CHOICES, ids=lambda value: str(value))
def test_every_choice_composes_into_a_plan(group, name, request):
    prefix = "+" if group == "sweep" else ""
    task = ["task=functions"] if group == "code_filter" else []  # chains have no tests to filter by
    arguments = [f"{prefix}{group}={name}", *task]
    if name == "rows":
        arguments = request.getfixturevalue("own")[group]
    if group == "recipe":
        arguments.append("rl.max_response_tokens=48")  # a recipe's are more than the default model's context
    if name.startswith("qwen3") and group == "scale":
        arguments += [*request.getfixturevalue("own")["task"], "rl.problems_per_step=8", "model.device=cpu"]
    assert make_plan(compose(arguments)).plan.runs


def test_every_sweep_has_a_report_spec_and_every_spec_a_sweep():
    assert set(names("sweep")) == set(SPECS)


@pytest.mark.parametrize("name", names("objective"))
def test_an_objective_file_is_named_like_its_arm_and_indexed_with_its_source(name, make_config):
    assert make_config(f"objective={name}").objective.name == name
    assert f"objective/{name}.yaml" in (ROOT / "PAPER_INDEX.md").read_text()


def test_the_package_holds_every_yaml(tmp_path):
    import tomllib

    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    folders = {path.parent.relative_to(ROOT).as_posix().replace("/", ".") for path in SWEEPS.rglob("*.yaml")}
    assert folders <= set(packages)
    modules = {
        path.parent.relative_to(ROOT).as_posix().replace("/", ".")
        for package in ("klear_core", "ablations", "reports")
        for path in (ROOT / package).rglob("*.py")
    }
    assert modules <= set(packages)

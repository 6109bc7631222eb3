"""A user's own model and files through the real command, with settings that other tasks have too."""

import pyarrow.parquet as pq
import pytest

from klear_core.runs import schema, store
from klear_core.runs.log import read_log
from tests.e2e import own_data
from tests.e2e.conftest import run_command

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A model folder and the files of ``own_data``."""
    folder = tmp_path_factory.mktemp("own")
    return {"model": own_data.write_model(folder / "model"), "data": own_data.write_data(folder / "data")}


def test_a_given_model_learns_from_a_public_format_and_is_asked_the_questions_of_another(own, tmp_path):
    done = run_command(
        *("stage=sft", "sft_mix=rows", f"sft_mix.params.path={own['data']['demonstrations']}", "sft.steps=3"),
        *(*own_data.arguments(own["data"], own["model"]), "sft.batch_size=4", f"launch.runs_dir={tmp_path}"),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    folder = tmp_path / "adhoc" / "clip_higher" / "seed0"
    assert [row["step"] for row in read_log(folder / schema.STEPS_FILE)] == [1, 2, 3]
    mix = store.read_mix(folder)
    assert (mix["examples"], mix["prompts"], mix["too_long"], mix["max_tokens"]) == (24, 12, 0, own_data.CONTEXT)
    rows = pq.read_table(folder / schema.EVAL_FILE).to_pylist()
    assert len({row["problem_id"] for row in rows if row["split"] == "test"}) == 6
    assert (tmp_path / "adhoc" / "report" / "report.md").is_file()

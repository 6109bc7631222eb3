"""A stored setting is read as it was written, and what is not there is one line."""

import pytest

from klear_core.errors import RunStoreError
from klear_core.runs import schema
from reports.settings import stored_setting


def folder_with(tmp_path, text):
    (tmp_path / schema.CONFIG_FILE).write_text(text, encoding="utf-8")
    return tmp_path


def test_a_setting_is_found_by_its_dotted_key_and_null_is_a_value(tmp_path):
    folder = folder_with(tmp_path, "objective: {params: {beta_low: 0.25, dual_clip: null}}\n")
    assert stored_setting(folder, "objective.params.beta_low") == 0.25
    assert stored_setting(folder, "objective.params.dual_clip") is None


@pytest.mark.parametrize("key", ["objective.params.beta_high", "objective.params.beta_low.more", "reward"])
def test_a_key_that_is_not_there_is_named(tmp_path, key):
    folder = folder_with(tmp_path, "objective: {params: {beta_low: 0.25}}\n")
    with pytest.raises(RunStoreError, match=f"has no setting {key}; move"):
        stored_setting(folder, key)


@pytest.mark.parametrize("text", ["a: [", "\tx: 1", "- 1\n- 2\n"])
def test_a_config_that_is_none_is_one_line(tmp_path, text):
    with pytest.raises(RunStoreError) as caught:
        stored_setting(folder_with(tmp_path, text), "objective.name")
    assert "\n" not in str(caught.value)


def test_a_config_that_is_missing_is_one_line(tmp_path):
    with pytest.raises(RunStoreError, match="cannot be read"):
        stored_setting(tmp_path, "objective.name")

"""The graph without a server: sentences while it goes, the user's own mistakes as errors, and records for the page."""

import pytest

from factories.workspaces import draw_plants, make_workspace
from phytoscope.errors import ArtifactError, ConfigError
from phytoscope.pipeline.headless import run_partition
from phytoscope.pipeline.instance import PROCESS_TAG, open_instance
from phytoscope.pipeline.state import read_states


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    for name in ("DAGSTER_HOME", "PHYTOSCOPE_WORKSPACE", "DAGSTER_DISABLE_TELEMETRY"):
        monkeypatch.setenv(name, "")
    return make_workspace(tmp_path / "ws", draw_plants, "plants")


def test_a_mistake_in_the_settings_is_told_before_anything_is_written(workspace):
    """No records of Dagster are made for a data set or a setting that is not there."""
    for name, words, said in (
        ("plant", [], "did you mean 'plants'"),
        ("plants", ["trainer.max_epoch=1"], "max_epochs"),
    ):
        with pytest.raises(ConfigError, match=said):
            run_partition(workspace, name, words, say=str)
    assert not workspace.dagster_home.exists()


def test_a_step_that_fails_says_why_and_is_recorded(workspace):
    """The error is the sentence of the step; the page shows the failed run, and the list says so."""
    (workspace.root / "data" / "plants" / "table.csv").write_text("filename,plant,weight\n")
    with pytest.raises(ArtifactError, match=r"raw_dataset: .*table\.csv"):
        run_partition(workspace, "plants", say=str)
    with open_instance(workspace) as instance:
        (run,) = instance.get_runs()
        assert run.is_failure
        assert run.tags["dagster/partition"] == "plants"
        assert PROCESS_TAG in run.tags
    (state,) = read_states(workspace)
    assert (state.last_run, state.champion, state.remark) == ("failure", "", "")


def test_a_check_that_stops_the_run_says_what_it_found(workspace):
    """Answers that are all the same cannot be learned: the check's own sentence is the error."""
    table = workspace.root / "data" / "plants" / "table.csv"
    head, *rows = table.read_text().splitlines()
    table.write_text("\n".join([head, *(f"{row.rpartition(',')[0]},3.0" for row in rows)]))
    said = []
    with pytest.raises(ArtifactError, match="the check raw_dataset__rows_and_labels_present stopped the run: "):
        run_partition(workspace, "plants", say=said.append)
    assert said[0] == "raw_dataset ..."
    assert any(line.startswith("check raw_dataset__rows_and_labels_present failed") for line in said)
    assert not any("Dependencies" in line for line in said)


def test_a_broken_file_stands_in_the_list(workspace):
    """The list says what is wrong with a data set instead of failing."""
    (workspace.dataset_files / "broken.yaml").write_text("defaults:\n- override /data: tabel\n")
    states = {state.name: state for state in read_states(workspace)}
    assert "did you mean 'table'" in states["broken"].remark
    assert states["plants"].last_run == "none yet"

"""The whole graph in one process, with a real MLflow store: from a folder of leaves to a champion that is watched."""

import numpy as np
import pytest
from PIL import Image

from factories.workspaces import LOCAL, make_workspace, materialise, open_records, succeeded
from phytoscope.pipeline.news import read_last_drift
from phytoscope.schema.artifact import read_json

WHOLE = [*LOCAL, "registered_model", "promoted_model"]


@pytest.fixture(scope="module")
def champion(tmp_path_factory):
    """A workspace whose data set has a champion, with the records of the run that made it."""
    workspace = make_workspace(tmp_path_factory.mktemp("whole") / "workspace", sinks=["mlflow"])
    with open_records("leaves") as instance:
        yield workspace, instance, succeeded(materialise(workspace, instance, WHOLE))


def metadata_of(result, asset):
    return {name: entry.value for name, entry in result.asset_materializations_for_node(asset)[-1].metadata.items()}


@pytest.mark.slow
def test_first_model_becomes_champion(champion):
    """It is registered once, proves itself, passes the gate, and every asset leads to one run of MLflow."""
    _, _, result = champion
    registered, promoted = metadata_of(result, "registered_model"), metadata_of(result, "promoted_model")
    assert (registered["name"], registered["version"]) == ("leaves", 1)
    assert promoted["verdict"] == "first"
    assert "| golden | yes |" in promoted["checks"]
    runs = {metadata_of(result, name)["mlflow_run_id"] for name in ("trained_model", "model_evaluation")}
    assert runs == {registered["mlflow_run_id"]}
    assert registered["mlflow_run"].endswith(registered["mlflow_run_id"])
    checked = {one.check_name: one for one in result.get_asset_check_evaluations()}
    assert checked["registered_model__loads"].passed


@pytest.mark.slow
def test_second_time_nothing_is_made_twice(champion):
    """The same data give the same version and the same run."""
    workspace, instance, before = champion
    again = succeeded(materialise(workspace, instance, WHOLE))
    for name in ("registered_model", "trained_model"):
        assert metadata_of(again, name) == metadata_of(before, name)


@pytest.mark.slow
def test_new_images_are_held_against_the_champion(champion, tmp_path):
    """Images like the training images are quiet; ones of another light fire, as a warning that stops nothing."""
    workspace, instance, _ = champion
    fired = []
    rng = np.random.default_rng(5)
    for name, brightness in (("alike", (60, 190)), ("other", (110, 140))):
        folder = tmp_path / name
        folder.mkdir()
        for number in range(40):
            level = brightness[number % 2] + rng.uniform(-20, 20)
            grey = np.clip(rng.normal(level, 12, (32, 32, 1)), 0, 255).astype(np.uint8)
            Image.fromarray(np.repeat(grey, 3, axis=2)).save(folder / f"{number}.png")
        config = {"ops": {"drift_report": {"config": {"monitor": {"incoming": str(folder)}}}}}
        result = materialise(workspace, instance, ["drift_report"], config=config)
        assert result.success
        (check,) = result.get_asset_check_evaluations()
        fired.append((check.passed, metadata_of(result, "drift_report")["fired"]))
    assert fired == [(True, False), (False, True)]
    # The same images once more are no look: what the last one found still holds, until somebody acts on it.
    config = {"ops": {"drift_report": {"config": {"monitor": {"incoming": str(tmp_path / "other")}}}}}
    waiting = materialise(workspace, instance, ["drift_report"], config=config)
    assert not waiting.get_asset_check_evaluations()[0].passed
    assert metadata_of(waiting, "drift_report")["fired"] is False
    assert read_last_drift(workspace, "leaves").fired
    assert read_json(workspace.root / "assets" / "leaves" / "drift_report.json")["kind"] == "DriftPlace"

"""The assets: called as functions, with a built context, and materialised as a small graph."""

import dataclasses
import shutil
from pathlib import Path

import dagster as dg
import pytest

from factories.workspaces import LOCAL, draw_plants, make_workspace, materialise, succeeded
from phytoscope.pipeline import running
from phytoscope.pipeline.data_assets import preprocessed_data, raw_dataset
from phytoscope.pipeline.places import DataPlace, RunPlace, read_place
from phytoscope.pipeline.registry_assets import drift_report
from phytoscope.pipeline.resources import WorkspaceResource
from phytoscope.pipeline.settings import build_asset_settings
from phytoscope.schema.artifact import read_json
from phytoscope.schema.run_folder import STEPS, RunFolder


@pytest.fixture
def context(records) -> dg.AssetExecutionContext:
    """What Dagster hands to an asset of the data set leaves."""
    return dg.build_asset_context(partition_key="leaves", instance=records)


def resource_of(workspace) -> WorkspaceResource:
    return WorkspaceResource(root=str(workspace.root))


def finished_at(run) -> dict[str, str]:
    return {step: read_json(run.record(step))["finished_at"] + read_json(run.record(step))["inputs"] for step in STEPS}


def test_raw_dataset_is_a_function(fresh, context):
    """Called by hand, it counts the data and says where that is written."""
    found = raw_dataset(context, config=build_asset_settings("raw_dataset")(), workspace=resource_of(fresh))
    assert isinstance(found.value, DataPlace)
    assert found.metadata["rows"].value == 48
    assert found.metadata["content_hash"] == found.value.content_hash
    assert found.data_version.value == found.value.content_hash[:32]
    assert read_json(Path(found.value.survey))["classes"] == {"bright": 24, "dark": 24}
    assert "| bright | 24 |" in found.metadata["answers"].value


def test_preprocessed_data_is_a_function_of_the_asset_before(fresh, context):
    """It takes what raw_dataset hands on, with the settings that were given there, and prepares a run."""
    settings = build_asset_settings("raw_dataset")(seed=3, data={"split": {"test": 0.3}})
    raw = raw_dataset(context, config=settings, workspace=resource_of(fresh)).value
    assert raw.words == ("seed=3", "data.split.test=0.3")
    found = preprocessed_data(
        context,
        config=build_asset_settings("preprocessed_data")(),
        workspace=resource_of(fresh),
        raw_dataset=raw,
    )
    assert found.value.words == raw.words
    assert Path(found.value.folder).name.startswith(raw.content_hash[:12])
    assert "| test | 14 | 14 | 2 |" in found.metadata["split"].value
    assert found.metadata["left_out"].value == "nothing"


def test_outputs_are_places_and_never_data(local):
    """What an asset hands on is a small file that says where things lie, in plain JSON."""
    folder = local.workspace.root / "assets" / "leaves"
    assert {path.stem for path in folder.iterdir()} == set(LOCAL)
    for path in folder.iterdir():
        assert path.stat().st_size < 1000
    place = read_place(folder / "packaged_model.json")
    assert place == RunPlace(str(local.run.root), place.content_hash, partition="leaves")


def test_page_shows_tables_and_pictures(local):
    """Tables, the curve of the loss and the figure of the evaluation are in the metadata, with paths to the files."""
    trained, evaluated = local.metadata("trained_model"), local.metadata("model_evaluation")
    assert trained["curves"].startswith("![loss by epoch](data:image/png;base64,")
    assert "| epoch | train/loss | val/loss |" in trained["history"]
    assert trained["epochs"] == trained["history"].count("\n") - 1
    assert evaluated["figure"].startswith("![confusion matrix](data:image/png;base64,")
    assert "| macro_f1 |" in evaluated["metrics"]
    assert Path(evaluated["report"]) == local.run.report_page
    assert Path(local.metadata("packaged_model")["package"]).is_dir()
    assert "| train | 29 | 29 | 2 |" in local.metadata("preprocessed_data")["split"]
    for name in LOCAL:
        # All of this is kept in Dagster's data base, for every run.
        assert sum(len(str(value)) for value in local.metadata(name).values()) < 150_000, name


def test_unchanged_data_are_not_trained_again(local):
    """A second materialisation gives the same versions, in the same folder, and does no step again."""
    before, versions = finished_at(local.run), versions_of(local.instance)
    succeeded(materialise(local.workspace, local.instance, LOCAL))
    assert finished_at(local.run) == before
    assert versions_of(local.instance) == versions
    assert len(list(local.workspace.runs.glob("leaves/*/config.yaml"))) == 1


def versions_of(instance: dg.DagsterInstance) -> dict[str, str]:
    found = {}
    for name in LOCAL:
        event = instance.get_latest_data_version_record(dg.AssetKey(name), partition_key="leaves")
        found[name] = event.asset_materialization.tags["dagster/data_version"]
    return found


def test_settings_of_one_asset_reach_those_after_it(local, tmp_path, records):
    """What is set for the training holds for the evaluation too, in a run folder of its own."""
    workspace = copy_workspace(local, tmp_path)
    config = {"ops": {"trained_model": {"config": {"trainer": {"max_epochs": 1}}}}}
    succeeded(materialise(workspace, records, LOCAL[:3], config=config))
    place = read_place(workspace.root / "assets" / "leaves" / "trained_model.json")
    assert place.words == ("trainer.max_epochs=1",)
    assert "max_epochs: 1\n" in (Path(place.folder) / "config.yaml").read_text(encoding="utf-8")
    prepared = read_place(workspace.root / "assets" / "leaves" / "preprocessed_data.json")
    assert (prepared.words, prepared.folder == place.folder) == ((), False)
    assert not RunFolder(Path(prepared.folder)).weights.exists()


def test_changed_data_get_a_folder_of_their_own(local, tmp_path, records):
    """New data are another run; the one before stays whole."""
    workspace = copy_workspace(local, tmp_path)
    (workspace.root / "data" / "leaves" / "dark" / "01.png").unlink()
    succeeded(materialise(workspace, records, LOCAL[:2]))
    folders = sorted(path.parent for path in workspace.runs.glob("leaves/*/config.yaml"))
    assert len(folders) == 1
    assert folders[0].name[:12] != local.run.root.name[:12]
    assert (local.run.root / "report.json").exists()


def copy_workspace(local, place):
    """The same data set in another workspace, without the runs."""
    workspace = dataclasses.replace(local.workspace, root=place / "workspace")
    shutil.copytree(local.workspace.root / "datasets", workspace.dataset_files)
    shutil.copytree(local.workspace.root / "data", workspace.root / "data")
    file = workspace.dataset_files / "leaves.yaml"
    text = file.read_text(encoding="utf-8").replace(str(local.workspace.root), str(workspace.root))
    file.write_text(text, encoding="utf-8")
    return workspace


def test_numbers_and_classes_live_in_one_graph(fresh, records):
    """A data set of weights goes through the same assets as one of classes, in the same workspace."""
    make_workspace(fresh.root, draw_plants, "plants")
    succeeded(materialise(fresh, records, LOCAL[:2]))
    result = succeeded(materialise(fresh, records, LOCAL[:2], partition="plants"))
    event = result.asset_materializations_for_node("preprocessed_data")[-1]
    assert "| smallest | largest |" in event.metadata["split"].value
    assert {path.name for path in (fresh.root / "assets").iterdir()} == {"leaves", "plants"}


def test_mistake_of_the_user_is_told_once_and_not_tried_again(fresh, context):
    """A wrong setting or missing folder fails with our sentence, without a retry and without a traceback to read."""
    shutil.rmtree(fresh.root / "data")
    with pytest.raises(dg.Failure, match=r"data\.root: there is no folder") as caught:
        raw_dataset(context, config=build_asset_settings("raw_dataset")(), workspace=resource_of(fresh))
    assert caught.value.allow_retries is False


@pytest.mark.parametrize("word", ["paths.run_dir=/tmp/x", "trainer.profile=true"])
def test_settings_that_make_no_sense_here_are_refused(fresh, context, word):
    """The pipeline chooses the folders, and keeps no profiles."""
    with pytest.raises(dg.Failure, match=word.partition("=")[0]):
        raw_dataset(context, config=build_asset_settings("raw_dataset")(further=[word]), workspace=resource_of(fresh))


def test_what_may_pass_is_tried_again(fresh, monkeypatch, records):
    """A full disk is tried again some times, and then told."""
    from phytoscope.errors import StorageError
    from phytoscope.steps import survey

    tried = []

    def fail(*_args):
        tried.append(1)
        raise StorageError("the disk is full")

    monkeypatch.setattr(survey, "survey_source", fail)
    monkeypatch.setattr(running, "SECONDS_TO_WAIT", 0)
    result = materialise(fresh, records, LOCAL[:1])
    assert not result.success
    assert len(tried) == running.MAX_RETRIES + 1
    assert "the disk is full" in str(result.failure_data_for_node("raw_dataset").user_failure_data.description)


def test_asset_that_was_never_made_is_asked_for(fresh, records):
    """Whoever materialises an asset alone reads which one is needed first."""
    result = materialise(fresh, records, ["preprocessed_data"])
    assert not result.success
    assert (
        "raw_dataset of 'leaves' was not made yet"
        in result.failure_data_for_node("preprocessed_data").error.cause.message
    )


def test_nothing_to_look_at_is_no_report(fresh, records, context):
    """Without a folder of new images the drift report is not made, and its check is not asked."""
    found = drift_report(context, config=build_asset_settings("drift_report")(), workspace=resource_of(fresh))
    assert list(found) == []
    result = succeeded(materialise(fresh, records, ["drift_report"]))
    assert result.get_asset_check_evaluations() == []
    assert result.asset_materializations_for_node("drift_report") == []

"""What assets hand on is kept as JSON and read back as it was; where things are is asked of the world when needed."""

import pytest

from phytoscope.errors import ArtifactError, ConfigError
from phytoscope.pipeline.places import DataPlace, DriftPlace, ModelPlace, RunPlace, read_place
from phytoscope.pipeline.resources import MlflowResource, WorkspaceResource
from phytoscope.schema.artifact import write_json


def test_damaged_place_is_told(tmp_path):
    """A file that is not ours is an error that says what to do."""
    for content in ({"kind": "Unknown", "words": []}, {"kind": "RunPlace"}, ["RunPlace"]):
        write_json(tmp_path / "trained_model.json", content)
        with pytest.raises(ArtifactError, match="materialise the asset 'trained_model' again"):
            read_place(tmp_path / "trained_model.json")


@pytest.mark.parametrize(
    "place",
    [
        DataPlace("survey.json", "a", partition="leaves", words=("seed=0",)),
        RunPlace("run", "a", partition="leaves"),
        ModelPlace("run", "sqlite:///x", "leaves", 3, partition="leaves"),
        DriftPlace("monitor", "", "waiting", partition="leaves"),
    ],
)
def test_place_survives_its_file(tmp_path, place):
    """Every kind comes back as itself."""
    write_json(tmp_path / "place.json", {"kind": type(place).__name__, **vars(place)})
    assert read_place(tmp_path / "place.json") == place


def test_version_is_named_as_predict_names_it():
    """What the page shows can be given to `phytoscope predict`."""
    assert ModelPlace("run", "uri", "leaves", 3, partition="leaves").reference == "models:/leaves/3"


def test_workspace_is_looked_for_when_it_is_needed(tmp_path, monkeypatch):
    """The environment is read when a run asks, and a missing workspace is the user's mistake."""
    resource = WorkspaceResource()
    monkeypatch.setenv("PHYTOSCOPE_WORKSPACE", str(tmp_path / "none"))
    with pytest.raises(ConfigError, match="phytoscope pipeline new"):
        resource.open()
    (tmp_path / "some" / "datasets").mkdir(parents=True)
    monkeypatch.setenv("PHYTOSCOPE_WORKSPACE", str(tmp_path / "some"))
    assert resource.open().root == tmp_path / "some"
    (tmp_path / "other" / "datasets").mkdir(parents=True)
    assert WorkspaceResource(root=str(tmp_path / "other")).open().root == tmp_path / "other"


def test_links_lead_to_the_pages_of_mlflow(monkeypatch):
    """A server shows its own pages; those of a file are where the pipeline starts them, or where somebody says."""
    monkeypatch.delenv("PHYTOSCOPE_MLFLOW_PAGE", raising=False)
    store = "sqlite:////w/mlflow.db"
    assert MlflowResource().link_run(store, "abc") == "http://127.0.0.1:5001/#/runs/abc"
    assert MlflowResource().link_run("https://ml.example/", "abc") == "https://ml.example/#/runs/abc"
    monkeypatch.setenv("PHYTOSCOPE_MLFLOW_PAGE", "http://127.0.0.1:7001/")
    assert MlflowResource().link_model(store, "leaves", 2) == "http://127.0.0.1:7001/#/models/leaves/versions/2"
    assert MlflowResource(page="http://x").link_run(store, "abc") == "http://x/#/runs/abc"

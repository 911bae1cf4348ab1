"""The workspace: where things lie, and how a data set's file becomes settings."""

import re

import pytest

from phytoscope.errors import ConfigError
from phytoscope.pipeline.workspace import WORKSPACE_VARIABLE, Workspace, find_workspace
from phytoscope.schema.choices import TrackSink

LEAVES = "# @package _global_\ndefaults:\n- override /data: folder\ndata:\n  root: ../data/leaves\n"


@pytest.fixture
def workspace(tmp_path):
    made = Workspace(tmp_path / "ws")
    made.dataset_files.mkdir(parents=True)
    (made.dataset_files / "leaves.yaml").write_text(LEAVES)
    return made


def test_data_sets_are_the_files(workspace):
    """Every YAML file is a data set, hidden and other files are none."""
    for name in ("b.yml", ".hidden.yaml", "notes.txt"):
        (workspace.dataset_files / name).write_text(LEAVES)
    (workspace.dataset_files / "folder.yaml").mkdir()
    assert list(workspace.datasets()) == ["b", "leaves"]


def test_no_folder_means_no_data_sets(tmp_path):
    """A directory that is no workspace has no data sets."""
    assert Workspace(tmp_path).datasets() == {}


def test_settings_come_from_the_file_and_the_workspace(workspace):
    """Paths are relative to the file; name, runs, cache and MLflow lie in the workspace."""
    config = workspace.compose("leaves")
    assert config.name == "leaves"
    assert config.data.root == str(workspace.root / "data" / "leaves")
    assert config.paths.runs_dir == str(workspace.runs / "leaves")
    assert config.paths.cache_dir == str(workspace.cache)
    assert config.paths.run_dir is None
    assert config.track.sinks == [TrackSink.mlflow]
    assert config.track.uri == workspace.mlflow_uri


def test_the_file_wins_over_the_workspace_and_words_over_the_file(workspace):
    """More special settings win."""
    workspace.settings.write_text("seed: 0\ntrainer: {max_epochs: 3, batch_size: 4}\ntrack: {uri: 'http://a:5000'}\n")
    file = workspace.dataset_files / "leaves.yaml"
    file.write_text(LEAVES + "seed: 7\nname: mine\ntrack: {sinks: []}\ntrainer: {max_epochs: 5}\n")
    config = workspace.compose("leaves", ["trainer.max_epochs=9"])
    assert (config.seed, config.name, config.track.sinks) == (7, "mine", [])
    assert (config.trainer.max_epochs, config.trainer.batch_size) == (9, 4)
    assert config.track.uri == "http://a:5000"


def test_seed_zero_in_the_file_is_a_seed(workspace):
    """0 is a value like any other and wins over the workspace's settings."""
    workspace.settings.write_text("seed: 5\n")
    (workspace.dataset_files / "leaves.yaml").write_text(LEAVES + "seed: 0\n")
    assert workspace.compose("leaves").seed == 0


def test_presets_can_be_named_in_file_and_words(workspace):
    """A preset of a later place wins."""
    (workspace.dataset_files / "leaves.yaml").write_text(
        LEAVES.replace("data: folder\n", "data: folder\n- override /model: resnet18\n- override /track: default\n")
    )
    assert workspace.compose("leaves").model.backbone == "resnet18"
    assert workspace.compose("leaves").track.sinks == []
    assert "mobilenetv3" in workspace.compose("leaves", ["model=mobilenetv3"]).model.backbone


def test_the_words_compose_to_the_same_settings_again(workspace):
    """What a run keeps of its settings can be read anew from anywhere."""
    from phytoscope.configs import compose_config

    config = workspace.compose("leaves", ["evaluate.external=['field=../field']"])
    assert config.evaluate.external == [f"field={workspace.root / 'field'}"]
    again = compose_config(config.overrides)
    assert again.data == config.data
    assert again.evaluate == config.evaluate
    assert again.track == config.track


def test_an_unknown_data_set_is_told_with_the_nearest_name(workspace):
    """A typing mistake is answered with what was meant."""
    with pytest.raises(ConfigError, match=r"no data set 'leafs'.*did you mean 'leaves'"):
        workspace.compose("leafs")


def test_without_data_sets_it_is_said_how_to_make_one(tmp_path):
    """The first step is told."""
    (tmp_path / "datasets").mkdir()
    with pytest.raises(ConfigError, match=r"datasets/leaves\.yaml.*--example biomass"):
        Workspace(tmp_path).compose("leaves")


@pytest.mark.parametrize("name", ["my leaves", "-x", "blätter", "a.b", "x" * 65])
def test_names_that_cannot_be_partitions_are_told(workspace, name):
    """Names become folders and parts of addresses."""
    (workspace.dataset_files / f"{name}.yaml").write_text(LEAVES)
    assert name in workspace.datasets()
    with pytest.raises(ConfigError, match="cannot be used under this name"):
        workspace.compose(name)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("trainer: {max_epoch: 3}\n", "max_epochs"),
        (": :\n- [", "YAML"),
        ("- a\n", "must hold settings"),
        ("", "how the data are laid out"),
        ("seed: 3\n", "override /data: folder"),
    ],
)
def test_a_wrong_file_is_named(workspace, content, said):
    """The error says which file, and what is wrong in it."""
    file = workspace.dataset_files / "bad.yaml"
    file.write_text(LEAVES + content if content.startswith("trainer") else content)
    with pytest.raises(ConfigError, match=rf"data set 'bad' \({re.escape(str(file))}\)[\s\S]*{said}"):
        workspace.compose("bad")


def test_the_workspace_is_named_by_option_variable_or_place(workspace, tmp_path, monkeypatch):
    """The option wins over the variable, and this over the usual name."""
    other = Workspace(tmp_path / "phytoscope-workspace")
    other.dataset_files.mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(WORKSPACE_VARIABLE, raising=False)
    assert find_workspace() == other
    monkeypatch.setenv(WORKSPACE_VARIABLE, str(workspace.root))
    assert find_workspace() == workspace
    assert find_workspace(other.root) == other


def test_what_is_no_workspace_is_told(tmp_path, monkeypatch):
    """A wrong place is told with the command that makes one."""
    monkeypatch.setenv(WORKSPACE_VARIABLE, str(tmp_path / "gone"))
    with pytest.raises(ConfigError, match="gone' does not exist: make one with `phytoscope pipeline new"):
        find_workspace()
    with pytest.raises(ConfigError, match="is no workspace"):
        find_workspace(tmp_path)


def test_the_workspace_needs_no_dagster(tmp_path):
    """Settings are composed without Dagster, also from an empty folder."""
    import subprocess
    import sys

    script = (
        "import sys\nfrom phytoscope.pipeline.workspace import find_workspace\n"
        "assert not {'dagster', 'torch', 'mlflow'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120, cwd=tmp_path)

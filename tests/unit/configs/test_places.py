"""Relative paths among settings become absolute, and only paths do."""

from pathlib import Path

import pytest

from phytoscope.configs import compose_config
from phytoscope.configs.places import PLACE_KEYS, resolve_external, resolve_places
from phytoscope.errors import ConfigError

FOLDER = Path("/ws/datasets")


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("data.root=leaves", "data.root=/ws/datasets/leaves"),
        ("data.root=../data/my leaves", "data.root=/ws/data/my leaves"),
        ("data.root='../data/leaves'", "data.root=/ws/data/leaves"),
        ("data.root=../../leaves/../x", "data.root=/leaves/../x"),
        ("data.root=/leaves", "data.root=/leaves"),
        ("data.root=null", "data.root=null"),
        ("data.label=../x", "data.label=../x"),
        ("model.weights=auto", "model.weights=auto"),
        ("model.weights=no_such_file", "model.weights=no_such_file"),
    ],
)
def test_a_path_is_relative_to_the_folder(word, expected):
    """Paths become absolute, `..` goes up from the folder, and other words stay."""
    assert resolve_places([word], FOLDER) == [expected]


@pytest.mark.parametrize("key", PLACE_KEYS)
def test_every_setting_that_names_a_place_is_resolved(key):
    """No setting that names a place is forgotten."""
    assert resolve_places([f"{key}=x"], FOLDER) == [f"{key}=/ws/datasets/x"]


def test_weights_that_are_a_file_are_resolved(tmp_path):
    """Weights may be a name or a file; a file is found relative to the folder."""
    (tmp_path / "mine.safetensors").touch()
    assert resolve_places(["model.weights=mine.safetensors"], tmp_path) == [
        f"model.weights={tmp_path / 'mine.safetensors'}"
    ]


def test_a_home_directory_is_found_or_told():
    """`~` is the home directory; that of nobody is an error."""
    assert resolve_places(["data.root=~/leaves"], FOLDER) == [f"data.root={Path.home() / 'leaves'}"]
    with pytest.raises(ConfigError, match=r"data\.root.*home directory"):
        resolve_places(["data.root=~nobody_of_this_name/leaves"], FOLDER)


def test_places_of_further_sets_are_resolved_in_settings_and_words():
    """What is kept of the settings names the same places as the settings themselves."""
    config = compose_config(["data=folder", "data.root=/leaves", "evaluate.external=['field=../fi eld']"])
    resolve_external(config, FOLDER)
    assert config.evaluate.external == ["field=/ws/fi eld"]
    assert compose_config(config.overrides).evaluate.external == ["field=/ws/fi eld"]

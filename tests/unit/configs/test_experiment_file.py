"""An experiment outside of the package is named by its path and means what it would mean inside."""

import pytest
import yaml

from phytoscope.configs import CONFIG_DIR, compose_config
from phytoscope.configs.experiment_file import expand_experiment, write_experiment
from phytoscope.errors import ConfigError
from phytoscope.schema.choices import AdaptKind
from phytoscope.steps.context import plain_settings

DATA = ["data=folder", "data.root=x"]
GROUPS = ("model", "adapt", "task", "trainer", "sweep")


def settings_of(words):
    """The composed settings without the words."""
    return {**plain_settings(compose_config(words)), "overrides": None}


@pytest.mark.parametrize("name", ["laptop"])
def test_file_means_what_the_preset_means(name, tmp_path):
    """A copy of a preset, named by its path, gives the same settings."""
    copy = tmp_path / "copy of it.yaml"
    copy.write_bytes((CONFIG_DIR / "experiment" / f"{name}.yaml").read_bytes())
    assert settings_of([*DATA, f"experiment={copy}"]) == settings_of([*DATA, f"experiment={name}"])


def test_everything_survives_the_file(tmp_path):
    """Every value of every group comes back: null, truth values, lists, texts that look like something else."""
    words = [
        *("trainer.max_epochs=3", "adapt.kind=lora", "adapt.targets='blocks[.]1'", "model.weights=null"),
        *("trainer.profile=true", "trainer.learning_rate=1e-05", "task.sums=['a = b + c']", "model.backbone=1e5"),
        "sweep.space={adapt.kind: {choices: [head, lora]}, model.dropout: null}",
    ]
    written = settings_of([*DATA, *words[:3], *words[4:]])
    path = tmp_path / "best.yaml"
    write_experiment(path, {"seed": 3, **{group: written[group] for group in GROUPS}}, "a remark")
    read = settings_of([*DATA, f"experiment={path}"])
    assert {group: read[group] for group in GROUPS} == {group: written[group] for group in GROUPS}
    assert read["seed"] == 3


def test_words_beside_the_file_win(tmp_path):
    """Whatever their place in the command line; and the file need not be there when the words are read again."""
    path = tmp_path / "e.yaml"
    write_experiment(path, {"trainer": {"max_epochs": 3}, "adapt": {"kind": "head"}}, "r")
    config = compose_config([*DATA, "trainer.max_epochs=7", f"experiment={path}"])
    assert (config.trainer.max_epochs, config.adapt.kind) == (7, AdaptKind.head)
    path.unlink()
    assert compose_config(config.overrides) == config


def test_name_of_a_preset_is_left_alone():
    """`experiment=laptop` is still the preset of that name."""
    assert expand_experiment(["experiment=laptop", "a=b"]) == ["experiment=laptop", "a=b"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("trainer: {max_epoch: 3}", "did you mean 'trainer.max_epochs'"),
        ("trainer: {max_epochs: many}", "trainer.max_epochs"),
        ("- a\n- b\n", "must hold settings"),
        ("a: [", "cannot be read as YAML"),
        ("defaults:\n  - override /nothing: x\n", "defaults must be lines such as"),
        ("defaults:\n  - override /model: nothing\n", "there is no preset 'nothing'"),
    ],
)
def test_wrong_file_is_refused(tmp_path, content, said):
    """What is wrong in the file is named as it would be on the command line."""
    path = tmp_path / "e.yaml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError) as error:
        compose_config([*DATA, f"experiment={path}"])
    assert said in str(error.value)


def test_missing_file_is_named(tmp_path):
    """A wrong path is said, not taken for a preset."""
    with pytest.raises(ConfigError, match="there is no such file"):
        compose_config([*DATA, f"experiment={tmp_path / 'e.yaml'}"])


def test_file_is_in_hydras_form(tmp_path):
    """It can be put among the presets: the package line comes first."""
    path = tmp_path / "e.yaml"
    write_experiment(path, {"seed": 1}, "trial 3")
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "# @package _global_"
    assert lines[1] == "# trial 3"
    assert yaml.safe_load("\n".join(lines)) == {"seed": 1}

"""Every preset composes, and every setting that a document names exists."""

import re

import pytest

from contract.source_checks import ROOT
from phytoscope.configs import CONFIG_DIR, compose_config, list_groups
from phytoscope.configs.words import normalise_words
from phytoscope.errors import ConfigError
from phytoscope.schema.config import SCHEMA_OF_GROUP
from phytoscope.schema.data_config import SplitConfig

FOR_CLASSES = ("field_ready",)
PRESETS = [f"{group}={preset}" for group, presets in list_groups().items() for preset in presets]
GROUPS = "|".join([*SCHEMA_OF_GROUP, "experiment", "debug"])
DOCUMENTS = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
# `data.root=DIR` and `model=resnet18`, but neither `docs/data.md` nor `data.csv` nor a module such as `data.split`.
SETTING = re.compile(rf"(?<![\w./-])((?:{GROUPS})\.[a-z_]+(?:\.[a-z_]+)?)=")
CHOICE = re.compile(rf"(?<![\w./-])((?:{GROUPS})=[a-z_0-9]+)(?![\w./])")


def complete(word):
    return [word] if word.startswith("data=") else ["data=folder", word]


@pytest.mark.parametrize("word", PRESETS)
def test_preset_composes(word):
    """Each preset of each group works alone."""
    assert word in compose_config(complete(word)).overrides


@pytest.mark.parametrize("data", list_groups()["data"])
@pytest.mark.parametrize("experiment", list_groups()["experiment"])
@pytest.mark.parametrize("debug", list_groups()["debug"])
def test_experiment_composes_with_every_kind_of_data(data, experiment, debug):
    """Starting points can be combined; one that is for classes says so when numbers are learned."""
    words = [f"data={data}", f"experiment={experiment}", f"debug={debug}"]
    if experiment in FOR_CLASSES and data in ("table", "farmbot_biomass"):
        with pytest.raises(ConfigError, match="is for classes, but numbers are learned here"):
            compose_config(words)
        words.append("data.label=disease")
    compose_config(words)


def test_every_group_has_presets():
    """A folder without a preset would be a group that cannot be chosen; every schema has its folder."""
    groups = list_groups()
    assert all(groups.values())
    assert set(SCHEMA_OF_GROUP) <= set(groups)


def test_every_file_is_a_preset():
    """A file with another ending would never be found."""
    files = [path for path in CONFIG_DIR.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert {path.suffix for path in files} == {".py", ".yaml"}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_documented_settings_exist(document):
    """A reader who copies a setting from a page is not told that it is unknown."""
    text = document.read_text(encoding="utf-8")
    groups = list_groups()
    known = {f"{group}.{name}" for group, schema in SCHEMA_OF_GROUP.items() for name in schema.__dataclass_fields__}
    known |= {f"data.split.{name}" for name in SplitConfig.__dataclass_fields__}
    assert sorted(set(SETTING.findall(text)) - known) == []
    normalise_words(sorted(set(CHOICE.findall(text))), groups)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("`data.root=DIR`", ["data.root"]),
        ("data.split.calibration=0.", ["data.split.calibration"]),
        ("see data.csv and phytoscope.data.split.drawing", []),
        ("--data.root=x", []),
    ],
)
def test_reader_of_documents_can_fail(text, found):
    """A check that finds nothing anywhere proves nothing."""
    assert SETTING.findall(text) == found

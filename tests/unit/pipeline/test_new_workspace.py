"""A new workspace: laid out once, with examples that compose, and nothing ever replaced."""

import pytest

from phytoscope.errors import ConfigError
from phytoscope.pipeline.new_workspace import new_workspace
from phytoscope.steps.example_data import EXAMPLES, draw_example


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    return new_workspace(tmp_path_factory.mktemp("new") / "ws", EXAMPLES, size=6)


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_is_drawn_and_its_settings_compose(drawn, example):
    """The data lie where the settings say, and can be read."""
    from phytoscope.steps.survey import survey_source

    config = drawn.workspace.compose(example)
    assert config.data.root == str(drawn.workspace.root / "data" / example)
    survey = survey_source(config)
    assert survey.labelled >= 10


def test_nothing_is_replaced(drawn):
    """A second call keeps every file, changed or not."""
    file = drawn.workspace.dataset_files / "biomass.yaml"
    before = file.read_text()
    file.write_text(before + "seed: 3\n")
    again = new_workspace(drawn.workspace.root, EXAMPLES, size=6)
    assert again.written == []
    assert set(again.kept) == set(drawn.written)
    assert file.read_text().endswith("seed: 3\n")


def test_an_empty_workspace_says_where_things_lie(tmp_path):
    """Without an example there are a page and a file for settings, both of which can be used as they are."""
    made = new_workspace(tmp_path / "ws")
    assert {path.name for path in made.written} == {"README.md", "settings.yaml"}
    assert made.workspace.datasets() == {}
    (made.workspace.dataset_files / "a.yaml").write_text("defaults:\n- override /data: folder\ndata: {root: x}\n")
    assert made.workspace.compose("a").seed == 0


def test_a_directory_with_other_things_is_left_alone(tmp_path):
    """Nothing is laid out among files of the user's."""
    (tmp_path / "thesis.docx").touch()
    with pytest.raises(ConfigError, match=r"neither a workspace nor empty \(it holds 'thesis\.docx'\)"):
        new_workspace(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.docx"]


def test_an_unknown_example_is_told(tmp_path):
    """Only what can be drawn is drawn."""
    with pytest.raises(ConfigError, match="no example 'biomas'; did you mean 'biomass'"):
        draw_example(tmp_path / "x", "biomas")

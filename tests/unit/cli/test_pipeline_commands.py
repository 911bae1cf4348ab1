"""`phytoscope pipeline` makes a workspace, names what is wrong, lists data sets and waits for Ctrl-C."""

import pytest
from typer.testing import CliRunner

from phytoscope import cli
from phytoscope.errors import ConfigError
from phytoscope.pipeline.headless import HeadlessRun
from phytoscope.pipeline.servers import Server, Servers

LEAVES = "defaults:\n- override /data: folder\ndata: {root: ../leaves}\n"


def call(*words):
    return CliRunner().invoke(cli.app, ["pipeline", *map(str, words)], env={"COLUMNS": "300"})


@pytest.fixture
def place(tmp_path, monkeypatch):
    for name in ("DAGSTER_HOME", "PHYTOSCOPE_WORKSPACE", "DAGSTER_DISABLE_TELEMETRY"):
        monkeypatch.setenv(name, "")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_new_says_what_was_written_and_what_comes_next(place):
    """Every file is named; a second call keeps them all."""
    first = call("new", "plants", "--example", "both", "--size", "6")
    assert first.exit_code == 0, first.output
    for name in ("README.md", "settings.yaml", "data/biomass", "datasets/disease.yaml"):
        assert f"Written: {place / 'plants' / name}" in first.output
    assert "Next:    phytoscope pipeline run --workspace plants --partition biomass" in first.output
    again = call("new", "plants", "--example", "both", "--size", "6")
    assert "Written" not in again.output
    assert f"Kept:    {place / 'plants' / 'datasets' / 'biomass.yaml'}" in again.output


def test_new_without_an_example_says_where_data_sets_go(place):
    """The first file is named."""
    assert "datasets/NAME.yaml" in call("new", "plants").output


def test_list_shows_every_data_set(place):
    """Names, how the last run ended, and what is wrong with a file."""
    call("new", "plants")
    (place / "plants" / "datasets" / "leaves.yaml").write_text(LEAVES)
    (place / "plants" / "datasets" / "broken.yaml").write_text("seed: 1\n")
    result = call("list", "--workspace", "plants")
    assert result.exit_code == 0, result.output
    assert "none yet" in result.output
    assert "how the data are laid out" in result.output


@pytest.fixture
def asked(monkeypatch):
    """What the command asks of the graph."""
    kept = []

    def note(workspace, name, words, *, say):
        kept.append((workspace.root, name, words))
        say("raw_dataset ...")
        return HeadlessRun("run", ["raw_dataset", "trained_model"], ["model_evaluation__covers"])

    monkeypatch.setattr("phytoscope.pipeline.headless.run_partition", note)
    return kept


def test_run_takes_the_only_data_set_and_tells_what_was_made(place, asked):
    """A name is needed only where there are several; relative paths are those of the terminal."""
    call("new", "plants")
    (place / "plants" / "datasets" / "leaves.yaml").write_text(LEAVES)
    result = call("run", "--workspace", "plants", "data.root=mine", "trainer.max_epochs=2")
    assert result.exit_code == 0, result.output
    assert asked == [(place / "plants", "leaves", [f"data.root={place / 'mine'}", "trainer.max_epochs=2"])]
    assert "Made:    raw_dataset, trained_model" in result.output
    assert "checks that failed: model_evaluation__covers" in result.output
    (place / "plants" / "datasets" / "more.yaml").write_text(LEAVES)
    several = call("run", "--workspace", "plants")
    assert isinstance(several.exception, ConfigError)
    assert "choose one of: leaves, more" in str(several.exception)


@pytest.mark.parametrize("words", [("run",), ("list",), ("start",), ()])
def test_a_directory_that_is_no_workspace_is_told(place, words):
    """Every command says how to make one."""
    result = call(*words, "--workspace", "nowhere")
    assert isinstance(result.exception, ConfigError)
    assert "phytoscope pipeline new nowhere" in str(result.exception)


@pytest.mark.parametrize("words", [(), ("start",)])
def test_start_tells_both_addresses_and_ends_well_with_ctrl_c(place, monkeypatch, words):
    """The line with both addresses comes once they answer; Ctrl-C is the usual end."""
    import contextlib

    opened = []

    class Interrupted(Servers):
        def wait(self):
            raise KeyboardInterrupt

    @contextlib.contextmanager
    def run_servers(workspace, *, port, mlflow_port):
        pages = {"MLflow": mlflow_port, "Dagster": port}
        yield Interrupted(
            workspace,
            [
                Server(name, f"http://127.0.0.1:{page}", None, workspace.root, lambda: True)
                for name, page in pages.items()
            ],
        )

    monkeypatch.setattr("phytoscope.pipeline.servers.run_servers", run_servers)
    monkeypatch.setattr("webbrowser.open", opened.append)
    call("new", "plants")
    result = call(*words, "--workspace", "plants", "--port", "3007", "--open")
    assert result.exit_code == 0, result.output
    assert "Dagster: http://127.0.0.1:3007  MLflow: http://127.0.0.1:5001" in result.output
    assert opened == ["http://127.0.0.1:3007"]
    assert "Stopped." in result.output


@pytest.mark.parametrize("words", [(), ("start",), ("new",), ("run",), ("list",)])
def test_help_teaches_with_an_example(words):
    """Every command shows how it is called."""
    result = call(*words, "--help")
    assert result.exit_code == 0
    assert "Example" in result.output
    assert "phytoscope pipeline" in result.output

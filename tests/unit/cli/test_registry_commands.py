"""`phytoscope register`, `promote`, `rollback` and `models`, and `models:/NAME@champion` in place of a package."""

from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from factories.mlflow_stores import make_store
from factories.registered_runs import draw_photos, make_run, split_photos
from phytoscope import cli
from phytoscope.cli.terminal import EXIT_FINDINGS
from phytoscope.errors import ArtifactError, ConfigError, TrackingError
from phytoscope.schema.artifact import read_json
from phytoscope.track.registry import CHAMPION, Registry


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """A good and a poor run, and the photographs."""
    place = tmp_path_factory.mktemp("runs")
    rows = split_photos(draw_photos(place / "photos"))
    make_run(place / "good", rows, seed=1)
    make_run(place / "poor", rows, seed=1, spoilt=1.0)
    return place


@pytest.fixture
def uri(tmp_path, monkeypatch) -> str:
    """A store that the environment names, and a cache of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    found = make_store(tmp_path / "mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", found)
    return found


def call(*words: str | Path):
    """Runs a command."""
    return CliRunner().invoke(cli.app, [str(word) for word in words])


def test_way_of_a_model_from_run_to_champion_and_back(uri, runs, tmp_path) -> None:
    """Registered, promoted, refused, rolled back and used, each told in words and exit codes."""
    found = call("register", runs / "poor", "--name", "leaf diseases")
    assert found.exit_code == 0, found.output
    assert "leaf diseases: version 1, model" in found.stdout
    assert "phytoscope promote 'leaf diseases'\n" in found.stdout
    found = call("promote", "leaf diseases", "--min-groups", "5")
    assert found.exit_code == 0, found.output
    assert "Version 1 becomes the first champion of 'leaf diseases'" in found.stdout
    call("register", runs / "good", "--name", "leaf diseases")
    found = call("promote", "leaf diseases", "--min-groups", "5", "--dry-run")
    assert found.exit_code == 0, found.output
    assert "Dry run: the registry stays as it is." in found.stdout
    assert Registry(uri).get("leaf diseases", CHAMPION).version == 1
    found = call("promote", "leaf diseases", "--min-groups", "5", "--output", tmp_path / "why")
    assert found.exit_code == 0, found.output
    assert read_json(tmp_path / "why" / "promotion.json")["verdict"] == "promoted"
    found = call("promote", "leaf diseases", "--min-groups", "5", "--challenger", "1")
    assert found.exit_code == EXIT_FINDINGS, found.output
    assert "failed" in found.stdout
    assert "is not promoted, the champion stays" in found.stdout
    found = call("models")
    assert "@champion" in found.stdout
    assert "macro_f1 0.9" in found.stdout
    found = call("models", "leaf diseases")
    assert "  1: Version 1 is not promoted, the champion stays." in found.stdout
    assert "version 2 became champion (promoted)" in found.stdout
    found = call("rollback", "leaf diseases")
    assert found.stdout == "leaf diseases: version 1 is champion again, instead of version 2\n"
    assert Registry(uri).get("leaf diseases", CHAMPION).version == 1


def test_champion_answers_for_photographs(uri, runs, tmp_path) -> None:
    """`predict` takes a reference to the registry and gives what the package in its folder gives."""
    call("register", runs / "good")
    call("promote", "leaves", "--min-groups", "5")
    tables = []
    for number, package in enumerate((str(runs / "good" / "package"), "models:/leaves@champion", "models:/leaves/1")):
        output = tmp_path / f"{number}.csv"
        found = call("predict", package, runs / "photos" / "dark", "--output", output)
        assert found.exit_code == 0, found.output
        tables.append(pd.read_csv(output))
    assert len(tables[0]) == 80
    for table in tables[1:]:
        pd.testing.assert_frame_equal(table, tables[0])


def test_registry_can_be_named(runs, tmp_path, monkeypatch) -> None:
    """With --uri another store is used, and the sentences repeat it."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    uri = make_store(tmp_path / "elsewhere")
    found = call("register", runs / "good", "--uri", uri)
    assert found.exit_code == 0, found.output
    assert f"phytoscope promote leaves --uri {uri}" in found.stdout
    assert "leaves" in call("models", "--uri", uri).stdout
    for words in (
        ["models"],
        ["models", "--uri", "sqlite:///mistyped.db"],
        ["promote", "x", "--uri", "sqlite:///m.db"],
    ):
        nothing = call(*words)
        assert isinstance(nothing.exception, ArtifactError)
        assert "there is no registry at" in str(nothing.exception)
    # Looking makes no store.
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".db"] == []


def test_mistakes_are_told(uri, runs, tmp_path) -> None:
    """Names, references and folders that are not there are errors a person can act on."""
    call("register", runs / "good")
    for words, kind, text in (
        (("promote", "leafs"), ArtifactError, "did you mean 'leaves'"),
        (("promote", "leaves", "--challenger", "9"), ArtifactError, "has no version 9; there are: @challenger, 1"),
        (("models", "leafs"), ArtifactError, "did you mean 'leaves'"),
        (("rollback", "leaves"), ArtifactError, "has no champion"),
        (("register", tmp_path / "nowhere"), ConfigError, "there is no run in"),
        (("models", "--uri", "runs/mlflow"), ConfigError, "name sqlite:///FILE"),
        (("models", "--uri", "http://127.0.0.1:9"), TrackingError, "127.0.0.1:9"),
        (("predict", "models:/leaves", runs, "-o", tmp_path / "a.csv"), ConfigError, "models:/NAME@champion"),
    ):
        found = call(*words)
        assert isinstance(found.exception, kind), (words, found.output)
        assert text in str(found.exception)


def test_wrong_rules_are_refused() -> None:
    """A margin below nothing or a confidence above certainty is no rule."""
    for words in (("--margin", "-0.1"), ("--confidence", "1.5"), ("--min-groups", "1")):
        assert call("promote", "leaves", *words).exit_code == 2

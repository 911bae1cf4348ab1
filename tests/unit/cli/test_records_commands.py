"""`phytoscope records` shows, exports and deletes what a service keeps, and asks before it deletes."""

import datetime as dt
import hashlib
import json

import pytest
from typer.testing import CliRunner

from factories.images import write_image
from factories.records import make_feedback, make_prediction, make_weight
from phytoscope import cli
from phytoscope.api.records.ledger import open_ledger
from phytoscope.cli import records_commands
from phytoscope.errors import ArtifactError, ConfigError, RecordNotFoundError


@pytest.fixture
def place(tmp_path):
    """A database with two answers for one leaf, one for a plant, and the leaf's photograph."""
    content = write_image(tmp_path / "leaf.jpg", seed=1).read_bytes()
    known = {"image": content, "image_sha256": hashlib.sha256(content).hexdigest()}
    ledger = open_ledger(f"sqlite:///{tmp_path / 'records.db'}", tmp_path / "images")
    now = dt.datetime.now(dt.UTC)
    ledger.add_predictions(
        [
            make_prediction(0x1111110, at=now - dt.timedelta(days=100), **known),
            make_prediction(0x2222220, at=now, verdict="review", reasons=("blurred",), probability=None, **known),
            make_weight(0x3333330, at=now, model_id="w" * 16, model_name="[b]plants"),
        ]
    )
    ledger.add_feedback(make_feedback(1, about=0x1111110, label="scab", comment="[red]"))
    ledger.add_feedback(make_feedback(2, about=0x3333330, value=9.5))
    ledger.add_feedback(make_feedback(3, about=0x3333330, value=5.0, target="leaves"))
    ledger.close()
    return tmp_path


def call(place, *words, **more):
    words = ["records", *map(str, words), "--url", f"sqlite:///{place / 'records.db'}"]
    return CliRunner().invoke(cli.app, words, env={"COLUMNS": "200"}, **more)


def rows(result):
    assert result.exit_code == 0, result.exception
    return [line.split() for line in result.stdout.splitlines()]


def test_list(place):
    """The newest answers first, with what turned out to be true."""
    lines = call(place, "list").stdout.splitlines()
    assert len(lines) == 4
    assert lines[-1].split()[-2:] == ["accept", "scab"]
    assert "rust (90%)" in lines[-1]
    assert any("[b]plants" in line and "10 g" in line and "9.5, leaves: 5" in line for line in lines)
    [line] = rows(call(place, "list", "--verdict", "review"))[1:]
    assert line[-3:] == ["rust", "review", "blurred"]
    assert len(rows(call(place, "list", "--limit", "1"))) == 2
    assert "No answer of this kind is kept" in call(place, "list", "--since", "2999-01-01T00:00").stdout


def test_show(place):
    """Everything of one answer, with its photograph where the folder is named."""
    shown = json.loads(call(place, "show", f"{0x1111110:032x}", "--images", place / "images").stdout)
    assert shown["answer"]["label_set"] == ["rust", "scab"]
    assert shown["feedback"][0]["comment"] == "[red]"
    assert shown["image"].endswith(".jpg")
    assert json.loads(call(place, "show", f"{0x1111110:032x}").stdout)["image"] is None
    assert isinstance(call(place, "show", "f" * 32).exception, RecordNotFoundError)


def test_export(place):
    """A table, which is not written over another one unasked."""
    assert "1 answers" in call(place, "export", place / "truth.csv", "--feedback-only", "--model", "leaves").stdout
    before = (place / "truth.csv").read_bytes()
    refused = call(place, "export", place / "truth.csv")
    assert isinstance(refused.exception, ConfigError)
    assert (place / "truth.csv").read_bytes() == before
    assert "3 answers" in call(place, "export", place / "truth.csv", "--overwrite").stdout


def test_stats(place):
    """Counts and shares with their range, or that nothing is known."""
    text = call(place, "stats").stdout
    assert "0/1 = 0% (0% to 79%)" in text
    assert "0.5 g" in text
    assert "[b]plants wwwwwwww, leaves" in text
    hint = "Nobody has said yet"
    assert hint not in call(place, "stats").output
    assert hint in call(place, "stats", "--model", "leaves", "--since", dt.date.today().isoformat()).output
    assert "No answer of this kind" in call(place, "stats", "--model", "none").stdout


def test_delete_asks(place, monkeypatch):
    """Nothing is deleted without a yes, and nobody is asked where nobody is."""
    refused = call(place, "delete", "--all")
    assert isinstance(refused.exception, ConfigError)
    assert "3 answers would be deleted for ever: add --yes" in str(refused.exception)
    monkeypatch.setattr(records_commands, "_is_asked", lambda: True)
    assert "Nothing is deleted" in call(place, "delete", "--all", input="n\n").stdout
    assert len(rows(call(place, "list"))) == 4
    answer = call(place, "delete", "--all", "--images", place / "images", input="y\n")
    assert "Delete 3 answers for ever, and their photographs?" in answer.stdout
    assert "Deleted: 3 answers, 3 feedbacks, 1 photographs." in answer.stdout
    assert "Photographs" not in answer.stderr


def test_delete_by_name_and_time(place):
    """Single answers by their names, and all before a time."""
    done = call(place, "delete", f"{0x2222220:032x}", "--yes")
    assert "Deleted: 1 answers" in done.stdout
    assert "name their folder with --images" in done.stderr
    done = call(place, "delete", "--before", dt.date.today().isoformat(), "--yes", "--images", place / "images")
    assert "Deleted: 1 answers, 1 feedbacks, 1 photographs." in done.stdout
    assert isinstance(call(place, "delete", "--yes").exception, ConfigError)
    assert isinstance(call(place, "delete", "--all", "--images", place / "none", "--yes").exception, ConfigError)


@pytest.mark.parametrize(("age", "gone"), [("90d", 1), ("2400.5 h", 0), ("14w", 1), ("0d", 3)])
def test_purge(place, age, gone):
    """What is older than so many hours, days or weeks goes."""
    assert f"Deleted: {gone} answers" in call(place, "purge", "--older-than", age, "--yes").stdout


@pytest.mark.parametrize("age", ["90", "d", "-3d", "3 years"])
def test_age_that_is_none(place, age):
    """Another age is refused, and nothing is deleted."""
    refused = call(place, "purge", f"--older-than={age}", "--yes")
    assert isinstance(refused.exception, ConfigError)
    assert "is no age" in str(refused.exception)
    refused = call(place, "purge", "--older-than=99999999w", "--yes")
    assert isinstance(refused.exception, ConfigError)


def test_time_that_is_none(place):
    """Another time is refused."""
    assert "--since 'yesterday' is no time" in str(call(place, "list", "--since", "yesterday").exception)


def test_own_records(tmp_path, monkeypatch):
    """Without an address the user's own records are meant, or those that the environment names."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.delenv("PHYTOSCOPE_RECORDS_URL", raising=False)
    none = CliRunner().invoke(cli.app, ["records", "list"])
    assert isinstance(none.exception, ArtifactError)
    assert str(tmp_path / "phytoscope" / "records.db") in str(none.exception)
    open_ledger(f"sqlite:///{tmp_path / 'named.db'}", None).close()
    monkeypatch.setenv("PHYTOSCOPE_RECORDS_URL", f"sqlite:///{tmp_path / 'named.db'}")
    assert CliRunner().invoke(cli.app, ["records", "list"]).exit_code == 0

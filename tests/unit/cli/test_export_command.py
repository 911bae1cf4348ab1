"""`phytoscope export` refuses what it cannot do before anything starts."""

import pytest
from typer.testing import CliRunner

from factories.packages import make_package
from phytoscope.cli import app
from phytoscope.errors import ConfigError


@pytest.mark.parametrize(
    ("words", "match"),
    [
        (["--to", "onnx"], "--to and --output belong together"),
        (["--output", "bare"], "--to and --output belong together"),
        ([], "is not the folder of a run"),
        (["package.int8=auto", "--to", "onnx", "--output", "bare"], "settings have no part in --to"),
    ],
)
def test_words_that_do_not_fit_are_refused(tmp_path, monkeypatch, words, match) -> None:
    """With what to do instead; nothing is written."""
    monkeypatch.chdir(tmp_path)
    make_package(tmp_path / "package")
    before = sorted(tmp_path.iterdir())
    result = CliRunner().invoke(app, ["export", str(tmp_path / "package"), *words])
    assert isinstance(result.exception, ConfigError)
    assert match in str(result.exception)
    assert sorted(tmp_path.iterdir()) == before

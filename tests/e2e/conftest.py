"""What the tests of the whole way share."""

import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from phytoscope import cli


@dataclass(frozen=True)
class Answer:
    """What the command line did."""

    code: int
    out: str
    err: str


@pytest.fixture
def ask(monkeypatch, capsys) -> Callable[..., Answer]:
    """The command line as a user calls it, but without the seconds that a process of its own takes to start."""

    def run(*words: object) -> Answer:
        monkeypatch.setattr(sys, "argv", ["phytoscope", *map(str, words)])
        code: object = 0
        try:
            cli.main()
        except SystemExit as stop:
            code = stop.code
        captured = capsys.readouterr()
        return Answer(code if isinstance(code, int) else int(code is not None), captured.out, captured.err)

    return run

"""The line that says how far work is."""

import io
import sys
from types import SimpleNamespace

import pytest

from phytoscope.sdk import shown_progress
from phytoscope.sdk.shown_progress import LineProgress, telling


class Terminal(io.StringIO):
    """A text that says it is a terminal."""

    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test sets."""
    now = [0.0]
    monkeypatch.setattr(shown_progress.time, "monotonic", lambda: now[0])
    return now


def test_log_file_gets_one_line_a_stretch(clock):
    """Where a line cannot be written again, only the end of each stretch is told."""
    stream = io.StringIO()
    line = LineProgress(stream)

    line.start("Training", 2)
    clock[0] = 1.5
    line.advance(note="val 0.5")
    line.say("a sentence")
    line.advance()
    line.finish()
    line.finish()

    assert stream.getvalue() == "a sentence\nTraining: done in 1.5 s val 0.5\n"


def test_terminal_line_moves(clock):
    """A bar grows on one line, five times a second at most, and a shorter line wipes out a longer one."""
    stream = Terminal()
    line = LineProgress(stream)

    line.start("Looking", 4)
    line.advance()
    clock[0] = 0.3
    line.advance(note="b.jpg")
    line.say("a sentence")
    clock[0] = 2.0
    line.start("Thinking", None)
    line.finish()

    shown = stream.getvalue().split("\r")
    assert shown[1] == "Looking [........................] 0/4"
    assert shown[2] == "Looking [############............] 2/4 b.jpg"
    assert shown[3].strip() == ""
    assert len(shown[3]) >= len(shown[2])
    assert shown[4].startswith("a sentence\n")
    assert shown[5].startswith("Looking [############")
    # A stretch that is over leaves nothing behind.
    assert "\rThinking ..." in stream.getvalue()
    assert stream.getvalue().endswith("\r" + " " * len("Thinking ...") + "\r")


def test_silence_writes_nothing(capfd):
    """Without a wish nothing is written."""
    with telling(shown=False) as told:
        told.progress.start("Looking", 4)
        told.say("a sentence")

    assert capfd.readouterr() == ("", "")


def test_line_ends_when_work_fails(capsys):
    """An error ends the line first, so that its own text begins on a new one."""

    def fail():
        with telling(shown=True) as told:
            told.progress.start("Looking", 4)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()

    assert capsys.readouterr().err == "Looking: done in 0.0 s\n"


def test_notebook_is_told_on_stdout(monkeypatch, capsys):
    """A notebook paints stderr red, so it gets its line on stdout, and the line moves there."""
    notebook = SimpleNamespace(get_ipython=lambda: SimpleNamespace(kernel="a kernel"))
    monkeypatch.setitem(sys.modules, "IPython", notebook)

    with telling(shown=True) as told:
        told.progress.start("Looking", 4)

    out, err = capsys.readouterr()
    assert out.startswith("\rLooking [")
    assert err == ""

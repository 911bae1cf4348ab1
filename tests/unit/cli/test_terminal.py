"""Colours, width and bars: for terminals, and nowhere else unless somebody asks for them."""

import os
import re
import subprocess
import sys

import pytest
from rich.console import Console

from phytoscope.cli.terminal import Screen

ENTRY = "import sys; sys.argv[0] = 'phytoscope'; from phytoscope.cli import main; main()"
COLOUR = re.compile(rb"\x1b\[[0-9;]*3[0-7]m")
POSIX = pytest.mark.skipif(os.name == "nt", reason="a terminal is made the POSIX way")


def variables(**more: str) -> dict[str, str]:
    """The environment without what other programs have said about colours."""
    known = ("NO_COLOR", "FORCE_COLOR", "GITHUB_ACTIONS", "PY_COLORS", "COLUMNS", "TERM", "TTY_INTERACTIVE")
    return {**{key: value for key, value in os.environ.items() if key not in known}, "TERM": "xterm-256color", **more}


def call(*words: str, **more: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-c", ENTRY, *words]
    return subprocess.run(command, check=False, capture_output=True, timeout=120, env=variables(**more))


def call_on_terminal(*words: str, **more: str) -> bytes:
    """What a command prints when a terminal of 80 columns reads it."""
    import pty

    leader, follower = pty.openpty()
    command = [sys.executable, "-c", ENTRY, *words]
    with subprocess.Popen(command, stdout=follower, stderr=follower, env=variables(COLUMNS="80", **more)) as process:
        os.close(follower)
        parts = []
        while True:
            try:
                part = os.read(leader, 65536)
            except OSError:
                # Linux says so when the other side has closed it.
                break
            if not part:
                break
            parts.append(part)
        process.wait(timeout=120)
    os.close(leader)
    return b"".join(parts)


@pytest.mark.parametrize(
    "words",
    [["--help"], ["run", "--help"], ["settings"], ["trian"], ["run", "data=floder"], ["predict"], ["cache", "--help"]],
    ids=" ".join,
)
def test_no_escapes_in_a_pipe(words) -> None:
    """Neither help nor results nor errors hold a control sequence when no terminal reads them, on GitHub either."""
    done = call(*words, GITHUB_ACTIONS="true")
    assert b"\x1b" not in done.stdout + done.stderr
    assert done.stdout + done.stderr


def test_width_is_sane_without_a_terminal() -> None:
    """Help has at most 80 columns in a pipe, and those that COLUMNS names."""
    for columns, more in ((80, {}), (60, {"COLUMNS": "60"})):
        text = call("run", "--help", **more).stdout.decode("utf-8")
        assert max(map(len, text.splitlines())) <= columns


def test_colours_where_they_are_asked_for() -> None:
    """FORCE_COLOR colours a pipe; NO_COLOR wins over it."""
    assert COLOUR.search(call("run", "data=floder", FORCE_COLOR="1").stderr)
    assert not COLOUR.search(call("run", "data=floder", FORCE_COLOR="1", NO_COLOR="1").stderr)


@POSIX
@pytest.mark.parametrize("words", [["--help"], ["run", "data=floder"]], ids=" ".join)
def test_colours_on_a_terminal(words) -> None:
    """A terminal gets them, unless it is a dumb one or the user wants none."""
    assert COLOUR.search(call_on_terminal(*words))
    assert not COLOUR.search(call_on_terminal(*words, NO_COLOR="1"))
    assert b"\x1b" not in call_on_terminal(*words, TERM="dumb")


def test_bars_do_not_move_in_a_pipe(monkeypatch, capsys) -> None:
    """FORCE_COLOR asks for colours, not for a log full of cursor movements."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr(sys, "__stderr__", None)
    screen = Screen(stderr=True)
    assert screen.is_terminal
    assert not screen.is_interactive
    with screen.status("Starting"):
        pass
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(Console, "is_terminal", property(lambda _: False))
    with Screen(stderr=True).status("Starting"):
        pass
    assert capsys.readouterr().err == ""

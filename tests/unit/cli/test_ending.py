"""How a command ends: exit codes, and the sentence that goes with each."""

import errno
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from contract.source_checks import ROOT
from phytoscope import cli
from phytoscope.cli import run_commands
from phytoscope.cli.terminal import EXIT_CODES
from phytoscope.errors import ConfigError

POSIX = pytest.mark.skipif(os.name == "nt", reason="signals and pipes are POSIX's")
ENTRY = "import sys; sys.argv[0] = 'phytoscope'; from phytoscope.cli import main; main()"


def command(*words: str, code: str = ENTRY) -> list[str]:
    return [sys.executable, "-c", code, *words]


@pytest.fixture
def end(monkeypatch, capsys):
    """Lets the command line end with an exception; gives exit code and what it said."""

    def run(error: BaseException) -> tuple[object, str]:
        def fail(*_: object, **__: object) -> None:
            raise error

        monkeypatch.setattr(run_commands, "start_run", fail)
        monkeypatch.setattr(sys, "argv", ["phytoscope", "prepare", "data=folder"])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        return stop.value.code, capsys.readouterr().err

    return run


def test_mistake_of_the_user(end) -> None:
    """Code 2 and the message alone, with brackets as they are."""
    assert end(ConfigError("data.group_by=[plant] is [red]wrong[/]")) == (
        2,
        "Error: data.group_by=[plant] is [red]wrong[/]\n",
    )


def test_interrupted(end) -> None:
    """Code 130 and that the same command continues."""
    code, message = end(KeyboardInterrupt())
    assert code == 130
    assert "the same command continues" in message


def test_bug(end) -> None:
    """Code 1, the traceback and a request to report it."""
    code, message = end(ZeroDivisionError("oh"))
    assert code == 1
    assert "ZeroDivisionError: oh" in message
    assert "This is a bug of phytoscope" in message


def test_error_of_the_system_is_a_bug_unless_the_disk_is_full(end) -> None:
    """A full disk is the user's to mend, with the place; other failures of the system were not foreseen."""
    for number in (errno.ENOSPC, errno.EDQUOT):
        code, message = end(OSError(number, os.strerror(number), "/data/x"))
        assert code == 2
        assert "/data/x" in message
        assert "the disk is full" in message
    assert end(OSError(errno.EIO, "Input/output error"))[0] == 1


def test_no_memory_left(end) -> None:
    """Code 2 and what takes less."""
    code, message = end(MemoryError())
    assert code == 2
    assert "trainer.batch_size" in message


def test_handlers_are_as_they_were(end) -> None:
    """Whoever calls the command line from Python keeps their own way of ending."""
    before = signal.getsignal(signal.SIGTERM)
    end(ConfigError("wrong"))
    assert signal.getsignal(signal.SIGTERM) == before


@POSIX
@pytest.mark.parametrize("words", [["settings"], ["--help"], ["run", "--help"]])
def test_reader_who_leaves(words) -> None:
    """`phytoscope settings | head -1`: no complaint, and a code that says so."""
    process = subprocess.Popen(command(*words), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    assert process.wait(timeout=120) == 141
    assert process.stderr.read() == b""
    process.stderr.close()


@POSIX
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_full_disk_under_the_output() -> None:
    """What cannot be printed is the user's to mend, not a bug."""
    for environment in ({}, {"PYTHONUNBUFFERED": "1"}):
        with Path("/dev/full").open("w") as full:
            done = subprocess.run(
                command("settings"),
                check=False,
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
                timeout=120,
                env={**os.environ, **environment},
            )
        assert done.returncode == 2, done.stderr
        assert "the disk is full" in done.stderr
        assert "Traceback" not in done.stderr


@POSIX
def test_told_to_end() -> None:
    """SIGTERM does what Ctrl-C does, with a code of its own."""
    code = (
        "import sys, time, pathlib\n"
        "from phytoscope import cli\n"
        "from phytoscope.cli import run_commands\n"
        "def wait(*_, **__):\n"
        "    try:\n"
        "        print('here', flush=True)\n"
        "        time.sleep(100)\n"
        "    finally:\n"
        "        print('tidied', flush=True)\n"
        "run_commands.start_run = wait\n"
        "cli.main()\n"
    )
    words = command("prepare", "data=folder", code=code)
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "here\n"
    process.send_signal(signal.SIGTERM)
    said, message = process.communicate(timeout=120)
    assert (process.returncode, said) == (143, "tidied\n")
    assert message == "Told to end. Finished steps and epochs are kept: the same command continues.\n"


def test_every_code_is_documented() -> None:
    """The guide's table, the first help and the code name the same codes with the same words."""
    page = (ROOT / "docs" / "guides" / "command_line.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \| (.+) \|$", page, flags=re.MULTILINE)
    assert {int(code): meaning for code, meaning in rows} == dict(EXIT_CODES)
    told = subprocess.run(command("--help"), check=True, capture_output=True, encoding="utf-8", timeout=120).stdout
    line = re.search(r"Exit codes: (.*?)\.", " ".join(told.split()))[1]
    assert [int(part.split()[0]) for part in line.split("; ")] == list(EXIT_CODES)

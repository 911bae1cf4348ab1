"""What was said, warned and logged stands in the log of the run, once, with times, and without secrets."""

import logging
import re
import warnings

import pytest
from loguru import logger

from phytoscope.errors import ConfigError, StorageError
from phytoscope.schema.run_folder import RunFolder
from phytoscope.steps.run_log import RunLog, log_said


def read(run: RunFolder) -> list[str]:
    """Lines of the log."""
    return run.log.read_text(encoding="utf-8").splitlines()


def test_sentences_are_logged_and_passed_on(tmp_path, capsys):
    """Each sentence reaches the user as before and the file with its time; the console says nothing twice."""
    run, said = RunFolder(tmp_path), []
    with RunLog(run):
        say = log_said(said.append)
        say("epoch {3} of 5: 100 %")
    assert said == ["epoch {3} of 5: 100 %"]
    (line,) = read(run)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} INFO     epoch \{3\} of 5: 100 %", line)
    assert capsys.readouterr() == ("", "")


def test_log_goes_on(tmp_path):
    """A second call of a run appends; what is said between the two belongs to nobody."""
    run = RunFolder(tmp_path)
    for text in ("first", "second"):
        with RunLog(run):
            log_said(lambda _: None)(text)
        log_said(lambda _: None)("between")
    assert [line.split()[-1] for line in read(run)] == ["first", "second"]


def test_warnings_and_libraries(tmp_path):
    """Warnings are shown as before and logged; so is what the training libraries log."""
    run, shown = RunFolder(tmp_path), []
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = lambda message, *_: shown.append(str(message))
        with RunLog(run), RunLog(RunFolder(tmp_path / "trial")):
            warnings.warn("the lamp is off", stacklevel=1)
            logging.getLogger("lightning.pytorch").error("no {such} thing")
    assert shown == ["the lamp is off"]
    for place in (run, RunFolder(tmp_path / "trial")):
        texts = [line[24:] for line in read(place)]
        assert sum("UserWarning: the lamp is off" in text for text in texts) == 1
        assert sum(text.startswith("ERROR    lightning.pytorch: no {such} thing") for text in texts) == 1


def test_error_of_the_user_is_one_line(tmp_path):
    """What the user can mend is logged as it is told."""
    run = RunFolder(tmp_path)
    with pytest.raises(ConfigError), RunLog(run):
        raise ConfigError("no such setting")
    (line,) = read(run)
    assert line.endswith("ERROR    no such setting")


def test_bug_leaves_its_traceback_without_values(tmp_path):
    """Where it happened is logged, but not what the variables held."""
    run = RunFolder(tmp_path)

    def fail(password: str) -> None:
        raise ZeroDivisionError(f"{len(password)} letters")

    with pytest.raises(ZeroDivisionError), RunLog(run):
        fail("hunter2")
    text = run.log.read_text(encoding="utf-8")
    assert "Traceback" in text
    assert "ZeroDivisionError: 7 letters" in text
    assert "test_run_log.py" in text
    assert "'hunter2'" not in text.replace('fail("hunter2")', "")


def test_interruption_is_logged(tmp_path):
    """Ctrl-C leaves a line."""
    run = RunFolder(tmp_path)
    with pytest.raises(KeyboardInterrupt), RunLog(run):
        raise KeyboardInterrupt
    assert read(run)[0].endswith("WARNING  interrupted")


def test_sinks_of_others_are_left_alone(tmp_path):
    """A program that uses the package and has a sink of its own keeps it."""
    heard = []
    sink = logger.add(heard.append, format="{message}")
    try:
        with RunLog(RunFolder(tmp_path)):
            logger.info("hello")
        logger.info("again")
    finally:
        logger.remove(sink)
    assert [text.strip() for text in heard] == ["hello", "again"]


def test_place_that_cannot_be_written(tmp_path):
    """A file where the folder should be is said as what it is."""
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(StorageError, match="cannot write"), RunLog(RunFolder(tmp_path / "file" / "run")):
        pass


def test_folder_with_nothing_but_a_log_is_a_run(tmp_path):
    """A run that failed before its first step can be started again."""
    run = RunFolder(tmp_path)
    with run.locked(), RunLog(run):
        log_said(lambda _: None)("nothing found")
    with run.locked():
        pass

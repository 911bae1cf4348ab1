"""Lines of the log, whoever writes them."""

import json
import logging

import pytest
from loguru import logger as records_logger

from phytoscope.api import logs
from phytoscope.schema.serve import LogFormat, LogLevel


@pytest.fixture
def kept():
    """Puts all loggers back as they were."""
    names = ["phytoscope.api", *logs._OTHERS]
    before = {name: (each := logging.getLogger(name), each.handlers, each.propagate, each.level) for name in names}
    yield
    records_logger.remove()
    for each, handlers, propagate, level in before.values():
        each.handlers, each.propagate = handlers, propagate
        each.setLevel(level)


@pytest.mark.usefixtures("kept")
def test_all_lines_are_of_one_kind(capsys):
    """What the records say is JSON like the rest, and what is below the level is left out."""
    logs.set_up_logs(LogLevel.warning, LogFormat.json)
    logs.note("not grave enough")
    records_logger.info("not grave enough either")
    records_logger.warning("records: {} answers lost", 3)
    try:
        raise ValueError("inside")
    except ValueError as error:
        logs.note_error("a request failed", error, request_id="r")
    first, second = map(json.loads, capsys.readouterr().err.splitlines())
    assert (first["level"], first["message"]) == ("warning", "records: 3 answers lost")
    assert (second["message"], second["request_id"]) == ("a request failed", "r")
    assert "ValueError: inside" in second["trace"]


@pytest.mark.usefixtures("kept")
def test_lines_for_people(capsys):
    """Time, level, words and what belongs to them."""
    logs.set_up_logs(LogLevel.info, LogFormat.text)
    logs.note("ready", name="leaf")
    assert capsys.readouterr().err.rstrip().endswith("INFO    ready name=leaf")

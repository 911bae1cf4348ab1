"""Lines about what the service does. They hold no names of files, no content, no keys and nothing of a query."""

import datetime
import json
import logging
import sys
from typing import TYPE_CHECKING, Final

from loguru import logger as records_logger

from phytoscope.schema.serve import LogFormat, LogLevel

if TYPE_CHECKING:
    from loguru import Message

LOGGER: Final = logging.getLogger("phytoscope.api")
# What the server below us says of each request would hold the whole address.
_OTHERS: Final = {"uvicorn": None, "uvicorn.error": None, "uvicorn.access": logging.CRITICAL, "uvicorn.asgi": None}


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        content = {
            "at": datetime.datetime.fromtimestamp(record.created, datetime.UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            **getattr(record, "about", {}),
        }
        if record.exc_info is not None:
            content["trace"] = self.formatException(record.exc_info)
        return json.dumps(content, default=str)


class TextFormatter(logging.Formatter):
    """A line for a person."""

    def __init__(self) -> None:
        """Time, level, words."""
        super().__init__("%(asctime)s %(levelname)-7s %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        about = " ".join(f"{name}={value}" for name, value in getattr(record, "about", {}).items())
        return super().format(record) + (f" {about}" if about else "")


def set_up_logs(level: LogLevel, kind: LogFormat) -> None:
    """Writes lines to the standard error stream from now on.

    Args:
        level: From which gravity on.
        kind: How a line looks.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if kind is LogFormat.json else TextFormatter())
    for name, least in {"phytoscope.api": None, **_OTHERS}.items():
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.propagate = False
        logger.setLevel(level.value.upper() if least is None else least)
    # What the rooms below say goes the same way, so that every line looks alike.
    records_logger.remove()
    records_logger.add(_pass_on, format="{message}", level=level.value.upper())


def _pass_on(message: "Message") -> None:
    LOGGER.log(message.record["level"].no, message.record["message"])


def note(message: str, level: int = logging.INFO, **about: object) -> None:
    """Writes a line.

    Args:
        message: What happened.
        level: How grave it is.
        **about: Numbers and short names that belong to it.
    """
    if LOGGER.isEnabledFor(level):
        LOGGER.log(level, message, extra={"about": about})


def note_error(message: str, error: BaseException, **about: object) -> None:
    """Writes a line with a stack trace, which no client sees.

    Args:
        message: What happened.
        error: Why.
        **about: Numbers and short names that belong to it.
    """
    LOGGER.error(message, exc_info=error, extra={"about": about})

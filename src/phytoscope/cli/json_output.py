"""`--json`: the result of a command as one JSON document on stdout, and everything else on stderr."""

import contextlib
import dataclasses
import datetime
import json
import math
import os
import sys
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print the result as one JSON document; all else goes to stderr.")]
_document: ContextVar[TextIO | None] = ContextVar("document", default=None)


@contextlib.contextmanager
def reserve_stdout() -> Iterator[None]:
    """Keeps stdout for `print_json`: what anybody else prints meanwhile, child processes too, goes to stderr."""
    with contextlib.ExitStack() as stack:
        stream = sys.stdout
        try:
            number, beside = sys.stdout.fileno(), sys.stderr.fileno()
        except (OSError, ValueError):
            # A stream of memory, as in a notebook: no other process knows it.
            pass
        else:
            stream.flush()
            own = os.dup(number)
            # A surrogate stands for a byte of a file name that is no text; its escape is valid JSON.
            stream = stack.enter_context(os.fdopen(own, "w", encoding="utf-8", errors="backslashreplace"))
            stack.callback(os.dup2, own, number)
            os.dup2(beside, number)
        stack.enter_context(contextlib.redirect_stdout(sys.stderr))
        stack.callback(_document.reset, _document.set(stream))
        yield


def print_json(content: Mapping[str, Any]) -> None:
    """Prints the result of a command as one JSON document.

    Args:
        content: Key -> value. Data classes, paths, times, enums and arrays become what JSON knows; numbers that are not
            finite become null, because JSON has no word for them.
    """
    stream = _document.get() or sys.stdout
    json.dump(to_plain(content), stream, indent=2, ensure_ascii=False, allow_nan=False, default=str)
    stream.write("\n")
    stream.flush()


def to_plain(value: Any) -> Any:
    """Makes dictionaries, lists, texts and numbers of a value, ready for JSON."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [to_plain(entry) for entry in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, datetime.datetime):
        return value.isoformat(timespec="seconds")
    # Numbers and arrays of NumPy, which need not be imported to be told.
    return to_plain(value.tolist()) if hasattr(value, "tolist") else value


def list_files(**places: Path | None) -> dict[str, Path]:
    """What a command has written: of some named places those where there is something."""
    return {name: place for name, place in places.items() if place is not None and place.exists()}

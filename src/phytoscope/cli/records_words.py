"""Kept answers in words and as plain values, and the times by which they are chosen."""

import datetime
import json
import re
from typing import TYPE_CHECKING, Any

from phytoscope.errors import ConfigError

if TYPE_CHECKING:
    from phytoscope.api.records.reading import Judged
    from phytoscope.api.records.stats import Share, StatRow

_AGE = re.compile(r"(\d+(?:\.\d+)?)\s*(h|d|w)")
_HOURS = {"h": 1, "d": 24, "w": 168}
_OLDEST_HOURS = 36_500 * 24


def describe_answer(judged: "Judged") -> dict[str, Any]:
    """Everything that is kept of one answer, as plain values."""
    return judged.prediction | {"answer": json.loads(judged.prediction["answer"]), "feedback": judged.feedback}


def describe_stats(row: "StatRow") -> dict[str, Any]:
    """One line of the statistics, as plain values; shares run 0-1, None of none."""
    names = ("model_name", "model_id", "target", "unit", "verdict", "answered", "judged", "mae")
    shares = {
        name: None if share.total == 0 else {**vars(share), "share": share.value, "range_95": share.range()}
        for name, share in (("right", row.right), ("covered", row.covered))
    }
    return {name: getattr(row, name) for name in names} | shares


def word_stats(row: "StatRow") -> tuple[str, ...]:
    """One line of the statistics as cells of a table."""
    name = f"{row.model_name} {row.model_id[:8]}" + (f", {row.target}" if row.target is not None else "")
    error = "" if row.mae is None else f"{row.mae:.4g} {row.unit}".strip()
    counts = f"{row.answered}", f"{row.judged}"
    return name, row.verdict, *counts, _word_share(row.right), error, _word_share(row.covered)


def word_answer(judged: "Judged") -> str:
    """What the model said."""
    row = judged.prediction
    if row["label"] is not None:
        return row["label"] if row["probability"] is None else f"{row['label']} ({row['probability']:.0%})"
    return "" if row["value"] is None else f"{row['value']:.4g} {row['unit']}".strip()


def word_truth(judged: "Judged") -> str:
    """What turned out to be true."""
    words = []
    for target, truth in judged.newest.items():
        said = truth["label"] if truth["label"] is not None else f"{truth['value']:.4g}"
        words.append(said if target is None else f"{target}: {said}")
    return ", ".join(words)


def _word_share(share: "Share") -> str:
    if share.total == 0:
        return ""
    low, high = share.range()
    return f"{share.hits}/{share.total} = {share.value:.0%} ({low:.0%} to {high:.0%})"


def read_time(text: str | None, option: str) -> datetime.datetime | None:
    """Reads a time that a user wrote; without a zone the computer's own is meant.

    Raises:
        ConfigError: It is no time.
    """
    if text is None:
        return None
    try:
        found = datetime.datetime.fromisoformat(text)
    except ValueError as error:
        message = f"{option} {text!r} is no time: write it like 2026-11-23 or 2026-11-23T18:30."
        raise ConfigError(message) from error
    return found.astimezone()


def read_age(text: str) -> datetime.timedelta:
    """Reads an age such as `90d`.

    Raises:
        ConfigError: It is no age, or longer than a hundred years.
    """
    found = _AGE.fullmatch(text.strip().lower())
    if found is None:
        message = f"--older-than {text!r} is no age: write a number and h, d or w, such as 90d."
        raise ConfigError(message)
    hours = float(found[1]) * _HOURS[found[2]]
    if hours > _OLDEST_HOURS:
        message = f"--older-than {text!r} is longer than a hundred years."
        raise ConfigError(message)
    return datetime.timedelta(hours=hours)

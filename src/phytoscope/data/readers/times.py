"""Reads times as people and programs write them: ISO 8601, German, and seconds or milliseconds since 1970."""

import datetime
import re

import numpy as np
from numpy.typing import NDArray

_CLOCK = r"(?:[T ,]+(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:[.,]\d+)?)?)?"
_ZONE = r"\s*(?P<zone>Z|UTC|[+-]\d{2}:?\d{2})?"
_ISO = re.compile(rf"^(?P<year>\d{{4}})[-/](?P<month>\d{{1,2}})[-/](?P<day>\d{{1,2}}){_CLOCK}{_ZONE}$")
_GERMAN = re.compile(rf"^(?P<day>\d{{1,2}})\.(?P<month>\d{{1,2}})\.(?P<year>\d{{4}}){_CLOCK}(?:\s*Uhr)?$")
_WORDS = frozenset({"time", "timestamp", "date", "datetime", "datum", "zeit", "uhrzeit", "zeitpunkt", "zeitstempel"})
# From 1979 to 2103: neither a count nor a weight is that large by chance in a column that is called a time.
_SECONDS = (3e8, 4.2e9)


def is_time_name(name: str) -> bool:
    """Whether a column's name says that it holds times."""
    return not _WORDS.isdisjoint(re.split(r"[\W_\d]+", name.casefold()))


def parse_time(text: str) -> str | None:
    """Reads an ISO or German time.

    Args:
        text: For example `2024-03-21 14:05`, `2024-03-21T14:05:00Z` or `21.03.2024 14:05`.

    Returns:
        ISO 8601, `YYYY-MM-DDTHH:MM:SS` or `YYYY-MM-DD`, in UTC when a zone is written; None when it is no time.
    """
    match = _ISO.match(text) or _GERMAN.match(text)
    if match is None:
        return None
    parts = match.groupdict()
    try:
        day = datetime.date(int(parts["year"]), int(parts["month"]), int(parts["day"]))
        if parts["hour"] is None:
            return day.isoformat()
        clock = datetime.time(int(parts["hour"]), int(parts["minute"]), int(parts["second"] or 0))
        moment = datetime.datetime.combine(day, clock)
        zone = parts.get("zone")
        if zone not in (None, "Z", "UTC"):
            sign = -1 if zone[0] == "-" else 1
            moment -= sign * datetime.timedelta(hours=int(zone[1:3]), minutes=int(zone[-2:]))
    except (ValueError, OverflowError):
        return None
    return moment.isoformat(timespec="seconds")


def to_unix(iso: str) -> float:
    """Seconds since 1970 of what `parse_time` gives, taken as UTC."""
    return datetime.datetime.fromisoformat(iso).replace(tzinfo=datetime.UTC).timestamp()


def from_unix(seconds: float) -> str:
    """ISO 8601 in UTC, `YYYY-MM-DDTHH:MM:SS`, of seconds since 1970."""
    moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC).replace(tzinfo=None)
    return moment.isoformat(timespec="seconds")


def unify_unix(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Seconds since 1970 of numbers that are seconds or milliseconds; NaN where a number is neither.

    Args:
        values: Shape (N,); NaN is missing.

    Returns:
        Shape (N,).
    """
    with np.errstate(invalid="ignore"):
        seconds = np.where((values >= _SECONDS[0]) & (values <= _SECONDS[1]), values, np.nan)
        thousandth = values / 1000
        return np.where((thousandth >= _SECONDS[0]) & (thousandth <= _SECONDS[1]), thousandth, seconds)

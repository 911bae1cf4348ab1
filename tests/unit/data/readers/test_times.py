"""Times as people and programs write them."""

import numpy as np
import pytest

from phytoscope.data.readers.times import from_unix, is_time_name, parse_time, to_unix, unify_unix


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-03-21", "2024-03-21"),
        ("2024-03-21 14:05", "2024-03-21T14:05:00"),
        ("2024-03-21T14:05:09.25", "2024-03-21T14:05:09"),
        ("2024-03-21T14:05:00Z", "2024-03-21T14:05:00"),
        ("2024-03-21T14:05:00+02:00", "2024-03-21T12:05:00"),
        ("2024/3/1", "2024-03-01"),
        ("21.03.2024 14:05", "2024-03-21T14:05:00"),
        ("1.3.2024, 9:05:30 Uhr", "2024-03-01T09:05:30"),
        ("31.02.2024", None),
        ("2024-13-01", None),
        ("21.03.2024 25:00", None),
        ("21.3.", None),
        ("noon", None),
    ],
)
def test_iso_and_german_times(text, expected):
    """One ISO text for every way of writing; a day that does not exist is none."""
    assert parse_time(text) == expected


def test_seconds_and_milliseconds_are_one_scale():
    """Milliseconds become seconds, and what is neither is nothing."""
    assert unify_unix(np.array([1.7e9, 1.7e12])).tolist() == [1.7e9, 1.7e9]
    assert np.isnan(unify_unix(np.array([0.0, 12345.0, np.nan]))).all()


def test_unix_and_iso_are_the_same_moment():
    """There and back, in UTC."""
    assert from_unix(1711029900.25) == "2024-03-21T14:05:00"
    assert to_unix("2024-03-21T14:05:00") == 1711029900


@pytest.mark.parametrize(("name", "expected"), [("timestamp", True), ("taken at time", True), ("lifetime", False)])
def test_names_that_say_time(name, expected):
    """Whole words only."""
    assert is_time_name(name) is expected

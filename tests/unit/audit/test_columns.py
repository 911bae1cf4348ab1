"""Columns beside the answers become numbers and times."""

import pandas as pd
import pytest

from factories.tables import make_manifest
from phytoscope.audit.columns import collect_columns


@pytest.mark.parametrize("factor", [1, 1000])
@pytest.mark.parametrize("seconds", [3.2e8, 1.7e9, 4.15e9])
def test_unix_times_are_those_that_the_reader_knows(factor, seconds) -> None:
    """Seconds or milliseconds from 1979 to 2103: what is read as a time is told as a time."""
    manifest = make_manifest(range(3), [1.0, 2.0, 3.0])
    manifest["meta/timestamp"] = [seconds * factor, (seconds + 1) * factor, None]
    (column,) = [column for column in collect_columns(manifest) if column.name == "timestamp"]
    assert column.times is not None
    assert column.times[0] == pd.Timestamp(seconds, unit="s")
    assert column.times.isna().tolist() == [False, False, True]


def test_counts_are_no_times() -> None:
    """One number that cannot be a time, and none of them is."""
    manifest = make_manifest(range(2), [1.0, 2.0])
    manifest["meta/timestamp"] = [1.7e9, 12.0]
    (column,) = [column for column in collect_columns(manifest) if column.name == "timestamp"]
    assert column.times is None

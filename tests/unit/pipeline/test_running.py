"""What an asset's errors and progress become in Dagster."""

import logging

import dagster as dg
import pytest

from phytoscope.errors import (
    ConfigError,
    DataValidationError,
    DownloadError,
    StorageError,
    TrackingError,
    WeightsUnavailableError,
)
from phytoscope.pipeline import running
from phytoscope.pipeline.running import LoggedProgress, told_to_dagster
from phytoscope.pipeline.show import MOST_ROWS, show_table, show_values
from phytoscope.schema.run_folder import RunFolder


@pytest.fixture
def context(records) -> dg.AssetExecutionContext:
    """What Dagster hands to an asset of the data set leaves."""
    return dg.build_asset_context(partition_key="leaves", instance=records)


@pytest.mark.parametrize("kind", [StorageError, TrackingError, DownloadError, WeightsUnavailableError])
def test_what_may_pass_is_asked_for_again(context, kind):
    """A full disk or a server that is away is tried again after a while."""
    with pytest.raises(dg.RetryRequested) as caught, told_to_dagster(context):
        raise kind("away")
    assert (caught.value.max_retries, caught.value.seconds_to_wait) == (running.MAX_RETRIES, running.SECONDS_TO_WAIT)


def test_another_process_in_the_folder_is_waited_for(context, tmp_path):
    """Two runs of one data set at once: the later one comes again when the first may be done."""
    run = RunFolder(tmp_path / "run")
    with run.locked(), pytest.raises(dg.RetryRequested), told_to_dagster(context), RunFolder(run.root).locked():
        pytest.fail("the folder is locked")


@pytest.mark.parametrize("kind", [ConfigError, DataValidationError])
def test_what_the_user_must_mend_is_not(context, kind):
    """A wrong setting stays wrong."""
    with pytest.raises(dg.Failure, match="wrong") as caught, told_to_dagster(context):
        raise kind("wrong")
    assert caught.value.allow_retries is False


@pytest.mark.parametrize("kind", [KeyboardInterrupt, dg.DagsterExecutionInterruptedError, ZeroDivisionError])
def test_an_interruption_and_a_bug_pass_through(context, kind):
    """Ctrl-C in the middle of a training ends it, and a bug keeps its traceback."""
    with pytest.raises(kind), told_to_dagster(context):
        raise kind


def test_progress_is_logged_now_and_then(context, monkeypatch, caplog):
    """A line when a quarter of a minute has passed, not one for every image."""
    now = [0.0]
    monkeypatch.setattr(running.time, "monotonic", lambda: now[0])
    log = logging.getLogger("progress")
    progress = LoggedProgress(log)
    with caplog.at_level(logging.INFO, logger="progress"):
        progress.start("Training", 100)
        for _ in range(40):
            now[0] += 1.0
            progress.advance(1, "loss 0.5")
        progress.finish()
    assert [record.getMessage() for record in caplog.records] == [
        "Training: 15 of 100, loss 0.5",
        "Training: 30 of 100, loss 0.5",
    ]


def test_table_of_metadata():
    """Gaps are empty, bars are kept apart from columns, and a long table says how much it leaves out."""
    shown = show_table([{"a|b": None, "c": float("nan")}, {"a|b": 0.123456, "c": 7}]).value
    assert shown.splitlines() == ["| a\\|b | c |", "| --- | --- |", "|  |  |", "| 0.1235 | 7 |"]
    assert show_table([]).value == "nothing"
    long = show_table([{"n": number} for number in range(MOST_ROWS + 5)]).value
    assert long.endswith("... and 5 more rows")


def test_values_keep_their_kind():
    """Numbers stay numbers, truth values too; what JSON has no word for is told as text."""
    shown = show_values({"n": 3, "x": 0.5, "yes": True, "name": "leaves", "nan": float("nan"), "inf": float("inf")})
    assert {name: value.value for name, value in shown.items()} == {
        "n": 3,
        "x": 0.5,
        "yes": True,
        "name": "leaves",
        "nan": "nan",
        "inf": "inf",
    }

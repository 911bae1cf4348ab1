"""Work in threads comes back in order, with few items in flight and every one counted."""

import threading

import pytest

from phytoscope.transforms.stream import map_ordered


class CountingProgress:
    def __init__(self):
        self.units = 0

    def start(self, description, total):
        """Begin."""

    def advance(self, units=1, note=""):
        self.units += units

    def finish(self):
        """End."""


@pytest.mark.parametrize("workers", [1, 3, None])
def test_results_come_in_order_and_are_counted(workers):
    """Threads change nothing but the speed."""
    progress = CountingProgress()
    assert list(map_ordered(lambda value: value * value, range(50), workers, progress)) == [n * n for n in range(50)]
    assert progress.units == 50


def test_items_are_read_only_as_fast_as_results_are_taken():
    """Ten thousand images are never in memory together."""
    started = []
    results = map_ordered(started.append, range(10_000), 2, CountingProgress())
    next(results)
    results.close()
    assert len(started) <= 10


def test_error_of_one_item_ends_the_work():
    """An error reaches the caller, and no thread is left behind."""
    before = threading.active_count()
    with pytest.raises(ZeroDivisionError, match="division"):
        list(map_ordered(lambda value: 1 // value, [1, 0, 1], 2, CountingProgress()))
    assert threading.active_count() == before

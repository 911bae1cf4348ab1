"""Two processes train what one would have trained, and go on where another number of them stopped."""

import pandas as pd
import pytest
import torch

from factories.bright_squares import weights
from factories.divided_trainings import CASES, STOP, STOPPED, train, train_in_two
from phytoscope.train.checkpoints import BEST_NAME, LAST_NAME

pytestmark = pytest.mark.slow
# Sums of float32 numbers that are added in another order; Adam divides small gradients by their own size.
RTOL, ATOL = 1e-3, 2e-4


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """Folders of one and of two processes, with every case trained in both."""
    one, two = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("two")
    torch.set_num_threads(1)
    train(one / "whole", STOPPED, 1)
    train(two / "1 to 2", STOPPED, 1, stop=STOP)
    train_in_two(two)
    return one, two


def compare(first, second):
    """The same history, and the same weights of the last and of the best epoch."""
    histories = [pd.read_csv(place / "history.csv") for place in (first, second)]
    pd.testing.assert_frame_equal(*histories, rtol=RTOL, atol=ATOL)
    for name in (LAST_NAME, BEST_NAME):
        ours, theirs = weights(first, name), weights(second, name)
        assert ours.keys() == theirs.keys()
        for key in ours:
            torch.testing.assert_close(ours[key], theirs[key], rtol=RTOL, atol=ATOL)


@pytest.mark.parametrize("name", CASES)
def test_two_processes_train_like_one(places, name) -> None:
    """One row an epoch, the same numbers in it, the same weights, as many epochs before stopping."""
    one, two = places
    train(one / name, CASES[name], 1)
    compare(one / name, two / name)


def test_training_stops_early_in_the_case_that_is_about_it(places) -> None:
    """Without this the case would prove nothing."""
    assert len(pd.read_csv(places[1] / "early stopping" / "history.csv")) < 8


def test_two_processes_go_on_where_one_stopped(places) -> None:
    """Within an epoch, at the next batch."""
    one, two = places
    compare(one / "whole", two / "1 to 2")


def test_one_process_goes_on_where_two_stopped(places) -> None:
    """Within an epoch, at the next batch: none comes twice, none is left out."""
    one, two = places
    rest = train(two / "2 to 1", STOPPED, 1)
    assert rest == [place for place in ((epoch, batch) for epoch in range(3) for batch in range(4)) if place >= STOP]
    compare(one / "whole", two / "2 to 1")

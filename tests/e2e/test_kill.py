"""Trainings that are killed with -9 at random moments end, once they are started again, like one that never was."""

import pytest

from benchmarks.kills import WAYS, Kill, describe, run_kills


@pytest.mark.slow
def test_killed_trainings_end_the_same(tmp_path) -> None:
    """Three kills in three ways of training; `python benchmarks/kills.py` does twenty."""
    kills = run_kills(tmp_path, 3, seed=0, ways=list(WAYS)[1:])
    assert [kill.way for kill in kills] == list(WAYS)[1:]
    assert all(kill.same_history and kill.same_weights for kill in kills), describe(kills)


def test_table_names_what_differs() -> None:
    """A training that ended differently is not lost among the others."""
    good, bad = Kill("a", 1.0, (1, 2), False, True, True), Kill("b", 2.0, None, True, True, False)
    table = describe([good, bad])
    assert "| a | 1.00 s | 1, 2 | no | same | same |" in table
    assert "| b | 2.00 s | the start | yes | same | DIFFERENT |" in table
    assert table.endswith("1 of 2 killed trainings ended like the one that was never killed.")

"""The numbers of the drift benchmark, where the answer is known."""

from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from phytoscope.evaluate.drift import DriftSide

FOLDER = Path(__file__).resolve().parents[3] / "benchmarks" / "drift"


@pytest.fixture
def load(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    return import_module


def test_reference_and_new_photographs_share_no_plant(load):
    """Half of the leaves are the reference, and new photographs come from the other half alone."""
    groups = np.repeat(np.arange(20), 4)
    table = pd.DataFrame({"group_id": groups.astype(str), "label": np.where(groups % 2 == 0, "Tomato", "Corn")})
    held = DriftSide(groups[:, None].astype(np.float32), table)
    photographs = load("photographs")
    for crop, kept in (("", 1.0), ("Tomato", 0.0)):
        reference, new = photographs.draw_batch(np.random.default_rng(0), held, held, 12, crop, kept)
        assert not set(reference.table["group_id"]) & set(new.table["group_id"])
        assert reference.n_groups == 10
        assert len(new) == 12
        assert new.table["label"].eq("Tomato").all() == bool(crop)


def test_bets_win_only_where_places_are_not_even(load):
    """A fair game loses in the mean; places that are all near one end make rich."""
    bet = load("streams").bet
    rng = np.random.default_rng(0)
    fair = np.array([bet(rng.random(100)) for _ in range(200)])
    assert np.mean(fair.max(axis=1) >= 20) <= 0.08
    assert bet(rng.random(100) ** 4)[-1] > 1000
    assert bet(1 - rng.random(100) ** 4)[-1] > 1000


def test_fixed_and_growing_places(load):
    """Against the reference alone, or with all new numbers before it."""
    streams = load("streams")
    reference, new = np.array([1.0, 2.0, 3.0]), np.array([2.5, 2.4])
    # With no draw between equal places the place is the count above.
    rng = type("Zero", (), {"random": staticmethod(np.zeros)})
    assert streams._rank_fixed(reference, new, rng).tolist() == [0.25, 0.25]
    assert streams._rank_growing(reference, new, rng).tolist() == [0.25, 0.4]


def test_drawn_plants_change_as_asked(load):
    """Photographs of one plant are alike, and what is asked for moves."""
    draw_side = load("monitors").draw_side
    plain, moved = (
        draw_side(np.random.default_rng(0), 400, shift=shift, rust=rust) for shift, rust in ((0, 0.1), (1, 0.9))
    )
    assert (moved.features - plain.features).mean() == pytest.approx(1, abs=0.01)
    assert plain.table["prediction"].eq("rust").mean() == pytest.approx(0.1, abs=0.05)
    assert moved.table["prediction"].eq("rust").mean() == pytest.approx(0.9, abs=0.05)
    first, second = plain.features[::5, 0], plain.features[1::5, 0]
    assert np.corrcoef(first, second)[0, 1] == pytest.approx(0.7, abs=0.1)

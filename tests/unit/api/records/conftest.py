"""Records that several tests read."""

import pytest

from factories.records import make_feedback, make_prediction, make_weight
from phytoscope.api.records.ledger import open_ledger


@pytest.fixture
def ledger(tmp_path):
    """An empty ledger with a folder for photographs."""
    ledger = open_ledger(f"sqlite:///{tmp_path / 'records.db'}", tmp_path / "images")
    yield ledger
    ledger.close()


@pytest.fixture
def told(ledger):
    """Six answers for leaves and two for plants; of some it is known what is true."""
    leaves = [
        make_prediction(0),
        make_prediction(1),
        make_prediction(2, verdict="review", reasons=("blurred", "unsure")),
        make_prediction(3, verdict=None),
        make_prediction(4),
        make_prediction(5, model_id="fedcba9876543210", model_name="other leaves", model_version="2"),
    ]
    plants = [make_weight(number, model_id="w" * 16, model_name="plants") for number in (6, 7)]
    ledger.add_predictions([*leaves, *plants])
    for feedback in (
        make_feedback(0, about=0, label="scab"),
        make_feedback(1, about=0, label="rust"),
        make_feedback(2, about=1, label="healthy"),
        make_feedback(3, about=2, label="scab", comment="=cmd()"),
        make_feedback(4, about=4, comment="the picture is of my neighbour"),
        make_feedback(5, about=6, value=11.0),
        make_feedback(6, about=6, value=7.0, target="leaves"),
        make_feedback(7, about=7, value=13.0, target="weight"),
    ):
        ledger.add_feedback(feedback)
    return ledger

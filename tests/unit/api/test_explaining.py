"""Explanations on demand: a short queue, and sentences."""

import asyncio

import numpy as np
import pytest

from factories.colour_net import draw_leaf, make_colour_predictor
from phytoscope.api import explaining
from phytoscope.api.errors import RequestError
from phytoscope.api.explaining import ExplainDesk, word_explanation
from phytoscope.errors import ConfigError
from phytoscope.schema.explanation import Explanation, ExplanationMethod

HEAT = np.eye(4, dtype=np.float32)


@pytest.fixture
def desk():
    """A desk at which one may wait."""
    desk = ExplainDesk(make_colour_predictor(), 1)
    yield desk
    desk.close()


def test_full_queue_is_told_with_a_time(desk):
    """Each explanation takes seconds: who comes when the queue is full is told to come back."""
    desk.reserve(1)
    with pytest.raises(RequestError) as caught:
        desk.reserve(1)
    assert caught.value.status == 429
    assert int(caught.value.headers["Retry-After"]) >= 1
    desk.release(1)
    desk.reserve(1)


def test_model_that_cannot_be_explained_is_asked_once(desk, monkeypatch):
    """The client is told why, and later clients are told before they wait."""

    def refuse(_predictor):
        raise ConfigError("no map")

    monkeypatch.setattr(explaining, "Explainer", refuse)
    assert desk.is_possible
    desk.reserve(1)
    with pytest.raises(RequestError, match="cannot be explained: no map") as caught:
        asyncio.run(desk.explain(draw_leaf()[0], None))
    assert caught.value.status == 422
    assert not desk.is_possible


@pytest.mark.parametrize(
    ("heat", "outside", "words"),
    [
        (np.zeros_like(HEAT), None, "No part of the picture speaks for rust."),
        (HEAT, None, "No plant was found in the picture"),
        (HEAT, 0.9, "90 % of what the answer rests on lies outside the plant: do not trust it"),
        (HEAT, 0.05, "The answer rests mostly on the plant; 5 % of it lies outside."),
    ],
)
def test_what_can_be_said_is_said(heat, outside, words):
    """And nothing is made up where there is no heat or no plant."""
    found = Explanation(heat, ExplanationMethod.grad_cam, "rust", outside, 0.5, None)
    assert word_explanation(found).startswith(words)

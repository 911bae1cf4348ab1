"""Feedback that the model could not learn from is refused."""

import math

import pytest

from factories.packages import make_package
from phytoscope.api.errors import RequestError
from phytoscope.api.feedback import check_feedback
from phytoscope.api.wire import FeedbackBody


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Descriptions of a model of classes and of one of two numbers."""
    place = tmp_path_factory.mktemp("models")
    return {kind: make_package(place / kind / "package", kind).description for kind in ("classes", "several")}


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("classes", {"label": "rust"}),
        ("classes", {"comment": "blurred"}),
        ("several", {"value": 0.0}),
        ("several", {"value": 3.0, "target": "leaves"}),
    ],
)
def test_answers_of_the_model_are_taken(models, kind, said):
    """A class, a comment alone, or a number, zero among them."""
    check_feedback(FeedbackBody(id="0" * 32, **said), models[kind])


@pytest.mark.parametrize(
    ("kind", "said", "words"),
    [
        ("classes", {}, "give the right `label`"),
        ("classes", {"label": "ruts"}, "did you mean 'rust'"),
        ("classes", {"value": 1.0}, "this model names classes"),
        ("several", {"label": "rust"}, "this model predicts numbers"),
        ("several", {"value": 1.0, "target": "leafs"}, "did you mean 'leaves'"),
    ],
)
def test_other_answers_are_refused(models, kind, said, words):
    """With what is allowed."""
    with pytest.raises(RequestError, match=words) as caught:
        check_feedback(FeedbackBody(id="0" * 32, **said), models[kind])
    assert caught.value.status == 422


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_number_must_be_one(models, value):
    """JSON has no such numbers, some programs write them all the same."""
    body = FeedbackBody.model_construct(id="0" * 32, label=None, value=value, target=None, comment=None)
    with pytest.raises(RequestError, match="not a finite number"):
        check_feedback(body, models["several"])

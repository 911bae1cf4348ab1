"""The one rule from reasons to a verdict."""

import itertools

import numpy as np
import pytest

from phytoscope.schema.verdict import REASON_WORDS, REASONS, REJECTING, Reason, Verdict
from phytoscope.trust.verdict import VerdictLimits, decide, find_reasons

LIMITS = VerdictLimits(reject_novelty=2.0, review_novelty=1.0, least_probability=0.8, widest=3.0)


def ask(limits=LIMITS, *, novelty=0.0, faults=None, probability=None, width=None) -> set[Reason]:
    found = find_reasons(
        limits,
        novelty=np.array([novelty]),
        photo_faults={reason: np.array([True]) for reason in faults or ()},
        probability=None if probability is None else np.array([probability]),
        width=None if width is None else np.array([width]),
    )
    return {reason for reason, holds in zip(REASONS, found[0], strict=True) if holds}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"probability": 0.8}, set()),
        ({"probability": 0.79}, {Reason.unsure}),
        ({"probability": np.nan}, {Reason.unsure}),
        ({"width": 3.0}, set()),
        ({"width": 3.1}, {Reason.wide_interval}),
        ({"width": np.nan}, {Reason.wide_interval}),
        ({"novelty": 1.0}, set()),
        ({"novelty": 1.5}, {Reason.somewhat_unlike}),
        ({"novelty": 2.5}, {Reason.unlike_training}),
        ({"novelty": np.nan}, set()),
        ({"novelty": np.inf}, {Reason.unlike_training}),
        ({"faults": [Reason.blurred]}, {Reason.blurred}),
        (
            {"novelty": 2.5, "probability": 0.1, "faults": [Reason.too_dark]},
            {Reason.unlike_training, Reason.unsure, Reason.too_dark},
        ),
    ],
)
def test_each_limit_gives_its_reason(given, expected) -> None:
    """Every limit marks what lies beyond it, and nothing else."""
    assert ask(**given) == expected


def test_limits_that_are_off_find_nothing() -> None:
    """Without limits nothing speaks against a number, however strange."""
    assert ask(VerdictLimits(), novelty=1e9, probability=0.01, width=1e9) == set()


def test_limit_of_zero_is_a_limit() -> None:
    """A limit of 0 is not taken for none."""
    zero = VerdictLimits(reject_novelty=0.0, widest=0.0)
    assert ask(zero, novelty=0.1, width=0.1) == {Reason.unlike_training, Reason.wide_interval}


def test_answers_that_are_no_numbers_are_never_sure() -> None:
    """Without any limit a broken answer is still marked."""
    found = find_reasons(
        VerdictLimits(),
        novelty=np.zeros(2),
        photo_faults={},
        probability=np.array([np.nan, 0.9]),
        width=None,
        broken=np.array([True, False]),
    )
    assert [REASONS[i] for i in np.flatnonzero(found[0])] == [Reason.unsure]
    assert not found[1].any()


def test_verdict_of_every_pair_of_reasons() -> None:
    """A rejecting reason rejects, any other asks for a review, none accepts."""
    verdicts = tuple(Verdict)
    for pair in itertools.product([None, *REASONS], repeat=2):
        reasons = np.array([[reason in pair for reason in REASONS]])
        expected = Verdict.accept
        if any(reason is not None for reason in pair):
            expected = Verdict.reject if any(reason in REJECTING for reason in pair) else Verdict.review
        assert verdicts[decide(reasons)[0]] is expected


def test_every_reason_has_words() -> None:
    """A person is told something for every reason."""
    assert set(REASON_WORDS) == set(REASONS)

"""Prediction sets."""

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as drawn

from phytoscope.schema.choices import SetKind
from phytoscope.trust.observed import Labelled, Observed
from phytoscope.trust.sets import PENALTIES, SetRule, fit_sets, score_truth
from tests.factories.clustered_classes import draw_classes, draw_regular, soften

KINDS = list(SetKind)
NOBODY = Labelled(Observed(np.empty((0, 4)), np.empty(0)), np.empty(0, dtype=np.int64), np.empty(0, dtype=object))


def fit(rows, val=NOBODY, *, kind=SetKind.raps, coverage=0.9, class_conditional=False):
    return fit_sets(rows, val, kind=kind, coverage=coverage, class_conditional=class_conditional)


def hold(rule, rows) -> np.ndarray:
    return rule.choose(rows.observed.answers)[np.arange(len(rows)), rows.truth]


@given(
    drawn.arrays(np.float64, (5, 4), elements=st.floats(-30, 30)),
    st.sampled_from(KINDS),
    st.floats(0, 2),
    st.floats(0, 2),
    st.floats(0, 1),
    st.integers(0, 4),
)
def test_sets_are_never_empty_and_grow_with_the_limit(logits, kind, first, second, penalty, free) -> None:
    """Every set holds its most probable class, and no class leaves it when the limit rises."""
    probs = soften(logits)
    small, large = (SetRule(kind, (limit,), 0.9, penalty, free).choose(probs) for limit in sorted((first, second)))
    assert small[np.arange(5), probs.argmax(axis=1)].all()
    assert (small <= large).all()


@given(drawn.arrays(np.float64, (6, 5), elements=st.sampled_from([0.0, 1.0, 2.0, 5.0])), st.sampled_from(KINDS))
def test_a_class_belongs_to_the_set_when_its_score_is_within_the_limit(logits, kind) -> None:
    """Sets and scores of the true class say the same, also where probabilities are equal."""
    probs = soften(logits)
    for limit in (0.0, 0.3, 0.7, 0.95):
        chosen = SetRule(kind, (limit,), 0.9, 0.05, 2).choose(probs)
        for index in range(5):
            scores = score_truth(probs, np.full(6, index), kind, 0.05, 2)
            expected = (scores <= limit + 1e-9) | (probs.argmax(axis=1) == index)
            np.testing.assert_array_equal(chosen[:, index], expected)


def test_scores_by_hand() -> None:
    """The scores are those of the definition."""
    probs = np.array([[0.5, 0.3, 0.2]] * 3)
    truth = np.arange(3)
    np.testing.assert_allclose(score_truth(probs, truth, SetKind.lac), [0.5, 0.7, 0.8])
    np.testing.assert_allclose(score_truth(probs, truth, SetKind.aps), [0.0, 0.5, 0.8])
    np.testing.assert_allclose(score_truth(probs, truth, SetKind.raps, 0.1, 1), [0.0, 0.6, 1.0])
    np.testing.assert_allclose(score_truth(probs, truth, SetKind.raps, 0.1, 2), [0.0, 0.5, 0.9])


def test_limit_of_each_class_is_its_own() -> None:
    """With one limit a class, each class asks its own."""
    probs = np.array([[0.5, 0.3, 0.2]])
    for kind in (SetKind.lac, SetKind.aps):
        limits = tuple(float(score) for score in score_truth(np.repeat(probs, 3, axis=0), np.arange(3), kind))
        np.testing.assert_array_equal(SetRule(kind, (0.0, 0.0, limits[2]), 0.9).choose(probs), [[True, False, True]])


@pytest.mark.parametrize("kind", KINDS)
def test_rows_that_are_no_numbers_may_be_anything(kind) -> None:
    """Where nothing is known every class belongs to the set, and other rows are as they were."""
    probs = np.array([[np.nan, 0.5, 0.5], [0.9, 0.08, 0.02]])
    chosen = SetRule(kind, (0.2,), 0.9).choose(probs)
    np.testing.assert_array_equal(chosen, [[True, True, True], [True, False, False]])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("class_conditional", [False, True])
def test_one_row_is_judged_like_many(kind, class_conditional) -> None:
    """The set of an image does not depend on the images beside it."""
    rule, _ = fit(draw_regular(400), draw_regular(200, seed=1), kind=kind, class_conditional=class_conditional)
    probs = draw_regular(100, seed=2).observed.answers
    together = rule.choose(probs)
    np.testing.assert_array_equal(np.concatenate([rule.choose(probs[i : i + 1]) for i in range(100)]), together)


@pytest.mark.parametrize("kind", KINDS)
@given(st.floats(0.05, 0.98), st.floats(0.05, 0.98))
def test_sets_grow_with_the_wanted_coverage(kind, first, second) -> None:
    """Who wants to miss less gets sets that hold at least the same classes (the penalty is the same)."""
    rows = draw_regular(60)
    small, large = (
        fit(rows, kind=kind, coverage=level)[0].choose(rows.observed.answers) for level in sorted((first, second))
    )
    assert (small <= large).all()


@pytest.mark.parametrize("kind", KINDS)
def test_calibration_rows_themselves_are_held(kind) -> None:
    """At least the wanted share of the calibration rows is held by their own sets."""
    rows = draw_classes(np.random.default_rng(0), 500, lean=1.5)
    rule, remarks = fit(rows, kind=kind)
    assert remarks == []
    assert rule.promised == 0.9
    assert hold(rule, rows).mean() >= 0.9


def test_empty_calibration_gives_no_sets() -> None:
    """Without calibration rows there are no sets, and a remark says so."""
    rule, remarks = fit(NOBODY)
    assert rule is None
    assert "empty" in remarks[0]


def test_few_groups_promise_less() -> None:
    """With five leaves, five sixths are promised, and the remark says how many are needed."""
    rows = draw_classes(np.random.default_rng(0), 5, 4, per_group=20, spread=0.3)
    rule, remarks = fit(rows, coverage=0.95)
    assert rule.promised == pytest.approx(5 / 6)
    assert "19 are needed" in remarks[0]


def test_penalty_is_chosen_on_validation_rows() -> None:
    """Long tails, in which the truth never is, are made dear, so that sets get smaller than without a penalty."""
    rng = np.random.default_rng(7)

    def draw(n) -> Labelled:
        # Two classes share what is likely, unevenly; twenty share a tail that is never true.
        first = rng.beta(2, 2, n)[:, None] * 0.8
        probs = np.hstack([first, 0.8 - first, rng.dirichlet(np.ones(20), n) * 0.2])
        truth = (rng.random(n) < 0.5).astype(np.int64)
        return Labelled(Observed(probs, np.full(n, np.nan)), truth, np.arange(n).astype(object))

    val, rows = draw(600), draw(600)
    rule, _ = fit(rows, val, coverage=0.98)
    plain, _ = fit(rows, val, kind=SetKind.aps, coverage=0.98)
    assert rule.penalty in PENALTIES
    assert rule.free_classes >= 1
    assert rule.choose(rows.observed.answers).sum() <= plain.choose(rows.observed.answers).sum()


def test_few_validation_rows_take_the_usual_penalty() -> None:
    """With too few validation rows the penalty is that of the docstring."""
    rule, _ = fit(draw_regular(100), draw_regular(10, seed=1))
    assert (rule.penalty, rule.free_classes) == (0.01, 1)


def test_hard_class_gets_wider_sets_of_its_own() -> None:
    """Where one class is mixed up more than others, its own limit is the largest and it is held as often."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 3000)
    logits = rng.normal(size=(3000, 3))
    logits[np.arange(3000), truth] += np.where(truth == 2, 0.5, 4.0)
    rows = Labelled(Observed(soften(logits), np.full(3000, np.nan)), truth, np.arange(3000).astype(object))
    pooled, own = (fit(rows, kind=SetKind.lac, class_conditional=flag)[0] for flag in (False, True))
    assert len(own.limits) == 3
    assert max(own.limits) == own.limits[2]
    hard = truth == 2
    assert hold(pooled, rows)[hard].mean() < 0.85
    assert all(hold(own, rows)[truth == index].mean() >= 0.9 for index in range(3))


def test_class_with_few_groups_uses_the_limit_of_all() -> None:
    """A class with too few groups, or none, gets no tighter limit than all together, and a remark counts it."""
    rows = draw_classes(np.random.default_rng(0), 300, 5, lean=2.0)
    keep = (rows.truth != 4) & ((rows.truth != 3) | (np.cumsum(rows.truth == 3) <= 3))
    few = Labelled(
        Observed(rows.observed.answers[keep], rows.observed.novelty[keep]), rows.truth[keep], rows.groups[keep]
    )
    rule, remarks = fit(few, class_conditional=True)
    pooled, _ = fit(few)
    assert rule.limits[3] >= pooled.limits[0]
    assert rule.limits[4] == pooled.limits[0]
    assert remarks[0].startswith("2 of 5 classes")
    assert rule.promised < 0.9


@pytest.mark.parametrize("class_conditional", [False, True])
def test_rule_survives_json(class_conditional) -> None:
    """What is written to JSON comes back as the same rule."""
    rule, _ = fit(draw_regular(200), class_conditional=class_conditional)
    assert SetRule.from_dict(json.loads(json.dumps(rule.to_dict()))) == rule
    assert dataclasses.is_dataclass(rule)

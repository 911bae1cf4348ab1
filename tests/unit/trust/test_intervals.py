"""Intervals of numbers: what is fitted, what is promised, what is said."""

import dataclasses
import json

import numpy as np
import pytest

from factories.clustered_numbers import draw_plants
from phytoscope.schema.choices import IntervalKind
from phytoscope.trust.interval_shapes import MOST_ROWS
from phytoscope.trust.intervals import IntervalRule, fit_intervals
from phytoscope.trust.observed import Labelled, Observed

WISHES = {"target": 0, "coverage": 0.9, "kind": IntervalKind.auto, "lowest": None, "seed": 0}
FIXED = [IntervalKind.constant, IntervalKind.scaled, IntervalKind.cqr]


def fit(calibration, val, **wishes):
    """Rule and remarks with the usual wishes, unless others are given."""
    return fit_intervals(calibration, val, **{**WISHES, **wishes})


def widths(rule, observed, target=0):
    lower, upper = rule.bound(observed, target)
    return upper - lower


@pytest.mark.parametrize("kind", FIXED)
def test_rule_survives_json(kind) -> None:
    """A rule read back from JSON bounds the same intervals."""
    rule, _ = fit(draw_plants(0, 20), draw_plants(1, 20, errors="answer"), kind=kind, lowest=0.0)
    again = IntervalRule.from_dict(json.loads(json.dumps(rule.to_dict())))
    observed = draw_plants(2, 10).observed
    assert again == rule
    np.testing.assert_array_equal(again.bound(observed, 0), rule.bound(observed, 0))


def test_constant_width_is_the_conformal_quantile() -> None:
    """With one image a group the constant half-width is the k-th smallest error, k = ceil((n + 1) coverage)."""
    rows = draw_plants(3, 37, images=1)
    rule, remarks = fit(rows, draw_plants(4, 5), kind=IntervalKind.constant)
    errors = np.sort(np.abs(rows.truth[:, 0] - rows.observed.answers[:, 0]))
    assert rule.quantile == pytest.approx(errors[int(np.ceil(38 * 0.9)) - 1])
    assert rule.promised == 0.9
    assert remarks == []


def test_scaled_grows_with_the_answer() -> None:
    """Where errors are in proportion to the answer, intervals are wider at large answers, and below 1 % nowhere."""
    rule, _ = fit(draw_plants(0, 40), draw_plants(1, 40, errors="answer"), kind=IntervalKind.scaled)
    answers = np.array([[0.2], [1.0], [2.0], [-50.0], [50.0]])
    width = widths(rule, Observed(answers, np.full(5, 2.0)))
    assert width[2] > 1.5 * width[1] > 1.5 * 1.5 * width[0]
    assert width[3] > 0
    assert width[4] < 5 * width[2]


@pytest.mark.parametrize("kind", [IntervalKind.scaled, IntervalKind.cqr])
def test_novelty_never_narrows(kind) -> None:
    """More novelty never makes an interval narrower, even where errors of val fell with it; and NaN is the widest."""
    val = draw_plants(1, 40)
    falling = val.observed.answers + (val.truth - val.observed.answers) / (0.3 + val.observed.novelty[:, None])
    rule, _ = fit(draw_plants(0, 40), dataclasses.replace(val, truth=falling), kind=kind)
    novelty = np.array([0.0, 1.0, 5.0, 1000.0, np.nan])
    width = widths(rule, Observed(np.ones((5, 1)), novelty))
    assert (np.diff(width) > -1e-9).all()
    rule, _ = fit(draw_plants(0, 40), draw_plants(1, 40, errors="novelty"), kind=kind)
    width = widths(rule, Observed(np.ones((5, 1)), novelty))
    assert (np.diff(width[:3]) > 0.01).all()
    assert np.isfinite(width).all()
    assert width[4] == width[3]


def test_scaled_and_cqr_without_novelty() -> None:
    """Where novelty was not measured, the answer alone decides."""
    val = draw_plants(1, 40, errors="answer")
    blind = dataclasses.replace(val, observed=Observed(val.observed.answers, np.full(len(val), np.nan)))
    for kind in (IntervalKind.scaled, IntervalKind.cqr):
        rule, remarks = fit(draw_plants(0, 40), blind, kind=kind)
        assert rule.kind is kind
        assert rule.fitted["columns"] == ["answer"]
        assert remarks == []


def test_cqr_follows_skewed_errors() -> None:
    """Where answers are sometimes far too low, the interval reaches further up than down."""
    rule, _ = fit(draw_plants(0, 60, errors="skewed"), draw_plants(1, 60, errors="skewed"), kind=IntervalKind.cqr)
    lower, upper = rule.bound(Observed(np.ones((1, 1)), np.full(1, 2.0)), 0)
    assert upper[0] - 1 > 1.5 * (1 - lower[0])


@pytest.mark.parametrize("kind", FIXED)
def test_interval_holds_its_own_answer(kind) -> None:
    """No interval lies beside its own answer, even where all answers of val were far too low."""
    val, rows = draw_plants(1, 30, errors="answer"), draw_plants(0, 30)
    rule, _ = fit(rows, dataclasses.replace(val, truth=val.truth + 3), kind=kind)
    lower, upper = rule.bound(rows.observed, 0)
    answers = rows.observed.answers[:, 0]
    assert (lower <= answers).all()
    assert (answers <= upper).all()


def test_lowest_cuts() -> None:
    """No interval reaches below the smallest possible value, zero included, and none is inside out."""
    rows = draw_plants(0, 30)
    answers = Observed(np.array([[0.01], [0.0], [-0.5]]), np.full(3, 1.0))
    rule, _ = fit(rows, rows, kind=IntervalKind.constant, lowest=0.0)
    lower, upper = rule.bound(answers, 0)
    np.testing.assert_array_equal(lower, 0)
    assert (upper >= 0).all()
    free, _ = fit(rows, rows, kind=IntervalKind.constant)
    assert (free.bound(answers, 0)[0] < 0).all()


def test_few_groups_promise_less() -> None:
    """Seven plants promise 7/8, take the largest error, and say how many plants 90 % need."""
    rows = draw_plants(0, 7)
    rule, remarks = fit(rows, draw_plants(1, 7), kind=IntervalKind.constant)
    assert rule.promised == pytest.approx(7 / 8)
    assert rule.quantile == np.abs(rows.truth - rows.observed.answers).max()
    assert len(remarks) == 1
    assert "has 7 and 9 are needed" in remarks[0]


def test_missing_truths_are_left_out() -> None:
    """Rows whose number nobody measured change nothing, and a target without any gives no rule."""
    rows, val = draw_plants(0, 20), draw_plants(1, 20)
    more = draw_plants(5, 10)
    unknown = Labelled(
        Observed(
            np.concatenate([rows.observed.answers, more.observed.answers]),
            np.concatenate([rows.observed.novelty, more.observed.novelty]),
        ),
        np.concatenate([rows.truth, np.full_like(more.truth, np.nan)]),
        np.concatenate([rows.groups, more.groups]),
    )
    assert fit(unknown, val) == fit(rows, val)
    none, remarks = fit(dataclasses.replace(rows, truth=np.full_like(rows.truth, np.nan)), val)
    assert none is None
    assert "no" in remarks[0].lower()


def test_empty_splits() -> None:
    """No calibration rows give no rule; no val rows give a constant width and say so."""
    empty = Labelled(Observed(np.zeros((0, 1)), np.zeros(0)), np.zeros((0, 1)), np.zeros(0, dtype=object))
    assert fit(empty, draw_plants(1, 20))[0] is None
    rule, remarks = fit(draw_plants(0, 20), empty)
    assert rule.kind is IntervalKind.constant
    assert "same width" in remarks[0]


def test_auto_does_not_choose_by_chance() -> None:
    """From nine val plants `auto` takes constant width and says so; what is asked for by name is still fitted."""
    rows, val = draw_plants(0, 20), draw_plants(1, 9, errors="answer")
    rule, remarks = fit(rows, val)
    assert rule.kind is IntervalKind.constant
    assert "10 are needed" in remarks[0]
    asked, remarks = fit(rows, val, kind=IntervalKind.scaled)
    assert asked.kind is IntervalKind.scaled
    assert remarks == []


def test_second_target_is_its_own() -> None:
    """The rule of a further target reads that target alone."""
    rows, val = draw_plants(0, 20), draw_plants(1, 20)
    both = [
        Labelled(
            Observed(np.column_stack([np.zeros(len(part)), part.observed.answers]), part.observed.novelty),
            np.column_stack([np.full(len(part), 1e6), part.truth]),
            part.groups,
        )
        for part in (rows, val)
    ]
    for kind in FIXED:
        alone, _ = fit(rows, val, kind=kind)
        second, _ = fit(*both, target=1, kind=kind)
        assert second == alone
        np.testing.assert_array_equal(alone.bound(rows.observed, 0), second.bound(both[0].observed, 1))


def test_perfect_answers_give_points() -> None:
    """Answers without any error give intervals of no width and say why they are all the same."""
    rows = draw_plants(0, 20)
    perfect = dataclasses.replace(rows, truth=rows.observed.answers)
    rule, remarks = fit(perfect, perfect, kind=IntervalKind.scaled)
    assert rule.kind is IntervalKind.constant
    np.testing.assert_array_equal(widths(rule, rows.observed), 0)
    assert "no errors" in remarks[0]


@pytest.mark.parametrize(("errors", "wanted"), [("even", {"constant"}), ("answer", {"scaled", "cqr"})])
def test_auto_follows_the_errors(errors, wanted) -> None:
    """Equal errors are given one width; errors that grow with the answer are not, in four of five draws at least."""
    rows = draw_plants(0, 20)
    chosen = [fit(rows, draw_plants(seed, 30, errors=errors), seed=seed)[0].kind.value for seed in range(15)]
    assert sum(kind in wanted for kind in chosen) >= 12


def test_calibration_rows_choose_nothing() -> None:
    """Kind and shape come from val alone; only the stretch comes from the calibration rows."""
    val = draw_plants(1, 30, errors="answer")
    one, _ = fit(draw_plants(0, 30), val)
    other, _ = fit(draw_plants(5, 30, errors="novelty"), val)
    assert (one.kind, one.fitted) == (other.kind, other.fitted)
    assert one.quantile != other.quantile


def test_units_do_not_matter() -> None:
    """In kilograms instead of milligrams everything is a million times smaller, and nothing else changes."""

    def times(rows, factor):
        observed = Observed(rows.observed.answers * factor, rows.observed.novelty)
        return Labelled(observed, rows.truth * factor, rows.groups)

    rows, val = draw_plants(0, 30), draw_plants(1, 30, errors="answer")
    for kind in FIXED:
        large = fit(rows, val, kind=kind)[0].bound(rows.observed, 0)
        small = fit(times(rows, 1e-6), times(val, 1e-6), kind=kind)[0].bound(times(rows, 1e-6).observed, 0)
        np.testing.assert_allclose(np.array(small) * 1e6, large, rtol=1e-5, atol=1e-6)


def test_many_rows_are_thinned_out_by_seed() -> None:
    """Of very many val rows a drawn part is used, the same one for the same seed."""
    val = draw_plants(1, 2000, images=5, errors="answer")
    assert len(val) > MOST_ROWS
    rows = draw_plants(0, 30)
    first, second, third = (fit(rows, val, kind=IntervalKind.scaled, seed=seed)[0] for seed in (0, 0, 1))
    assert first == second
    assert first.fitted["error"] != third.fitted["error"]
    assert first.fitted["error"] == pytest.approx(third.fitted["error"], rel=0.2, abs=0.05)


def test_answer_that_is_no_number_has_no_interval() -> None:
    """An answer that is not a number has ends that are not numbers, and spoils no other row."""
    rows = draw_plants(0, 20)
    rule, _ = fit(rows, draw_plants(1, 20, errors="answer"), kind=IntervalKind.scaled, lowest=0.0)
    lower, upper = rule.bound(Observed(np.array([[np.nan], [1.0]]), np.ones(2)), 0)
    assert np.isnan([lower[0], upper[0]]).all()
    assert np.isfinite([lower[1], upper[1]]).all()

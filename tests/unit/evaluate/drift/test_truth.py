"""True errors over time."""

import numpy as np
import pytest

from phytoscope.errors import ConfigError, DataValidationError
from phytoscope.evaluate.drift import DriftPlan, ErrorSide, compare_errors
from phytoscope.schema.drift import LookSummary, LookWindow

PLAN = DriftPlan(draws=199)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def draw_errors(rng, n_groups, rate, per_group=4, window="2026-11", name="plant"):
    """Plants of which some are harder than others; `rate` of all answers is wrong."""
    own = rng.beta(10 * rate, 10 * (1 - rate), n_groups)
    codes = np.repeat(np.arange(n_groups), per_group)
    wrong = (rng.random(len(codes)) < own[codes]).astype(float)
    groups = np.array([f"{name} {code}" for code in codes], dtype=object)
    return ErrorSide(wrong, groups, np.full(len(codes), window, dtype=object))


def join(*sides):
    return ErrorSide(
        *(np.concatenate([getattr(one, part) for one in sides]) for part in ("errors", "groups", "windows"))
    )


def test_worse_errors_are_found(rng):
    """Ten times as many wrong answers fire, and the words say from where to where."""
    report = compare_errors(draw_errors(rng, 50, 0.05), draw_errors(rng, 30, 0.5), PLAN)
    (finding,) = report.findings
    assert report.fired
    assert finding.fired
    assert finding.effect == f"wrong answers {100 * finding.before:.1f} % -> {100 * finding.after:.1f} %"
    assert finding.after > 0.35 > finding.before


def test_better_errors_are_no_alarm(rng):
    """The question is whether errors grew, not whether they differ."""
    report = compare_errors(draw_errors(rng, 50, 0.5), draw_errors(rng, 30, 0.05), PLAN)
    assert not report.fired
    assert report.findings[0].p_value > 0.9


def test_equal_errors_are_seldom_called_worse():
    """Two hundred looks with equal errors are below 5 % about ten times."""
    low = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        report = compare_errors(draw_errors(rng, 40, 0.2), draw_errors(rng, 12, 0.2), PLAN)
        low += report.findings[0].p_value <= 0.05
    assert 2 <= low <= 20


def test_errors_that_only_scatter_more_are_seldom_called_worse():
    """Equal mean errors of which the new ones scatter five times as much are called worse about 5 % of the time."""
    low = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        groups = [np.array([f"{side} {n}" for n in range(size)], dtype=object) for side, size in (("a", 80), ("b", 20))]
        errors = (10 + rng.normal(0, 1, 80), 10 + rng.normal(0, 5, 20).clip(-10))
        sides = [ErrorSide(one, names, np.full(len(one), "t")) for one, names in zip(errors, groups, strict=True)]
        low += compare_errors(*sides, PLAN, unit="g").findings[0].p_value <= 0.05
    assert low <= 22


def test_windows_are_listed_by_time_with_intervals(rng):
    """Each stretch of time has its own rate and interval; the newest and all together are tested, half each."""
    autumn = draw_errors(rng, 20, 0.1, window="2026-10", name="o")
    winter = draw_errors(rng, 20, 0.6, window="2026-12", name="d")
    report = compare_errors(draw_errors(rng, 40, 0.1, window="before"), join(winter, autumn), PLAN)
    assert [window.name for window in report.windows] == ["2026-10", "2026-12"]
    for window, side in zip(report.windows, (autumn, winter), strict=True):
        assert (window.n, window.n_groups) == (80, 20)
        assert window.error == pytest.approx(side.errors.mean())
        assert window.low < window.error < window.high
    assert (report.reference.n, report.reference.n_groups) == (160, 40)
    assert {finding.window: finding.fired for finding in report.findings} == {
        LookWindow.batch: True,
        LookWindow.recent: True,
    }
    assert {finding.threshold for finding in report.findings} == {report.alpha / 2}


def test_looks_at_errors_share_the_promise(rng):
    """The second look may spend less than the first, and the report adds both up."""
    reference, new = draw_errors(rng, 30, 0.1), draw_errors(rng, 30, 0.1)
    first = compare_errors(reference, new, PLAN)
    second = compare_errors(reference, new, PLAN, [first.summarize()])
    assert second.look == 2
    assert second.alpha < first.alpha
    assert second.alpha_spent == pytest.approx(first.alpha + second.alpha)


def test_numbers_have_their_unit(rng):
    """Absolute errors are worded in the unit of the target."""
    groups = np.array([f"p{n}" for n in range(40)], dtype=object)
    before = ErrorSide(rng.gamma(2, 0.1, 40), groups, np.full(40, "t"))
    after = ErrorSide(before.errors * 5, groups, before.windows)
    report = compare_errors(before, after, PLAN, unit="g")
    assert report.fired
    assert report.unit == report.findings[0].unit == "g"
    assert report.findings[0].effect.startswith("mean absolute error 0.")
    assert report.findings[0].effect.endswith("(g)")
    assert report.windows[0].high > report.windows[0].error


@pytest.mark.parametrize("few", [1, 2])
def test_too_few_plants_spend_nothing(rng, few):
    """One or two plants cannot be told from chance."""
    report = compare_errors(draw_errors(rng, 3, 0.1), draw_errors(rng, few, 0.9), PLAN)
    assert (report.fired, report.alpha) == (False, 0.0)
    assert "Too few plants" in report.reasons[0]


def test_spent_promise_is_told(rng):
    """With nothing left to spend, nothing fires."""
    past = [LookSummary(1, "", 30, 6, 0.05, False)]
    report = compare_errors(draw_errors(rng, 30, 0.05), draw_errors(rng, 30, 0.9), PLAN, past)
    assert not report.fired
    assert report.reasons


def test_no_error_at_all_on_both_sides_is_no_alarm(rng):
    """Where every answer was right before and after, nothing varies and nothing fires."""
    report = compare_errors(draw_errors(rng, 30, 1e-9), draw_errors(rng, 30, 1e-9), PLAN)
    assert not report.fired
    assert report.findings[0].p_value == 1.0


def test_all_wrong_after_all_right_is_an_alarm(rng):
    """The clearest of all changes has no spread on either side, and is found."""
    assert compare_errors(draw_errors(rng, 30, 1e-9), draw_errors(rng, 30, 1 - 1e-9), PLAN).fired


@pytest.mark.parametrize(
    ("errors", "groups", "words"),
    [
        ([], [], "at least one"),
        ([1.0, 0.0], ["a"], "there are 2 errors, 1 groups"),
        ([1.0, np.nan], ["a", "b"], "1 errors are not numbers"),
        ([1.0, -0.5], ["a", "b"], r"the first is -0.5"),
    ],
)
def test_impossible_errors_are_refused(errors, groups, words):
    """Nothing, lengths that differ, gaps and negative errors are named."""
    with pytest.raises(DataValidationError, match=words):
        ErrorSide(np.array(errors, dtype=float), np.array(groups, dtype=object), np.full(len(errors), "t"))


def test_impossible_level_is_refused(rng):
    """A level of the intervals of 1 has no interval."""
    with pytest.raises(ConfigError, match="confidence"):
        compare_errors(draw_errors(rng, 9, 0.5), draw_errors(rng, 9, 0.5), PLAN, confidence=1.0)

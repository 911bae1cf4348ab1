"""One look at new images: what is found, what is not, and what is said."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from factories.drift import draw_side
from phytoscope.errors import DataValidationError
from phytoscope.evaluate.drift import DriftPlan, DriftSide, compare_batch
from phytoscope.schema.drift import DriftKind, LookSummary, LookWindow

PLAN = DriftPlan(draws=199)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def forget(side, *columns):
    return DriftSide(side.features, side.table.drop(columns=list(columns)))


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"shift": 2.0}, {"features", "novelty", "verdict"}),
        ({"darker": 60}, {"photo/brightness"}),
        ({"rust": 1.0}, {"prediction"}),
    ],
)
def test_planted_change_is_found_and_named(rng, change, names):
    """What was changed fires, and what was not does not."""
    report = compare_batch(draw_side(rng, 40), draw_side(rng, 20, **change), PLAN)
    found = {finding.name for finding in report.list_fired()}
    assert report.fired
    assert found & names
    assert found <= names


def test_nothing_is_found_where_nothing_changed(rng):
    """Forty looks, each with its own reference, alarm about as often as the first look may (1.3 %), not more."""
    fired = [compare_batch(draw_side(rng, 20), draw_side(rng, 10), PLAN).fired for _ in range(40)]
    assert sum(fired) <= 2


def test_report_counts_images_and_shares(rng):
    """Numbers of images, plants, looks and spent shares are those of the call."""
    reference, old, new = draw_side(rng, 30), draw_side(rng, 6, name="old"), draw_side(rng, 10, name="new")
    first = compare_batch(reference, old, PLAN)
    report = compare_batch(reference, new, PLAN, [first.summarize()], earlier=[old])
    assert (report.look, report.n, report.n_groups) == (2, 50, 10)
    assert (report.n_recent, report.n_recent_groups, report.n_reference, report.n_reference_groups) == (80, 16, 150, 30)
    assert report.alpha_spent == pytest.approx(first.alpha + report.alpha)
    assert report.alpha_spent < report.false_alarm == 0.05
    assert {finding.threshold for finding in report.findings} == {report.alpha / 2}
    assert {finding.window for finding in report.findings} == set(LookWindow)
    assert {finding.threshold for finding in first.findings} == {first.alpha}


def test_same_look_gives_the_same_report(rng):
    """Equal inputs give equal reports; another seed draws others."""
    reference, new = draw_side(rng, 20), draw_side(rng, 8)
    report = compare_batch(reference, new, PLAN)
    assert compare_batch(reference, new, PLAN) == report
    other = compare_batch(reference, new, dataclasses.replace(PLAN, seed=1))
    assert [one.p_value for one in other.findings] != [one.p_value for one in report.findings]


def test_window_of_one_looks_at_the_batch_alone(rng):
    """Earlier images are read as far as the window says."""
    reference, sides = draw_side(rng, 20), [draw_side(rng, 5, name=f"look {look}") for look in range(4)]
    counts = [
        compare_batch(reference, sides[3], dataclasses.replace(PLAN, window=window), earlier=sides[:3]).n_recent
        for window in (1, 2, 4, 9)
    ]
    assert counts == [25, 50, 100, 100]


def test_slow_change_is_found_by_the_last_looks_together(rng):
    """Nine looks that each moved a little fire together, where the newest alone does not."""
    reference = draw_side(rng, 60, 2)
    sides = [draw_side(rng, 6, 2, shift=0.7, name=f"look {look}") for look in range(9)]
    past = [LookSummary(look, "", 12, 6, 0.001, False) for look in range(1, 9)]
    report = compare_batch(reference, sides[-1], PLAN, past, earlier=sides[:-1])
    assert {finding.window for finding in report.list_fired()} == {LookWindow.recent}


def test_photographs_of_one_plant_count_once():
    """Many photographs of few plants: dealing photographs cries wolf at most looks, dealing plants at few."""
    wolves = {"plants": 0, "photographs": 0}
    for seed in range(25):
        rng = np.random.default_rng(seed)
        sides = [draw_side(rng, 20, 8, alike=0.9), draw_side(rng, 6, 8, alike=0.9)]
        wolves["plants"] += compare_batch(*sides, PLAN).findings[0].p_value <= 0.05
        alone = [
            DriftSide(side.features, side.table.assign(group_id=np.arange(len(side)).astype(str))) for side in sides
        ]
        wolves["photographs"] += compare_batch(*alone, PLAN).findings[0].p_value <= 0.05
    assert wolves["plants"] <= 4
    assert wolves["photographs"] >= 20


def test_more_photographs_a_plant_are_no_change():
    """A reference with eight photographs a plant against plants photographed once: no more alarms than 5 %."""
    low = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        report = compare_batch(draw_side(rng, 40, 8, alike=0.3), draw_side(rng, 12, 1, alike=0.3), PLAN)
        low.append(report.findings[0].p_value <= 0.05)
    assert sum(low) <= 6


def test_too_few_plants_spend_nothing_and_say_so(rng):
    """Two plants can never be told from chance at this level, so the look fires nothing and costs nothing."""
    report = compare_batch(draw_side(rng, 4), draw_side(rng, 2, shift=9), PLAN)
    assert (report.fired, report.alpha, report.alpha_spent) == (False, 0.0, 0.0)
    assert any("2 new plants (groups) against 4 of the reference are too few" in reason for reason in report.reasons)


def test_spent_promise_is_told(rng):
    """When earlier looks spent all, nothing fires, and the report says what to do."""
    past = [LookSummary(1, "", 30, 6, 0.05, False)]
    report = compare_batch(draw_side(rng, 20), draw_side(rng, 10, shift=9), PLAN, past)
    assert not report.fired
    assert any("is spent by earlier looks" in reason for reason in report.reasons)


def test_images_without_plants_are_told(rng):
    """New images of which each is its own group, against plants with several: the danger is said."""
    report = compare_batch(draw_side(rng, 20), draw_side(rng, 30, 1), PLAN)
    assert any("counts as a plant of its own" in reason for reason in report.reasons)
    report = compare_batch(draw_side(rng, 20), draw_side(rng, 30, 2), PLAN)
    assert not report.reasons


def test_what_is_missing_is_not_compared_and_told(rng):
    """A column that one side lacks, or that holds nothing there, is named with the side that lacks it."""
    reference, new = draw_side(rng, 20), draw_side(rng, 10)
    empty = DriftSide(new.features, new.table.assign(**{"photo/sharpness": np.nan}))
    report = compare_batch(forget(reference, "novelty"), forget(empty, "verdict"), PLAN)
    assert {finding.name for finding in report.findings} == {"features", "photo/brightness", "prediction", "confidence"}
    told = "\n".join(report.reasons)
    assert "novelty was not compared: it is not known of the reference." in told
    assert "verdict was not compared: it is not known of the new images." in told
    assert "photo/sharpness was not compared: it is not known of the new images." in told
    both = compare_batch(forget(reference, "novelty"), forget(new, "novelty"), PLAN)
    assert "novelty was not compared: it is not known of either side." in both.reasons


def test_features_of_another_model_are_refused(rng):
    """Features of different lengths cannot be compared."""
    reference, new = draw_side(rng, 20), draw_side(rng, 10, width=7)
    with pytest.raises(DataValidationError, match=r"\[7, 8\]"):
        compare_batch(reference, new, PLAN)


def test_at_most_so_many_images_are_compared(rng):
    """The cap of the settings is kept and told; the counts of the report are those of the images that came."""
    report = compare_batch(draw_side(rng, 40), draw_side(rng, 10), dataclasses.replace(PLAN, max_images=60))
    assert report.n_reference == 200
    assert any("At most 60 images" in reason for reason in report.reasons)


def test_effects_are_worded_with_units_and_directions(rng):
    """A reader sees before and after: brightness in grey levels, shares in percent, numbers with their unit."""
    plan = dataclasses.replace(PLAN, unit="g")

    def weigh(side, by):
        values = rng.normal(by, 0.1, len(side))
        table = side.table.drop(columns="probability").assign(prediction=values, lower=values - by, upper=values + by)
        return DriftSide(side.features, table)

    report = compare_batch(weigh(draw_side(rng, 30), 1), weigh(draw_side(rng, 30, darker=60, shift=3), 2), plan)
    effects = {finding.name: finding for finding in report.findings}
    brightness = effects["photo/brightness"]
    assert brightness.effect == f"brightness {brightness.before:.0f} -> {brightness.after:.3g} (grey levels, 0-255)"
    assert (brightness.before, brightness.after) == (pytest.approx(120, abs=15), pytest.approx(60, abs=15))
    value = effects["prediction"]
    assert value.effect == f"predicted value {value.before:.3g} -> {value.after:.3g} (g)"
    assert (value.before, value.after) == (pytest.approx(1, abs=0.1), pytest.approx(2, abs=0.1))
    assert (effects["prediction"].unit, effects["confidence"].unit) == ("g", "g")
    assert effects["confidence"].effect == "width of the interval 2 -> 4 (g)"
    assert "'reject'" in effects["verdict"].effect
    assert "moved by" in effects["features"].effect
    assert effects["features"].before is None


def test_predicted_classes_are_shares(rng):
    """The class whose share changed most is named."""
    report = compare_batch(draw_side(rng, 40, rust=0.1), draw_side(rng, 40, rust=0.95), PLAN)
    (finding,) = [one for one in report.findings if one.kind is DriftKind.prediction]
    assert finding.effect.startswith("predicted 'rust' ")
    assert finding.after - finding.before > 0.5


def test_missing_predictions_and_single_values_do_no_harm(rng):
    """A class that is missing here and there, and a measure that is the same everywhere, are no finding."""
    reference, new = draw_side(rng, 20), draw_side(rng, 10)
    labels = new.table["prediction"].where(np.arange(len(new)) % 7 != 0)
    table = new.table.assign(prediction=labels, **{"photo/side_px": 256.0})
    before = DriftSide(reference.features, reference.table.assign(**{"photo/side_px": 256.0}))
    report = compare_batch(before, DriftSide(new.features, table), PLAN)
    p_values = {finding.name: finding.p_value for finding in report.findings}
    assert p_values["photo/side_px"] == 1.0
    assert not report.fired


def test_table_of_the_caller_is_left_alone(rng):
    """Nothing is written into the tables that were given."""
    reference, new = draw_side(rng, 20), draw_side(rng, 10)
    before = new.table.copy()
    compare_batch(reference, new, PLAN)
    pd.testing.assert_frame_equal(new.table, before)

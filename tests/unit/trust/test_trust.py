"""Everything that is learned of a model's answers, and how an answer is judged by it."""

import dataclasses
import json

import numpy as np
import pytest

from phytoscope.errors import ArtifactError
from phytoscope.schema.choices import CalibrationKind, IntervalKind, SetKind
from phytoscope.schema.table import Task
from phytoscope.schema.verdict import REASONS, Reason, Verdict
from phytoscope.trust.fit import TrustWishes, fit_trust
from phytoscope.trust.observed import Labelled, Observed
from phytoscope.trust.thresholds import NO_WIDTH, NOTHING_ACCEPTED
from phytoscope.trust.trust import Trust
from tests.factories.clustered_classes import draw_classes
from tests.factories.clustered_numbers import draw_plants

VERDICTS = tuple(Verdict)
WISHES = TrustWishes(error_rate=0.1)


def add_images(rows, seed) -> Labelled:
    """The rows with a novelty and measures of the photograph."""
    rng = np.random.default_rng(seed)
    n = len(rows)
    photo = {"brightness": rng.normal(120, 5, n), "sharpness": rng.gamma(20, 1, n), "side_px": np.full(n, 256.0)}
    return dataclasses.replace(rows, observed=Observed(rows.observed.answers, rng.gamma(3, 1, n), photo))


def draw(task, seed, n=300) -> Labelled:
    if task is Task.regression:
        return draw_plants(seed, n // 6, errors="answer")
    return add_images(draw_classes(np.random.default_rng(seed), n, 5, temperature=2.0), seed)


def fit(task, wishes=WISHES, n=300) -> Trust:
    return fit_trust(task, draw(task, 0, n), draw(task, 1, n), wishes)


def cut(observed, places) -> Observed:
    photo = {name: values[places] for name, values in observed.photo.items()}
    return Observed(observed.answers[places], observed.novelty[places], photo)


@pytest.mark.parametrize("task", list(Task))
def test_one_image_is_judged_like_many(task) -> None:
    """An image gets the same answer, set, interval, verdict and reasons alone and among others."""
    trust, observed = fit(task), draw(task, 2).observed
    together = trust.judge(observed)
    for row in range(0, len(observed), 17):
        alone = trust.judge(cut(observed, slice(row, row + 1)))
        for field in dataclasses.fields(alone):
            part, whole = getattr(alone, field.name), getattr(together, field.name)
            assert (part is None) == (whole is None)
            if part is not None:
                # A sum over one row may round its last digit otherwise than one over many.
                np.testing.assert_allclose(part[0], whole[row], rtol=1e-12 if part.dtype.kind == "f" else 0.0)


@pytest.mark.parametrize("task", list(Task))
@pytest.mark.parametrize("kind", list(CalibrationKind))
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_answers_that_are_no_numbers_are_never_accepted(task, kind, value) -> None:
    """NaN and infinity are not accepted, neither by a fitted trust nor by one that learned nothing."""
    observed = draw(task, 2, 60).observed
    observed.answers[::2, 0] = value
    for trust in (fit(task, TrustWishes(kind, tolerance=1e6)), Trust(task)):
        judged = trust.judge(observed)
        assert (judged.verdict[::2] != VERDICTS.index(Verdict.accept)).all()
        assert (judged.verdict[1::2] == VERDICTS.index(Verdict.accept)).any()
        if judged.sets is not None:
            assert judged.sets[::2].all()
            assert judged.sets.any(axis=1).all()


@pytest.mark.parametrize("task", list(Task))
def test_trust_survives_json(task) -> None:
    """What is written to JSON judges exactly as before."""
    trust = fit(task, TrustWishes(CalibrationKind.vector, class_conditional=True))
    read = Trust.from_dict(json.loads(json.dumps(trust.to_dict())))
    assert read == trust
    observed = draw(task, 2).observed
    np.testing.assert_array_equal(read.judge(observed).verdict, trust.judge(observed).verdict)


@pytest.mark.parametrize("spoil", [lambda content: content.pop("limits"), lambda content: content.update(format=99)])
def test_damaged_trust_is_refused(spoil) -> None:
    """A trust of another format, or one that lacks a part, says so."""
    content = fit(Task.classification).to_dict()
    spoil(content)
    with pytest.raises(ArtifactError, match=r"trust\.json"):
        Trust.from_dict(content)


def test_everything_is_fitted_for_classes() -> None:
    """Temperature, sets, limits of novelty and photograph, and the least probability are all there."""
    trust = fit(Task.classification)
    assert trust.calibration.temperature == pytest.approx(2.0, abs=0.5)
    assert trust.sets.kind is SetKind.raps
    assert trust.limits.reject_novelty > trust.limits.review_novelty
    assert 0.5 <= trust.limits.least_probability < 1.0
    assert trust.limits.widest is None
    assert trust.photo.lowest or trust.photo.highest
    assert trust.remarks == ()


def test_everything_is_fitted_for_numbers() -> None:
    """Intervals and the widest accepted one are there."""
    trust = fit(Task.regression, TrustWishes(intervals=IntervalKind.scaled))
    assert trust.intervals[0].promised == 0.9
    assert trust.limits.widest > 0
    assert trust.limits.least_probability is None


@pytest.mark.parametrize("task", list(Task))
def test_no_calibration_rows_leave_everything_for_review(task) -> None:
    """Answers that nobody tested are not accepted, and the remarks say why."""
    rows = draw(task, 0)
    trust = fit_trust(task, _take(rows, []), rows, TrustWishes())
    judged = trust.judge(rows.observed)
    assert (judged.verdict != VERDICTS.index(Verdict.accept)).all()
    assert trust.limits.least_probability == NOTHING_ACCEPTED or trust.limits.widest == NO_WIDTH
    assert any("Every answer is for review" in remark for remark in trust.remarks)


def _take(rows, places) -> Labelled:
    places = np.array(places, dtype=np.int64)
    return Labelled(cut(rows.observed, places), rows.truth[places], rows.groups[places])


def test_broken_calibration_rows_are_left_out() -> None:
    """Rows with answers that are not numbers change nothing."""
    rows, val = draw(Task.classification, 0), draw(Task.classification, 1)
    broken = dataclasses.replace(rows, observed=cut(rows.observed, slice(None)))
    broken.observed.answers[:5] = np.nan
    kept = _take(rows, range(5, len(rows)))
    whole = fit_trust(Task.classification, kept, val, TrustWishes())
    assert fit_trust(Task.classification, broken, val, TrustWishes()) == whole


def test_sureness_is_asked_of_images_that_nothing_else_speaks_against() -> None:
    """Strange images, which are rejected anyway, do not spoil the least probability of the others."""
    rows, val = draw(Task.classification, 0, 400), draw(Task.classification, 1, 400)
    strange = _take(rows, range(len(rows)))
    worst = np.argsort(-strange.observed.answers.max(axis=1))[:6]
    strange.truth[worst] = (strange.observed.answers[worst].argmax(axis=1) + 1) % 5
    strange.observed.novelty[worst] = 1e3
    limits = fit_trust(Task.classification, strange, val, TrustWishes(false_reject=0.02)).limits
    assert limits.least_probability < NOTHING_ACCEPTED
    judged = fit_trust(Task.classification, strange, val, TrustWishes(false_reject=0.02)).judge(strange.observed)
    assert (judged.verdict[worst] == VERDICTS.index(Verdict.reject)).all()
    accepted = judged.verdict == VERDICTS.index(Verdict.accept)
    assert (judged.answers[accepted].argmax(axis=1) != strange.truth[accepted]).mean() <= 0.05


def test_size_of_the_set_asks_for_no_review() -> None:
    """An answer that is sure enough is accepted though its set names several classes."""
    trust = fit(Task.classification, TrustWishes(coverage=0.99, error_rate=0.2))
    judged = trust.judge(draw(Task.classification, 2).observed)
    accepted = judged.verdict == VERDICTS.index(Verdict.accept)
    assert (judged.sets[accepted].sum(axis=1) > 1).any()
    assert not judged.reasons[accepted].any()


@pytest.mark.parametrize("rate", [0.02, 0.05, 0.2])
def test_lower_error_rates_accept_less(rate) -> None:
    """The threshold follows the wanted error rate, and unsure is the only reason it adds."""
    observed = draw(Task.classification, 2).observed
    strict = fit(Task.classification, TrustWishes(error_rate=rate)).judge(observed)
    loose = fit(Task.classification, TrustWishes(error_rate=0.3)).judge(observed)
    unsure = REASONS.index(Reason.unsure)
    assert strict.reasons[:, unsure].sum() >= loose.reasons[:, unsure].sum()
    np.testing.assert_array_equal(np.delete(strict.reasons, unsure, axis=1), np.delete(loose.reasons, unsure, axis=1))

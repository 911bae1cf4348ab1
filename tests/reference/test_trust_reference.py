"""Calibration, prediction sets and thresholds, compared with theory and with MAPIE."""

import dataclasses

import numpy as np
import pytest
from mapie.classification import SplitConformalClassifier
from mapie.conformity_scores import APSConformityScore
from scipy import optimize, stats
from sklearn.base import BaseEstimator, ClassifierMixin

from phytoscope.schema.choices import CalibrationKind, SetKind
from phytoscope.schema.table import Task
from phytoscope.schema.verdict import Verdict
from phytoscope.trust.calibration import fit_calibration
from phytoscope.trust.fit import TrustWishes, fit_trust
from phytoscope.trust.observed import Labelled, Observed
from phytoscope.trust.quantile import group_quantile
from phytoscope.trust.sets import fit_sets, score_truth
from tests.factories.clustered_classes import draw_classes, draw_regular

ACCEPT = tuple(Verdict).index(Verdict.accept)
NOBODY = Labelled(Observed(np.empty((0, 4)), np.empty(0)), np.empty(0, dtype=np.int64), np.empty(0, dtype=object))


class KnownProbabilities(ClassifierMixin, BaseEstimator):
    """A classifier whose input is its answer."""

    def __init__(self, n_classes=4) -> None:
        self.n_classes = n_classes

    def fit(self, inputs, truth) -> "KnownProbabilities":
        """Learn which classes there are."""
        self.classes_ = np.arange(self.n_classes)
        self.fitted_ = (inputs.shape, truth.shape)
        return self

    def predict_proba(self, inputs) -> np.ndarray:
        """Give the input back."""
        return inputs

    def predict(self, inputs) -> np.ndarray:
        """Name the most probable class."""
        return inputs.argmax(axis=1)


@pytest.mark.parametrize("temperature", [0.6, 1.0, 1.7, 3.0])
def test_known_temperature_is_found(temperature) -> None:
    """Logits that were made too sharp or too soft by a known factor are given back their honesty."""
    rows = draw_classes(np.random.default_rng(0), 20_000, temperature=temperature, lean=2.0)
    fitted, _ = fit_calibration(CalibrationKind.temperature, rows)
    found = fitted.temperature if fitted.temperature is not None else 1.0
    assert found == pytest.approx(temperature, rel=0.03)


def test_temperature_is_that_of_a_plain_search() -> None:
    """The root of the slope is the lowest log loss over a search, up to the imagined mistake."""
    rows = draw_classes(np.random.default_rng(1), 20_000, temperature=2.0)
    logs = np.log(rows.observed.answers)

    def loss(scale) -> float:
        moved = scale * logs
        return float(np.mean(np.logaddexp.reduce(moved, axis=1) - moved[np.arange(len(rows)), rows.truth]))

    expected = optimize.minimize_scalar(loss, bounds=(0.1, 5.0), method="bounded").x
    assert fit_calibration(CalibrationKind.temperature, rows)[0].scale[0] == pytest.approx(expected, rel=5e-3)


def test_groups_make_the_temperature_surer() -> None:
    """Where groups differ in size, the known temperature is met better by groups that count once than by images."""
    errors = {"groups": [], "images": []}
    for seed in range(25):
        rng = np.random.default_rng(seed)
        rows = draw_classes(rng, 60, temperature=2.0)
        places = np.repeat(np.arange(60), rng.geometric(0.1, 60))
        many = Labelled(
            Observed(rows.observed.answers[places], np.empty(len(places))), rows.truth[places], rows.groups[places]
        )
        as_images = dataclasses.replace(many, groups=np.arange(len(places)).astype(object))
        for name, sample in (("groups", many), ("images", as_images)):
            fitted, _ = fit_calibration(CalibrationKind.temperature, sample)
            errors[name].append(abs(np.log(fitted.scale[0]) - np.log(0.5)))
    assert np.mean(errors["groups"]) < np.mean(errors["images"])


def test_quantile_holds_for_new_groups_where_that_of_images_does_not() -> None:
    """Coverage of new groups is within its limits, while counting images promises more than it holds."""
    rng = np.random.default_rng(0)
    held = {"groups": [], "images": []}
    coverage, n_groups = 0.9, 15
    for _ in range(600):
        difficulty = rng.exponential(1.0, n_groups)
        # Easy plants are photographed more often.
        sizes = np.maximum(1, (40 * np.exp(-2 * difficulty)).astype(int))
        groups = np.repeat(np.arange(n_groups), sizes)
        scores = difficulty[groups] + rng.normal(0, 0.1, len(groups))
        new = rng.exponential(1.0, 40) + rng.normal(0, 0.1, 40)
        for name, by in (("groups", groups), ("images", np.arange(len(groups)))):
            held[name].append(np.mean(new <= group_quantile(scores, by, coverage)[0]))
    groups, images = (np.array(held[name]) for name in ("groups", "images"))
    error = groups.std() / np.sqrt(len(groups))
    assert groups.mean() >= coverage - 3 * error
    assert groups.mean() <= coverage + 1 / (n_groups + 1) + 3 * error
    assert images.mean() < coverage - 0.1


@pytest.mark.parametrize("kind", list(SetKind))
def test_sets_hold_the_truth_of_new_groups(kind) -> None:
    """Over many calibration splits, sets hold the class of new leaves as often as promised, within binomial limits."""
    coverage, reached = 0.8, []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        rows = draw_classes(rng, 40, lean=1.0, per_group=4, spread=0.4)
        val = draw_classes(rng, 40, lean=1.0, per_group=4, spread=0.4)
        rule, _ = fit_sets(rows, val, kind=kind, coverage=coverage, class_conditional=False)
        new = draw_classes(rng, 300, lean=1.0, spread=0.4)
        reached.append(rule.choose(new.observed.answers)[np.arange(300), new.truth].mean())
    reached = np.array(reached)
    assert reached.mean() >= coverage - 3 * reached.std() / np.sqrt(len(reached))
    assert reached.mean() < coverage + 0.08
    # Given one split, the coverage itself varies like a share of 41 groups.
    low, high = stats.beta(33, 8).ppf([1e-4, 1 - 1e-4])
    assert low - 0.05 <= reached.min()
    assert reached.max() <= high + 0.05


@pytest.mark.parametrize("kind", list(SetKind))
def test_class_conditional_sets_hold_in_every_class(kind) -> None:
    """With own limits every class is held as often as promised; with one limit the hardest is not."""
    rng = np.random.default_rng(3)

    def draw(n) -> Labelled:
        truth = rng.integers(0, 4, n)
        logits = rng.normal(0, 1, (n, 4))
        logits[np.arange(n), truth] += np.array([4.0, 4.0, 4.0, 0.3])[truth]
        powers = np.exp(logits)
        return Labelled(
            Observed(powers / powers.sum(1, keepdims=True), np.empty(n)), truth, np.arange(n).astype(object)
        )

    rows, new = draw(4000), draw(8000)
    reached = {}
    for own in (False, True):
        rule, _ = fit_sets(rows, NOBODY, kind=kind, coverage=0.9, class_conditional=own)
        held = rule.choose(new.observed.answers)[np.arange(8000), new.truth]
        reached[own] = [held[new.truth == index].mean() for index in range(4)]
    # Two samples, about 1000 and 2000 images a class: four standard deviations.
    limit = 4 * np.sqrt(0.09 * (1 / 1000 + 1 / 2000))
    assert min(reached[True]) > 0.9 - limit
    assert min(reached[False]) < 0.9 - limit


@pytest.mark.parametrize("coverage", [0.7, 0.9, 0.97])
def test_lac_sets_are_those_of_mapie(coverage) -> None:
    """With one image a group, sets by probability are MAPIE's, but for its empty ones."""
    rows, new = draw_regular(500, seed=0), draw_regular(400, seed=1)
    rule, _ = fit_sets(rows, NOBODY, kind=SetKind.lac, coverage=coverage, class_conditional=False)
    theirs = run_mapie(rows, new, coverage, "lac")
    ours = rule.choose(new.observed.answers)
    theirs[np.arange(400), new.observed.answers.argmax(axis=1)] = True
    np.testing.assert_array_equal(ours, theirs)


def test_aps_scores_are_those_of_mapie_without_chance() -> None:
    """Our score is MAPIE's cumulated probability less the class's own, which it takes away in part, by chance."""
    rows = draw_regular(300)
    probs = rows.observed.answers
    cumulated, _ = APSConformityScore.get_true_label_cumsum_proba(rows.truth, probs, np.arange(4))
    own = probs[np.arange(300), rows.truth]
    np.testing.assert_allclose(score_truth(probs, rows.truth, SetKind.aps), cumulated[:, 0] - own, atol=1e-12)


@pytest.mark.parametrize("kind", [SetKind.aps, SetKind.raps])
@pytest.mark.parametrize("lean", [1.0, 3.0])
def test_sets_without_chance_are_no_larger_than_those_of_mapie(kind, lean) -> None:
    """MAPIE scores by chance and chooses without, so that its sets hold more than promised; ours are smaller."""
    rows = draw_classes(np.random.default_rng(0), 2000, 4, lean=lean)
    new = draw_classes(np.random.default_rng(1), 3000, 4, lean=lean)
    rule, _ = fit_sets(rows, rows, kind=kind, coverage=0.9, class_conditional=False)
    ours, theirs = rule.choose(new.observed.answers), run_mapie(rows, new, 0.9, kind.value)
    held, reference = (sets[np.arange(3000), new.truth].mean() for sets in (ours, theirs))
    # Both splits vary: three standard deviations of a share of 0.9.
    assert held == pytest.approx(0.9, abs=3 * np.sqrt(0.09 * (1 / 2000 + 1 / 3000)))
    assert reference > 0.9
    assert ours.sum() < theirs.sum()


def run_mapie(rows, new, coverage, score) -> np.ndarray:
    model = KnownProbabilities().fit(rows.observed.answers, rows.truth)
    mapie = SplitConformalClassifier(model, coverage, conformity_score=score, prefit=True, random_state=0)
    mapie.conformalize(rows.observed.answers, rows.truth)
    return np.array(mapie.predict_set(new.observed.answers)[1][:, :, 0], dtype=bool)


@pytest.mark.parametrize(("rate", "lean"), [(0.05, 4.0), (0.1, 3.0)])
def test_accepted_answers_keep_the_wanted_error_rate(rate, lean) -> None:
    """Over many calibration splits, accepted answers on new leaves are wrong no more often than wanted."""
    wrong, accepted = [], []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        rows, new = draw_classes(rng, 300, lean=lean), draw_classes(rng, 1500, lean=lean)
        trust = fit_trust(Task.classification, rows, NOBODY, TrustWishes(error_rate=rate))
        judged = trust.judge(new.observed)
        answered = judged.verdict == ACCEPT
        wrong.append(float((judged.answers.argmax(axis=1) != new.truth)[answered].sum()))
        accepted.append(float(answered.sum()))
    assert np.sum(accepted) > 0.2 * 30 * 1500
    assert np.sum(wrong) / np.sum(accepted) <= 1.1 * rate
    overall = draw_classes(np.random.default_rng(99), 5000, lean=lean)
    assert np.mean(overall.observed.answers.argmax(axis=1) != overall.truth) > 2 * rate

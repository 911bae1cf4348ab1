"""The choice of the curve by cross-validation over groups."""

import numpy as np
import pytest

from phytoscope.schema.choices import TargetTransform
from phytoscope.train.scales import choosing
from phytoscope.train.scales.choosing import choose_transform

GROUPS = tuple(f"plant{number // 4}" for number in range(160))


def draw(curve, seed=0, noise=0.15):
    """Features whose straight line, bent by `curve`, is the target; plants differ by one factor each."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(160, 6))
    line = features @ [0.6, 0.4, -0.3, 0.2, 0.0, 0.0] + rng.normal(0, noise, 160)
    return features.astype(np.float32), curve(line)


@pytest.mark.parametrize(
    ("curve", "expected"),
    [
        (lambda line: 10 + line, "none"),
        (lambda line: np.maximum(3 + line, 0) ** 2, "sqrt"),
        (lambda line: 5 * np.exp(1.5 * line), "log1p"),
    ],
)
def test_the_curve_that_made_the_target_is_found(curve, expected) -> None:
    """A straight target stays straight, a squared one is rooted, an exponential one gets its logarithm."""
    features, target = draw(curve)
    choice = choose_transform(features, target, GROUPS, bounds=(0.0, None))
    assert choice is not None
    assert choice.transform == expected
    assert set(choice.rmse) == {"none", "sqrt", "log1p", "yeo_johnson"}


def test_unit_does_not_matter() -> None:
    """Grams and tonnes give the same choice, and errors in the same proportion."""
    features, target = draw(np.exp)
    grams = choose_transform(features, target, GROUPS)
    tonnes = choose_transform(features, target * 1e-6, GROUPS)
    assert grams is not None
    assert tonnes is not None
    assert grams.transform is tonnes.transform
    assert tonnes.rmse[TargetTransform.sqrt] == pytest.approx(grams.rmse[TargetTransform.sqrt] * 1e-6, rel=1e-3)


def test_ties_go_to_the_simplest() -> None:
    """Where the features say nothing, the target stays as it is."""
    rng = np.random.default_rng(1)
    target = 100 + rng.normal(size=160)
    choice = choose_transform(rng.normal(size=(160, 6)).astype(np.float32), target, GROUPS)
    assert choice is not None
    assert choice.transform is TargetTransform.none


def test_negative_targets_are_not_given_curves_for_amounts() -> None:
    """Only none and yeo_johnson are tried."""
    features, target = draw(lambda line: line)
    choice = choose_transform(features, target, GROUPS)
    assert choice is not None
    assert set(choice.rmse) == {"none", "yeo_johnson"}


def test_groups_stay_together() -> None:
    """Features that only name the plant must not look good: their error is that of a guess."""
    rng = np.random.default_rng(2)
    plant = np.arange(160) // 4
    features = np.eye(40)[plant].astype(np.float32)
    target = np.exp(rng.normal(size=40))[plant]
    choice = choose_transform(features, target, GROUPS)
    assert choice is not None
    assert choice.rmse[TargetTransform.none] > 0.95 * target.std()


def test_zeros_and_missing_targets_are_taken() -> None:
    """Zeros go through every curve; rows without the number are left out."""
    features, target = draw(lambda line: np.maximum(line, 0))
    target[::7] = np.nan
    choice = choose_transform(features, target, GROUPS)
    assert choice is not None
    assert all(np.isfinite(value) for value in choice.rmse.values())


@pytest.mark.parametrize("groups", [("one",) * 160, tuple(f"plant{number // 40}" for number in range(160))])
def test_too_few_groups_give_no_choice(groups) -> None:
    """With fewer than five groups nobody can tell."""
    features, target = draw(np.exp)
    assert choose_transform(features, target, groups) is None


def test_a_fold_without_variation_gives_no_choice() -> None:
    """A target that is 0 in all plants but one cannot be compared over plants."""
    features, _ = draw(np.exp)
    target = np.zeros(160)
    target[0] = 1.0
    assert choose_transform(features, target, GROUPS) is None


def test_same_seed_same_choice() -> None:
    """The folds depend on the seed alone."""
    features, target = draw(np.exp)
    assert choose_transform(features, target, GROUPS, seed=0) == choose_transform(features, target, GROUPS, seed=0)


def test_many_rows_are_thinned_out(monkeypatch) -> None:
    """More rows than needed are picked by whole groups, or by chance where there are few large groups."""
    features, target = draw(np.exp)
    monkeypatch.setattr(choosing, "_MOST_ROWS", 100)
    picked = choose_transform(features, target, GROUPS)
    assert picked is not None
    assert picked.n_groups == 25
    of_beds = choose_transform(features, target, tuple(f"bed{number % 6}" for number in range(160)))
    assert of_beds is not None
    assert of_beds.n_groups == 6


def test_choice_is_said_with_its_numbers() -> None:
    """Curve, error, unit, groups and the other curves are in the sentence."""
    features, target = draw(lambda line: 5 * np.exp(1.5 * line))
    choice = choose_transform(features, target, GROUPS)
    assert choice is not None
    said = choice.describe("fresh_weight", "g")
    assert said.startswith("fresh_weight is learned with target_transform=log1p: RMSE ")
    assert " g in cross-validation over 40 training groups, against " in said
    assert "none" in said

"""Scores and the quick model of the inspection agree with scikit-learn."""

import numpy as np
from sklearn.linear_model import Ridge
from sklearn.metrics import balanced_accuracy_score, r2_score

from phytoscope.audit.cross_validation import map_to_landmarks, predict_kept_back
from phytoscope.audit.scoring import tally_classes, tally_numbers


def test_balanced_accuracy():
    """Averaged over groups, the score is the one of all images."""
    rng = np.random.default_rng(0)
    labels, preds = rng.integers(0, 4, 200), rng.integers(0, 4, 200)
    tally = tally_classes(labels, preds, np.arange(200) // 7, balanced=True)
    np.testing.assert_allclose(tally.score, balanced_accuracy_score(labels, preds))
    tally = tally_classes(labels, preds, np.arange(200) // 7, balanced=False)
    np.testing.assert_allclose(tally.score, (labels == preds).mean())


def test_r2_of_resampled_groups():
    """R2 from sums of groups is R2 of the images, each as often as its group was drawn."""
    rng = np.random.default_rng(0)
    target = 1e3 + rng.normal(size=60)
    preds, groups = target + rng.normal(size=60), np.arange(60) // 5
    tally = tally_numbers(target, preds, groups)
    np.testing.assert_allclose(tally.score, r2_score(target, preds))
    weights = rng.integers(0, 3, 12).astype(float)
    expected = r2_score(target, preds, sample_weight=weights[groups])
    np.testing.assert_allclose(tally.scores(weights[None])[0], expected)


def test_kept_back_predictions_are_those_of_ridge():
    """With two folds, where the penalty is fixed, each half is predicted by the ridge regression of the other."""
    rng = np.random.default_rng(0)
    rows = map_to_landmarks(rng.normal(size=(80, 3)), 0, landmarks=20)
    answers = rng.normal(size=(80, 2))
    folds = np.arange(80) % 2
    preds = predict_kept_back(rows, answers[None], folds)[0]
    for fold in (0, 1):
        training = folds != fold
        ridge = Ridge(alpha=1e-3 * training.sum()).fit(rows[training], answers[training])
        np.testing.assert_allclose(preds[~training], ridge.predict(rows[~training]), atol=1e-6)

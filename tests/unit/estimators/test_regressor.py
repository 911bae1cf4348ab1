"""PlantRegressor: numbers in the user's unit."""

import numpy as np
import pandas as pd
import pytest

from factories.drawn_leaves import PLAIN, draw_leaves, write_leaves
from phytoscope.errors import ConfigError, DataValidationError
from phytoscope.estimators.regressor import PlantRegressor

PICTURES, LABELS, SIZES, PLANTS = draw_leaves(plants=24)


@pytest.fixture(scope="module")
def fitted():
    """A regressor that knows how large lesions are."""
    return PlantRegressor(**PLAIN, target_min=0.0).fit(PICTURES, SIZES, PLANTS)


def test_sizes_of_new_plants_are_found(fitted):
    """The answers explain more than the mean does."""
    pictures, _, sizes, _ = draw_leaves(plants=60)
    new = slice(len(PICTURES), None)

    assert fitted.score(pictures[new], sizes[new]) > 0.5
    assert fitted.predict(pictures[new]).dtype == np.float64
    assert fitted.predict(pictures[new]).min() >= 0


def test_the_unit_of_the_target_does_not_matter(fitted):
    """A thousand times larger numbers give a thousand times larger answers."""
    grams = PlantRegressor(**PLAIN, target_min=0.0).fit(PICTURES, 1000 * SIZES, PLANTS)

    np.testing.assert_allclose(grams.predict(PICTURES), 1000 * fitted.predict(PICTURES), rtol=1e-3, atol=50)


def test_paths_keep_the_scale_as_arrays_do(fitted, tmp_path):
    """`resize="auto"` finds the same scale in files."""
    again = PlantRegressor(**PLAIN, target_min=0.0).fit(write_leaves(PICTURES, tmp_path), SIZES, PLANTS)

    np.testing.assert_allclose(again.predict(PICTURES), fitted.predict(PICTURES), rtol=1e-6)
    assert again.predictor_.preprocess.scale == 0.5


@pytest.mark.slow
def test_the_network_itself_can_be_trained():
    """With `adapt="full"` the numbers are learned by the whole network, too."""
    trained = PlantRegressor(**{**PLAIN, "adapt": "full", "max_epochs": 20, "batch_size": 16})

    answers = trained.fit(PICTURES, SIZES, PLANTS).predict(PICTURES)

    assert np.corrcoef(answers, SIZES)[0, 1] > 0.5


@pytest.mark.parametrize(
    ("change", "target", "error", "text"),
    [
        ({}, np.full(len(SIZES), 3.0), DataValidationError, "the target is 3"),
        ({"target_transform": "log1p"}, SIZES - 5, DataValidationError, "not negative"),
        ({"loss": "gamma"}, SIZES, ConfigError, "above 0"),
        ({"loss": "l2"}, SIZES, ConfigError, "loss='l2' is unknown"),
        ({"target_min": 5.0, "target_max": 1.0}, SIZES, ConfigError, "must be below target_max"),
        ({}, np.where(SIZES > 0, np.nan, 1.0), ValueError, "NaN"),
        ({}, np.where(SIZES > 0, pd.NA, 1.0), ValueError, "NaN"),
        ({}, LABELS, ValueError, "could not convert"),
        ({}, np.stack([SIZES, SIZES], axis=1), ValueError, "1d array"),
    ],
)
def test_targets_that_cannot_be_learned_are_refused(change, target, error, text):
    """The error says what is wrong with y or with the scale that was asked for."""
    with pytest.raises(error, match=text):
        PlantRegressor(**PLAIN, **change).fit(PICTURES, target)

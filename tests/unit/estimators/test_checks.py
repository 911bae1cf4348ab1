"""scikit-learn's own checks of what an estimator must do: on rows of numbers, and on pictures drawn of them."""

import numpy as np
import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.validation import validate_data

from factories.drawn_leaves import PLAIN
from phytoscope.estimators.classifier import PlantClassifier
from phytoscope.estimators.pictures import Pictures
from phytoscope.estimators.regressor import PlantRegressor

# Check -> why it cannot hold; see docs/decisions/0030-*.md.
CANNOT_HOLD: dict[str, str] = {}


@parametrize_with_checks([PlantClassifier(), PlantRegressor()], expected_failed_checks=lambda _: CANNOT_HOLD)
def test_estimators_pass_the_checks_of_scikit_learn(estimator, check):
    """What scikit-learn expects of any estimator holds for rows of numbers."""
    check(estimator)


class _DrawsRows:
    """Draws each row as coloured stripes, so that checks that hand over rows look at the way of pictures."""

    def _read(self, X, *, reset):  # noqa: N803
        rows = validate_data(self, X, reset=reset, dtype=np.float64)
        # Small numbers are told apart by one colour, large ones by the others.
        colours = [np.tanh(rows / 2), np.sin(rows), np.arcsinh(rows) / 8]
        bright = np.round(127.5 + 127.5 * np.clip(np.stack(colours, axis=-1), -1, 1)).astype(np.uint8)
        stripes = bright.repeat(-(-32 // rows.shape[1]), axis=1)
        return Pictures(list(stripes[:, None].repeat(8, axis=1)))

    def _name_squares(self, model):
        pass


class DrawnClassifier(_DrawsRows, PlantClassifier):
    """A classifier of drawn rows."""


class DrawnRegressor(_DrawsRows, PlantRegressor):
    """A regressor of drawn rows."""


@pytest.mark.slow
@parametrize_with_checks([DrawnClassifier(**PLAIN), DrawnRegressor(**PLAIN)])
def test_estimators_of_pictures_pass_the_checks_of_scikit_learn(estimator, check):
    """The same holds where a network looks at pictures."""
    check(estimator)

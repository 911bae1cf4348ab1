"""What both estimators share: how X is read, how rows are dealt, what is kept, and how it is saved."""

from abc import abstractmethod
from numbers import Integral
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_consistent_length, check_is_fitted, validate_data

from phytoscope.errors import ConfigError, DataValidationError
from phytoscope.estimators.dealing import Dealt, deal_rows, name_groups
from phytoscope.estimators.learning import learn_pictures, learn_rows
from phytoscope.estimators.lesson import Lesson
from phytoscope.estimators.networks import PictureModel, RowModel, refuse_other_kind
from phytoscope.estimators.package import Label, write_package
from phytoscope.estimators.pictures import Pictures, find_pictures
from phytoscope.estimators.settings import read_settings
from phytoscope.predict.predictor import Predictor
from phytoscope.schema.choices import AdaptKind, OnnxExport
from phytoscope.schema.table import Task


class PlantEstimator(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no annotations
    """A network as a scikit-learn estimator; `PlantClassifier` and `PlantRegressor` are the ones to use.

    Attributes:
        n_features_in_: Columns of the rows that were learned from; for pictures the numbers in the square that the
            network sees.
        penalty_: Strength of the penalty that the head was fitted with; None where the network itself was trained.
        model_: What was learned.
    """

    def fit(self, X: Any, y: Any, groups: Any = None) -> Self:  # noqa: N803 (scikit-learn's name)
        """Learns.

        Args:
            X: Pictures: an array of shape (n, H, W, 3), uint8, RGB, 0-255, a list of such pictures of shape (H, W, 3),
                or a list, array or column of paths. Or rows of numbers of shape (n, features), finite, to which a head
                alone is fitted.
            y: Answers, shape (n,).
            groups: Plant, leaf or plot of each row, shape (n,): rows of one group are never both learned from and kept
                back to choose by. Without it every picture stands for itself.

        Returns:
            The estimator.

        Raises:
            ConfigError: A parameter cannot be used, or not with these X.
            DataValidationError: There is no y.
            ValueError: X, y or groups cannot be used.
            PhytoscopeError: A picture cannot be read, weights cannot be had, or the loss is not finite.
        """
        given = self._read(X, reset=True)
        if y is None:
            message = (
                f"This {type(self).__name__} estimator requires y to be passed, but the target y is None. Give one "
                "answer a row."
            )
            raise DataValidationError(message)
        check_consistent_length(given, y)
        seed = _draw_seed(self.random_state)
        config = read_settings(self.get_params(deep=False), seed)
        is_row = not isinstance(given, Pictures)
        if config.adapt.kind is not AdaptKind.head and (is_row or self.penalty is not None):
            message = (
                f"adapt={self.adapt!r} trains the network on pictures, but "
                + ("X holds rows of numbers" if is_row else f"penalty={self.penalty} is for a head alone")
                + ": use adapt='head', or "
                + ("give pictures." if is_row else "leave penalty at None.")
            )
            raise ConfigError(message)
        target, names = self._learn_answers(y)
        # Equal rows of numbers are as often two plants as one; equal pictures are one.
        contents = tuple(map(str, range(len(given)))) if isinstance(given, np.ndarray) else given.sha256
        named = name_groups(groups, given, contents)
        if self.penalty is None:
            task = Task.classification if names else Task.regression
            dealt = deal_rows(target, named, task, float(self.validation_share), seed)
        else:
            dealt = Dealt(np.arange(len(target)), np.arange(0), named)
        penalty = None if self.penalty is None else float(self.penalty)
        lesson = Lesson(config, names, target, dealt, penalty)
        learned = learn_pictures(lesson, given) if isinstance(given, Pictures) else learn_rows(lesson, given)
        self.model_, self.penalty_ = learned.model, learned.penalty
        if isinstance(learned.model, PictureModel):
            self._name_squares(learned.model)
        return self

    @property
    def predictor_(self) -> Predictor:
        """The network as a `Predictor`, for single photographs and for their explanation.

        Raises:
            NotFittedError: Nothing was learned yet.
            DataValidationError: Rows of numbers were learned from.
        """
        return self._get_picture_model().predictor

    def save(
        self,
        folder: str | Path,
        *,
        name: str | None = None,
        target: str = "value",
        unit: str = "",
        licence: str = "not stated",
        onnx: str = "auto",
    ) -> Path:
        """Writes a model package that `Predictor.load`, `phytoscope predict` and `phytoscope serve` read.

        It reproduces its answers for some pictures that it learned from before an older package in its place is
        replaced. Its answers carry no verdict, because an estimator keeps no rows back to learn from when it may be
        wrong.

        Args:
            folder: Where the package shall stand.
            name: Name of the model; that of the folder when None.
            target: Name of the number that is predicted; not read for classes.
            unit: Its unit; not read for classes.
            licence: Licence of the trained model.
            onnx: Whether to write an ONNX file, too: `auto` where the export extra is installed, `always` or `never`.

        Returns:
            The folder.

        Raises:
            NotFittedError: Nothing was learned yet.
            ConfigError: There is no such choice of `onnx`.
            ArtifactError: There is something in that place which is no package.
            DataValidationError: Rows of numbers were learned from; no package can hold that.
            PackageError: The package does not reproduce its answers.
            StorageError: The place cannot be written.
        """
        model, place = self._get_picture_model(), Path(folder)
        choices = [choice.value for choice in OnnxExport]
        if onnx not in choices:
            message = f"onnx={onnx!r} is unknown; choose one of: {', '.join(choices)}."
            raise ConfigError(message)
        write_package(model, place, Label(name or place.resolve().name, target, unit, licence), OnnxExport(onnx))
        return place

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn may expect: one answer a row, and y is needed."""
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags

    @abstractmethod
    def _learn_answers(self, y: Any) -> tuple[NDArray[Any], tuple[str, ...]]:
        """Turns y into class numbers with their names, or into values with none."""

    def _compute(self, X: Any) -> NDArray[np.float64]:  # noqa: N803 (scikit-learn's name)
        """Answers as the network's meaning gives them: probabilities (n, classes) or values (n, 1)."""
        check_is_fitted(self)
        given = self._read(X, reset=False)
        model: RowModel | PictureModel = self.model_
        if isinstance(model, RowModel) and isinstance(given, np.ndarray):
            return model.compute(given)
        if isinstance(model, PictureModel) and isinstance(given, Pictures):
            return model.compute(given)
        return refuse_other_kind(given)

    def _read(self, X: Any, *, reset: bool) -> Pictures | NDArray[np.float64]:  # noqa: N803 (scikit-learn's name)
        pictures = find_pictures(X)
        if pictures is not None:
            return pictures
        if not reset and isinstance(self.model_, PictureModel):
            return refuse_other_kind(X)
        rows: NDArray[np.float64] = validate_data(self, X, reset=reset, dtype=np.float64)
        return rows

    def _name_squares(self, model: PictureModel) -> None:
        self.n_features_in_ = 3 * model.predictor.preprocess.size_px**2
        # Left by an earlier fit to a table.
        if hasattr(self, "feature_names_in_"):
            del self.feature_names_in_

    def _get_picture_model(self) -> PictureModel:
        check_is_fitted(self)
        model: RowModel | PictureModel = self.model_
        if isinstance(model, RowModel):
            message = (
                "this estimator learned from rows of numbers, so there is no network that takes photographs: fit it to "
                "pictures or paths; a model of rows is kept with pickle or joblib."
            )
            raise DataValidationError(message)
        return model


def _draw_seed(random_state: Any) -> int:
    generator = check_random_state(random_state)
    # A number is a seed by itself: the same one as `seed=` on the command line.
    if isinstance(random_state, Integral):
        return int(random_state)
    return int(generator.randint(np.iinfo(np.int32).max))

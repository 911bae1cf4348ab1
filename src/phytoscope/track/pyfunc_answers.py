"""A model package behind MLflow's interface: a table with images in, a table with answers out."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from phytoscope.errors import ImageReadError
from phytoscope.schema.prediction import Prediction
from phytoscope.track.pyfunc_columns import IMAGE, NUMBER, build_row, list_answer_columns, name_known

if TYPE_CHECKING:
    from phytoscope.predict.predictor import Predictor
    from phytoscope.transforms.photo import Photo

# So many images are in memory at once, however long the table is.
_BATCH: Final = 32


class PackageAnswers:
    """Answers tables of images."""

    def __init__(self, folder: Path) -> None:
        """Loads a package.

        Args:
            folder: The package.

        Raises:
            PackageError: It is not complete, damaged or of an unknown format.
        """
        from phytoscope.predict.package import load_package

        self._predictor: Predictor = load_package(folder)
        self._columns = list_answer_columns(self._predictor.description)

    def answer(self, table: pd.DataFrame) -> pd.DataFrame:
        """Answers every row; an image that cannot be read does not spoil the others.

        Args:
            table: Column `image` with the bytes of image files, and columns of what is known beside them.

        Returns:
            One row an image, with the columns of `list_answer_columns`; the bad ones say why in `error` and nothing
            else. What is not known is None, because MLflow would send a NaN that no reader of JSON takes; a column of
            numbers without gaps is float64. Reasons and remarks are joined by `; `.
        """
        rows = [row for start in range(0, len(table), _BATCH) for row in self._answer(table[start : start + _BATCH])]
        answers = pd.DataFrame([build_row(row, self._columns) for row in rows], columns=list(self._columns))
        whole = answers.columns[answers.notna().all()]
        numbers = {name: np.float64 for name in whole if self._columns[name] == NUMBER}
        return answers.astype(object).where(answers.notna(), None).astype(numbers)

    def _answer(self, table: pd.DataFrame) -> Iterator[Prediction]:
        photos: list[Photo] = []
        read: list[Photo | str] = []
        for image in table[IMAGE]:
            read.append(self._read(image))
            photos += [photo for photo in read[-1:] if not isinstance(photo, str)]
        good = [place for place, photo in enumerate(read) if not isinstance(photo, str)]
        encoded = [self._predictor.encode(known) for known in self._list_known(table, good)]
        covariates = [row for row, _ in encoded if row is not None]
        answers = iter(
            self._predictor.answer(
                [IMAGE] * len(good),
                photos,
                np.concatenate(covariates) if covariates else None,
                [remarks for _, remarks in encoded],
            )
        )
        for photo in read:
            yield Prediction(IMAGE, error=photo) if isinstance(photo, str) else next(answers)

    def _read(self, image: object) -> "Photo | str":
        if not isinstance(image, bytes | bytearray | memoryview):
            return f"expected the bytes of an image file, got {type(image).__name__}"
        try:
            return self._predictor.prepare_photo(bytes(image), IMAGE)
        except ImageReadError as error:
            return error.reason

    def _list_known(self, table: pd.DataFrame, rows: Sequence[int]) -> list[dict[str, Any]]:
        encoder = self._predictor.meaning.covariates
        columns = {} if encoder is None else {name: name_known(name) for name in encoder.names}
        there = {name: table[column].tolist() for name, column in columns.items() if column in table}
        return [{name: values[row] for name, values in there.items()} for row in rows]

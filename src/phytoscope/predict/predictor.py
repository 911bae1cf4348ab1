"""Predictor: path, bytes or pixels in, `Prediction` out. The one way numbers are made, in evaluation as in service."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from phytoscope.errors import ConfigError, ImageReadError
from phytoscope.models.ensemble import EnsembleMeaning, NetworkEnsemble
from phytoscope.models.network import BackboneInput, PlantNetwork
from phytoscope.predict.description import read_meaning
from phytoscope.schema.package import ModelDescription
from phytoscope.schema.pixels import PixelSource
from phytoscope.schema.prediction import Prediction
from phytoscope.schema.progress import Progress
from phytoscope.schema.table import PREDICTION, PREDICTION_PREFIX, PROB_PREFIX, PROBABILITY, Task
from phytoscope.transforms.decode import decode_image, read_bytes
from phytoscope.transforms.preprocess import Preprocess


class Predictor:
    """A trained network with everything around it that its numbers depend on.

    Attributes:
        description: What the model is.
        preprocess: From any image to the network's square.
        meaning: What goes in beside the image, and what the outputs are.
    """

    def __init__(self, description: ModelDescription, state: dict[str, torch.Tensor]) -> None:
        """Builds the network and fills it.

        Args:
            description: What the model is.
            state: Parameters of the network, each in its own shape.

        Raises:
            ConfigError: timm knows no such backbone.
            KeyError: A part of the description is missing.
            TypeError: A part of the description is not what it should be.
            ValueError: The scale of a number is missing.
        """
        self.description = description
        self.meaning = read_meaning(description)
        self.preprocess = Preprocess.from_dict(description.preprocess)
        spec = BackboneInput(
            self.preprocess.size_px,
            self.preprocess.mean,
            self.preprocess.std,
            self.preprocess.interpolation,
            self.preprocess.crop_pct,
        )
        members = self.meaning.members if isinstance(self.meaning, EnsembleMeaning) else (self.meaning,)
        networks = [PlantNetwork(description.backbone, each.outputs, 0.0, spec, each.covariate_dim) for each in members]
        network = NetworkEnsemble(networks) if isinstance(self.meaning, EnsembleMeaning) else networks[0]
        network.load_state_dict(state)
        self.network = network.eval().to(memory_format=torch.channels_last)

    def predict(
        self,
        source: Path | str | bytes | NDArray[np.uint8],
        name: str = "image",
        covariates: Mapping[str, Any] | None = None,
    ) -> Prediction:
        """Answers for one image.

        Args:
            source: Path of an image file, its bytes, or pixels of shape (H, W, 3), uint8, RGB, 0-255.
            name: What to call bytes or pixels in the answer.
            covariates: What is known beside the image: the user's name of a column -> number, text or truth value. What
                is left out or None is missing; a value that the model does not know counts as missing, and the answer's
                remarks say so.

        Raises:
            ImageReadError: The image cannot be read.
            ConfigError: The model sees no such column.
        """
        label = str(source) if isinstance(source, str | Path) else name
        encoded, remarks = self.encode(covariates or {})
        answer = self.predict_pixels(self.prepare(source, name)[None], encoded)[0]
        return self.describe(label, answer, remarks)

    def encode(self, covariates: Mapping[str, Any]) -> tuple[NDArray[np.float32] | None, tuple[str, ...]]:
        """Encodes what is known beside one image.

        Args:
            covariates: The user's name of a column -> its value.

        Returns:
            Shape (1, covariate_dim), float32, None when the model sees the image alone; and what could not be used.

        Raises:
            ConfigError: The model sees no such column.
        """
        encoder = self.meaning.covariates
        if encoder is None:
            if covariates:
                message = (
                    f"the model sees the image alone, but {', '.join(map(repr, covariates))} is given: leave it out."
                )
                raise ConfigError(message)
            return None, ()
        row = encoder.read_values(covariates)
        # The networks of an ensemble say the same.
        return encoder.encode(row), tuple(dict.fromkeys(encoder.word_unknown(row)))

    def prepare(self, source: Path | str | bytes | NDArray[np.uint8], name: str = "image") -> NDArray[np.uint8]:
        """Brings one image to the network's square.

        Args:
            source: Path of an image file, its bytes, or pixels of shape (H, W, 3), uint8, RGB, 0-255.
            name: What to call bytes or pixels in an error.

        Returns:
            Shape (S, S, 3), uint8, RGB, 0-255.

        Raises:
            ImageReadError: The image cannot be read.
        """
        if isinstance(source, np.ndarray):
            if source.ndim != 3 or source.shape[2] != 3 or source.dtype != np.uint8:
                raise ImageReadError(
                    name, f"expected uint8 pixels of shape (H, W, 3), got {source.dtype} {source.shape}"
                )
            return self.preprocess(source)
        if isinstance(source, str | Path):
            name = str(source)
            source = read_bytes(Path(source))
        return self.preprocess(decode_image(source, name=name, max_megapixels=self.preprocess.max_megapixels))

    @torch.inference_mode()
    def predict_pixels(
        self, pixels: NDArray[np.uint8], covariates: NDArray[np.float32] | None = None
    ) -> NDArray[np.float64]:
        """Answers for a batch of prepared squares.

        Args:
            pixels: Shape (N, S, S, 3), uint8, RGB, 0-255.
            covariates: Shape (N, covariate_dim), float32, as the encoder of `meaning` gives them; None when nothing is
                known beside the images.

        Returns:
            Classification: probabilities of shape (N, classes), each row summing to 1. Regression: values of shape
            (N, targets) in the users' units, the main target first.
        """
        images = torch.from_numpy(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2)
        encoder = self.meaning.covariates
        if encoder is None:
            return self.finish(self.network(images).double().numpy())
        known = encoder.encode_missing(len(pixels)) if covariates is None else covariates
        return self.finish(self.network(images, torch.from_numpy(known)).double().numpy())

    def finish(self, outputs: NDArray[np.float64]) -> NDArray[np.float64]:
        """From what the network says to what the user reads.

        Args:
            outputs: Logits of shape (N, classes), or numbers on the learned scales of shape (N, targets).

        Returns:
            Probabilities of shape (N, classes), or values of shape (N, targets) in the users' units.
        """
        return self.meaning.answer(outputs)

    def describe(self, path: str, answer: NDArray[np.float64], remarks: tuple[str, ...] = ()) -> Prediction:
        """Words one answer.

        Args:
            path: The image, as it was named.
            answer: One row of `predict_pixels`: shape (classes,) or (targets,).
            remarks: What could not be used, in words.
        """
        if self.description.task is Task.regression:
            units = self.description.units
            values = dict(zip(units, answer.tolist(), strict=True))
            main = float(answer[0])
            return Prediction(path, value=main, unit=self.description.unit, values=values, units=units, remarks=remarks)
        names = self.description.class_names
        best = int(answer.argmax())
        probabilities = dict(zip(names, answer.tolist(), strict=True))
        return Prediction(
            path, label=names[best], probability=float(answer[best]), probabilities=probabilities, remarks=remarks
        )


def predict_table(
    predictor: Predictor,
    pixels: PixelSource,
    rows: NDArray[np.int64],
    *,
    covariates: pd.DataFrame | None = None,
    batch_size: int,
    progress: Progress,
) -> pd.DataFrame:
    """Answers for many squares of the pixel cache.

    Args:
        predictor: The model.
        pixels: Squares of shape (S, S, 3), uint8, RGB, 0-255, read by their row.
        rows: Which of them, in the order of the result, shape (N,), int64.
        covariates: Columns under the user's names, one row per entry of `rows`; None when nothing is known.
        batch_size: Squares a step.
        progress: Told about every square.

    Returns:
        Classification: `prediction`, `probability` and `prob/<class>`; regression: `prediction`, and
        `prediction/<name>` for each further target. One row per entry of `rows`.
    """
    encoder = predictor.meaning.covariates
    known = None if encoder is None or covariates is None else encoder.encode(covariates)
    progress.start("Predicting", len(rows))
    answers = np.concatenate(list(_answer(predictor, pixels, rows, known, batch_size, progress)))
    progress.finish()
    if predictor.description.task is Task.regression:
        more = [f"{PREDICTION_PREFIX}{target.name}" for target in predictor.meaning.targets[1:]]
        return pd.DataFrame(answers, columns=[PREDICTION, *more])
    names = np.array(predictor.description.class_names, dtype=object)
    table = pd.DataFrame({PREDICTION: names[answers.argmax(axis=1)], PROBABILITY: answers.max(axis=1)})
    probabilities = pd.DataFrame(answers, columns=[f"{PROB_PREFIX}{name}" for name in names])
    return pd.concat([table, probabilities], axis=1)


def _answer(
    predictor: Predictor,
    pixels: PixelSource,
    rows: NDArray[np.int64],
    known: NDArray[np.float32] | None,
    batch_size: int,
    progress: Progress,
) -> Iterator[NDArray[np.float64]]:
    for start in range(0, len(rows), batch_size):
        chosen = rows[start : start + batch_size]
        yield predictor.predict_pixels(pixels[chosen], None if known is None else known[start : start + batch_size])
        progress.advance(len(chosen))

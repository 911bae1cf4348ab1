"""Predictor: path, bytes or pixels in, `Prediction` out. The one way numbers are made, in evaluation as in service."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from phytoscope.errors import ImageReadError
from phytoscope.models.network import BackboneInput, PlantNetwork
from phytoscope.models.target import TargetScale
from phytoscope.schema.package import ModelDescription
from phytoscope.schema.pixels import PixelSource
from phytoscope.schema.prediction import Prediction
from phytoscope.schema.progress import Progress
from phytoscope.schema.table import PREDICTION, PROB_PREFIX, PROBABILITY, Task
from phytoscope.transforms.decode import decode_image, read_bytes
from phytoscope.transforms.preprocess import Preprocess


class Predictor:
    """A trained network with everything around it that its numbers depend on.

    Attributes:
        description: What the model is.
        preprocess: From any image to the network's square.
    """

    def __init__(self, description: ModelDescription, state: dict[str, torch.Tensor]) -> None:
        """Builds the network and fills it.

        Args:
            description: What the model is.
            state: Parameters of the network, each in its own shape.

        Raises:
            ConfigError: timm knows no such backbone.
        """
        self.description = description
        self.preprocess = Preprocess.from_dict(description.preprocess)
        spec = BackboneInput(
            self.preprocess.size_px,
            self.preprocess.mean,
            self.preprocess.std,
            self.preprocess.interpolation,
            self.preprocess.crop_pct,
        )
        network = PlantNetwork(description.backbone, description.outputs, 0.0, spec)
        network.load_state_dict(state)
        self.network = network.eval().to(memory_format=torch.channels_last)
        scale = description.target_scale
        self._scale = None if scale is None else TargetScale.from_dict(scale)

    def predict(self, source: Path | str | bytes | NDArray[np.uint8], name: str = "image") -> Prediction:
        """Answers for one image.

        Args:
            source: Path of an image file, its bytes, or pixels of shape (H, W, 3), uint8, RGB, 0-255.
            name: What to call bytes or pixels in the answer.

        Raises:
            ImageReadError: The image cannot be read.
        """
        label = str(source) if isinstance(source, str | Path) else name
        return self.describe(label, self.predict_pixels(self.prepare(source, name)[None])[0])

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
    def predict_pixels(self, pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Answers for a batch of prepared squares.

        Args:
            pixels: Shape (N, S, S, 3), uint8, RGB, 0-255.

        Returns:
            Classification: probabilities of shape (N, classes), each row summing to 1. Regression: values of shape
            (N, 1) in the user's unit.
        """
        images = torch.from_numpy(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2)
        return self.finish(self.network(images).double().numpy())

    def finish(self, outputs: NDArray[np.float64]) -> NDArray[np.float64]:
        """From what the network says to what the user reads.

        Args:
            outputs: Logits of shape (N, classes), or numbers on the learned scale of shape (N, 1).

        Returns:
            Probabilities of shape (N, classes), or values of shape (N, 1) in the user's unit.
        """
        if self._scale is not None:
            return self._scale.inverse(outputs)
        shifted = np.exp(outputs - outputs.max(axis=1, keepdims=True))
        probs: NDArray[np.float64] = shifted / shifted.sum(axis=1, keepdims=True)
        return probs

    def describe(self, path: str, answer: NDArray[np.float64]) -> Prediction:
        """Words one answer.

        Args:
            path: The image, as it was named.
            answer: One row of `predict_pixels`: shape (classes,) or (1,).
        """
        if self.description.task is Task.regression:
            return Prediction(path, value=float(answer[0]), unit=self.description.unit)
        names = self.description.class_names
        best = int(answer.argmax())
        probabilities = dict(zip(names, answer.tolist(), strict=True))
        return Prediction(path, label=names[best], probability=float(answer[best]), probabilities=probabilities)


def predict_table(
    predictor: Predictor, pixels: PixelSource, rows: NDArray[np.int64], *, batch_size: int, progress: Progress
) -> pd.DataFrame:
    """Answers for many squares of the pixel cache.

    Args:
        predictor: The model.
        pixels: Squares of shape (S, S, 3), uint8, RGB, 0-255, read by their row.
        rows: Which of them, in the order of the result, shape (N,), int64.
        batch_size: Squares a step.
        progress: Told about every square.

    Returns:
        Classification: `prediction`, `probability` and `prob/<class>`; regression: `prediction`. One row per entry of
        `rows`.
    """
    progress.start("Predicting", len(rows))
    answers = np.concatenate(list(_answer(predictor, pixels, rows, batch_size, progress)))
    progress.finish()
    if predictor.description.task is Task.regression:
        return pd.DataFrame({PREDICTION: answers[:, 0]})
    names = np.array(predictor.description.class_names, dtype=object)
    table = pd.DataFrame({PREDICTION: names[answers.argmax(axis=1)], PROBABILITY: answers.max(axis=1)})
    probabilities = pd.DataFrame(answers, columns=[f"{PROB_PREFIX}{name}" for name in names])
    return pd.concat([table, probabilities], axis=1)


def _answer(
    predictor: Predictor, pixels: PixelSource, rows: NDArray[np.int64], batch_size: int, progress: Progress
) -> Iterator[NDArray[np.float64]]:
    for start in range(0, len(rows), batch_size):
        chosen = rows[start : start + batch_size]
        yield predictor.predict_pixels(pixels[chosen])
        progress.advance(len(chosen))

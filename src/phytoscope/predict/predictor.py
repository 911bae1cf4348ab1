"""Predictor: path, bytes or pixels in, `Prediction` out. The one way numbers are made, in evaluation as in service."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from phytoscope.errors import ConfigError
from phytoscope.models.ensemble import EnsembleMeaning, NetworkEnsemble
from phytoscope.models.meaning import Meaning
from phytoscope.models.network import PlantNetwork
from phytoscope.predict.description import read_meaning
from phytoscope.predict.engines.engine import Engine
from phytoscope.predict.engines.torch_engine import build_torch_engine
from phytoscope.predict.package_network import build_empty_network
from phytoscope.schema.choices import Precision, Runtime
from phytoscope.schema.package import ModelDescription
from phytoscope.schema.prediction import Prediction
from phytoscope.schema.table import Task
from phytoscope.schema.verdict import REASONS, Verdict
from phytoscope.transforms.photo import Photo, read_photo
from phytoscope.transforms.photo_measures import measure_photo
from phytoscope.transforms.preprocess import Preprocess
from phytoscope.transforms.views import turn_images
from phytoscope.trust.novelty import NoveltyReference
from phytoscope.trust.observed import Judged, Observed
from phytoscope.trust.photo import MEASURES
from phytoscope.trust.trust import Trust

_VERDICTS = tuple(Verdict)

NO_SIZES = np.zeros((0, 2), dtype=np.int64)
"""For images whose original size is not known."""


class Predictor:
    """A trained network with everything around it that its numbers depend on.

    Attributes:
        description: What the model is.
        preprocess: From any image to the network's square.
        meaning: What goes in beside the image, and what the outputs are.
        trust: How answers are judged; None when nothing was fitted, and then answers carry no verdict.
        novelty: What the training images look like to the network; None when novelty is not measured.
        engine: What computes the network; torch unless another one was chosen.
    """

    def __init__(
        self,
        description: ModelDescription,
        state: dict[str, torch.Tensor],
        *,
        trust: Trust | None = None,
        novelty: NoveltyReference | None = None,
    ) -> None:
        """Builds the network and fills it.

        Args:
            description: What the model is.
            state: Parameters of the network, each in its own shape.
            trust: How answers are judged.
            novelty: What the training images look like to the network.

        Raises:
            ConfigError: timm knows no such backbone.
            KeyError: A part of the description is missing.
            TypeError: A part of the description is not what it should be.
            ValueError: The scale of a number is missing.
        """
        self.description = description
        self.trust = trust
        self.novelty = novelty
        self.meaning = read_meaning(description)
        self.preprocess = Preprocess.from_dict(description.preprocess)
        self.network = build_empty_network(description, self.preprocess, self.meaning)
        self.network.load_state_dict(state)
        self.network.eval().to(memory_format=torch.channels_last)
        self.engine = build_torch_engine(self.network)

    def __repr__(self) -> str:
        """One line."""
        about = self.description
        unit = f" ({about.unit})" if about.unit else ""
        answer = f"{len(about.class_names)} classes" if about.class_names else f"{about.target_name}{unit}"
        return f"Predictor({about.name!r}, {answer}, model: {about.model_id[:12]})"

    @classmethod
    def load(
        cls, source: str | Path, *, runtime: Runtime = Runtime.torch, precision: Precision = Precision.float32
    ) -> "Predictor":
        """Loads a package.

        Args:
            source: Its folder, a `.phyto` file, or as a text an address such as `models:/NAME@champion`.
            runtime: What computes the network; `auto` measures which is fastest here.
            precision: With which numbers; `int8` only where the package holds such a network.

        Raises:
            ConfigError: Nobody knows the scheme of the address.
            MissingDependencyError: The runtime is not installed.
            PackageError: It is not a package, or damaged.
            PhytoscopeError: What an address names cannot be had.
        """
        # What reads packages makes predictors of them, and so cannot be imported before them.
        from phytoscope.predict.package import load_source

        return load_source(source, runtime, precision)

    def use(self, engine: Engine, trust: Trust | None = None, novelty: NoveltyReference | None = None) -> None:
        """Lets another engine compute the network.

        Args:
            engine: What computes from now on.
            trust: How its answers are judged, where they are judged in a way of their own, as those of 8 bits are;
                None to go on as before.
            novelty: What the training images look like to it; read only together with `trust`.
        """
        self.engine = engine
        if trust is not None:
            self.trust, self.novelty = trust, novelty

    @property
    def first_member(self) -> tuple[PlantNetwork, Meaning]:
        """The first network of an ensemble, or the only one, and what its outputs mean."""
        if isinstance(self.network, NetworkEnsemble):
            members = self.meaning.members if isinstance(self.meaning, EnsembleMeaning) else (self.meaning,)
            return cast("PlantNetwork", self.network.members[0]), members[0]
        return self.network, self.meaning

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
        return self.answer([label], [self.prepare_photo(source, name)], encoded, [remarks])[0]

    def answer(
        self,
        names: Sequence[str],
        photos: Sequence[Photo],
        covariates: NDArray[np.float32] | None = None,
        remarks: Sequence[tuple[str, ...]] | None = None,
    ) -> list[Prediction]:
        """Answers for a batch of prepared images.

        Args:
            names: What to call each image, N of them.
            photos: The images.
            covariates: Shape (N, covariate_dim), float32; None when nothing is known beside the images.
            remarks: What could not be used for each image, in words.
        """
        if not photos:
            return []
        answers, novelty, _ = self._run(np.stack([photo.square for photo in photos]), covariates)
        observed = Observed(answers, novelty, _gather([photo.measure() for photo in photos]))
        judged = None if self.trust is None else self.trust.judge(observed)
        said = remarks if remarks is not None else [()] * len(names)
        return [
            self._word(name, observed, judged, row, words)
            for row, (name, words) in enumerate(zip(names, said, strict=True))
        ]

    def observe(
        self,
        pixels: NDArray[np.uint8],
        covariates: NDArray[np.float32] | None = None,
        sizes: NDArray[np.int64] = NO_SIZES,
    ) -> Observed:
        """Everything that is known of a batch of prepared squares, not yet judged.

        Args:
            pixels: Shape (N, S, S, 3), uint8, RGB, 0-255.
            covariates: Shape (N, covariate_dim), float32; None when nothing is known beside the images.
            sizes: Width and height of the original images in pixels, shape (N, 2), int64; of length 0 when they are
                not known.

        Returns:
            Answers as `predict_pixels` gives them, novelty (NaN when there is no reference) and the measures of each
            photograph.
        """
        return self.observe_features(pixels, covariates, sizes)[0]

    def observe_features(
        self,
        pixels: NDArray[np.uint8],
        covariates: NDArray[np.float32] | None = None,
        sizes: NDArray[np.int64] = NO_SIZES,
    ) -> tuple[Observed, NDArray[np.float32]]:
        """The same, and the features that the network saw it by, shape (N, F), float32; see `observe` and `look`."""
        answers, novelty, features = self._run(pixels, covariates)
        known = sizes if len(sizes) > 0 else np.full((len(pixels), 2), self.preprocess.size_px, dtype=np.int64)
        measured = [
            measure_photo(square, int(width), int(height))
            for square, (width, height) in zip(pixels, known, strict=True)
        ]
        return Observed(answers, novelty, _gather(measured)), features

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
        """Brings one image to the network's square; see `prepare_photo`.

        Args:
            source: Path of an image file, its bytes, or pixels of shape (H, W, 3), uint8, RGB, 0-255.
            name: What to call bytes or pixels in an error.

        Returns:
            Shape (S, S, 3), uint8, RGB, 0-255.

        Raises:
            ImageReadError: The image cannot be read.
        """
        return self.prepare_photo(source, name).square

    def prepare_photo(self, source: Path | str | bytes | NDArray[np.uint8], name: str = "image") -> Photo:
        """Brings one image to the network's square, and keeps how large it was.

        Args:
            source: Path of an image file, its bytes, or pixels of shape (H, W, 3), uint8, RGB, 0-255.
            name: What to call bytes or pixels in an error.

        Raises:
            ImageReadError: The image cannot be read.
        """
        return read_photo(source, self.preprocess, name)

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
        return self._run(pixels, covariates, with_novelty=False)[0]

    def look(
        self, pixels: NDArray[np.uint8], covariates: NDArray[np.float32] | None = None
    ) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """What the network says of a batch of prepared squares, before it is turned into answers.

        Args:
            pixels: Shape (N, S, S, 3), uint8, RGB, 0-255.
            covariates: Shape (N, covariate_dim), float32; None when nothing is known beside the images.

        Returns:
            Outputs of shape (N, outputs) and features of shape (N, F); an ensemble's features are those of its first
            network.
        """
        encoder = self.meaning.covariates
        if encoder is None:
            return self.engine.look(pixels, None)
        return self.engine.look(pixels, encoder.encode_missing(len(pixels)) if covariates is None else covariates)

    def _run(
        self, pixels: NDArray[np.uint8], covariates: NDArray[np.float32] | None, *, with_novelty: bool = True
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float32]]:
        outputs, features = self.look(pixels, covariates)
        answers = [self.finish(outputs)]
        answers += [
            self.finish(self.look(turn_images(pixels, view), covariates)[0])
            for view in range(1, self.description.views)
        ]
        novelty = np.full(len(pixels), np.nan)
        if with_novelty and self.novelty is not None:
            # Of the image as it is: the training images, which it is compared with, were not turned either.
            novelty = self.novelty.score(features, outputs)
        return np.mean(answers, axis=0), novelty, features

    def finish(self, outputs: NDArray[np.float64]) -> NDArray[np.float64]:
        """From what the network says to what the user reads.

        Args:
            outputs: Logits of shape (N, classes), or numbers on the learned scales of shape (N, targets).

        Returns:
            Probabilities of shape (N, classes), or values of shape (N, targets) in the users' units.
        """
        return self.meaning.answer(outputs)

    def _word(
        self, path: str, observed: Observed, judged: Judged | None, row: int, remarks: tuple[str, ...]
    ) -> Prediction:
        answer = observed.answers[row] if judged is None else judged.answers[row]
        novelty = float(observed.novelty[row])
        fields: dict[str, Any] = {"novelty": None if np.isnan(novelty) else novelty, "remarks": remarks}
        if judged is not None:
            fields["verdict"] = _VERDICTS[judged.verdict[row]].value
            fields["reasons"] = tuple(reason for place, reason in enumerate(REASONS) if judged.reasons[row, place])
        if self.description.task is Task.regression:
            return self._word_values(path, answer, judged, row, fields)
        names = self.description.class_names
        best = int(answer.argmax())
        if judged is not None and judged.sets is not None:
            fields["label_set"] = tuple(names[place] for place in np.flatnonzero(judged.sets[row]))
        probabilities = dict(zip(names, answer.tolist(), strict=True))
        return Prediction(
            path, label=names[best], probability=float(answer[best]), probabilities=probabilities, **fields
        )

    def _word_values(
        self, path: str, answer: NDArray[np.float64], judged: Judged | None, row: int, fields: dict[str, Any]
    ) -> Prediction:
        units = self.description.units
        if judged is not None and judged.lower is not None and judged.upper is not None:
            for key, ends in (("lower", judged.lower[row]), ("upper", judged.upper[row])):
                known = {name: float(end) for name, end in zip(units, ends, strict=True) if np.isfinite(end)}
                fields[f"{key}s"] = known
                fields[key] = known.get(self.description.target_name)
        values = dict(zip(units, answer.tolist(), strict=True))
        return Prediction(
            path, value=float(answer[0]), unit=self.description.unit, values=values, units=units, **fields
        )


def _gather(measured: Sequence[Mapping[str, float]]) -> dict[str, NDArray[np.float64]]:
    return {name: np.array([one[name] for one in measured], dtype=np.float64) for name in MEASURES}

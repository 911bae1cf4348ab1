"""What an estimator has learned: a network for pictures, or a head for rows of numbers."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np
import timm
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from phytoscope.data.cache.feature_cache import number_image
from phytoscope.errors import DataValidationError, TrainingError
from phytoscope.estimators.memory import MEMORY
from phytoscope.estimators.pictures import Pictures
from phytoscope.estimators.random_state import seeded
from phytoscope.models.adapters.hashing import hash_backbone
from phytoscope.models.meaning import Meaning
from phytoscope.models.network import PlantNetwork
from phytoscope.models.runtime import PooledFeatures, build_extractor
from phytoscope.predict.predictor import Predictor
from phytoscope.schema.artifact import hash_content
from phytoscope.schema.choices import Runtime
from phytoscope.schema.package import ModelDescription
from phytoscope.transforms.augment import Augmentation
from phytoscope.transforms.preprocess import Preprocess


@dataclass(frozen=True)
class Changes:
    """Random changes of pictures that are learned from.

    Attributes:
        augmentation: The changes.
        views: Changed views of each picture, beside the picture as it is.
        name: Their preset and seed, under which features are remembered.
    """

    augmentation: Augmentation
    views: int
    name: str


class FeatureReader:
    """Gives the features of pictures, and remembers them for this process."""

    def __init__(self, network: PlantNetwork, preprocess: Preprocess, device: torch.device | None = None) -> None:
        """Takes the network as it is now.

        Args:
            network: Its backbone gives the features; it is copied where it computes, and not changed.
            preprocess: How pictures become squares.
            device: Where the features are computed; the processor when None.
        """
        self._network, self._preprocess, self._device = network, preprocess, device
        # The weights alone do not say what is done with them.
        structure = [str(network.backbone), timm.__version__, preprocess.to_dict()]
        self._key = hash_content([hash_backbone(network.backbone), structure])

    def read(self, pictures: Pictures, changes: Changes | None = None) -> NDArray[np.float32]:
        """Features of pictures.

        Args:
            pictures: The pictures, n of them.
            changes: Changed views that are wanted, too; only pictures as they are when None.

        Returns:
            Array of shape (n, 1 + views, feature_dim), float32: of each picture as it is, and of its changed views.

        Raises:
            ImageReadError: A picture cannot be read.
            TrainingError: A feature is not a finite number.
        """
        views = 0 if changes is None else changes.views
        names = ["", *(f"{changes.name} {view}" for view in range(1, 1 + views))] if changes is not None else [""]
        keys = {sha256: [(self._key, name, sha256) for name in names] for sha256 in pictures.sha256}
        found = MEMORY.recall(key for row in keys.values() for key in row)
        # A picture that comes twice is computed once.
        places = {sha256: place for place, sha256 in enumerate(pictures.sha256)}
        missing = [place for sha256, place in places.items() if any(key not in found for key in keys[sha256])]
        if missing:
            extractor = build_extractor(
                PooledFeatures(self._network), self._preprocess.size_px, Runtime.torch, device=self._device
            )
            for first in range(0, len(missing), extractor.batch_size):
                batch = missing[first : first + extractor.batch_size]
                squares = pictures.read_squares(batch, self._preprocess)
                named = [pictures.sha256[place] for place in batch]
                for view in range(1 + views):
                    rows = [row for row, sha256 in enumerate(named) if keys[sha256][view] not in found]
                    if rows:
                        seen = _change(squares[rows], changes, view)
                        computed = _check(extractor.infer(seen))
                        found |= {keys[named[row]][view]: computed[place] for place, row in enumerate(rows)}
                for key in (key for sha256 in named for key in keys[sha256]):
                    MEMORY.keep(key, found[key])
        return np.stack([np.stack([found[key] for key in keys[sha256]]) for sha256 in pictures.sha256])


def _change(squares: NDArray[np.uint8], changes: Changes | None, view: int) -> NDArray[np.uint8]:
    if changes is None or view == 0:
        return squares
    # By the pixels, so that it does not matter whether a picture came as a file.
    numbers = [number_image(hashlib.sha256(square.tobytes()).hexdigest()) for square in squares]
    pairs = zip(squares, numbers, strict=True)
    return np.stack([changes.augmentation(square, index=number, epoch=view) for square, number in pairs])


def _check(features: NDArray[np.float32]) -> NDArray[np.float32]:
    if not np.isfinite(features).all():
        message = (
            "the backbone gives features that are not finite numbers: its weights are damaged, or they are not made "
            "for this backbone."
        )
        raise TrainingError(message)
    return features


class RowNetwork(PlantNetwork):
    """A head alone: what goes in are features."""

    def __init__(self, width: int, outputs: int) -> None:
        """Builds the head.

        Args:
            width: Numbers in a row.
            outputs: Number of classes, or of numbers to predict.
        """
        nn.Module.__init__(self)
        self.backbone = nn.Identity()
        self.feature_dim, self.covariate_dim = width, 0
        self.dropout, self.covariate_dropout = nn.Dropout(0.0), nn.Identity()
        self.head = nn.Linear(width, outputs)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def features(self, images: Tensor) -> Tensor:
        """Gives the rows as they came, shape (N, width), float32."""
        return images


def _apply_head(network: PlantNetwork, features: NDArray[np.float32]) -> NDArray[np.float64]:
    # In 64 bits, because in 32 the last digits of an answer depend on the rows beside it.
    weight, bias = (value.detach().double().numpy() for value in (network.head.weight, network.head.bias))
    outputs: NDArray[np.float64] = features.astype(np.float64) @ weight.T + bias
    return outputs


@dataclass(frozen=True, eq=False)
class RowModel:
    """A head for rows of numbers.

    Attributes:
        network: The head.
        meaning: What its outputs are.
        middle: Mean of each column of the training rows, shape (width,), float64.
        spread: Standard deviation of each column there, shape (width,), float64; 1 where it never changes.
    """

    network: RowNetwork
    meaning: Meaning
    middle: NDArray[np.float64]
    spread: NDArray[np.float64]

    def compute(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Answers for rows of shape (n, width): probabilities (n, classes) or values (n, 1), float64."""
        return self.meaning.answer(_apply_head(self.network, standardise(rows, self.middle, self.spread)))


def standardise(
    rows: NDArray[np.float64], middle: NDArray[np.float64], spread: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Brings columns to mean 0 and deviation 1 before half of their digits are dropped.

    Args:
        rows: Shape (n, width).
        middle: What is subtracted from each column, shape (width,).
        spread: What each column is divided by, shape (width,).

    Returns:
        Shape (n, width), float32.
    """
    return np.asarray((rows - middle) / spread, dtype=np.float32)


@dataclass(frozen=True, eq=False)
class PictureModel:
    """A network for pictures, as a package holds it.

    Attributes:
        predictor: The network with everything around it.
        examples: Some squares that it learned from, shape (m, S, S, 3), uint8, RGB, 0-255.
        reader: Gives its features.
    """

    predictor: Predictor
    examples: NDArray[np.uint8]
    reader: FeatureReader = field(repr=False)

    def compute(self, pictures: Pictures) -> NDArray[np.float64]:
        """Answers for n pictures: probabilities of shape (n, classes), 0-1, or values of shape (n, 1); float64."""
        features = self.reader.read(pictures)[:, 0]
        network, meaning = self.predictor.first_member
        return meaning.answer(_apply_head(network, features))

    def __reduce__(self) -> tuple[Callable[..., "PictureModel"], tuple[Any, ...]]:
        """Pickles the numbers and not the modules of other libraries, which need not be able to."""
        state = {name: value.numpy() for name, value in self.predictor.network.state_dict().items()}
        return rebuild_model, (self.predictor.description.to_dict(), state, self.examples)


def build_model(
    description: ModelDescription,
    state: dict[str, Tensor],
    examples: NDArray[np.uint8],
    device: torch.device | None = None,
) -> PictureModel:
    """Puts a trained network together.

    Args:
        description: What the model is.
        state: Its parameters, each in its own shape.
        examples: Some squares that it learned from, shape (m, S, S, 3), uint8.
        device: Where features are computed; the processor when None.
    """
    # Its numbers are drawn before they are filled in.
    with seeded():
        predictor = Predictor(description, state)
    network, _ = predictor.first_member
    return PictureModel(predictor, examples, FeatureReader(network, predictor.preprocess, device))


def rebuild_model(
    description: dict[str, Any], state: dict[str, NDArray[Any]], examples: NDArray[np.uint8]
) -> PictureModel:
    """Undoes `PictureModel.__reduce__`; features are computed on the processor then.

    Args:
        description: Of the network, as plain values.
        state: Each parameter and buffer of the network, in its shape.
        examples: Squares that a package must answer as before, shape (n, H, W, 3), uint8.
    """
    # Memory that several processes share may not be written to, and torch wants memory that may.
    tensors = {name: torch.from_numpy(np.array(value)) for name, value in state.items()}
    return build_model(ModelDescription.from_dict(description), tensors, examples)


def refuse_other_kind(given: Any) -> NoReturn:
    """Refuses pictures where rows of numbers were learned from, and the other way round.

    Args:
        given: What shall be answered.

    Raises:
        DataValidationError: Always.
    """
    if isinstance(given, Pictures):
        learned, now = "rows of numbers", "pictures"
    else:
        learned, now = "pictures", f"something else ({type(given).__name__})"
    message = f"this estimator learned from {learned}, but X holds {now}: give it {learned}."
    raise DataValidationError(message)

"""Explanations: where in a picture a model's answer comes from, and whether that is the plant."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from phytoscope.errors import ConfigError, require
from phytoscope.models.ensemble import EnsembleMeaning, NetworkEnsemble
from phytoscope.models.explain.class_activation import CLASS_OF_METHOD, map_activations
from phytoscope.models.explain.feature_map import FeatureMap, find_feature_map
from phytoscope.models.explain.rollout import find_attentions, roll_out_attention
from phytoscope.models.meaning import Meaning
from phytoscope.models.network import PlantNetwork
from phytoscope.predict.heat_test import measure_heat
from phytoscope.predict.predictor import Predictor
from phytoscope.schema.explanation import LEAST_PLANT, Explanation, ExplanationMethod
from phytoscope.schema.table import Task
from phytoscope.transforms.plant_mask import mask_plant

BEST_METHOD: Final = ExplanationMethod.hires_cam
"""What did best in the deletion and insertion test on real photographs; see docs/guides/explanations.md."""
_BATCH = 16


@dataclass(frozen=True)
class _Member:
    """One network of the model, and the layer that is read."""

    network: PlantNetwork
    meaning: Meaning
    place: FeatureMap


class Explainer:
    """Draws heat maps for one model. It works on a copy of the network, so that the predictor stays as it is.

    Attributes:
        predictor: The model.
        method: How the maps are made; never `auto`.
    """

    def __init__(self, predictor: Predictor, method: ExplanationMethod = ExplanationMethod.auto) -> None:
        """Looks at the network.

        Args:
            predictor: The model.
            method: How the maps are made.

        Raises:
            ConfigError: The method does not fit the backbone, or the backbone keeps no map.
            MissingDependencyError: The method needs the package grad-cam, and it is not installed.
        """
        network = copy.deepcopy(predictor.network).eval().requires_grad_(False)
        networks = list(network.members) if isinstance(network, NetworkEnsemble) else [network]
        meaning = predictor.meaning
        meanings = meaning.members if isinstance(meaning, EnsembleMeaning) else (meaning,)
        self.predictor = predictor
        self.method = BEST_METHOD if method is ExplanationMethod.auto else method
        if self.method in CLASS_OF_METHOD:
            require("pytorch_grad_cam")
        size_px = predictor.preprocess.size_px
        self._members: list[_Member] = []
        for each, meant in zip(networks, meanings, strict=True):
            if not isinstance(each, PlantNetwork):
                message = f"a network of the kind {type(each).__name__} cannot be explained: take another model."
                raise ConfigError(message)
            if self.method is ExplanationMethod.attention_rollout and not find_attentions(each):
                message = (
                    f"the method attention_rollout needs a plain vision transformer, the model has the backbone "
                    f"{predictor.description.backbone!r}: choose another method, or auto."
                )
                raise ConfigError(message)
            self._members.append(_Member(each, meant, find_feature_map(each, size_px)))

    def explain(
        self,
        pixels: NDArray[np.uint8],
        covariates: NDArray[np.float32] | None = None,
        *,
        test: bool = True,
        seed: int = 0,
    ) -> list[Explanation]:
        """Explains the answer for each image: the predicted class, or the main number.

        Args:
            pixels: Prepared squares, shape (N, S, S, 3), uint8, RGB, 0-255.
            covariates: Shape (N, covariate_dim), float32, as the encoder gives them; None when nothing is known.
            test: Whether each map is compared with random ones, which takes about 70 answers an image.
            seed: Seed of the random maps.

        Returns:
            One entry an image.
        """
        encoder = self.predictor.meaning.covariates
        known = encoder.encode_missing(len(pixels)) if encoder is not None and covariates is None else covariates
        found: list[Explanation] = []
        for first in range(0, len(pixels), _BATCH):
            batch = slice(first, first + _BATCH)
            found += self._explain_batch(pixels[batch], None if known is None else known[batch], test, seed)
        return found

    def _explain_batch(
        self, pixels: NDArray[np.uint8], known: NDArray[np.float32] | None, test: bool, seed: int
    ) -> list[Explanation]:
        description = self.predictor.description
        answers = self.predictor.predict_pixels(pixels, known)
        is_class = description.task is Task.classification
        if is_class and self.predictor.trust is not None:
            # Calibration by class may change which class is said.
            answers = self.predictor.trust.calibration.apply(answers)
        chosen = answers.argmax(axis=1) if is_class else np.zeros(len(pixels), dtype=np.int64)
        names = [description.class_names[place] if is_class else description.target_name for place in chosen]
        heats = self._draw(pixels, known, names)
        side = max(member.place.side for member in self._members)
        explanations = []
        for row, (square, heat) in enumerate(zip(pixels, heats, strict=True)):
            mask = mask_plant(square)
            about = None if known is None else known[row : row + 1]
            place = int(chosen[row])

            def answer(
                squares: NDArray[np.uint8], about: NDArray[np.float32] | None = about, place: int = place
            ) -> NDArray[np.float64]:
                rows = None if about is None else np.repeat(about, len(squares), axis=0)
                return self.predictor.predict_pixels(squares, rows)[:, place]

            explanations.append(
                Explanation(
                    heat=heat,
                    method=self.method,
                    explained=names[row],
                    outside_plant=measure_outside(heat, mask, side),
                    plant_share=float(mask.mean()),
                    test=measure_heat(square, heat, answer, seed=seed) if test and heat.any() else None,
                )
            )
        return explanations

    def _draw(
        self, pixels: NDArray[np.uint8], known: NDArray[np.float32] | None, names: Sequence[str]
    ) -> NDArray[np.float32]:
        """Mean of the members' maps, shape (N, S, S), brought to 0-1."""
        images = torch.from_numpy(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2)
        total = np.zeros(pixels.shape[:3], dtype=np.float32)
        start = 0
        for member in self._members:
            width = member.network.covariate_dim
            part = None if known is None else torch.from_numpy(known[:, start : start + width])
            start += width
            classes = member.meaning.class_names
            # A member that has never seen the class has nothing to say about it.
            has = np.array([not classes or name in classes for name in names])
            if not has.any():
                continue
            outputs = [
                classes.index(name) if classes else 0 for name, known_to in zip(names, has, strict=True) if known_to
            ]
            if self.method is ExplanationMethod.attention_rollout:
                total[has] += roll_out_attention(member.network, images[has])
            else:
                about = None if part is None else part[has]
                total[has] += map_activations(member.network, member.place, images[has], about, outputs, self.method)
        highest = total.max(axis=(1, 2), keepdims=True)
        scaled: NDArray[np.float32] = np.divide(total, highest, out=np.zeros_like(total), where=highest > 0)
        return scaled


def explain_images(
    predictor: Predictor,
    pixels: NDArray[np.uint8],
    covariates: NDArray[np.float32] | None = None,
    *,
    method: ExplanationMethod = ExplanationMethod.auto,
    test: bool = True,
    seed: int = 0,
) -> list[Explanation]:
    """Explains the answers of a model for some images; see `Explainer`.

    Args:
        predictor: The model.
        pixels: Prepared squares, shape (N, S, S, 3), uint8, RGB, 0-255.
        covariates: Shape (N, covariate_dim), float32; None when nothing is known.
        method: How the maps are made.
        test: Whether each map is compared with random ones.
        seed: Seed of the random maps.

    Raises:
        ConfigError: The method does not fit the backbone, or the backbone keeps no map.
        MissingDependencyError: The method needs the package grad-cam, and it is not installed.
    """
    return Explainer(predictor, method).explain(pixels, covariates, test=test, seed=seed)


def measure_outside(heat: NDArray[np.float32], mask: NDArray[np.bool_], side: int) -> float | None:
    """Share of the heat outside the plant.

    The plant is first widened by half a place of the network's map, because the map cannot be finer than that.

    Args:
        heat: Shape (S, S), float32, 0 or above.
        mask: Shape (S, S), bool, True for plant.
        side: Places of the network's map along one side.

    Returns:
        0-1; None when there is no plant, or no heat.
    """
    total = float(heat.sum(dtype=np.float64))
    if mask.mean() < LEAST_PLANT or total <= 0:
        return None
    reach = max(1, len(heat) // (2 * side))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    near = cv2.dilate(mask.astype(np.uint8), kernel) > 0
    return float(heat[~near].sum(dtype=np.float64)) / total

"""Heat maps from activations and gradients, by the grad-cam package."""

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from phytoscope.errors import require
from phytoscope.models.explain.feature_map import FeatureMap
from phytoscope.models.network import PlantNetwork
from phytoscope.schema.explanation import ExplanationMethod

CLASS_OF_METHOD = {
    ExplanationMethod.grad_cam: "GradCAM",
    ExplanationMethod.hires_cam: "HiResCAM",
    ExplanationMethod.layer_cam: "LayerCAM",
    ExplanationMethod.eigen_cam: "EigenCAM",
}
"""Names in the grad-cam package."""


class _Answers(nn.Module):
    """A network that is given the images alone."""

    def __init__(self, network: PlantNetwork, covariates: Tensor | None) -> None:
        super().__init__()
        self.network = network
        self.covariates = covariates

    def forward(self, images: Tensor) -> Tensor:
        outputs: Tensor = self.network(images, self.covariates)
        return outputs


def map_activations(
    network: PlantNetwork,
    place: FeatureMap,
    images: Tensor,
    covariates: Tensor | None,
    outputs: Sequence[int],
    method: ExplanationMethod,
) -> NDArray[np.float32]:
    """Draws the places that speak for one output of each image.

    Args:
        network: In evaluation mode; its parameters need no gradient, and get none.
        place: The layer to read, from `find_feature_map`.
        images: Shape (N, 3, S, S), uint8, RGB, 0-255.
        covariates: Shape (N, covariate_dim), float32; None when the network sees the images alone.
        outputs: Which output of each image is explained, N entries.
        method: One of the CAM methods.

    Returns:
        Shape (N, S, S), float32, 0-1, 1 at the hottest pixel of each image; all 0 where nothing speaks for the output.

    Raises:
        MissingDependencyError: The package grad-cam is not installed.
    """
    package: Any = require("pytorch_grad_cam")
    # The gradient of the pixels is what makes gradients flow at all, since no parameter needs one.
    cam = getattr(package, CLASS_OF_METHOD[method])(
        _Answers(network, covariates), [network.get_submodule(place.name)], reshape_transform=place.arrange
    )
    cam.compute_input_gradient = True
    try:
        with torch.enable_grad():
            heat = cam(input_tensor=images.float(), targets=[functools.partial(_pick, index=each) for each in outputs])
    finally:
        cam.activations_and_grads.release()
    return np.ascontiguousarray(heat, dtype=np.float32)


def _pick(output: Tensor, *, index: int) -> Tensor:
    return output[index]

"""The network in torch, as it was trained."""

import numpy as np
import torch
from numpy.typing import NDArray

from phytoscope.models.ensemble import NetworkEnsemble
from phytoscope.models.network import PlantNetwork
from phytoscope.predict.engines.engine import Engine
from phytoscope.schema.choices import Precision, Runtime

_BATCH = 16


def build_torch_engine(network: PlantNetwork | NetworkEnsemble) -> Engine:
    """Runs a network in torch on the processor.

    Args:
        network: In evaluation mode; it is used as it is, not copied.
    """

    def look(
        pixels: NDArray[np.uint8], covariates: NDArray[np.float32] | None
    ) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        with torch.inference_mode():
            images = torch.from_numpy(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2)
            known = None if covariates is None else torch.from_numpy(covariates)
            outputs, features = network.look(images, known)
            return outputs.double().numpy(), features.float().numpy()

    return Engine(Runtime.torch, Precision.float32, _BATCH, 1, look)

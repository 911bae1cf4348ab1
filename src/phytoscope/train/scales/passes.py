"""What a network answers on samples as they are, without augmentation."""

import numpy as np
import torch
from numpy.typing import NDArray

from phytoscope.data.datamodule import Samples
from phytoscope.models.network import PlantNetwork

_BATCH_SIZE = 32


def compute_outputs(network: PlantNetwork, samples: Samples) -> NDArray[np.float64]:
    """What a network answers on samples.

    Args:
        network: The network, where it lies; it is in the mode it was in afterwards.
        samples: The samples.

    Returns:
        Shape (N, outputs), float64: logits, or numbers on the learned scales.
    """
    device = network.mean.device
    seen = samples.covariates if len(samples.covariates) > 0 else np.zeros((len(samples), 0), dtype=np.float32)
    was_training = network.training
    network.eval()
    found = []
    try:
        with torch.inference_mode():
            for start in range(0, len(samples), _BATCH_SIZE):
                place = slice(start, start + _BATCH_SIZE)
                pixels = np.ascontiguousarray(samples.pixels[samples.rows[place]])
                images = torch.from_numpy(pixels).permute(0, 3, 1, 2).to(device)
                found.append(network(images, torch.from_numpy(seen[place]).to(device)).double().cpu().numpy())
    finally:
        network.train(was_training)
    return np.concatenate(found)

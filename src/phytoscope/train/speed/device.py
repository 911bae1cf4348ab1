"""Where a network computes."""

import torch

from phytoscope.schema.train_config import TrainerConfig


def choose_device(config: TrainerConfig) -> torch.device:
    """Device for work that Lightning does not do: a GPU where the settings allow one and there is one.

    Args:
        config: `accelerator` is read.
    """
    if config.accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device("cpu")

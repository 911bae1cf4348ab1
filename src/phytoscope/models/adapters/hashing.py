"""Which backbone an adapter belongs to."""

import hashlib

import torch
from torch import nn


def hash_backbone(backbone: nn.Module) -> str:
    """SHA-256 of the parameters and statistics of a backbone, to be taken before it is adapted.

    Args:
        backbone: A timm model without its classifier.

    Returns:
        64 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for name, value in sorted(backbone.state_dict().items()):
        # How many batches a norm has seen changes no answer, and some files of weights leave it out.
        if name.endswith("num_batches_tracked"):
            continue
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()

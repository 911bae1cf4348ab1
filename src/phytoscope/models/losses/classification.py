"""Losses of classes."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from phytoscope.schema.config import ClassWeighting, TaskConfig


class ClassificationLoss(nn.Module):
    """Cross-entropy with class weights and label smoothing.

    Its buffer `class_weights` has the shape (classes,).
    """

    class_weights: Tensor

    def __init__(self, config: TaskConfig, class_counts: Tensor) -> None:
        """Takes the settings and how often each class occurs.

        Args:
            config: Weighting, smoothing, focus, adjustment.
            class_counts: Training images of each class, shape (classes,), int64; one without any gets weight 0.
        """
        super().__init__()
        weights = balance_classes(class_counts)
        if config.class_weighting is ClassWeighting.none:
            weights = (weights > 0).float()
        self.register_buffer("class_weights", weights, persistent=False)
        self._smoothing = config.label_smoothing

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Computes the loss.

        Args:
            logits: Shape (N, classes).
            target: Class indices of shape (N,), int64.

        Returns:
            A scalar.
        """
        return functional.cross_entropy(logits, target, self.class_weights, label_smoothing=self._smoothing)


def balance_classes(class_counts: Tensor) -> Tensor:
    """Weights that let every class count the same in the loss.

    Args:
        class_counts: Images of each class, shape (classes,), int64.

    Returns:
        Shape (classes,), float32: images / (present classes x images of the class); 0 for a class without an image.
    """
    counts = class_counts.double()
    present = counts > 0
    weights = torch.zeros_like(counts)
    weights[present] = counts.sum() / (present.sum() * counts[present])
    return weights.float()

"""Losses of classes."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from phytoscope.schema.choices import ClassWeighting
from phytoscope.schema.train_config import TaskConfig

EFFECTIVE_BETA = 0.999
"""Beta of the effective number of images (Cui 2019): beyond about 1 / (1 - beta) images a class gains no more."""


class ClassificationLoss(nn.Module):
    """Cross-entropy with class weights, label smoothing, focus on hard images and an adjustment to class frequencies.

    Its buffers `class_weights` and `adjustment` have the shape (classes,).
    """

    class_weights: Tensor
    adjustment: Tensor

    def __init__(self, config: TaskConfig, class_counts: Tensor) -> None:
        """Takes the settings and how often each class occurs.

        Args:
            config: Weighting, smoothing, focus, adjustment.
            class_counts: Training images of each class, shape (classes,), int64; one without any gets weight 0.
        """
        super().__init__()
        self.register_buffer("class_weights", weigh_classes(class_counts, config.class_weighting), persistent=False)
        # A class without an image has no frequency; the smallest possible one keeps the logarithm finite.
        counts = class_counts.double().clamp(min=1)
        frequencies = (counts / counts.sum()).log().float()
        self.register_buffer("adjustment", config.logit_adjustment * frequencies, persistent=False)
        self._smoothing = config.label_smoothing
        self._gamma = config.focal_gamma

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Computes the loss.

        Logits are adjusted to class frequencies only in training mode.

        Args:
            logits: Shape (N, classes).
            target: Class indices of shape (N,), int64, or probabilities of shape (N, classes), float32.

        Returns:
            A scalar: the weighted sum over all images by the sum of their weights.
        """
        classes = logits.shape[1]
        probs = functional.one_hot(target, classes).float() if target.ndim == 1 else target
        if self.training:
            logits = logits + self.adjustment
        log_probs = functional.log_softmax(logits, dim=1)
        wanted = (1 - self._smoothing) * probs + self._smoothing / classes
        losses = -wanted * log_probs
        if self._gamma > 0:
            losses = losses * (1 - log_probs.exp()) ** self._gamma
        return (losses * self.class_weights).sum() / self.weigh(probs)

    def weigh(self, target: Tensor) -> Tensor:
        """Sum of the weights that the loss of a batch is divided by: how much a part counts among others.

        Args:
            target: Class indices of shape (N,), int64, or probabilities of shape (N, classes), float32.

        Returns:
            A scalar, at least 0.
        """
        if target.ndim == 1:
            return self.class_weights[target].sum()
        return (target * self.class_weights).sum()


def weigh_classes(class_counts: Tensor, weighting: ClassWeighting) -> Tensor:
    """Weights of the classes in the loss.

    Args:
        class_counts: Images of each class, shape (classes,), int64.
        weighting: In which way.

    Returns:
        Shape (classes,), float32; 0 for a class without an image.
    """
    if weighting is ClassWeighting.balanced:
        return balance_classes(class_counts)
    if weighting is ClassWeighting.effective:
        return weigh_by_effective_number(class_counts)
    return (class_counts > 0).float()


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


def weigh_by_effective_number(class_counts: Tensor, beta: float = EFFECTIVE_BETA) -> Tensor:
    """Weights by the inverse of the effective number of images, (1 - beta^n) / (1 - beta).

    The source is Cui 2019, doi 10.1109/CVPR.2019.00949.

    Args:
        class_counts: Images of each class, shape (classes,), int64.
        beta: From 0 (all classes the same) to below 1 (towards the inverse frequency).

    Returns:
        Shape (classes,), float32: their sum is the number of classes with images; 0 for a class without an image.
    """
    counts = class_counts.double()
    present = counts > 0
    weights = torch.zeros_like(counts)
    weights[present] = (1 - beta) / (1 - beta ** counts[present])
    return (weights * present.sum() / weights.sum()).float()

"""Losses of numbers."""

from torch import Tensor, nn
from torch.nn import functional

from phytoscope.schema.config import RegressionLoss, TaskConfig


class ValueLoss(nn.Module):
    """Loss of several numbers at once; those that a row lacks do not count."""

    def __init__(self, config: TaskConfig) -> None:
        """Takes the settings.

        Args:
            config: Which loss.
        """
        super().__init__()
        self._kind = config.loss

    def forward(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Computes the loss.

        Args:
            outputs: Shape (N, targets), the learned scales.
            target: Shape (N, targets), what `TargetScale.forward` gave; NaN where a row lacks the number.

        Returns:
            A scalar: the mean over all numbers that are there.
        """
        known = target.isfinite()
        given, answered = target[known], outputs[known]
        if self._kind is RegressionLoss.mse:
            return functional.mse_loss(answered, given)
        return functional.huber_loss(answered, given)

"""Losses of numbers."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from phytoscope.models.target import LINK_LIMIT, TargetScale
from phytoscope.schema.choices import RegressionLoss
from phytoscope.schema.train_config import TaskConfig


class ValueLoss(nn.Module):
    """Loss of several numbers at once; those that a row lacks do not count.

    Every number that is there counts the same, whatever its unit: errors are measured on standardised scales, and
    deviances are divided by about what a constant answer would get. Its buffer `spreads` has the shape (targets,).
    """

    spreads: Tensor

    def __init__(self, config: TaskConfig, scales: Sequence[TargetScale] = ()) -> None:
        """Takes the settings.

        Args:
            config: Which loss.
            scales: Scales of the targets, in their order; gamma and tweedie read their factors, 1 when left out.
        """
        super().__init__()
        self._kind = config.loss
        self._quantile = config.quantile
        self._power = config.tweedie_power
        spreads = torch.tensor([scale.std for scale in scales] or [1.0], dtype=torch.float32)
        self.register_buffer("spreads", spreads, persistent=False)

    def forward(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Computes the loss.

        Args:
            outputs: Shape (N, targets), the learned scales.
            target: Shape (N, targets), what `TargetScale.forward` gave; NaN where a row lacks the number.

        Returns:
            A scalar: the mean over all numbers that are there, 0 when there are none.
        """
        known = target.isfinite()
        if not bool(known.any()):
            # A batch without a single number moves nothing, and the mean over nothing would be NaN.
            return (outputs * 0).sum()
        # The squares and powers of numbers need more digits than half precision has.
        given, answered = target[known].float(), outputs[known].float()
        if self._kind is RegressionLoss.mse:
            return functional.mse_loss(answered, given)
        if self._kind is RegressionLoss.huber:
            return functional.huber_loss(answered, given)
        if self._kind is RegressionLoss.quantile:
            missed = given - answered
            return torch.maximum(self._quantile * missed, (self._quantile - 1) * missed).mean()
        spread = self.spreads.to(outputs.device).expand_as(outputs)[known]
        logs = (spread * answered).clamp(-LINK_LIMIT, LINK_LIMIT)
        return (self._deviance(given, logs) / spread.square()).mean()

    def weigh(self, target: Tensor) -> Tensor:
        """How many numbers the loss of a batch is the mean of: how much a part counts among others.

        Args:
            target: Shape (N, targets); NaN where a row lacks the number.

        Returns:
            A scalar, at least 0.
        """
        return target.isfinite().sum()

    def _deviance(self, given: Tensor, logs: Tensor) -> Tensor:
        if self._kind is RegressionLoss.gamma:
            tiny = torch.finfo(given.dtype).tiny
            return 2 * (given * torch.exp(-logs) - 1 + logs - given.clamp_min(tiny).log())
        power = self._power
        expected = torch.exp((2 - power) * logs) / (2 - power)
        fitted = given * torch.exp((1 - power) * logs) / (1 - power)
        return 2 * (expected - fitted + given.clamp_min(0) ** (2 - power) / ((1 - power) * (2 - power)))

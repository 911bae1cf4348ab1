"""The axes on which a head is fitted: standardised features, turned to their principal directions."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

_CHUNK = 8192
# Directions that vary less than this share of the largest one hold rounding errors of half precision and no more.
_SMALLEST_SHARE = 1e-6
_SMALLEST_STD_SHARE = 1e-3


@dataclass(frozen=True)
class Axes:
    """A change of coordinates that makes the Hessian of a squared loss a diagonal matrix.

    A penalty on the sum of squared weights is the same before and after the rotation, so the solution is, too; but a
    quasi-Newton method that knows the diagonal gets there in a few steps.

    Attributes:
        mean: Mean of each input, shape (D,).
        std: Standard deviation of each input, shape (D,); 1 where an input never changes.
        rotation: Principal directions of the standardised inputs, shape (D, R).
        variances: Variance along each of them, shape (R,), largest first.
    """

    mean: Tensor
    std: Tensor
    rotation: Tensor
    variances: Tensor

    def turn(self, inputs: Tensor) -> Tensor:
        """Brings inputs to these axes.

        Args:
            inputs: Shape (N, D), any float type.

        Returns:
            Shape (N, R), float32.
        """
        turned = torch.empty(len(inputs), self.rotation.shape[1], device=inputs.device)
        for place, chunk in _iterate_chunks(inputs):
            torch.matmul((chunk - self.mean) / self.std, self.rotation, out=turned[place : place + len(chunk)])
        return turned

    def fold(self, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """Brings a head that was fitted on these axes back to the inputs.

        Args:
            weight: Shape (R, outputs).
            bias: Shape (outputs,).

        Returns:
            Weight of shape (outputs, D) and bias of shape (outputs,), as `nn.Linear` has them.
        """
        folded = (self.rotation.double() @ weight.double()) / self.std.double()[:, None]
        return folded.T.float(), (bias.double() - self.mean.double() @ folded).float()


def fit_axes(inputs: Tensor) -> Axes:
    """Finds the axes of inputs.

    Args:
        inputs: Shape (N, D), any float type, N of 1 or more.
    """
    count, dim = inputs.shape
    total = torch.zeros(dim, dtype=torch.float64, device=inputs.device)
    for _, chunk in _iterate_chunks(inputs):
        total += chunk.sum(dim=0, dtype=torch.float64)
    mean = (total / count).float()
    products = torch.zeros(dim, dim, dtype=torch.float64, device=inputs.device)
    for _, chunk in _iterate_chunks(inputs):
        centred = chunk - mean
        products += (centred.T @ centred).double()
    covariance = products / count
    std = covariance.diagonal().clamp_min(0).sqrt()
    # An input that hardly ever changes would be blown up by its own rarity.
    varying = std > _SMALLEST_STD_SHARE * std.mean()
    std = torch.where(varying, std, torch.ones_like(std))
    correlation = torch.where(varying[:, None] & varying, covariance / std[:, None] / std, 0.0)
    variances, rotation = torch.linalg.eigh(correlation)
    kept = variances > _SMALLEST_SHARE * variances.max().clamp_min(1e-12)
    return Axes(mean, std.float(), rotation[:, kept].flip(1).float(), variances[kept].flip(0).float())


def _iterate_chunks(inputs: Tensor) -> Iterator[tuple[int, Tensor]]:
    for place in range(0, len(inputs), _CHUNK):
        yield place, inputs[place : place + _CHUNK].float()

"""Covariates that are hidden now and then while training, so that a network also answers without them."""

import torch
from torch import Tensor, nn

DROPPED = 0.1
"""Share of the columns of each sample that are hidden while training."""


class CovariateDropout(nn.Module):
    """Hides each column of each sample with the same chance, independently; does nothing outside of training.

    Its buffers hold a row of which nothing is known, shape (covariate_dim,), and the numbers of each column, shape
    (columns,).
    """

    _missing: Tensor
    _sizes: Tensor

    def __init__(self, sizes: tuple[int, ...], share: float = DROPPED) -> None:
        """Takes the layout of the covariates.

        Args:
            sizes: Numbers that each column becomes; the last of them is the sign that it is missing.
            share: Share of the columns that are hidden, 0-1.
        """
        super().__init__()
        self.share = share
        blocks = [torch.tensor([0.0] * (size - 1) + [1.0]) for size in sizes]
        self.register_buffer("_missing", torch.cat(blocks) if blocks else torch.zeros(0), persistent=False)
        self.register_buffer("_sizes", torch.tensor(sizes, dtype=torch.int64), persistent=False)

    def forward(self, covariates: Tensor) -> Tensor:
        """Hides columns.

        Args:
            covariates: Shape (N, covariate_dim), float32, as the encoder gave them.

        Returns:
            The same shape; a hidden column is encoded as a missing one.
        """
        if not self.training or self.share == 0:
            return covariates
        chance = torch.rand(len(covariates), len(self._sizes), device=covariates.device)
        hidden = (chance < self.share).repeat_interleave(self._sizes, dim=1)
        return torch.where(hidden, self._missing.to(covariates.dtype), covariates)

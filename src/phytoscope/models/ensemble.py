"""Several networks that answer together, as one network whose outputs are those of all of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from phytoscope.models.covariates import CovariateEncoder
from phytoscope.models.meaning import Meaning
from phytoscope.models.network import PlantNetwork

MEMBER_PREFIX = "members."


class NetworkEnsemble(nn.Module):
    """Networks side by side; takes what a `PlantNetwork` takes.

    Its outputs are those of the members one after the other and not their mean: each member has learned on a scale of
    its own, and what is averaged are answers (see `EnsembleMeaning`).

    Attributes:
        members: The networks.
        covariate_dim: Numbers that are seen beside the image, over all members.
    """

    def __init__(self, members: Sequence[PlantNetwork]) -> None:
        """Takes the networks.

        Args:
            members: Trained networks without adapters.
        """
        super().__init__()
        self.members = nn.ModuleList(members)
        self._dims = tuple(member.covariate_dim for member in members)
        self.covariate_dim = sum(self._dims)

    def forward(self, images: Tensor, covariates: Tensor | None = None) -> Tensor:
        """Computes the outputs of every member.

        Args:
            images: Shape (N, 3, S, S), uint8, RGB, 0-255.
            covariates: Shape (N, covariate_dim), float32, as the encoder of the ensemble gave them; not read when
                `covariate_dim` is 0.

        Returns:
            Shape (N, sum of the members' outputs), float32.
        """
        return self.look(images, covariates)[0]

    def look(self, images: Tensor, covariates: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Computes the outputs of every member and the pooled features of the first.

        Args:
            images: Shape (N, 3, S, S), uint8, RGB, 0-255.
            covariates: Shape (N, covariate_dim), float32; not read when `covariate_dim` is 0.

        Returns:
            Shapes (N, sum of the members' outputs) and (N, feature_dim), float32.
        """
        parts = (
            [None] * len(self._dims) if covariates is None else list(torch.split(covariates, list(self._dims), dim=1))
        )
        seen = [
            cast("PlantNetwork", member).look(images, part) for member, part in zip(self.members, parts, strict=True)
        ]
        return torch.cat([outputs for outputs, _ in seen], dim=1), seen[0][1]


@dataclass(frozen=True)
class EnsembleMeaning(Meaning):
    """What the outputs of a `NetworkEnsemble` mean: the mean of the members' answers.

    Probabilities are averaged as they are (Lakshminarayanan 2017, arXiv 1612.01474), values in the users' units; so
    sums that every member keeps are kept. A class that a member has never seen counts as 0 in its answer.

    Attributes:
        members: Meaning of each member.
    """

    members: tuple[Meaning, ...] = ()

    @property
    def outputs(self) -> int:
        """Number of outputs of all members."""
        return sum(member.outputs for member in self.members)

    def answer(self, outputs: NDArray[np.float64]) -> NDArray[np.float64]:
        """From what the networks say to what the user reads.

        Args:
            outputs: The members' outputs one after the other, shape (N, outputs).

        Returns:
            Probabilities of shape (N, classes), or values of shape (N, targets) in the user's units.
        """
        return self.answer_each(outputs).mean(axis=0)  # type: ignore[no-any-return]

    def answer_each(self, outputs: NDArray[np.float64]) -> NDArray[np.float64]:
        """The answer of every member, shape (members, N, classes or targets); see `answer`."""
        ends = np.cumsum([member.outputs for member in self.members])[:-1]
        parts = np.split(outputs, ends, axis=1)
        answers = [
            align_classes(member.answer(part), member.class_names, self.class_names)
            if self.class_names
            else member.answer(part)
            for member, part in zip(self.members, parts, strict=True)
        ]
        return np.stack(answers)


def join_meanings(members: Sequence[Meaning]) -> EnsembleMeaning:
    """The meaning of an ensemble: every class that a member knows, and the covariates of all members.

    Args:
        members: Meanings of the members; they answer the same question.
    """
    first = members[0]
    encoders = [member.covariates for member in members if member.covariates is not None]
    # Each member reads the same columns in its own way, so they are encoded once for each.
    covariates = CovariateEncoder(tuple(column for encoder in encoders for column in encoder.columns))
    return EnsembleMeaning(
        class_names=tuple(sorted({name for member in members for name in member.class_names})),
        targets=first.targets,
        covariates=covariates if encoders else None,
        sums=first.sums,
        members=tuple(members),
    )


def align_classes(probs: NDArray[np.float64], known: Sequence[str], wanted: Sequence[str]) -> NDArray[np.float64]:
    """Probabilities of the wanted classes, 0 for those that are not known.

    Args:
        probs: Shape (N, known classes).
        known: Classes of its columns.
        wanted: Classes of the result's columns; all known ones are among them.

    Returns:
        Shape (N, wanted classes).
    """
    aligned = np.zeros((len(probs), len(wanted)), dtype=np.float64)
    place = {name: position for position, name in enumerate(wanted)}
    aligned[:, [place[name] for name in known]] = probs
    return aligned


def join_states(states: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """The parameters of an ensemble from those of its members.

    Args:
        states: Parameter name -> tensor of the shape of the parameter, one dictionary a member.
    """
    return {
        f"{MEMBER_PREFIX}{place}.{name}": value for place, state in enumerate(states) for name, value in state.items()
    }

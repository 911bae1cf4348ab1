"""Averages of the weights over training steps."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from phytoscope.schema.choices import Averaging
from phytoscope.schema.train_config import TrainerConfig

SWA_SHARE = 0.25
"""Share of the epochs, the last ones, that a stochastic weight average runs over (Izmailov 2018, arXiv 1803.05407)."""


class WeightAverage:
    """Average of everything that training changes in a network, batch statistics included.

    `ema` is an exponential moving average (Polyak and Juditsky 1992, doi 10.1137/0330046) whose decay after n updates
    is at most (1 + n) / (10 + n), so that the random first weights are forgotten in a short training too. `swa` is the
    plain mean over the steps of the last epochs. Batch statistics are averaged in the same way: they need no further
    pass over the images, and follow the weights.
    """

    def __init__(self, kind: Averaging, *, decay: float, first_epoch: int, names: Iterable[str]) -> None:
        """Starts with nothing averaged.

        Args:
            kind: `ema` or `swa`.
            decay: Share of the old average that each step keeps (ema).
            first_epoch: First epoch that counts, from 0.
            names: Names in the network's `state_dict` of what training changes.
        """
        self._kind = kind
        self._decay = decay
        self._first_epoch = first_epoch
        self._names = tuple(sorted(names))
        self._steps = 0
        self._tensors: dict[str, Tensor] = {}

    @torch.no_grad()
    def update(self, network: nn.Module, epoch: int) -> None:
        """Takes in the weights after a step.

        Args:
            network: The network as it is now.
            epoch: Present epoch, from 0; epochs before the first that counts change nothing.
        """
        if epoch < self._first_epoch:
            return
        keep = self._steps / (self._steps + 1)
        if self._kind is Averaging.ema and self._steps > 0:
            keep = min(self._decay, (1 + self._steps) / (10 + self._steps))
        state = network.state_dict()
        for name in self._names:
            now = state[name]
            if self._steps == 0 or not now.is_floating_point():
                self._tensors[name] = now.clone()
            else:
                average = self._tensors[name].to(now.device)
                self._tensors[name] = average.lerp_(now, 1 - keep)
        self._steps += 1

    @torch.no_grad()
    def swap(self, network: nn.Module) -> None:
        """Exchanges the weights of the network with their average; called again, it brings them back."""
        state = network.state_dict()
        for name, average in self._tensors.items():
            now = state[name].clone()
            state[name].copy_(average)
            self._tensors[name] = now

    def state_dict(self) -> dict[str, Any]:
        """What a resumed training needs: number of steps and averages, name -> tensor."""
        return {"steps": self._steps, "tensors": dict(self._tensors)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from what `state_dict` gave."""
        self._steps = int(state["steps"])
        self._tensors = dict(state["tensors"])


def build_average(config: TrainerConfig, names: Iterable[str]) -> WeightAverage | None:
    """Builds the average that the settings ask for; None when they ask for none.

    Args:
        config: `averaging`, `average_decay` and `max_epochs` are read.
        names: Names in the network's `state_dict` of what training changes.
    """
    if config.averaging is Averaging.none:
        return None
    first_epoch = find_first_averaged(config)
    return WeightAverage(config.averaging, decay=config.average_decay, first_epoch=first_epoch, names=names)


def find_first_averaged(config: TrainerConfig) -> int:
    """First epoch, from 0, whose weights count in the average; 0 where all do, or none.

    Args:
        config: `averaging` and `max_epochs` are read.
    """
    if config.averaging is not Averaging.swa:
        return 0
    epochs = config.max_epochs if config.max_epochs is not None else 1
    return epochs - max(1, round(SWA_SHARE * epochs))

"""Processes that Ray Train has started, one a device, as Lightning sees them."""

from typing import Any

from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.pytorch.strategies import Strategy

from phytoscope.errors import require


class RayCrew:
    """The workers of a Ray Train group; to be made in one of them."""

    def __init__(self) -> None:
        """Loads Ray's side of Lightning.

        Raises:
            MissingDependencyError: Ray is not installed.
        """
        require("ray")
        self._ray: Any = require("ray.train.lightning")

    def build_strategy(self, *, frozen_first: bool) -> Strategy:
        """Copies of the network that exchange gradients after each batch, on the devices that Ray gave.

        Args:
            frozen_first: Whether some parameters stand still only in the first epochs: their gradients are missing
                then.
        """
        strategy: Strategy = self._ray.RayDDPStrategy(find_unused_parameters=frozen_first)
        return strategy

    def build_environment(self) -> ClusterEnvironment:
        """Which worker this process is, as Ray counts."""
        environment: ClusterEnvironment = self._ray.RayLightningEnvironment()
        return environment

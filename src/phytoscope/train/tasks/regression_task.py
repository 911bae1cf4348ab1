"""Learning numbers."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from phytoscope.evaluate.regression import measure_regression
from phytoscope.models.adapters import Adaptation
from phytoscope.models.losses.regression import ValueLoss
from phytoscope.models.meaning import Meaning
from phytoscope.models.mixing import BatchMixer
from phytoscope.models.network import PlantNetwork
from phytoscope.schema.report import MetricValue
from phytoscope.schema.train_config import TaskConfig, TrainerConfig
from phytoscope.train.tasks.plant_task import PlantTask


class RegressionTask(PlantTask):
    """A loss on the learned scales; metrics of the main target in the user's unit."""

    chosen_by = "rmse"

    def __init__(
        self,
        network: PlantNetwork,
        adaptation: Adaptation,
        trainer_config: TrainerConfig,
        *,
        seed: int,
        task_config: TaskConfig,
        meaning: Meaning,
    ) -> None:
        """Takes what the loss depends on.

        Args:
            network: Backbone and a head with one output a target.
            adaptation: Which parameters are trained.
            trainer_config: Optimiser and schedule.
            seed: Seed of what is random inside the network while training.
            task_config: What is minimised.
            meaning: The targets with their scales.
        """
        mixer = BatchMixer(task_config.mixup, 0.0, classes=None) if task_config.mixup > 0 else None
        super().__init__(network, adaptation, trainer_config, seed=seed, mixer=mixer)
        self.loss = ValueLoss(task_config, [target.scale for target in meaning.targets])
        self._meaning = meaning

    def compute_loss(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Loss of answers (N, targets) against targets (N, targets), both on the learned scales."""
        loss: Tensor = self.loss(outputs, target)
        return loss

    def weigh_batch(self, target: Tensor) -> Tensor:
        """How many of the numbers (N, targets) are there."""
        return self.loss.weigh(target)

    def measure(self, outputs: NDArray[np.float64], target: NDArray[Any]) -> list[MetricValue]:
        """Metrics of the main target from answers (N, targets) and targets (N, targets), in the user's unit."""
        main = self._meaning.targets[0]
        true = main.scale.restore(target[:, 0].astype(np.float64))
        return measure_regression(true, self._meaning.answer(outputs)[:, 0], main.unit)

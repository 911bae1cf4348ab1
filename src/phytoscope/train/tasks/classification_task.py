"""Learning classes."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from phytoscope.evaluate.classification import measure_classification
from phytoscope.models.adapters import Adaptation
from phytoscope.models.losses.classification import ClassificationLoss
from phytoscope.models.mixing import BatchMixer
from phytoscope.models.network import PlantNetwork
from phytoscope.schema.report import MetricValue
from phytoscope.schema.train_config import TaskConfig, TrainerConfig
from phytoscope.train.tasks.plant_task import PlantTask


class ClassificationTask(PlantTask):
    """Cross-entropy in one of its forms; the likelihood of the true classes chooses the epoch."""

    # The likelihood of the true classes moves smoothly where a share of right answers jumps.
    chosen_by = "nll"

    def __init__(
        self,
        network: PlantNetwork,
        adaptation: Adaptation,
        trainer_config: TrainerConfig,
        *,
        seed: int,
        task_config: TaskConfig,
        class_counts: NDArray[np.int64],
    ) -> None:
        """Takes what the loss depends on.

        Args:
            network: Backbone and head.
            adaptation: Which parameters are trained.
            trainer_config: Optimiser and schedule.
            seed: Seed of what is random inside the network while training.
            task_config: What is minimised.
            class_counts: Training images of each class, shape (classes,), int64.
        """
        mixer = None
        if task_config.mixup > 0 or task_config.cutmix > 0:
            mixer = BatchMixer(task_config.mixup, task_config.cutmix, classes=len(class_counts))
        super().__init__(network, adaptation, trainer_config, seed=seed, mixer=mixer)
        self.loss = ClassificationLoss(task_config, torch.from_numpy(class_counts))

    def compute_loss(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Loss of logits (N, classes) against class indices (N,) or probabilities (N, classes)."""
        loss: Tensor = self.loss(outputs, target)
        return loss

    def weigh_batch(self, target: Tensor) -> Tensor:
        """Sum of the class weights of class indices (N,) or probabilities (N, classes)."""
        return self.loss.weigh(target)

    def measure(self, outputs: NDArray[np.float64], target: NDArray[Any]) -> list[MetricValue]:
        """Classification metrics of logits (N, classes) against class indices (N,)."""
        probs = torch.from_numpy(outputs).softmax(dim=1).numpy()
        return measure_classification(target.astype(np.int64), probs.argmax(axis=1).astype(np.int64), probs)

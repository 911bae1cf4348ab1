"""What both Lightning tasks share: freezing, the optimiser, the schedule, metrics over whole epochs."""

import math
from abc import abstractmethod
from typing import Any, ClassVar

import lightning
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from phytoscope.data.datamodule import Batch
from phytoscope.errors import TrainingError
from phytoscope.models.adapters import Adaptation
from phytoscope.models.network import PlantNetwork
from phytoscope.schema.config import OptimizerKind, TrainerConfig
from phytoscope.schema.report import MetricValue

SMOOTHED = "val/smoothed"
"""Logged each epoch: the mean of the choosing metric over the last epochs, lower is better.

The best of many single epochs on a few validation plants is mostly a lucky one, often long before the learning rate has
come down; a mean over several epochs is not.
"""
SMOOTHED_EPOCHS = 5


class PlantTask(lightning.LightningModule):
    """What both tasks share: freezing, the optimiser, the schedule, metrics over whole epochs.

    Subclasses say what the loss is, how outputs are measured and which metric chooses the epoch.
    """

    chosen_by: ClassVar[str]

    def __init__(
        self, network: PlantNetwork, adaptation: Adaptation, trainer_config: TrainerConfig, *, seed: int
    ) -> None:
        """Takes the network to train.

        Args:
            network: Backbone and head.
            adaptation: Which parameters are trained, and since when.
            trainer_config: Optimiser and schedule.
            seed: Seed of what is random inside the network while training (dropout).
        """
        super().__init__()
        self.network = network
        self._adaptation = adaptation
        self._config = trainer_config
        self._seed = seed
        self._outputs: list[Tensor] = []
        self._targets: list[Tensor] = []
        self._recent: list[float] = []

    @abstractmethod
    def compute_loss(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Loss of a batch.

        Args:
            outputs: What the network answered, shape (N, outputs).
            target: Class indices (N,), or numbers (N, targets) on the learned scales.

        Returns:
            A scalar.
        """

    @abstractmethod
    def measure(self, outputs: NDArray[np.float64], target: NDArray[Any]) -> list[MetricValue]:
        """Metrics of a whole epoch.

        Args:
            outputs: What the network answered, shape (N, outputs).
            target: Class indices (N,), or numbers (N, targets) on the learned scales.
        """

    def on_train_epoch_start(self) -> None:
        """Freezes or frees parts of the backbone for this epoch."""
        self._adaptation.begin_epoch(self.network, self.current_epoch)

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Seeds torch from seed, epoch and batch alone."""
        # A training that goes on after a kill must drop the same features as one that was never stopped, whatever else
        # drew random numbers in between.
        place = [self._seed, self.current_epoch, batch_idx]
        torch.manual_seed(int(np.random.SeedSequence(place).generate_state(1)[0]))

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Loss of one batch.

        Raises:
            TrainingError: The loss is not a finite number.
        """
        loss = self.compute_loss(self.network(batch.images, batch.covariates), batch.target)
        if not torch.isfinite(loss):
            rate = self._config.learning_rate
            message = (
                f"the loss became {loss.item()} in epoch {self.current_epoch}: the learning rate is probably too high; "
                f"try trainer.learning_rate={rate / 3:g}."
            )
            raise TrainingError(message)
        self.log("train/loss", loss, on_step=False, on_epoch=True, batch_size=len(batch.target))
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Keeps the outputs of one batch for the end of the epoch."""
        self._outputs.append(self.network(batch.images, batch.covariates).float().cpu())
        self._targets.append(batch.target.cpu())

    def on_validation_epoch_end(self) -> None:
        """Logs loss and metrics over all validation images at once, so that every image counts the same."""
        outputs, target = torch.cat(self._outputs), torch.cat(self._targets)
        self._outputs.clear()
        self._targets.clear()
        self.log("val/loss", self.compute_loss(outputs.to(self.device), target.to(self.device)))
        for metric in self.measure(outputs.double().numpy(), target.numpy()):
            if metric.value is not None:
                self.log(f"val/{metric.name}", metric.value)
            if metric.name == self.chosen_by and metric.value is not None:
                self._recent = [*self._recent, metric.value][-SMOOTHED_EPOCHS:]
        self.log(SMOOTHED, float(np.mean(self._recent)))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keeps the metric of the recent epochs, so that a resumed training chooses the same epoch."""
        checkpoint["recent_metric"] = list(self._recent)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Takes up the metric of the recent epochs."""
        self._recent = list(checkpoint["recent_metric"])

    def configure_optimizers(self) -> Any:
        """Parameter groups with their learning rates, and a warm-up followed by a cosine, step by step."""
        config = self._config
        groups = self._adaptation.group_parameters(self.network, config.learning_rate, config.weight_decay)
        optimizer_class = {OptimizerKind.adam: torch.optim.Adam, OptimizerKind.adamw: torch.optim.AdamW}[
            config.optimizer
        ]
        optimizer = optimizer_class(groups)
        steps = max(1, int(self.trainer.estimated_stepping_batches))
        warmup = config.warmup_fraction * steps

        def factor(step: int) -> float:
            if step < warmup:
                return (step + 1) / (warmup + 1)
            return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warmup) / max(1.0, steps - warmup))))

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

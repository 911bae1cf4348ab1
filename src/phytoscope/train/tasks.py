"""Lightning tasks: what is minimised, what is measured, how the learning rate runs."""

import math
from abc import abstractmethod
from typing import Any, ClassVar

import lightning
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from phytoscope.errors import TrainingError
from phytoscope.evaluate.classification import measure_classification
from phytoscope.evaluate.regression import measure_regression
from phytoscope.models.network import PlantNetwork
from phytoscope.models.target import TargetScale
from phytoscope.schema.config import AdaptConfig, AdaptKind, OptimizerKind, RegressionLoss, TrainerConfig
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

    def __init__(self, network: PlantNetwork, adapt: AdaptConfig, trainer_config: TrainerConfig, *, seed: int) -> None:
        """Takes the network to train.

        Args:
            network: Backbone and head.
            adapt: Which parameters are trained, and since when.
            trainer_config: Optimiser and schedule.
            seed: Seed of what is random inside the network while training (dropout).
        """
        super().__init__()
        self.network = network
        self._adapt = adapt
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
            target: Shape (N,).

        Returns:
            A scalar.
        """

    @abstractmethod
    def measure(self, outputs: NDArray[np.float64], target: NDArray[Any]) -> list[MetricValue]:
        """Metrics of a whole epoch.

        Args:
            outputs: What the network answered, shape (N, outputs).
            target: Shape (N,).
        """

    @property
    def backbone_is_frozen(self) -> bool:
        """Whether the backbone stands still in the current epoch."""
        adapt = self._adapt
        opening = adapt.frozen_epochs is not None and self.current_epoch < adapt.frozen_epochs
        return adapt.kind is AdaptKind.frozen or opening

    def on_train_epoch_start(self) -> None:
        """Freezes or frees the backbone for this epoch."""
        frozen = self.backbone_is_frozen
        self.network.backbone.requires_grad_(not frozen)
        # A frozen backbone keeps its batch statistics too, else it would drift without being trained.
        self.network.backbone.train(not frozen)

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Seeds torch from seed, epoch and batch alone."""
        # A training that goes on after a kill must drop the same features as one that was never stopped, whatever else
        # drew random numbers in between.
        place = [self._seed, self.current_epoch, batch_idx]
        torch.manual_seed(int(np.random.SeedSequence(place).generate_state(1)[0]))

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Loss of one batch of images (N, 3, S, S), uint8, and targets (N,).

        Raises:
            TrainingError: The loss is not a finite number.
        """
        images, target = batch
        loss = self.compute_loss(self.network(images), target)
        if not torch.isfinite(loss):
            rate = self._config.learning_rate
            message = (
                f"the loss became {loss.item()} in epoch {self.current_epoch}: the learning rate is probably too high; "
                f"try trainer.learning_rate={rate / 3:g}."
            )
            raise TrainingError(message)
        self.log("train/loss", loss, on_step=False, on_epoch=True, batch_size=len(target))
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Keeps the outputs of one batch of images (N, 3, S, S), uint8, for the end of the epoch."""
        images, target = batch
        self._outputs.append(self.network(images).float().cpu())
        self._targets.append(target.cpu())

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
        groups = [
            *_decay_groups(self.network.head, config.learning_rate, config.weight_decay),
            *_decay_groups(
                self.network.backbone, config.learning_rate * self._adapt.backbone_lr_factor, config.weight_decay
            ),
        ]
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


class ClassificationTask(PlantTask):
    """Cross-entropy with class weights, shape (classes,) in the order of the logits, and label smoothing."""

    # The likelihood of the true classes moves smoothly where a share of right answers jumps.
    chosen_by = "nll"
    class_weights: Tensor

    def __init__(
        self,
        network: PlantNetwork,
        adapt: AdaptConfig,
        trainer_config: TrainerConfig,
        *,
        seed: int,
        class_weights: Tensor,
        label_smoothing: float,
    ) -> None:
        """Takes the weights of the classes.

        Args:
            network: Backbone and head.
            adapt: Which parameters are trained.
            trainer_config: Optimiser and schedule.
            seed: Seed of what is random inside the network while training.
            class_weights: Shape (classes,), mean 1 over the training images.
            label_smoothing: Share of the target probability spread over the other classes, 0-1.
        """
        super().__init__(network, adapt, trainer_config, seed=seed)
        self.register_buffer("class_weights", class_weights, persistent=False)
        self._label_smoothing = label_smoothing

    def compute_loss(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Weighted cross-entropy of logits (N, classes) against class indices (N,)."""
        return functional.cross_entropy(outputs, target, self.class_weights, label_smoothing=self._label_smoothing)

    def measure(self, outputs: NDArray[np.float64], target: NDArray[Any]) -> list[MetricValue]:
        """Classification metrics of logits (N, classes) against class indices (N,)."""
        probs = torch.from_numpy(outputs).softmax(dim=1).numpy()
        return measure_classification(target.astype(np.int64), probs.argmax(axis=1).astype(np.int64), probs)


class RegressionTask(PlantTask):
    """Squared or Huber loss on the standardised target; metrics in the user's unit."""

    chosen_by = "rmse"

    def __init__(
        self,
        network: PlantNetwork,
        adapt: AdaptConfig,
        trainer_config: TrainerConfig,
        *,
        seed: int,
        loss: RegressionLoss,
        scale: TargetScale,
        unit: str,
    ) -> None:
        """Takes the scale of the target.

        Args:
            network: Backbone and a head with one output.
            adapt: Which parameters are trained.
            trainer_config: Optimiser and schedule.
            seed: Seed of what is random inside the network while training.
            loss: Loss on the learned scale.
            scale: Learned scale, fitted on the training rows.
            unit: The user's unit.
        """
        super().__init__(network, adapt, trainer_config, seed=seed)
        self._loss = loss
        self._scale = scale
        self._unit = unit

    def compute_loss(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Loss of answers (N, 1) against targets (N,), both on the learned scale."""
        if self._loss is RegressionLoss.mse:
            return functional.mse_loss(outputs[:, 0], target)
        return functional.huber_loss(outputs[:, 0], target)

    def measure(self, outputs: NDArray[np.float64], target: NDArray[Any]) -> list[MetricValue]:
        """Regression metrics of answers (N, 1) against targets (N,), in the user's unit."""
        true = self._scale.inverse(target.astype(np.float64))
        return measure_regression(true, self._scale.inverse(outputs[:, 0]), self._unit)


def balance_classes(target: NDArray[np.int64], n_classes: int) -> Tensor:
    """Weights that let every class count the same in the loss.

    Args:
        target: Class index of each training image, shape (N,).
        n_classes: Number of classes; one without a training image gets weight 0.

    Returns:
        Shape (n_classes,), float32: images / (present classes x images of the class).
    """
    counts = np.bincount(target, minlength=n_classes)
    present = counts > 0
    weights = np.zeros(n_classes)
    weights[present] = len(target) / (present.sum() * counts[present])
    return torch.tensor(weights, dtype=torch.float32)


def _decay_groups(module: nn.Module, learning_rate: float, weight_decay: float) -> list[dict[str, Any]]:
    matrices = [parameter for parameter in module.parameters() if parameter.ndim > 1]
    vectors = [parameter for parameter in module.parameters() if parameter.ndim <= 1]
    return [
        {"params": matrices, "lr": learning_rate, "weight_decay": weight_decay},
        {"params": vectors, "lr": learning_rate, "weight_decay": 0.0},
    ]

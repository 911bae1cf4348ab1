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
from phytoscope.models.mixing import BatchMixer
from phytoscope.models.network import PlantNetwork
from phytoscope.schema.choices import OptimizerKind
from phytoscope.schema.report import MetricValue
from phytoscope.schema.train_config import TrainerConfig
from phytoscope.train.averaging import build_average
from phytoscope.train.checkpoints import drop_frozen, list_changing, put_back_frozen
from phytoscope.train.devices import gather

SMOOTHED = "val/smoothed"
"""Logged each epoch: the mean of the choosing metric over the last epochs, lower is better.

The best of many single epochs on a few validation plants is mostly a lucky one, often long before the learning rate has
come down; a mean over several epochs is not.
"""
SMOOTHED_EPOCHS = 5


class PlantTask(lightning.LightningModule):
    """What both tasks share: freezing, the optimiser, the schedule, metrics over whole epochs.

    Everything random depends on seed, epoch, batch and device alone, and everything that is summed up over an epoch is
    in the checkpoint, so that a training that goes on after a kill ends with the weights of one that was never stopped.

    Subclasses say what the loss is, how outputs are measured and which metric chooses the epoch.
    """

    chosen_by: ClassVar[str]

    def __init__(
        self,
        network: PlantNetwork,
        adaptation: Adaptation,
        trainer_config: TrainerConfig,
        *,
        seed: int,
        mixer: BatchMixer | None = None,
    ) -> None:
        """Takes the network to train.

        Args:
            network: Backbone and head.
            adaptation: Which parameters are trained, and since when.
            trainer_config: Optimiser, schedule and averaging.
            seed: Seed of what is random inside the network while training (dropout).
            mixer: What mixes pairs of training images; None for nothing.
        """
        super().__init__()
        self.network = network
        self._adaptation = adaptation
        self._config = trainer_config
        self._seed = seed
        self._mixer = mixer
        self._changing = list_changing(network, adaptation)
        self._average = build_average(trainer_config, self._changing)
        self._outputs: list[Tensor] = []
        self._targets: list[Tensor] = []
        self._recent: list[float] = []
        self._loss_sum, self._loss_images = 0.0, 0

    @abstractmethod
    def compute_loss(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Loss of a batch.

        Args:
            outputs: What the network answered, shape (N, outputs).
            target: Class indices (N,) or, of mixed images, probabilities (N, classes); or numbers (N, targets) on the
                learned scales.

        Returns:
            A scalar.
        """

    @abstractmethod
    def weigh_batch(self, target: Tensor) -> Tensor:
        """What the loss of a batch was divided by, so that losses of its parts can be put together.

        Args:
            target: As `compute_loss` receives it.

        Returns:
            A scalar, at least 0.
        """

    @abstractmethod
    def measure(self, outputs: NDArray[np.float64], target: NDArray[Any]) -> list[MetricValue]:
        """Metrics of a whole epoch.

        Args:
            outputs: What the network answered, shape (N, outputs).
            target: Class indices (N,), or numbers (N, targets) on the learned scales.
        """

    @property
    def is_frozen_at_first(self) -> bool:
        """Whether the backbone stands still in the first epochs only."""
        return bool(self._adaptation.trained) and self._adaptation.is_head_only(0)

    def setup(self, stage: str) -> None:
        """Says what is trained at any time, before several devices agree on whose gradients they exchange."""
        for name, parameter in self.network.named_parameters():
            parameter.requires_grad_(name in self._changing)

    def on_train_start(self) -> None:
        """Freezes and frees also where a training goes on within an epoch, which begins without its first hook."""
        self._adaptation.begin_epoch(self.network, self.current_epoch)

    def on_train_epoch_start(self) -> None:
        """Freezes or frees parts of the backbone for this epoch."""
        self._adaptation.begin_epoch(self.network, self.current_epoch)
        self._loss_sum, self._loss_images = 0.0, 0

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Seeds torch from seed, epoch, batch and device alone."""
        # A training that goes on after a kill must drop the same features as one that was never stopped, whatever else
        # drew random numbers in between.
        torch.manual_seed(int(np.random.SeedSequence(self._place(batch_idx)).generate_state(1)[0]))

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Loss of one batch, a scalar without shape.

        Raises:
            TrainingError: The loss is not a finite number.
        """
        images, target, covariates = batch.images, batch.target, batch.covariates
        if self._mixer is not None:
            images, target, covariates = self._mixer(images, target, covariates, self._place(batch_idx))
        loss = self.compute_loss(self.network(images, covariates), target)
        value = float(loss.detach())
        if not math.isfinite(value):
            rate = self._config.learning_rate
            message = (
                f"the loss became {value} in epoch {self.current_epoch}: the learning rate is probably too high; "
                f"try trainer.learning_rate={rate / 3:g}."
            )
            raise TrainingError(message)
        # Lightning's devices take the mean of their gradients; the loss of the whole batch is a weighted mean.
        share = self._find_share(target)
        images = self._datamodule.train_sampler.size(batch_idx)
        self._loss_sum += value * share * images / self.trainer.world_size
        self._loss_images += images if self.trainer.global_rank == 0 else 0
        return loss * share

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Takes a step, and takes the new weights into their average."""
        super().optimizer_step(*args, **kwargs)
        if self._average is not None:
            self._average.update(self.network, self.current_epoch)

    def on_validation_start(self) -> None:
        """Puts the average in the place of the weights."""
        if self._average is not None:
            self._average.swap(self.network)

    def on_validation_end(self) -> None:
        """Puts the weights back."""
        if self._average is not None:
            self._average.swap(self.network)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Keeps the outputs of one batch for the end of the epoch."""
        self._outputs.append(self.network(batch.images, batch.covariates).float().cpu())
        self._targets.append(batch.target.cpu())

    def on_validation_epoch_end(self) -> None:
        """Logs loss and metrics over all validation images at once, so that every image counts the same."""
        outputs, target = self._join(torch.cat(self._outputs)), self._join(torch.cat(self._targets))
        self._outputs.clear()
        self._targets.clear()
        # Not by Lightning's own mean over the batches: that is forgotten by a kill within the epoch.
        loss_sum, loss_images = self._sum_up_losses()
        if loss_images > 0:
            self._log("train/loss", loss_sum / loss_images)
        self._log("val/loss", float(self.compute_loss(outputs.to(self.device), target.to(self.device))))
        for metric in self.measure(outputs.double().numpy(), target.numpy()):
            if metric.value is not None:
                self._log(f"val/{metric.name}", metric.value)
            if metric.name == self.chosen_by and metric.value is not None:
                self._recent = [*self._recent, metric.value][-SMOOTHED_EPOCHS:]
        self._log(SMOOTHED, float(np.mean(self._recent)))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Leaves out what is never trained, and adds what a resumed training needs."""
        progress: Any = self.trainer.fit_loop.epoch_progress.current
        checkpoint["whole_epochs"] = progress.processed
        checkpoint["recent_metric"] = list(self._recent)
        checkpoint["epoch_loss"] = self._sum_up_losses()
        if self._average is not None:
            checkpoint["average"] = self._average.state_dict()
        drop_frozen(checkpoint, self._changing, self._adaptation.backbone_hash)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Takes up where the checkpoint was written.

        Raises:
            TrainingError: The checkpoint belongs to another backbone.
        """
        put_back_frozen(checkpoint, self.network.state_dict(), self._adaptation.backbone_hash)
        self._recent = list(checkpoint["recent_metric"])
        if self.trainer.global_rank == 0:
            self._loss_sum, self._loss_images = checkpoint["epoch_loss"]
        if self._average is not None:
            self._average.load_state_dict(checkpoint["average"])

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

    @property
    def _datamodule(self) -> Any:
        return self.trainer.datamodule  # type: ignore[attr-defined]

    def _place(self, batch_idx: int) -> list[int]:
        return [self._seed, self.trainer.global_rank, self.current_epoch, batch_idx]

    def _log(self, name: str, value: float) -> None:
        # Every device has computed the same number; Lightning only must be told that this was thought of.
        self.log(name, value, sync_dist=self.trainer.world_size > 1)

    def _join(self, values: Tensor) -> Tensor:
        if self.trainer.world_size == 1:
            return values
        joined: Tensor = self._datamodule.join_parts(gather(values.to(self.device)))
        return joined.cpu()

    def _find_share(self, target: Tensor) -> float:
        # The weights of the classes that a device saw, or the numbers that its rows have: known when it has its part.
        if self.trainer.world_size == 1:
            return 1.0
        own = self.weigh_batch(target).to(self.device, torch.float64)
        total = float(gather(own).sum())
        return float(own) * self.trainer.world_size / total if total > 0 else 1.0

    def _sum_up_losses(self) -> tuple[float, int]:
        if self.trainer.world_size == 1:
            return self._loss_sum, self._loss_images
        sums = torch.tensor([self._loss_sum, float(self._loss_images)], dtype=torch.float64, device=self.device)
        loss_sum, images = gather(sums).sum(dim=0).tolist()
        return float(loss_sum), int(images)

"""A plain loop: Lightning, torchvision's transforms, all layers, AdamW, one cycle of the learning rate."""

import logging
from typing import Any

import lightning
import timm
import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from measuring import BACKBONE, SIZE_PX, Curve, Job
from PIL import Image
from timm.data import resolve_data_config
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from phytoscope.schema.table import Split
from phytoscope.transforms.stream import count_cores


class Photographs(Dataset):
    """Images of some splits, with the number of their class."""

    def __init__(self, job: Job, change: transforms.Compose, *splits: Split) -> None:
        rows = job.read_split(*splits)
        numbers = {name: number for number, name in enumerate(job.read_classes())}
        self.paths, self.targets = rows["path"].tolist(), rows["label"].map(numbers).tolist()
        self.change = change

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, place: int) -> tuple[torch.Tensor, int]:
        with Image.open(self.paths[place]) as image:
            return self.change(image.convert("RGB")), self.targets[place]


class PlainTask(lightning.LightningModule):
    """The network, its loss and its optimiser."""

    def __init__(self, network: torch.nn.Module, learning_rate: float) -> None:
        super().__init__()
        self.network, self.learning_rate = network, learning_rate

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        """Loss of one batch."""
        images, target = batch
        return cross_entropy(self.network(images), target)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """AdamW with one cycle over all steps."""
        optimizer = torch.optim.AdamW(self.parameters(), lr=self.learning_rate, weight_decay=0.01)
        steps = int(self.trainer.estimated_stepping_batches)
        cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=self.learning_rate, total_steps=steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": cycle, "interval": "step"}}


class LookCallback(lightning.Callback):
    """Looks at the test part after each epoch while the clock stands."""

    def __init__(self, curve: Curve, loader: DataLoader, classes: list[str]) -> None:
        self.curve, self.loader, self.classes = curve, loader, classes

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Adds a point."""
        truth: list[str] = []
        network = pl_module.network.eval()
        with self.curve.looking(f"epoch {trainer.current_epoch + 1}", truth) as answers, torch.inference_mode():
            for images, target in self.loader:
                answers += [self.classes[place] for place in network(images).argmax(1).tolist()]
                truth += [self.classes[place] for place in target.tolist()]
        network.train()


def run_lightning(job: Job, curve: Curve, epochs: int = 4, batch_size: int = 64, learning_rate: float = 1e-3) -> None:
    """Trains.

    Args:
        job: Data, split and weights.
        curve: Receives a point after each epoch.
        epochs: Epochs, all with all layers.
        batch_size: Images a step.
        learning_rate: Peak learning rate.
    """
    curve.libraries_imported()
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    lightning.seed_everything(job.seed, verbose=False)
    classes, workers = job.read_classes(), count_cores()
    weights = {"file": str(job.weights)}
    network = timm.create_model(BACKBONE, pretrained=True, num_classes=len(classes), pretrained_cfg_overlay=weights)
    config = resolve_data_config({}, model=network)
    end = [transforms.ToTensor(), transforms.Normalize(config["mean"], config["std"])]
    grown = [transforms.RandomResizedCrop(SIZE_PX), transforms.RandomHorizontalFlip(), *end]
    train = Photographs(job, transforms.Compose(grown), Split.train)
    loader = DataLoader(train, batch_size, shuffle=True, num_workers=workers, drop_last=True)
    with curve.paused():
        kept = [transforms.Resize(SIZE_PX), transforms.CenterCrop(SIZE_PX), *end]
        test = Photographs(job, transforms.Compose(kept), Split.test)
        look = LookCallback(curve, DataLoader(test, batch_size, num_workers=workers), classes)
    curve.facts |= {"epochs": epochs, "batch_size": batch_size, "workers": workers}
    curve.facts |= {"learning_rate": learning_rate, "train_images": len(train)}
    trainer = lightning.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        callbacks=[look],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=job.folder,
    )
    trainer.fit(PlainTask(network, learning_rate), loader)

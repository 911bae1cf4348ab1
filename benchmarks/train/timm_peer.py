"""timm's training recipe, from the library's own functions, because its `train.py` is not in the wheel.

What `train.py --pretrained --device cpu --epochs 4 -b 64 -j 2 --opt adamw --lr 1e-3 --weight-decay 0.05
--warmup-epochs 1 --sched-on-updates --model-ema --model-ema-warmup` would do, everything else as its defaults have it:
random resized crops of 8 to 100 % of the picture, mirroring, colour jitter of 0.4, no RandAugment, label smoothing of
0.1, a cosine schedule. The average of the weights is judged.
"""

import shutil
from pathlib import Path
from typing import Any

import timm
import torch
from measuring import BACKBONE, SIZE_PX, Curve, Job
from timm.data import create_dataset, create_loader, resolve_data_config
from timm.loss import LabelSmoothingCrossEntropy
from timm.optim import create_optimizer_v2
from timm.scheduler import create_scheduler_v2
from timm.utils import ModelEmaV3, random_seed

from phytoscope.schema.table import Split
from phytoscope.transforms.stream import count_cores


def run_timm(job: Job, curve: Curve, epochs: int = 4, batch_size: int = 64, learning_rate: float = 1e-3) -> None:
    """Trains.

    Args:
        job: Data, split and weights.
        curve: Receives a point after each epoch.
        epochs: Epochs, the first of them with a rising learning rate.
        batch_size: Images a step.
        learning_rate: Peak learning rate.
    """
    curve.libraries_imported()
    random_seed(job.seed, 0)
    classes = job.read_classes()
    with curve.paused():
        # Its users have such a folder already.
        folder = link_classes(job)
    weights = {"file": str(job.weights)}
    model = timm.create_model(BACKBONE, pretrained=True, num_classes=len(classes), pretrained_cfg_overlay=weights)
    config = resolve_data_config({"input_size": (3, SIZE_PX, SIZE_PX)}, model=model)
    shared = {name: config[name] for name in ("input_size", "mean", "std")} | {"batch_size": batch_size}
    shared |= {"device": torch.device("cpu"), "num_workers": count_cores()}
    train = create_loader(
        create_dataset("", root=str(folder), split=str(Split.train)),
        is_training=True,
        interpolation="random",
        **shared,
    )
    with curve.paused():
        test_set = create_dataset("", root=str(folder), split=str(Split.test))
        looked = {"interpolation": config["interpolation"], "crop_pct": config["crop_pct"], "persistent_workers": False}
        test = create_loader(test_set, is_training=False, **looked, **shared)
    curve.facts |= {"epochs": epochs, "batch_size": batch_size, "workers": count_cores()}
    curve.facts |= {"learning_rate": learning_rate, "train_images": len(train.dataset)}
    _fit(model, train, test, classes, curve, epochs, learning_rate)


def _fit(
    model: torch.nn.Module,
    train: Any,
    test: Any,
    classes: list[str],
    curve: Curve,
    epochs: int,
    learning_rate: float,
) -> None:
    optimizer = create_optimizer_v2(model, opt="adamw", lr=learning_rate, weight_decay=0.05)
    average = ModelEmaV3(model, decay=0.9998, use_warmup=True)
    scheduler, _ = create_scheduler_v2(
        optimizer,
        sched="cosine",
        num_epochs=epochs,
        warmup_epochs=1,
        warmup_lr=1e-5,
        step_on_epochs=False,
        updates_per_epoch=len(train),
    )
    loss_of = LabelSmoothingCrossEntropy(0.1)
    updates = 0
    for epoch in range(epochs):
        model.train()
        for images, target in train:
            loss = loss_of(model(images), target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            updates += 1
            average.update(model, step=updates)
            scheduler.step_update(num_updates=updates)
        _look(average.module, test, classes, curve, f"epoch {epoch + 1}")


def _look(model: torch.nn.Module, test: Any, classes: list[str], curve: Curve, note: str) -> None:
    truth: list[str] = []
    with curve.looking(note, truth) as answers, torch.inference_mode():
        for images, target in test:
            answers += [classes[place] for place in model(images).argmax(1).tolist()]
            truth += [classes[place] for place in target.tolist()]


def link_classes(job: Job) -> Path:
    """Makes the folders `<split>/<class>/` that timm reads, of links to the images (copies where links cannot be)."""
    root = job.folder / "images"
    shutil.rmtree(root, ignore_errors=True)
    for path, split, image in job.read_split(*Split)[["path", "split", "image"]].itertuples(index=False):
        place = root / str(split) / str(image)
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            place.symlink_to(Path(str(path)).resolve())
        except OSError:
            shutil.copyfile(str(path), place)
    return root

"""fastai: `vision_learner` and `fine_tune`, one frozen epoch and some with all layers, as its tutorial does it."""

import torch
from fastai.vision.all import (
    Callback,
    ImageDataLoaders,
    Resize,
    accuracy,
    aug_transforms,
    set_seed,
    vision_learner,
)
from measuring import BACKBONE, SIZE_PX, Curve, Job

from phytoscope.schema.table import Split


class LookCallback(Callback):
    """Looks at the test part after each epoch while the clock stands."""

    def __init__(self, curve: Curve, loader: torch.utils.data.DataLoader, truth: list[str]) -> None:
        self.curve, self.loader, self.truth = curve, loader, truth
        self.count = 0

    def after_epoch(self) -> None:
        """Adds a point."""
        self.count += 1
        with self.curve.looking(f"epoch {self.count}", self.truth) as answers:
            self.model.eval()
            with torch.inference_mode():
                for (images,) in self.loader:
                    answers += [self.dls.vocab[place] for place in self.model(images).argmax(1).tolist()]


def run_fastai(job: Job, curve: Curve, epochs: int = 3, frozen_epochs: int = 1, batch_size: int = 64) -> None:
    """Trains.

    Args:
        job: Data, split and weights.
        curve: Receives a point after each epoch.
        epochs: Epochs with all layers.
        frozen_epochs: Epochs before them with the head alone.
        batch_size: Images a step.
    """
    curve.libraries_imported()
    set_seed(job.seed)
    rows = job.read_split(Split.train, Split.val)
    rows["is_valid"] = rows["split"] == str(Split.val)
    loaders = ImageDataLoaders.from_df(
        rows,
        path=job.data,
        fn_col="image",
        label_col="label",
        valid_col="is_valid",
        item_tfms=Resize(SIZE_PX),
        batch_tfms=aug_transforms(),
        bs=batch_size,
    )
    weights = {"file": str(job.weights)}
    learner = vision_learner(loaders, BACKBONE, metrics=accuracy, path=job.folder, pretrained_cfg_overlay=weights)
    with curve.paused():
        test = job.read_split(Split.test)
        loader = loaders.test_dl(test)
        learner.add_cb(LookCallback(curve, loader, test["label"].tolist()))
    curve.facts |= {"epochs": f"{frozen_epochs} frozen + {epochs}", "batch_size": batch_size}
    curve.facts |= {"workers": loaders.train.fake_l.num_workers, "train_images": len(loaders.train_ds)}
    learner.fine_tune(epochs, freeze_epochs=frozen_epochs)

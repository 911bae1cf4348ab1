"""The simple thing to beat: logistic regression of scikit-learn on the frozen network's features, from plain torch."""

import numpy as np
import timm
import torch
from lightning_peer import Photographs
from measuring import BACKBONE, SIZE_PX, Curve, Job
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from timm.data import resolve_data_config
from torch.utils.data import DataLoader
from torchvision import transforms

from phytoscope.schema.table import Split
from phytoscope.transforms.stream import count_cores

STRENGTHS = (0.001, 0.01, 0.1, 1.0)


def run_linear(job: Job, curve: Curve, batch_size: int = 64) -> None:
    """Reads features once and fits; the strength of the penalty is chosen on val.

    Args:
        job: Data, split and weights.
        curve: Receives one point.
        batch_size: Images a step.
    """
    curve.libraries_imported()
    torch.manual_seed(job.seed)
    weights = {"file": str(job.weights)}
    network = timm.create_model(BACKBONE, pretrained=True, num_classes=0, pretrained_cfg_overlay=weights).eval()
    config = resolve_data_config({}, model=network)
    end = [transforms.ToTensor(), transforms.Normalize(config["mean"], config["std"])]
    change = transforms.Compose([transforms.Resize(SIZE_PX), transforms.CenterCrop(SIZE_PX), *end])
    parts = {split: read_features(network, job, change, split, batch_size) for split in (Split.train, Split.val)}
    fitted = [(fit(parts[Split.train], strength), strength) for strength in STRENGTHS]
    best, strength = max(fitted, key=lambda pair: pair[0].score(*parts[Split.val]))
    curve.facts |= {"penalty": strength, "workers": count_cores(), "train_images": len(parts[Split.train][1])}
    classes = job.read_classes()
    truth: list[str] = []
    with curve.looking("fitted", truth, val_accuracy=float(best.score(*parts[Split.val]))) as answers:
        features, target = read_features(network, job, change, Split.test, batch_size)
        truth += [classes[place] for place in target]
        answers += [classes[place] for place in best.predict(features)]


def fit(part: tuple[NDArray[np.float32], NDArray[np.int64]], strength: float) -> Pipeline:
    """Logistic regression on standardised features."""
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=1000))
    return pipeline.fit(*part)


@torch.inference_mode()
def read_features(
    network: torch.nn.Module, job: Job, change: transforms.Compose, split: Split, batch_size: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Features (N, F) of the images of a split, and their classes (N,)."""
    loader = DataLoader(Photographs(job, change, split), batch_size, num_workers=count_cores())
    pairs = [(network(images).numpy(), target.numpy()) for images, target in loader]
    features, targets = zip(*pairs, strict=True)
    return np.concatenate(features), np.concatenate(targets)

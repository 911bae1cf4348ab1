"""Leaves whose lesion has a known place, and networks that react to one colour and to nothing else."""

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from phytoscope.models.ensemble import NetworkEnsemble
from phytoscope.models.meaning import Meaning
from phytoscope.models.network import BackboneInput, PlantNetwork
from phytoscope.predict.description import describe_meaning
from phytoscope.predict.predictor import Predictor
from phytoscope.schema.choices import ResizeMode
from phytoscope.schema.package import ModelDescription
from phytoscope.schema.table import Task
from phytoscope.transforms.preprocess import Preprocess

SIDE = 64
CELL = 8
"""Pixels to a place of the networks' map."""
PAPER, LEAF, LESION = (170, 170, 172), (60, 140, 50), (150, 90, 40)
LOOKS_AT = {"lesion": ((1.0, -1.0, 0.0), 0.1, 1000.0), "background": ((0.0, -1.0, 1.0), -0.02, 300.0)}
"""What a network looks at -> weights of red, green and blue (0-1), what their sum must exceed, and the gain."""
SCALE = {"transform": "none", "unit_value": 1.0, "mean": 5.0, "std": 2.0, "lower": None}


def draw_leaf(lesion=(40, 36), radius=6, seed=0):
    """Draw a leaf on paper with one round lesion; gives pixels (S, S, 3), and masks (S, S) of leaf and lesion."""
    rng = np.random.default_rng(seed)
    pixels = np.full((SIDE, SIDE, 3), PAPER, dtype=np.uint8)
    leaf, spot = np.zeros((SIDE, SIDE), np.uint8), np.zeros((SIDE, SIDE), np.uint8)
    cv2.ellipse(leaf, (32, 32), (26, 18), 20, 0, 360, 1, -1)
    if radius > 0:
        cv2.circle(spot, lesion, radius, 1, -1)
    pixels[leaf > 0], pixels[spot > 0] = LEAF, LESION
    noisy = np.clip(pixels + rng.normal(0, 2, pixels.shape), 0, 255).astype(np.uint8)
    return noisy, leaf > 0, spot > 0


class ColourBackbone(nn.Module):
    """Two features: how much of one colour is in the picture, and nothing."""

    num_features = 2

    def __init__(self, looks_at: str, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        weights, least, _ = LOOKS_AT[looks_at]
        self.conv = nn.Conv2d(3, 2, 1)
        # The network normalises first; the weights are meant for colours as they are.
        plain = torch.tensor([weights, (0.0, 0.0, 0.0)])
        with torch.no_grad():
            self.conv.weight.copy_((plain * std.flatten())[:, :, None, None])
            self.conv.bias.copy_((plain * mean.flatten()).sum(dim=1) - torch.tensor([least, 0.0]))
        self.act = nn.ReLU()
        self.pool = nn.AvgPool2d(CELL)

    def forward(self, images: Tensor) -> Tensor:
        return self.pool(self.act(self.conv(images))).mean(dim=(2, 3))


def colour_network(network: PlantNetwork, looks_at: str) -> PlantNetwork:
    """Put a colour backbone into a network; its last output rises with the amount of the colour."""
    outputs = network.head.out_features
    network.backbone, network.feature_dim = ColourBackbone(looks_at, network.mean, network.std), 2
    network.head = nn.Linear(2 + network.covariate_dim, outputs)
    with torch.no_grad():
        network.head.weight.zero_()
        network.head.bias.zero_()
        network.head.weight[-1, 0] = LOOKS_AT[looks_at][2]
        network.head.bias[-1] = -2.0
        # A covariate above its mean speaks for the last output, whatever the picture shows.
        network.head.weight[-1, 2:] = 50.0
    return network.eval()


def make_colour_predictor(
    looks_at="lesion", task=Task.classification, classes=("healthy", "sick"), members=0, encoder=None
):
    """A predictor that says `sick` (or a large number) the more there is of one colour."""
    preprocess = Preprocess(SIDE, ResizeMode.squash, "bicubic", (0.5, 0.4, 0.3), (0.2, 0.25, 0.3))
    numbers = {"target_scale": SCALE, "target_name": "spots", "unit": "mm", "class_names": []}
    single = {"class_names": list(classes), "target_name": "class", "unit": "", "target_scale": None}
    about = single if task is Task.classification else numbers
    if members > 0:
        alone = {**describe_meaning(Meaning(class_names=tuple(classes))), "task": task.value}
        about = {**single, "members": [alone] * members}
    description = ModelDescription(
        name="colours",
        model_id="0123456789abcdef",
        task=task,
        backbone="test_resnet",
        preprocess=preprocess.to_dict(),
        weights_origin="set by hand",
        data_hash="d" * 64,
        split_hash="s" * 64,
        covariates=None if encoder is None else encoder.to_dict(),
        **about,
    )
    outputs = len(classes) if task is Task.classification else 1
    spec = BackboneInput(SIDE, preprocess.mean, preprocess.std, "bicubic", 1.0)
    plain = PlantNetwork("test_resnet", outputs, 0.0, spec, 0 if encoder is None else encoder.dim)
    state = plain.state_dict()
    if members > 0:
        state = NetworkEnsemble([plain] * members).state_dict()
    predictor = Predictor(description, state)
    looks = looks_at if isinstance(looks_at, tuple) else (looks_at,)
    if members > 0:
        for network, each in zip(predictor.network.members, looks * members, strict=False):
            colour_network(network, each)
    else:
        colour_network(predictor.network, looks[0])
    return predictor

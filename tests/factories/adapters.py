"""Small networks with random weights for adapters, and adapters as they are after some training."""

import copy
import functools

import torch
from torch import Tensor

from phytoscope.models.adapters import Adaptation, adapt_network
from phytoscope.models.network import PlantNetwork, build_network
from phytoscope.schema.choices import AdaptKind
from phytoscope.schema.train_config import AdaptConfig, ModelConfig

SIZE_PX = 64
FAMILIES = ("tf_mobilenetv3_small_100", "resnet18", "tf_efficientnet_lite0", "vit_tiny_patch16_224")
"""One backbone of each family that adapters are promised for."""
KINDS = tuple(AdaptKind)
FITTING = [
    (backbone, kind)
    for backbone in FAMILIES
    for kind in KINDS
    if kind is not AdaptKind.se or backbone == "tf_mobilenetv3_small_100"
]
"""All that go together: only the first family has squeeze-and-excite blocks."""


def build(backbone: str, outputs: int = 3, seed: int = 0) -> PlantNetwork:
    """A network with random weights in which no norm, bias, batch statistic or head is as in a fresh one."""
    return copy.deepcopy(_draw_network(backbone, outputs, seed))


@functools.cache
def _draw_network(backbone: str, outputs: int, seed: int) -> PlantNetwork:
    torch.manual_seed(seed)
    network, _ = build_network(
        ModelConfig(backbone=backbone, weights="random", input_size_px=SIZE_PX, dropout=0.0), outputs
    )
    # The head has drawn from the same generator, so that the number of outputs would change what follows.
    torch.manual_seed(seed)
    for name, parameter in network.backbone.named_parameters():
        # timm starts some norms at zero, so that nothing flows through their block.
        if parameter.ndim == 1:
            torch.nn.init.uniform_(parameter, *((0.5, 1.5) if name.endswith("weight") else (-0.2, 0.2)))
    for name, buffer in network.backbone.named_buffers():
        if name.endswith("running_mean"):
            buffer.normal_(0, 0.1)
        if name.endswith("running_var"):
            buffer.uniform_(0.5, 2)
    torch.nn.init.normal_(network.head.weight, std=0.1)
    return network.eval()


def adapt(network: PlantNetwork, kind: str, **settings: object) -> Adaptation:
    """Adapts a network; no epoch is frozen unless it is asked for."""
    return adapt_network(network, AdaptConfig(kind=AdaptKind(kind), **{"frozen_epochs": 0, **settings}))


def draw_images(n: int = 4, seed: int = 1) -> Tensor:
    """Noise of shape (n, 3, 64, 64), uint8."""
    return torch.randint(
        0, 256, (n, 3, SIZE_PX, SIZE_PX), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed)
    )


def disturb(network: PlantNetwork, adaptation: Adaptation, spread: float = 0.05, seed: int = 2) -> None:
    """Changes every trained parameter of the backbone at random, as training would."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in network.backbone.named_parameters():
            if name in adaptation.trained:
                parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=spread)


def take_steps(network: PlantNetwork, adaptation: Adaptation, steps: int = 2, epoch: int = 0) -> None:
    """Trains on noise for some steps."""
    network.train()
    adaptation.begin_epoch(network, epoch)
    optimizer = torch.optim.AdamW(adaptation.group_parameters(network, 1e-2, 0.1))
    for step in range(steps):
        loss = torch.nn.functional.cross_entropy(network(draw_images(seed=step)), torch.tensor([0, 1, 2, 0]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

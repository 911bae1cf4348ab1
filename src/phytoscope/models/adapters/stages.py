"""Backbones as a chain of elements in order of execution, and where in the chain training begins."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from timm.models.convnext import ConvNeXt
from timm.models.efficientnet import EfficientNet
from timm.models.mobilenetv3 import MobileNetV3
from timm.models.resnet import ResNet
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from phytoscope.errors import ConfigError
from phytoscope.models.adapters.adaptation import Adaptation
from phytoscope.models.network import PlantNetwork


@dataclass(frozen=True)
class BackboneElement:
    """One link of a backbone.

    Attributes:
        name: Its name inside the backbone, for example `blocks.2.0` or `layer1.1`.
        module: The link itself, not a copy: it takes the answer of the link before it, the first one normalised images
            of shape (N, 3, S, S), float32; the last one gives features of shape (N, feature_dim).
        owns: Names inside the backbone below which its parameters and buffers stand.
    """

    name: str
    module: nn.Module
    owns: tuple[str, ...]

    def holds(self, name: str) -> bool:
        """Whether a parameter, buffer or module of the backbone is part of this element."""
        return any(name == own or name.startswith(f"{own}.") for own in self.owns)


def split_backbone(backbone: nn.Module) -> list[BackboneElement]:
    """Takes a backbone apart into a chain, down to single blocks.

    Calling the modules one after the other gives exactly what the backbone gives, adapted or not.

    Args:
        backbone: A timm model without its classifier: MobileNetV3, EfficientNet (and other nets of that class), ResNet,
            ConvNeXt or a plain vision transformer.

    Returns:
        The elements in order of execution; every parameter of the backbone belongs to exactly one of them.

    Raises:
        ConfigError: The order of execution in a backbone of this family is not known.
    """
    for family, split in _SPLITS.items():
        if isinstance(backbone, family) and _runs_like(type(backbone), family):
            return list(split(backbone))
    families = ", ".join(family.__name__ for family in _SPLITS)
    message = (
        f"the order of execution in a backbone of the class {type(backbone).__name__} is not known, only in those of "
        f"{families}: choose another model.backbone, or a way of training that needs no cut (trainer.mode=plain)."
    )
    raise ConfigError(message)


def find_first_trained(network: PlantNetwork, adaptation: Adaptation) -> int:
    """Finds where training begins: all elements before are never changed, so their answers can be computed once.

    Args:
        network: The adapted network.
        adaptation: What of it is trained.

    Returns:
        Index in `split_backbone(network.backbone)` of the first element with a trained parameter or learned running
        statistics; the number of elements when the whole backbone stands still.

    Raises:
        ConfigError: The order of execution in this backbone is not known.
    """
    elements = split_backbone(network.backbone)
    changed = (*adaptation.trained, *adaptation.statistics)
    found = (place for place, element in enumerate(elements) if any(element.holds(name) for name in changed))
    return next(found, len(elements))


class TokenEmbedding(nn.Module):
    """First element of a vision transformer: from images to tokens with their positions."""

    def __init__(self, backbone: VisionTransformer) -> None:
        """Takes the parts of a backbone; parameters are shared with it.

        Args:
            backbone: A plain vision transformer.
        """
        super().__init__()
        self.patch_embed = backbone.patch_embed
        self.cls_token = backbone.cls_token
        self.reg_token = backbone.reg_token
        self.pos_embed = backbone.pos_embed
        # In a tuple, or the whole backbone would become a part of its own first element.
        self._backbone = (backbone,)

    def forward(self, images: Tensor) -> Tensor:
        """Computes the tokens.

        Args:
            images: Shape (N, 3, S, S), float32, normalised.

        Returns:
            Shape (N, tokens, width), float32.
        """
        (backbone,) = self._backbone
        tokens = backbone._pos_embed(self.patch_embed(images))  # noqa: SLF001 (timm offers no public way)
        return backbone.norm_pre(backbone.patch_drop(tokens))  # type: ignore[no-any-return]


class TokenPooling(nn.Module):
    """Last element of a vision transformer: from tokens to features."""

    def __init__(self, backbone: VisionTransformer) -> None:
        """Takes the parts of a backbone; parameters are shared with it.

        Args:
            backbone: A plain vision transformer.
        """
        super().__init__()
        self.norm = backbone.norm
        self.fc_norm = backbone.fc_norm
        self.attn_pool = backbone.attn_pool
        self._backbone = (backbone,)

    def forward(self, tokens: Tensor) -> Tensor:
        """Computes the features.

        Args:
            tokens: Shape (N, tokens, width), float32.

        Returns:
            Shape (N, feature_dim), float32.
        """
        (backbone,) = self._backbone
        return backbone.forward_head(self.norm(tokens))


def run_elements(elements: list[BackboneElement], images: Tensor) -> Tensor:
    """Runs a chain of elements.

    Args:
        elements: Links that follow each other.
        images: What the first of them takes; normalised images of shape (N, 3, S, S), float32, for the first of all.

    Returns:
        What the last of them gives; features of shape (N, feature_dim), float32, for the last of all.
    """
    for element in elements:
        images = element.module(images)
    return images


def _runs_like(found: type[Any], family: type[Any]) -> bool:
    # A subclass may do something of its own between the elements.
    steps = ("forward", "forward_features", "forward_head")
    return all(getattr(found, step) is getattr(family, step) for step in steps)


def _element(backbone: nn.Module, name: str) -> BackboneElement:
    return BackboneElement(name, backbone.get_submodule(name), (name,))


def _nested(backbone: nn.Module, name: str) -> Iterator[BackboneElement]:
    for child, _ in backbone.get_submodule(name).named_children():
        yield _element(backbone, f"{name}.{child}")


def _stages(backbone: nn.Module, name: str) -> Iterator[BackboneElement]:
    for stage, _ in backbone.get_submodule(name).named_children():
        yield from _nested(backbone, f"{name}.{stage}")


def _split_mobilenet(backbone: nn.Module) -> Iterator[BackboneElement]:
    yield from (_element(backbone, name) for name in ("conv_stem", "bn1"))
    yield from _stages(backbone, "blocks")
    ends = ("global_pool", "conv_head", "norm_head", "act2", "flatten")
    yield from (_element(backbone, name) for name in ends)


def _split_efficientnet(backbone: nn.Module) -> Iterator[BackboneElement]:
    yield from (_element(backbone, name) for name in ("conv_stem", "bn1"))
    yield from _stages(backbone, "blocks")
    yield from (_element(backbone, name) for name in ("conv_head", "bn2", "global_pool"))


def _split_resnet(backbone: nn.Module) -> Iterator[BackboneElement]:
    yield from (_element(backbone, name) for name in ("conv1", "bn1", "act1", "maxpool"))
    for layer in ("layer1", "layer2", "layer3", "layer4"):
        yield from _nested(backbone, layer)
    yield _element(backbone, "global_pool")


def _split_convnext(backbone: nn.Module) -> Iterator[BackboneElement]:
    yield _element(backbone, "stem")
    for stage, _ in backbone.get_submodule("stages").named_children():
        yield _element(backbone, f"stages.{stage}.downsample")
        yield from _nested(backbone, f"stages.{stage}.blocks")
    yield from (_element(backbone, name) for name in ("norm_pre", "head"))


def _split_transformer(backbone: Any) -> Iterator[BackboneElement]:
    own = ("patch_embed", "cls_token", "reg_token", "pos_embed", "patch_drop", "pos_drop", "norm_pre")
    yield BackboneElement("patch_embed", TokenEmbedding(backbone), own)
    yield from _nested(backbone, "blocks")
    yield BackboneElement("norm", TokenPooling(backbone), ("norm", "fc_norm", "attn_pool", "head_drop", "head"))


_SPLITS = {
    MobileNetV3: _split_mobilenet,
    EfficientNet: _split_efficientnet,
    ResNet: _split_resnet,
    ConvNeXt: _split_convnext,
    VisionTransformer: _split_transformer,
}

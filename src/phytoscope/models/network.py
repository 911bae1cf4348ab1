"""A timm backbone with one linear head. It takes raw pixels: mean and standard deviation are part of it."""

from dataclasses import dataclass
from typing import Any

import timm
import torch
from timm.models import PretrainedCfg, get_pretrained_cfg
from torch import Tensor, nn

from phytoscope.errors import ConfigError, suggest
from phytoscope.models.weights import load_backbone_weights
from phytoscope.schema.train_config import ModelConfig


@dataclass(frozen=True)
class BackboneInput:
    """What a backbone was trained to see.

    Attributes:
        size_px: Side of the square.
        mean: Mean of each channel, 0-1.
        std: Standard deviation of each channel, 0-1.
        interpolation: Resampling filter.
        crop_pct: Share of the shorter side that the centre crop keeps, 0-1.
    """

    size_px: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: str
    crop_pct: float


class PlantNetwork(nn.Module):
    """Backbone, dropout, linear head over the features and what else is known of a plant.

    Its buffers `mean` and `std` have the shape (1, 3, 1, 1), on the 0-1 scale.

    Attributes:
        backbone: The timm model without its classifier.
        head: The linear layer.
        feature_dim: Number of features that the backbone gives.
        covariate_dim: Numbers that are seen beside the image.
        covariate_dropout: What happens to them while training; nothing unless it is replaced. It has no weights.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, backbone: str, outputs: int, dropout: float, spec: BackboneInput, covariate_dim: int = 0
    ) -> None:
        """Builds the network with random weights.

        Args:
            backbone: Name of a timm model.
            outputs: Number of classes, or of numbers to predict.
            dropout: Share of features dropped before the head while training.
            spec: Mean and standard deviation to normalise with, and the size for backbones that are built for one.
            covariate_dim: Numbers that are seen beside the image.

        Raises:
            ConfigError: timm knows no such backbone, or it cannot be built for this size.
        """
        super().__init__()
        self.backbone = _create_backbone(backbone, spec.size_px)
        backbone_facts: Any = self.backbone
        hidden: int | None = getattr(backbone_facts, "head_hidden_size", None)
        self.feature_dim = int(backbone_facts.num_features if hidden is None else hidden)
        self.dropout = nn.Dropout(dropout)
        self.covariate_dim = covariate_dim
        self.covariate_dropout: nn.Module = nn.Identity()
        self.head = nn.Linear(self.feature_dim + covariate_dim, outputs)
        # Zero weights start every answer at the middle, so that the first steps do not shake the backbone.
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        self.register_buffer("mean", torch.tensor(spec.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(spec.std).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor, covariates: Tensor | None = None) -> Tensor:
        """Computes the answers.

        Args:
            images: Shape (N, 3, S, S), uint8, RGB, 0-255.
            covariates: Shape (N, covariate_dim), float32, as the encoder gave them; not read when `covariate_dim` is 0.

        Returns:
            Shape (N, outputs), float32: logits, or the numbers on their learned scales.
        """
        return self.answer(self.features(images), covariates)

    def look(self, images: Tensor, covariates: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Computes the answers and the pooled features that they come from.

        Args:
            images: Shape (N, 3, S, S), uint8, RGB, 0-255.
            covariates: Shape (N, covariate_dim), float32; not read when `covariate_dim` is 0.

        Returns:
            Shapes (N, outputs) and (N, feature_dim), float32.
        """
        features = self.features(images)
        return self.answer(features, covariates), features

    def answer(self, features: Tensor, covariates: Tensor | None = None) -> Tensor:
        """Computes the answers from pooled features.

        Args:
            features: Shape (N, feature_dim), float32.
            covariates: Shape (N, covariate_dim), float32; not read when `covariate_dim` is 0.

        Returns:
            Shape (N, outputs), float32.
        """
        seen = self.dropout(features)
        if self.covariate_dim > 0 and covariates is not None:
            seen = torch.cat([seen, self.covariate_dropout(covariates).to(seen.dtype)], dim=1)
        return self.head(seen)  # type: ignore[no-any-return]

    def features(self, images: Tensor) -> Tensor:
        """Computes the pooled features.

        Args:
            images: Shape (N, 3, S, S), uint8, RGB, 0-255.

        Returns:
            Shape (N, feature_dim), float32.
        """
        return self.backbone(self.normalise(images))  # type: ignore[no-any-return]

    def normalise(self, images: Tensor) -> Tensor:
        """Brings pixels to the scale that the backbone was trained on.

        Args:
            images: Shape (N, 3, S, S), uint8, RGB, 0-255.

        Returns:
            Shape (N, 3, S, S), float32.
        """
        return (images.to(self.mean.dtype) / 255 - self.mean) / self.std


def read_backbone_input(config: ModelConfig) -> BackboneInput:
    """Looks up what the backbone was trained to see; `config.input_size_px` overrides its size.

    Raises:
        ConfigError: timm knows no such backbone.
    """
    found = get_pretrained_cfg(_check_name(config.backbone)) or PretrainedCfg()
    size = config.input_size_px if config.input_size_px is not None else int(found.input_size[-1])
    red_mean, green_mean, blue_mean = (float(value) for value in found.mean)
    red_std, green_std, blue_std = (float(value) for value in found.std)
    return BackboneInput(
        size,
        (red_mean, green_mean, blue_mean),
        (red_std, green_std, blue_std),
        str(found.interpolation),
        float(found.crop_pct),
    )


def build_network(config: ModelConfig, outputs: int, covariate_dim: int = 0) -> tuple[PlantNetwork, str]:
    """Builds a network and fills its backbone.

    Args:
        config: Backbone, weights, dropout.
        outputs: Number of classes, or of numbers to predict.
        covariate_dim: Numbers that are seen beside the image.

    Returns:
        The network, and where its weights came from in words.

    Raises:
        ConfigError: The backbone or the source of the weights is unknown.
        WeightsError: The weights do not fit.
        WeightsUnavailableError: The weights cannot be had.
        MissingDependencyError: The weights package is not installed.
    """
    network = PlantNetwork(config.backbone, outputs, config.dropout, read_backbone_input(config), covariate_dim)
    origin = load_backbone_weights(network.backbone, config.backbone, config.weights)
    return network, origin


def _create_backbone(backbone: str, size_px: int) -> nn.Module:
    name = _check_name(backbone)
    pretrained = get_pretrained_cfg(name)
    options: dict[str, Any] = {}
    # Transformers with fixed windows or positions are built for one size; for convolutions the question does not arise.
    if pretrained is not None and pretrained.fixed_input_size is True:
        options["img_size"] = size_px
    try:
        return timm.create_model(name, pretrained=False, num_classes=0, **options)
    except (AssertionError, RuntimeError, TypeError, ValueError) as error:
        message = f"the backbone {name!r} cannot be built for {size_px} px ({error}): try another model.input_size_px."
        raise ConfigError(message) from error


def _check_name(backbone: str) -> str:
    if not timm.is_model(backbone):
        known = timm.list_models()
        if backbone.lower() in known:
            return backbone.lower()
        message = f"model.backbone={backbone!r}: timm knows no such model; {suggest(backbone, known)}"
        raise ConfigError(message)
    return backbone

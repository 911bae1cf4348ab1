"""How photographs become the squares that a network learns from: what the backbone wants, and what the settings say."""

from phytoscope.models.network import BackboneInput
from phytoscope.schema.choices import ResizeMode
from phytoscope.schema.data_config import DataConfig
from phytoscope.transforms.preprocess import Preprocess


def build_preprocess(spec: BackboneInput, data: DataConfig, resize: ResizeMode, scale: float | None) -> Preprocess:
    """The preparation of a network, the same wherever it is trained.

    Args:
        spec: What the backbone wants.
        data: `max_megapixels` and `reduced_decoding` are read.
        resize: How a photograph becomes a square; no longer `auto`.
        scale: Network pixels per image pixel (`fixed_scale` only).
    """
    return Preprocess(
        size_px=spec.size_px,
        resize=resize,
        interpolation=spec.interpolation,
        mean=spec.mean,
        std=spec.std,
        crop_pct=spec.crop_pct,
        scale=scale,
        max_megapixels=data.max_megapixels,
        reduced=data.reduced_decoding,
    )

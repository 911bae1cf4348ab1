"""Features of images, kept for every run with the same backbone, pixels and view."""

from pathlib import Path

from phytoscope.data.cache.array_store import ArrayKind, ArrayStore, open_array_store
from phytoscope.schema.choices import AugmentPreset
from phytoscope.transforms.preprocess import Preprocess

_FORMAT = 1
_INDEX_DIGITS = 12


def open_feature_store(
    cache_dir: Path,
    backbone_hash: str,
    preprocess: Preprocess,
    feature_dim: int,
    *,
    changes: str = AugmentPreset.none.value,
    seed: int = 0,
    view: int = 0,
) -> ArrayStore:
    """Names the store of the features of one view; nothing is read or written yet.

    Args:
        cache_dir: Where caches lie.
        backbone_hash: Hash of the weights and the structure of the backbone.
        preprocess: How images became squares, and mean and standard deviation that the network divides out.
        feature_dim: Number of features F; what is kept is float16 of shape (F,) for each image.
        changes: Name of the random changes of the view; not read for view 0.
        seed: Seed of the random changes; not read for view 0.
        view: 0 for images as they are, else the number of an augmented view.
    """
    about = {
        "feature_format": _FORMAT,
        "backbone": backbone_hash,
        "pixels": preprocess.pixel_hash,
        "scale": [list(preprocess.mean), list(preprocess.std)],
        # Images as they are do not depend on how others are changed.
        "augment": changes if view > 0 else AugmentPreset.none.value,
        "seed": seed if view > 0 else 0,
        "view": view,
    }
    return open_array_store(cache_dir, ArrayKind.features, about, (feature_dim,))


def number_image(sha256: str) -> int:
    """Number from which the random changes of an image are drawn: by content, not by place.

    Args:
        sha256: SHA-256 of the image's file.

    Returns:
        From 0 to below 2^48.
    """
    return int(sha256[:_INDEX_DIGITS], 16)

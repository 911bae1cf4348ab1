"""Leaves set before other backgrounds, so that a network cannot lean on the paper of a laboratory.

Cut and paste as in Dwibedi 2017 (doi 10.1109/ICCV.2017.146) and Ghiasi 2021 (arXiv 2012.07177), with the plant mask in
place of drawn ones: the leaf is cut out, turned, scaled and set before a drawn texture, a picture of the user's, or a
clutter of its own copies, with a soft edge and a shadow.
"""

import hashlib
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from phytoscope.errors import ConfigError, ImageReadError
from phytoscope.storage.fetching import fetch_place
from phytoscope.transforms.decode import IMAGE_SUFFIXES, read_image
from phytoscope.transforms.plant_mask import mask_plant
from phytoscope.transforms.textures import draw_texture

_MOST_PICTURES = 400
_MARGIN = 1.3
_LEAST_PLANT, _MOST_PLANT = 0.06, 0.9
# A leaf that is cut off by the picture on long stretches cannot be set elsewhere.
_MOST_CUT_OFF = 0.3
_USER_SHARE, _CLUTTER_SHARE = 0.5, 0.35
_SMALLEST, _LARGEST = 0.55, 1.5


@dataclass(frozen=True)
class Backgrounds:
    """Pictures that leaves are set before.

    Attributes:
        pictures: Each of shape (H, W, 3), uint8, RGB, 0-255, shorter side a little above the network's square.
        content_hash: Hash of the files; empty when there are none.
    """

    pictures: tuple[NDArray[np.uint8], ...] = ()
    content_hash: str = ""


NO_BACKGROUNDS = Backgrounds()
"""No pictures: drawn textures alone."""


def read_backgrounds(folder: str | None, *, size_px: int, max_megapixels: float = 100.0) -> Backgrounds:
    """Reads a folder of pictures without plants, all that lie in it and below.

    Of more than 400 pictures, 400 spread over the names are taken.

    Args:
        folder: The folder, or the address of one, which is copied to this computer; None for none.
        size_px: Side of the network's square.
        max_megapixels: Larger pictures are refused.

    Raises:
        ConfigError: The folder is not there, holds no picture, or one of them cannot be read.
        DataNotFoundError: There is nothing at the address that is given.
        StorageError: Its store cannot be reached, or refuses.
    """
    if folder is None:
        return NO_BACKGROUNDS
    root = fetch_place(folder)
    if not root.is_dir():
        message = (
            f"data.backgrounds={folder} is not a folder: name a folder of pictures without plants, or leave it out "
            "and drawn textures are used alone."
        )
        raise ConfigError(message)
    paths = sorted(path for path in root.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file())
    if not paths:
        allowed = ", ".join(sorted(IMAGE_SUFFIXES))
        message = f"data.backgrounds={folder} holds no picture: put files ending in {allowed} there, or leave it out."
        raise ConfigError(message)
    if len(paths) > _MOST_PICTURES:
        paths = [paths[place] for place in np.linspace(0, len(paths) - 1, _MOST_PICTURES).astype(int)]
    digest = hashlib.sha256()
    pictures = []
    for path in paths:
        try:
            picture = read_image(path, max_megapixels=max_megapixels)
        except ImageReadError as error:
            message = f"data.backgrounds={folder}: {error}: mend or remove this picture."
            raise ConfigError(message) from error
        shrunk = _shrink(picture, round(_MARGIN * size_px))
        digest.update(f"{shrunk.shape}".encode() + shrunk.tobytes())
        pictures.append(shrunk)
    return Backgrounds(tuple(pictures), digest.hexdigest())


def _shrink(picture: NDArray[np.uint8], shorter_px: int) -> NDArray[np.uint8]:
    height, width = picture.shape[:2]
    scale = shorter_px / min(height, width)
    size = (max(shorter_px, round(width * scale)), max(shorter_px, round(height * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(picture, size, interpolation=method), dtype=np.uint8)


def find_replaceable(pixels: NDArray[np.uint8]) -> NDArray[np.bool_] | None:
    """Finds the plant, if it can be told from its background well enough to be cut out.

    Args:
        pixels: Shape (S, S, 3), uint8, RGB, 0-255.

    Returns:
        Shape (S, S), bool; None when the plant fills the picture or nearly nothing of it, or is cut off by its border
        on long stretches.
    """
    mask = mask_plant(pixels)
    if not _LEAST_PLANT <= mask.mean() <= _MOST_PLANT:
        return None
    border = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
    return None if border.mean() > _MOST_CUT_OFF else mask


def replace_background(
    pixels: NDArray[np.uint8], rng: np.random.Generator, backgrounds: Backgrounds = NO_BACKGROUNDS
) -> NDArray[np.uint8]:
    """Sets the plant of a picture before another background, at another place, angle and size.

    Args:
        pixels: Shape (S, S, 3), uint8, RGB, 0-255.
        rng: Source of all choices.
        backgrounds: The user's pictures; half of the backgrounds are then theirs.

    Returns:
        Shape (S, S, 3), uint8, RGB, 0-255; the picture as it is where the plant cannot be cut out.
    """
    mask = find_replaceable(pixels)
    if mask is None:
        return pixels
    size = pixels.shape[0]
    cover = _soften(mask)
    scene = _draw_scene(rng, size, backgrounds)
    if rng.random() < _CLUTTER_SHARE:
        scene = _add_copies(scene, pixels, cover, rng)
    leaf, cover = _move(pixels, cover, _draw_motion(mask, rng, _SMALLEST, _LARGEST))
    scene = _cast_shadow(scene, cover, rng)
    composed = scene + (_light_leaf(leaf, rng) - scene) * cover[:, :, None]
    return np.clip(np.rint(composed), 0, 255).astype(np.uint8)


def _soften(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    # The outermost pixels hold some of the old background.
    size = mask.shape[0]
    width = 2 * max(1, round(size / 200)) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, width))
    inner = cv2.erode(mask.astype(np.float32), kernel)
    return np.asarray(cv2.GaussianBlur(inner, (0, 0), max(0.5, size / 300)), dtype=np.float32)


def _draw_scene(rng: np.random.Generator, size: int, backgrounds: Backgrounds) -> NDArray[np.float32]:
    if not backgrounds.pictures or rng.random() >= _USER_SHARE:
        return draw_texture(rng, size)
    picture = backgrounds.pictures[int(rng.integers(len(backgrounds.pictures)))]
    height, width = picture.shape[:2]
    side = int(rng.integers(min(size, height, width) * 2 // 3, min(height, width) + 1))
    top, left = int(rng.integers(0, height - side + 1)), int(rng.integers(0, width - side + 1))
    crop = cv2.resize(picture[top : top + side, left : left + side], (size, size), interpolation=cv2.INTER_LINEAR)
    return np.asarray(crop[:, ::-1] if rng.random() < 0.5 else crop, dtype=np.float32)


def _draw_motion(
    mask: NDArray[np.bool_], rng: np.random.Generator, smallest: float, largest: float, *, spread: float = 0.12
) -> NDArray[np.float32]:
    """Matrix that turns the plant, scales it to a share of the picture and sets it near the middle."""
    size = mask.shape[0]
    left, top, width, height = cv2.boundingRect(mask.astype(np.uint8))
    extent = max(width, height)
    scale = float(np.exp(rng.uniform(np.log(smallest), np.log(largest)))) * size / extent
    middle = (left + width / 2, top + height / 2)
    motion = cv2.getRotationMatrix2D(middle, float(rng.uniform(0, 360)), scale)
    if rng.random() < 0.5:
        motion = motion @ np.array([[-1, 0, 2 * middle[0]], [0, 1, 0], [0, 0, 1]])
    motion[:, 2] += size / 2 - np.array(middle) + rng.normal(0, spread * size, 2)
    return np.asarray(motion, dtype=np.float32)


def _move(
    pixels: NDArray[np.uint8], cover: NDArray[np.float32], motion: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    size = (pixels.shape[1], pixels.shape[0])
    leaf = cv2.warpAffine(pixels, motion, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    moved = cv2.warpAffine(cover, motion, size, flags=cv2.INTER_LINEAR)
    return np.asarray(leaf, dtype=np.float32), np.asarray(moved, dtype=np.float32)


def _add_copies(
    scene: NDArray[np.float32], pixels: NDArray[np.uint8], cover: NDArray[np.float32], rng: np.random.Generator
) -> NDArray[np.float32]:
    # A plant's other leaves look like this one, mostly with the same disease, in other light and out of focus.
    mask = cover > 0.5
    if not mask.any():
        return scene
    for _ in range(int(rng.integers(2, 7))):
        leaf, moved = _move(pixels, cover, _draw_motion(mask, rng, 0.3, 1.2, spread=0.4))
        light = np.float32(rng.uniform(0.35, 1.2)) * rng.normal(1.0, 0.06, 3).astype(np.float32)
        scene = scene + (leaf * light - scene) * moved[:, :, None]
    sigma = float(rng.uniform(0.0, 4.0)) * len(scene) / 224
    return np.asarray(cv2.GaussianBlur(scene, (0, 0), sigma) if sigma > 0.3 else scene, dtype=np.float32)


def _cast_shadow(
    scene: NDArray[np.float32], cover: NDArray[np.float32], rng: np.random.Generator
) -> NDArray[np.float32]:
    size = len(scene)
    shift = rng.normal(0, 0.03 * size, 2)
    motion = np.array([[1, 0, shift[0]], [0, 1, shift[1]]], dtype=np.float32)
    shadow = cv2.GaussianBlur(
        cv2.warpAffine(cover, motion, (size, size)), (0, 0), size * float(rng.uniform(0.005, 0.05))
    )
    dark = 1.0 - np.float32(rng.uniform(0.0, 0.7)) * np.asarray(shadow, dtype=np.float32)
    return np.asarray(scene * dark[:, :, None], dtype=np.float32)


def _light_leaf(leaf: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    # Light falls from one side, and the leaf need not be lit like what stands behind it.
    size = len(leaf)
    ramp = np.linspace(-0.5, 0.5, size, dtype=np.float32)
    angle = rng.uniform(0, 2 * np.pi)
    slope = np.float32(rng.uniform(0, 0.5))
    light = 1.0 + slope * (np.float32(np.cos(angle)) * ramp[None, :] + np.float32(np.sin(angle)) * ramp[:, None])
    return np.asarray(leaf * (light * np.float32(rng.uniform(0.8, 1.3)))[:, :, None], dtype=np.float32)

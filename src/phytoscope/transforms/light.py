"""Light, air and camera of the field as random changes of a picture: strong, and cheap enough for every image."""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from phytoscope.transforms.textures import draw_noise

_Pixels = NDArray[np.float32]
_Rng = np.random.Generator


def change_light(pixels: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Photographs a picture again, in other light, through other air and with another camera.

    Colour of the light (warm, cool, green under leaves), exposure, contrast and saturation nearly always change; spots
    of shade, haze, blur, coarse pixels, noise and JPEG now and then.

    Args:
        pixels: Shape (S, S, 3), uint8, RGB, 0-255.
        rng: Source of all choices.

    Returns:
        Shape (S, S, 3), uint8, RGB, 0-255.
    """
    changed = np.asarray(pixels, dtype=np.float32)
    for change, probability in _CHANGES:
        if rng.random() < probability:
            changed = change(changed, rng)
    finished = np.clip(np.rint(changed), 0, 255).astype(np.uint8)
    return _compress(finished, rng) if rng.random() < _COMPRESSED else finished


def _colour_light(pixels: _Pixels, rng: _Rng) -> _Pixels:
    warmth, tint = rng.normal(0, 0.13), rng.normal(0, 0.07)
    gains = np.array([1 + warmth, 1 + tint, 1 - warmth], dtype=np.float32)
    # Exposure is a step of its own, so that colour alone changes here.
    return np.asarray(pixels * (gains / gains.mean()), dtype=np.float32)


def _expose(pixels: _Pixels, rng: _Rng) -> _Pixels:
    gamma = np.float32(np.exp(rng.normal(0, 0.3)))
    gain = np.float32(np.exp(rng.normal(0.05, 0.22)))
    return np.asarray(255.0 * gain * (np.clip(pixels, 0, 255) / np.float32(255.0)) ** gamma, dtype=np.float32)


def _contrast(pixels: _Pixels, rng: _Rng) -> _Pixels:
    middle = pixels.mean()
    return np.asarray(middle + (pixels - middle) * np.float32(rng.uniform(0.55, 1.5)), dtype=np.float32)


def _saturate(pixels: _Pixels, rng: _Rng) -> _Pixels:
    grey = pixels.mean(axis=2, keepdims=True)
    return np.asarray(grey + (pixels - grey) * np.float32(rng.uniform(0.45, 1.6)), dtype=np.float32)


def _turn_hue(pixels: _Pixels, rng: _Rng) -> _Pixels:
    # A turn about the grey axis, which is what a change of hue is in RGB.
    angle = rng.normal(0, 0.12)
    cosine, sine = np.cos(angle), np.sin(angle)
    same, next_, last = (
        cosine + (1 - cosine) / 3,
        (1 - cosine) / 3 - np.sqrt(1 / 3) * sine,
        (1 - cosine) / 3 + np.sqrt(1 / 3) * sine,
    )
    matrix = np.array([[same, next_, last], [last, same, next_], [next_, last, same]], dtype=np.float32)
    return np.asarray(cv2.transform(pixels, matrix), dtype=np.float32)


def _shade(pixels: _Pixels, rng: _Rng) -> _Pixels:
    # Spots of sun between leaves: noise with steep edges.
    field = draw_noise(rng, len(pixels), cells=int(rng.integers(2, 7)), octaves=2)
    steep = np.clip((field - np.float32(rng.uniform(0.35, 0.65))) * np.float32(rng.uniform(3, 15)) + 0.5, 0, 1)
    dark = np.float32(rng.uniform(0.35, 0.85))
    return np.asarray(pixels * (dark + (np.float32(1.15) - dark) * steep)[:, :, None], dtype=np.float32)


def _haze(pixels: _Pixels, rng: _Rng) -> _Pixels:
    share = np.float32(rng.uniform(0.1, 0.45))
    air = np.array([225, 230, 230], dtype=np.float32) * np.float32(rng.uniform(0.75, 1.05))
    return np.asarray(pixels + (air - pixels) * share, dtype=np.float32)


def _blur(pixels: _Pixels, rng: _Rng) -> _Pixels:
    size = len(pixels) / 224
    if rng.random() < 0.7:
        return np.asarray(cv2.GaussianBlur(pixels, (0, 0), size * float(rng.uniform(0.5, 2.2))), dtype=np.float32)
    length = max(3, round(size * rng.uniform(4, 9)))
    kernel = np.zeros((length, length), dtype=np.float32)
    angle = rng.uniform(0, np.pi)
    reach = (length / 2) * np.array([np.cos(angle), np.sin(angle)])
    ends = [tuple(int(value) for value in np.rint(length / 2 - 0.5 + sign * reach)) for sign in (-1, 1)]
    cv2.line(kernel, ends[0], ends[1], 1.0, 1)
    return np.asarray(cv2.filter2D(pixels, -1, kernel / kernel.sum()), dtype=np.float32)


def _coarsen(pixels: _Pixels, rng: _Rng) -> _Pixels:
    side = len(pixels)
    small = max(1, int(side * rng.uniform(0.35, 0.8)))
    coarse = cv2.resize(pixels, (small, small), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(coarse, (side, side), interpolation=cv2.INTER_LINEAR), dtype=np.float32)


def _add_noise(pixels: _Pixels, rng: _Rng) -> _Pixels:
    noise = rng.standard_normal(pixels.shape, dtype=np.float32)
    return np.asarray(pixels + noise * np.float32(rng.uniform(2, 12)), dtype=np.float32)


def _compress(pixels: NDArray[np.uint8], rng: _Rng) -> NDArray[np.uint8]:
    quality = [int(cv2.IMWRITE_JPEG_QUALITY), int(rng.integers(30, 90))]
    _, encoded = cv2.imencode(".jpg", np.ascontiguousarray(pixels[:, :, ::-1]), quality)
    decoded = np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR), dtype=np.uint8)
    return np.ascontiguousarray(decoded[:, :, ::-1])


_COMPRESSED = 0.3
_CHANGES: tuple[tuple[Callable[[_Pixels, _Rng], _Pixels], float], ...] = (
    (_colour_light, 0.8),
    (_turn_hue, 0.4),
    (_shade, 0.35),
    (_expose, 0.8),
    (_saturate, 0.6),
    (_contrast, 0.6),
    (_haze, 0.2),
    (_coarsen, 0.15),
    (_blur, 0.3),
    (_add_noise, 0.2),
)

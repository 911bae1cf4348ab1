"""Brushes shared by the drawn data sets: noise, relief, light and camera.

Pictures are composed in linear light, RGB, at `SUPERSAMPLE` times the final size, and become 8-bit sRGB in
`develop_photo` alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

__all__ = [
    "GAMMA",
    "SUPERSAMPLE",
    "Camera",
    "develop_photo",
    "fractal_noise",
    "light_field",
    "mix",
    "relief",
    "rgb",
    "vary",
]

FloatImage = npt.NDArray[np.float32]
ByteImage = npt.NDArray[np.uint8]

SUPERSAMPLE = 2
GAMMA = 2.2


@dataclass(frozen=True)
class Camera:
    """What the camera does to the light that reaches it.

    Attributes:
        exposure: Factor on linear light, 1 is neutral.
        white_balance: Factors on red, green and blue in linear light.
        blur_px: Standard deviation of the lens blur in pixels of the finished picture.
        noise: Standard deviation of the sensor noise as a fraction of full scale.
    """

    exposure: float
    white_balance: tuple[float, float, float]
    blur_px: float
    noise: float


def rgb(red: float, green: float, blue: float) -> FloatImage:
    """Turn an 8-bit sRGB colour into linear light.

    Args:
        red: Red, 0-255.
        green: Green, 0-255.
        blue: Blue, 0-255.

    Returns:
        Colour of shape (3,), float32, linear, 0-1.
    """
    return np.asarray((np.array([red, green, blue]) / 255.0) ** GAMMA, dtype=np.float32)


def vary(rng: np.random.Generator, red: float, green: float, blue: float, *, spread: float) -> FloatImage:
    """Draw a colour near a given one: brightness varies more than hue, as it does in nature.

    Args:
        rng: Source of randomness.
        red: Red, 0-255.
        green: Green, 0-255.
        blue: Blue, 0-255.
        spread: Standard deviation of the brightness, 0-255; hue varies a third as much.

    Returns:
        Colour of shape (3,), float32, linear, 0-1.
    """
    offset = spread * (float(rng.standard_normal()) + rng.standard_normal(3) / 3.0)
    colour = np.clip(np.array([red, green, blue]) + offset, 2.0, 253.0)
    return rgb(*(float(channel) for channel in colour))


def mix(base: FloatImage, paint: FloatImage, amount: FloatImage) -> FloatImage:
    """Lay paint over a picture.

    Args:
        base: Picture of shape (H, W, 3), linear.
        paint: Colour of shape (3,) or picture of shape (H, W, 3), linear.
        amount: Coverage of shape (H, W), 0-1.

    Returns:
        Picture of shape (H, W, 3), float32, linear.
    """
    mixed = np.subtract(paint, base, dtype=np.float32)
    mixed *= amount[..., None]
    mixed += base
    return mixed


def fractal_noise(
    rng: np.random.Generator, shape: tuple[int, int], *, cells: int, octaves: int = 3, persistence: float = 0.5
) -> FloatImage:
    """Draw smooth random variation, coarse first, each octave twice as fine.

    Args:
        rng: Source of randomness.
        shape: Height and width in pixels.
        cells: Grid cells along the longer side in the coarsest octave.
        octaves: Number of octaves.
        persistence: Amplitude of an octave relative to the one before.

    Returns:
        Field of shape (H, W), float32, mean about 0 and standard deviation about 1.
    """
    height, width = shape
    longest = max(shape)
    total = np.zeros(shape, dtype=np.float32)
    amplitude, power = 1.0, 0.0
    for octave in range(octaves):
        count = min(cells * 2**octave, longest)
        grid = rng.standard_normal(
            (max(2, round(count * height / longest)) + 2, max(2, round(count * width / longest)) + 2), dtype=np.float32
        )
        total += amplitude * np.asarray(cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC))
        power += amplitude**2
        amplitude *= persistence
    # Cubic interpolation between grid points loses about a third of the amplitude.
    return np.asarray(total * np.float32(1.4 / np.sqrt(power)), dtype=np.float32)


def relief(height_px: FloatImage, towards_light: tuple[float, float]) -> FloatImage:
    """Slope of a surface towards the light.

    Args:
        height_px: Height above the ground of shape (H, W), in pixels.
        towards_light: Unit vector in the picture (x to the right, y down) that points to the light.

    Returns:
        Field of shape (H, W), float32: positive where the surface faces the light.
    """
    slope_x = np.asarray(cv2.Sobel(height_px, cv2.CV_32F, 1, 0, ksize=3, scale=0.125))
    slope_y = np.asarray(cv2.Sobel(height_px, cv2.CV_32F, 0, 1, ksize=3, scale=0.125))
    return np.asarray(-(slope_x * towards_light[0] + slope_y * towards_light[1]), dtype=np.float32)


def light_field(side_px: int, *, towards_light: tuple[float, float], fall_off: float, vignette: float) -> FloatImage:
    """Brightness of an unevenly lit scene.

    Args:
        side_px: Side of the square scene in pixels.
        towards_light: Unit vector in the picture that points to the light.
        fall_off: Relative change of brightness from the centre to the edge.
        vignette: Relative loss of brightness in the corners.

    Returns:
        Field of shape (side_px, side_px), float32, about 1.
    """
    axis = np.linspace(-1.0, 1.0, side_px, dtype=np.float32)
    across, down = axis[None, :], axis[:, None]
    plane = fall_off * (across * towards_light[0] + down * towards_light[1])
    return np.asarray(1.0 + plane - vignette * 0.5 * (across**2 + down**2), dtype=np.float32)


def develop_photo(scene: FloatImage, camera: Camera, rng: np.random.Generator, *, size_px: int) -> ByteImage:
    """Photograph a scene: expose, shrink, blur, add noise, encode.

    Args:
        scene: Linear light of shape (H, W, 3), float32.
        camera: The camera's settings.
        rng: Source of the sensor noise.
        size_px: Side of the finished square picture in pixels.

    Returns:
        Picture of shape (size_px, size_px, 3), uint8, sRGB in RGB order.
    """
    small = np.asarray(cv2.resize(scene, (size_px, size_px), interpolation=cv2.INTER_AREA), dtype=np.float32)
    if camera.blur_px > 0.0:
        small = np.asarray(cv2.GaussianBlur(small, (0, 0), camera.blur_px), dtype=np.float32)
    gains = np.array(camera.white_balance, dtype=np.float32) * np.float32(camera.exposure)
    light = np.clip(small * gains, 0.0, None)
    # A soft shoulder keeps highlights from clipping to flat white patches.
    light = np.where(light > 0.7, 0.7 + 0.3 * np.tanh((light - 0.7) / 0.3), light)
    encoded = np.power(light, 1.0 / GAMMA)
    luminance_noise = rng.standard_normal((size_px, size_px, 1), dtype=np.float32)
    colour_noise = rng.standard_normal((size_px, size_px, 3), dtype=np.float32)
    encoded += camera.noise * (0.8 * luminance_noise + 0.5 * colour_noise)
    return np.asarray(np.clip(np.rint(encoded * 255.0), 0, 255), dtype=np.uint8)

"""Whether two small pictures show the same photograph, whatever was done to the file in between."""

import numpy as np
from numpy.typing import NDArray

_FLOATS = NDArray[np.float32]
_COARSE_PX = 8
_COARSE_MOST = 0.3
# Share of the variance that may stay unexplained, and how far a place may then differ, in standard deviations.
_LIMITS = ((0.05, 0.35), (0.12, 0.33))
_DIFFERENCE_MOST = 1.0
# Of the pixels, in grey levels squared; below it, noise is all there is.
_VARIANCE_LEAST = 4.0
# Mean difference between the strongest and the weakest channel, in grey levels.
_COLOUR_LEAST = 2.0
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
_PAIRS_PER_BATCH = 256
_PLACE_PX = 3


def confirm_copies(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Tells copies from pictures that merely look alike, for pairs of thumbnails.

    The second is mirrored and turned to where it fits best; of a colour and a grey picture, both are made grey. Then as
    much of one as possible is explained by the other made brighter or darker, shifted and zoomed a little (one step of
    image registration, Lucas and Kanade 1981, by least squares). They are copies when less than 5 % of the variance
    stays unexplained and no place differs by more than 0.35 standard deviations of the picture, or less than 12 % and
    0.33: a blurred copy has lost detail everywhere, but a small plant that differs in an otherwise equal pot is another
    picture. Plain pictures are copies when their pixels differ by one grey level at most (root mean square).

    The limits were set between changed copies (re-compressed, resized, brightened: 99 % stay below 0.045 and 0.32;
    strongly blurred: 0.11 and 0.31) and photographs of different plants on the same background (none below 0.095 and
    0.45 among all pairs of 5,000).

    Args:
        first: Shape (N, 32, 32, 3), uint8, RGB, 0-255.
        second: Of the same shape.

    Returns:
        Shape (N,), bool.
    """
    same = np.zeros(len(first), dtype=bool)
    for start in range(0, len(first), _PAIRS_PER_BATCH):
        part = slice(start, start + _PAIRS_PER_BATCH)
        left, right = _match_colours(first[part].astype(np.float32), second[part].astype(np.float32))
        turned, likely = _turn_to_fit(left, right)
        chosen = np.flatnonzero(likely)
        if len(chosen):
            same[start + chosen] = _is_same(left[chosen], turned[chosen])
    return same


def turn(pictures: _FLOATS, variant: int) -> _FLOATS:
    """Mirrors and turns pictures.

    Args:
        pictures: Shape (N, S, S, 3), float32.
        variant: Which of the eight ways, 0-7; 0 leaves them as they are.

    Returns:
        A view of the same shape.
    """
    if variant >= 4:
        pictures = pictures.swapaxes(1, 2)
    if variant & 1:
        pictures = pictures[:, :, ::-1]
    return pictures[:, ::-1] if variant & 2 else pictures


def _match_colours(left: _FLOATS, right: _FLOATS) -> tuple[_FLOATS, _FLOATS]:
    """Takes the colour from both pictures of a pair when one of them has none."""
    grey = np.minimum(*(np.ptp(some, axis=3).mean(axis=(1, 2)) for some in (left, right))) <= _COLOUR_LEAST
    for some in (left, right):
        some[grey] = (some[grey] @ _LUMA)[..., None]
    return left, right


def _turn_to_fit(left: _FLOATS, right: _FLOATS) -> tuple[_FLOATS, NDArray[np.bool_]]:
    """The right pictures as they fit the left ones best, and whether they fit roughly at all."""
    wanted, given = _shrink(left), _shrink(right)
    fits = np.stack([(wanted * turn(given, variant)).sum(axis=(1, 2, 3)) for variant in range(8)])
    best = fits.argmax(axis=0)
    turned = np.empty_like(right)
    for variant in range(8):
        chosen = best == variant
        turned[chosen] = turn(right[chosen], variant)
    norms = (wanted**2).sum(axis=(1, 2, 3)) * (given**2).sum(axis=(1, 2, 3))
    likely = np.maximum(fits.max(axis=0), 0) ** 2 >= (1 - _COARSE_MOST) * norms
    return turned, likely | (((left - turned) ** 2).mean(axis=(1, 2, 3)) <= _DIFFERENCE_MOST**2)


def _shrink(pictures: _FLOATS) -> _FLOATS:
    n, size = pictures.shape[:2]
    step = size // _COARSE_PX
    small: _FLOATS = pictures.reshape(n, _COARSE_PX, step, _COARSE_PX, step, 3).mean(axis=(2, 4))
    centred: _FLOATS = small - small.mean(axis=(1, 2), keepdims=True)
    return centred


def _is_same(left: _FLOATS, right: _FLOATS) -> NDArray[np.bool_]:
    # A picture that was cut a little explains the whole one worse than the other way round.
    unexplained, place = np.minimum(_fit(left, right), _fit(right, left))
    plain = ((left - right) ** 2).mean(axis=(1, 2, 3)) <= _DIFFERENCE_MOST**2
    same: NDArray[np.bool_] = plain
    for most_unexplained, most_apart in _LIMITS:
        same = same | ((unexplained <= most_unexplained) & (place <= most_apart))
    return same


def _fit(left: _FLOATS, right: _FLOATS) -> NDArray[np.float64]:
    """Share of the right picture's variance that the left one cannot explain, and its largest local misfit, (2, N)."""
    n, size = left.shape[:2]
    inner = slice(1, -1)
    across = (left[:, inner, 2:] - left[:, inner, :-2]) / 2
    down = (left[:, 2:, inner] - left[:, :-2, inner]) / 2
    place = ((np.arange(1, size - 1) - (size - 1) / 2) / (size / 2)).astype(np.float32)
    zoom_across, zoom_down = across * place[:, None], down * place[:, None, None]
    causes = np.stack([left[:, inner, inner], across, down, zoom_across, zoom_down], axis=1)
    causes = causes - causes.mean(axis=(2, 3), keepdims=True)
    wanted = right[:, inner, inner]
    wanted = wanted - wanted.mean(axis=(1, 2), keepdims=True)
    matrix, effect = causes.reshape(n, 5, -1), wanted.reshape(n, -1)
    # A little is added to the diagonal, because a plain picture has no gradients.
    normal = (matrix @ matrix.transpose(0, 2, 1)).astype(np.float64) + np.eye(5)
    weights = np.linalg.solve(normal, (matrix @ effect[:, :, None]).astype(np.float64))
    rest = effect - (weights.transpose(0, 2, 1).astype(np.float32) @ matrix)[:, 0]
    variance = np.maximum((effect**2).mean(axis=1, dtype=np.float64), _VARIANCE_LEAST)
    places = (size - 2) // _PLACE_PX
    local = np.abs(rest.reshape(n, places, _PLACE_PX, places, _PLACE_PX, 3).mean(axis=(2, 4))).mean(axis=3)
    # There is nothing in a plain picture that another could explain.
    unexplained = np.where(variance > _VARIANCE_LEAST, (rest**2).mean(axis=1) / variance, np.inf)
    return np.stack([unexplained, local.max(axis=(1, 2)) / np.sqrt(variance)])

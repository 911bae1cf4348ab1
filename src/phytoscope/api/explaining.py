"""Heat maps on request, in a thread of their own so that answers do not wait for them."""

import asyncio
import base64
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from phytoscope.api.errors import RequestError, refuse_busy
from phytoscope.errors import ConfigError, MissingDependencyError
from phytoscope.predict.explain import Explainer
from phytoscope.predict.predictor import Predictor
from phytoscope.schema.explanation import Explanation

# A colour as strong as its heat: nothing is laid over what does not count.
_STRONGEST: Final = 200
_FIRST_GUESS_S: Final = 0.5


class ExplainDesk:
    """Explains photographs one after the other.

    Attributes:
        is_possible: Whether the model can be explained at all.
    """

    def __init__(self, predictor: Predictor, most_waiting: int) -> None:
        """Starts the thread.

        Args:
            predictor: The model.
            most_waiting: Photographs that may wait.
        """
        self.is_possible = True
        self._predictor = predictor
        self._most_waiting = most_waiting
        self._waiting = 0
        self._seconds = _FIRST_GUESS_S
        self._explainer: Explainer | None = None
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="explain")

    def reserve(self, count: int) -> None:
        """Takes places in the queue; each is given back by `explain`, or by `release`.

        Args:
            count: Photographs.

        Raises:
            RequestError: So many may not wait (429).
        """
        if self._waiting + count > self._most_waiting:
            raise refuse_busy(self._waiting * self._seconds)
        self._waiting += count

    def release(self, count: int) -> None:
        """Gives places back that `reserve` took."""
        self._waiting -= count

    async def explain(self, square: NDArray[np.uint8], covariates: NDArray[np.float32] | None) -> dict[str, str]:
        """Draws what the answer for one photograph rests on.

        Args:
            square: Shape (S, S, 3), uint8, RGB, 0-255.
            covariates: Shape (1, covariate_dim), float32; None when the model sees the image alone.

        Returns:
            Fields of `wire.ExplanationPictures`.

        Raises:
            RequestError: The model cannot be explained (422).
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        answer = await loop.run_in_executor(self._pool, self._draw, square, covariates)
        self._seconds += 0.2 * ((loop.time() - began) / max(1, self._waiting) - self._seconds)
        return answer

    def close(self) -> None:
        """Ends the thread when it has finished what it does."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _draw(self, square: NDArray[np.uint8], covariates: NDArray[np.float32] | None) -> dict[str, str]:
        try:
            if self._explainer is None:
                self._explainer = Explainer(self._predictor)
            explanation = self._explainer.explain(square[None], covariates, test=False)[0]
        except (ConfigError, MissingDependencyError) as error:
            self.is_possible = False
            message = f"the answers of this model cannot be explained: {error}"
            raise RequestError(422, "bad_request", message) from error
        return {
            "picture": _encode(np.ascontiguousarray(square[:, :, ::-1])),
            "heat": _encode(paint_heat(explanation.heat)),
            "method": explanation.method.value,
            "words": word_explanation(explanation),
        }


def paint_heat(heat: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Colours a heat map.

    Args:
        heat: Shape (S, S), float32, 0-1.

    Returns:
        Shape (S, S, 4), uint8, blue, green, red and opacity: the warmer, the less transparent.
    """
    levels = np.clip(heat * 255, 0, 255).astype(np.uint8)
    colours = cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO)
    opacity = (levels.astype(np.uint16) * _STRONGEST // 255).astype(np.uint8)
    return np.dstack([colours, opacity])


def word_explanation(explanation: Explanation) -> str:
    """What can be said of an explanation, in one or two sentences.

    Args:
        explanation: It.
    """
    if not explanation.heat.any():
        return f"No part of the picture speaks for {explanation.explained}."
    if explanation.outside_plant is None:
        return "No plant was found in the picture, so it cannot be said whether the answer rests on it."
    share = f"{100 * explanation.outside_plant:.0f} %"
    if explanation.looks_outside:
        return f"{share} of what the answer rests on lies outside the plant: do not trust it without a second look."
    return f"The answer rests mostly on the plant; {share} of it lies outside."


def _encode(pixels: NDArray[np.uint8]) -> str:
    _, content = cv2.imencode(".png", pixels)
    return "data:image/png;base64," + base64.b64encode(content.tobytes()).decode("ascii")

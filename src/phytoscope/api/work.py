"""One photograph of a request, from its bytes to its answer."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phytoscope.api.answers import word_failure, word_prediction
from phytoscope.api.batcher import Question
from phytoscope.api.decoders import Decoded, DecodeError, DecoderPool
from phytoscope.api.explaining import ExplainDesk
from phytoscope.api.logs import note_error
from phytoscope.api.model_slot import ServedModel
from phytoscope.api.uploads import Upload


@dataclass(frozen=True)
class Asked:
    """One request under way.

    Attributes:
        request_id: Its number.
        began: When it came, `time.perf_counter`.
        on_gone: Takes a function that is called when the client goes away.
    """

    request_id: str
    began: float
    on_gone: Callable[[Callable[[], None]], None]


class Work:
    """One photograph on its way.

    Attributes:
        content: The file's bytes.
        sha256: Their hash; empty until the file was decoded.
    """

    def __init__(
        self, decoders: DecoderPool, model: ServedModel, asked: Asked, upload: Upload, desk: ExplainDesk | None
    ) -> None:
        """Starts nothing yet.

        Args:
            decoders: Decode it.
            model: Answers it.
            asked: The request.
            upload: The photograph.
            desk: Explains the answer, where that was asked for; one place in its queue is given back in the end.
        """
        self.content = upload.content
        self.sha256 = ""
        self._decoders, self._model, self._asked, self._upload = decoders, model, asked, upload
        self._desk = desk

    def release(self) -> None:
        """Gives the place in the queue for heat maps back."""
        if self._desk is not None:
            self._desk.release(1)
            self._desk = None

    async def run(self) -> dict[str, Any]:
        """The answer."""
        key, name = secrets.token_hex(16), self._upload.name
        # The model says what it cannot use before anything is decoded.
        covariates, remarks = self._model.predictor.encode(self._upload.covariates)
        try:
            decoded = await self._decoders.read(self._asked, self.content, self._model.recipe)
        except DecodeError as error:
            return word_failure(key, name, error.code, error.reason)
        self.sha256 = decoded.sha256
        question = Question(name, decoded.photo, covariates, remarks)
        try:
            prediction = await self._model.batcher.ask(self._asked, question)
        except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as error:
            note_error("a photograph could not be answered", error, request_id=self._asked.request_id)
            return word_failure(key, name, "internal", "it could not be answered; the log of the service says why")
        pictures = await self._explain(decoded, covariates)
        return word_prediction(key, prediction, decoded.photo, pictures)

    async def _explain(self, decoded: Decoded, covariates: NDArray[np.float32] | None) -> dict[str, str] | None:
        if self._desk is None:
            return None
        return await self._desk.explain(decoded.photo.square, covariates)

"""Micro-batches that form by themselves: whatever waits when the network is free is computed together.

Nobody waits for a batch to fill. A lone client is answered at once; the more clients there are, the more photographs
wait while a batch is computed, and the larger the next one is (Crankshaw 2017, arXiv 1612.03079, adapts sizes by
measurement; here the queue itself does).
"""

import asyncio
import time
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from phytoscope.api.fair_queue import FairQueue
from phytoscope.predict.predictor import Predictor
from phytoscope.schema.prediction import Prediction
from phytoscope.transforms.photo import Photo

Observer = Callable[[int, float], None]


@dataclass(frozen=True)
class Question:
    """One photograph that waits for its answer.

    Attributes:
        name: What the answer calls it.
        photo: The photograph, prepared and measured.
        covariates: Shape (1, covariate_dim), float32; None when the model sees the image alone.
        remarks: What could not be used.
    """

    name: str
    photo: Photo
    covariates: NDArray[np.float32] | None
    remarks: tuple[str, ...]


_Waiting = tuple[Question, "asyncio.Future[Prediction]"]


class Batcher:
    """Answers photographs of many requests with one model, in the loop's thread and as many others as it has lanes.

    Attributes:
        predictor: The model.
    """

    def __init__(self, predictor: Predictor, observe: Observer = lambda _size, _seconds: None) -> None:
        """Starts the threads.

        Args:
            predictor: The model.
            observe: Told size and seconds of each batch.
        """
        self.predictor = predictor
        self._observe = observe
        self._loop = asyncio.get_running_loop()
        self._pool = ThreadPoolExecutor(predictor.engine.lanes, thread_name_prefix="network")
        self._idle = predictor.engine.lanes
        self._queue: FairQueue[_Waiting] = FairQueue()
        self._drained = asyncio.Event()
        self._drained.set()

    @property
    def waiting(self) -> int:
        """Photographs that no lane has taken yet."""
        return len(self._queue)

    def ask(self, owner: Hashable, question: Question) -> "asyncio.Future[Prediction]":
        """Puts a photograph into the queue.

        Args:
            owner: The request; requests take turns.
            question: The photograph.

        Returns:
            Its answer; when it is cancelled before its turn, nothing is computed.
        """
        future: asyncio.Future[Prediction] = self._loop.create_future()
        self._queue.push(owner, (question, future))
        self._drained.clear()
        self._start()
        return future

    async def close(self) -> None:
        """Finishes what was asked, and ends the threads."""
        await self._drained.wait()
        self._pool.shutdown(wait=False)

    def _start(self) -> None:
        while self._idle > 0 and (batch := self._take()):
            self._idle -= 1
            began = time.perf_counter()
            done = self._loop.run_in_executor(self._pool, self._answer, [question for question, _ in batch])
            done.add_done_callback(lambda done, batch=batch, began=began: self._finish(done, batch, began))  # type: ignore[misc]
        if self._idle == self.predictor.engine.lanes:
            self._drained.set()

    def _take(self) -> list[_Waiting]:
        batch: list[_Waiting] = []
        while len(self._queue) > 0 and len(batch) < self.predictor.engine.batch_size:
            waiting = self._queue.pop()
            # Nobody waits for it any more: its deadline has passed, or its client has gone.
            if not waiting[1].done():
                batch.append(waiting)
        return batch

    def _answer(self, questions: list[Question]) -> list[Prediction | Exception]:
        try:
            return list(self._compute(questions))
        except Exception as error:  # noqa: BLE001 (a border: whatever one photograph does, the others are answered)
            if len(questions) == 1:
                return [error]
            return [answer for question in questions for answer in self._answer([question])]

    def _compute(self, questions: list[Question]) -> list[Prediction]:
        known = [question.covariates for question in questions if question.covariates is not None]
        return self.predictor.answer(
            [question.name for question in questions],
            [question.photo for question in questions],
            np.concatenate(known) if known else None,
            [question.remarks for question in questions],
        )

    def _finish(
        self, done: "asyncio.Future[list[Prediction | Exception]]", batch: list[_Waiting], began: float
    ) -> None:
        self._idle += 1
        for (_, future), answer in zip(batch, done.result(), strict=True):
            if future.done():
                continue
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)
        self._observe(len(batch), time.perf_counter() - began)
        self._start()

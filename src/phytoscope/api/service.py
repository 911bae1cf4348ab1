"""The service: what it holds while it runs, and how a request becomes an answer."""

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

import numpy as np

from phytoscope.api.admission import Admission
from phytoscope.api.batcher import Question
from phytoscope.api.body import ClientGoneError
from phytoscope.api.decoder_link import DecoderLimits
from phytoscope.api.decoders import DecoderPool
from phytoscope.api.errors import RequestError
from phytoscope.api.explaining import ExplainDesk
from phytoscope.api.logs import note
from phytoscope.api.metrics import Metrics
from phytoscope.api.model_slot import ModelSlot, ServedModel
from phytoscope.api.recording import make_record, open_records
from phytoscope.api.uploads import Order
from phytoscope.api.work import Asked, Work
from phytoscope.schema.serve import ServeConfig
from phytoscope.transforms.photo import Photo
from phytoscope.transforms.stream import count_cores

_TICK_S: Final = 1.0
_MOST_FEEDBACK: Final = 32
_RECORDS_SECONDS: Final = 10.0


class Phase(StrEnum):
    """What the service is about."""

    starting = "starting"
    ready = "ready"
    stopping = "stopping"


class Service:
    """Everything that lives as long as one worker.

    Attributes:
        config: Settings.
        phase: What it is about.
        metrics: Counts.
        slot: The model.
        decoders: Decoder processes.
        admission: What was taken.
        feedback: Feedback that is being kept.
        recorder: Keeps answers; None when none are kept.
    """

    def __init__(
        self, source: str, config: ServeConfig, metrics: Metrics, on_failure: Callable[[BaseException], None]
    ) -> None:
        """Starts the decoder processes; the model is loaded by `start`.

        Args:
            source: Path of the package, or its address.
            config: Settings.
            metrics: Counts.
            on_failure: Told why the service cannot start.

        Raises:
            PhytoscopeError: The records cannot be opened because of a setting.
        """
        self.config = config
        self.phase = Phase.starting
        self.metrics = metrics
        self.admission = Admission(config.queue_size, int(config.memory_mb * 1e6))
        self.feedback = Admission(_MOST_FEEDBACK, 0)
        cores = config.threads if config.threads is not None else max(1, count_cores() // config.workers)
        self.recorder = open_records(config)
        limits = DecoderLimits(self.most_bytes, config.decoder_memory_mb, config.decoder_timeout_s)
        count = config.decoders if config.decoders is not None else cores
        self.decoders = DecoderPool(count, limits, lambda code: self.metrics.faults.labels(code).inc())
        self.slot = ModelSlot(
            source,
            config,
            cores,
            on_change=self._tell_change,
            on_refusal=self._tell_refusal,
            observe=self._tell_batch,
        )
        self._on_failure = on_failure
        self._decided = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._watch_levels()

    @property
    def most_bytes(self) -> int:
        """Size of a request at most, in bytes."""
        return int(self.config.max_mb * 1e6)

    def start(self) -> None:
        """Loads the model in the background."""
        self._tasks = [asyncio.create_task(self._run()), asyncio.create_task(self._tick())]

    async def wait_started(self) -> None:
        """Waits until it is ready, or cannot start."""
        await self._decided.wait()

    async def stop(self) -> None:
        """Finishes what was taken and ends everything."""
        self.phase = Phase.stopping
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.slot.close()
        self.decoders.close()
        if self.recorder is not None:
            await asyncio.to_thread(self.recorder.close, _RECORDS_SECONDS)

    async def answer(self, asked: Asked, order: Order) -> tuple[int, bytes]:
        """Answers for the photographs of one request.

        Args:
            asked: The request.
            order: What it asks for.

        Returns:
            HTTP status and the answer as JSON, see `wire.PredictAnswer`.

        Raises:
            RequestError: The service is not ready (503), has too much to do (429), or something that was given beside
                the photographs cannot be used (422).
            TimeoutError: The deadline has passed.
            ClientGoneError: The client has gone.
        """
        model = self._get_model()
        uploads = order.uploads
        desk = self._find_desk(model) if order.explain else None
        with self.admission.take(len(uploads)), model.hold():
            if desk is not None:
                desk.reserve(len(uploads))
            began = [Work(self.decoders, model, asked, upload, desk) for upload in uploads]
            predictions = await self._finish(asked, began)
        took_ms = 1000 * (time.perf_counter() - asked.began)
        self._keep(model, asked, began, predictions, took_ms)
        is_answered = any(prediction["error"] is None for prediction in predictions)
        answer = {
            "request_id": asked.request_id,
            "model": model.about,
            "predictions": predictions,
            "took_ms": round(took_ms, 3),
        }
        text = json.dumps(answer, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        return 200 if is_answered else 422, text.encode("utf-8", "backslashreplace")

    async def _finish(self, asked: Asked, works: Sequence[Work]) -> list[dict[str, Any]]:
        is_gone, is_over = False, False
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self.config.deadline_s) as deadline:

                def leave() -> None:
                    nonlocal is_gone
                    is_gone = True
                    # A client may also go while its answer is being written.
                    if not is_over:
                        deadline.reschedule(loop.time())

                asked.on_gone(leave)
                if len(works) == 1:
                    return [await works[0].run()]
                return await _run_all(works)
        except TimeoutError:
            if is_gone:
                raise ClientGoneError from None
            raise
        finally:
            is_over = True
            for work in works:
                work.release()

    def check_open(self) -> None:
        """Refuses a request before it is read.

        Raises:
            RequestError: The service is not ready or stops (503), or has too much to do (429).
        """
        self._get_model()
        if self.admission.is_full:
            raise self.admission.refuse()

    def _get_model(self) -> ServedModel:
        if self.phase is Phase.stopping:
            message = "the service is stopping; try again in a few seconds."
            raise RequestError(503, "not_ready", message, {"Retry-After": "2"})
        return self.slot.current

    def _find_desk(self, model: ServedModel) -> ExplainDesk:
        if model.desk is None:
            message = "heat maps are switched off in this service (serve.explain)."
            raise RequestError(422, "bad_request", message)
        return model.desk

    def _keep(
        self,
        model: ServedModel,
        asked: Asked,
        works: Sequence[Work],
        predictions: Sequence[dict[str, Any]],
        took_ms: float,
    ) -> None:
        for prediction in predictions:
            outcome = "error" if prediction["error"] is not None else prediction["verdict"] or "unjudged"
            self.metrics.images.labels(outcome).inc()
        if self.recorder is None:
            return
        at = datetime.now(UTC)
        keeps = self.config.keep_images is not None
        self.recorder.note(
            [
                make_record(
                    prediction, model.about, asked.request_id, at, work.sha256, took_ms, work.content if keeps else None
                )
                for work, prediction in zip(works, predictions, strict=True)
                if prediction["error"] is None
            ]
        )

    async def _run(self) -> None:
        try:
            await asyncio.gather(self.slot.load(), self.decoders.wait_ready())
            await self._warm_up()
        except Exception as error:  # noqa: BLE001 (a border: who is not told would wait for ever)
            self._on_failure(error)
            return
        finally:
            self._decided.set()
        self.phase = Phase.ready
        note("ready", **self.slot.current.about)
        await self.slot.watch()

    async def _warm_up(self) -> None:
        """Answers a picture of one colour, so that the first client does not wait for what libraries do once."""
        model = self.slot.current
        side = model.recipe.size_px
        photo = Photo(np.full((side, side, 3), 127, dtype=np.uint8), side, side)
        encoded, _ = model.predictor.encode({})
        sizes = {1, model.predictor.engine.batch_size}
        for size in sorted(sizes):
            await asyncio.gather(*(model.batcher.ask(0, Question("", photo, encoded, ())) for _ in range(size)))

    def _tell_refusal(self) -> None:
        self.metrics.reloads.labels("refused").inc()

    async def _tick(self) -> None:
        while True:
            self.metrics.copy_levels()
            await asyncio.sleep(_TICK_S)

    def _tell_change(self, model: ServedModel, is_first: bool) -> None:
        engine = model.predictor.engine
        self.metrics.tell_model(
            {
                "name": model.about["name"],
                "model_id": model.about["model_id"],
                "runtime": engine.runtime.value,
                "precision": engine.precision.value,
            }
        )
        if not is_first:
            self.metrics.reloads.labels("taken").inc()
            note("a newer package answers", **model.about)

    def _tell_batch(self, size: int, seconds: float) -> None:
        self.metrics.batches.observe(size)
        self.metrics.batch_seconds.observe(seconds)

    def _watch_levels(self) -> None:
        watch, recorder = self.metrics.watch, self.recorder
        watch("queue_images", lambda: self.admission.images)
        watch("decoder_restarts", lambda: self.decoders.restarts)
        if recorder is not None:
            watch("records_written", lambda: recorder.status().written)
            watch("records_lost", lambda: recorder.status().lost)
            watch("records_waiting", lambda: recorder.status().waiting)


async def _run_all(works: Sequence[Work]) -> list[dict[str, Any]]:
    tasks = [asyncio.ensure_future(work.run()) for work in works]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        # When one of them refuses the whole request, nobody waits for the others any more.
        for task in tasks:
            task.cancel()

"""What Prometheus reads at /metrics."""

import os
from collections.abc import Callable, Mapping
from typing import Final, Literal

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

MULTIPROCESS_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
MEDIA_TYPE: Final = CONTENT_TYPE_LATEST
_SECONDS: Final = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
_LEVELS: Final[tuple[tuple[str, str, Literal["sum", "livesum"]], ...]] = (
    ("queue_images", "Photographs that were taken and not answered yet.", "livesum"),
    ("records_written", "Answers that were kept since the start.", "sum"),
    ("records_lost", "Answers that could not be kept since the start.", "sum"),
    ("records_waiting", "Answers that wait to be kept.", "livesum"),
    ("decoder_restarts", "Decoder processes that had to be replaced since the start.", "sum"),
)
_SIZES: Final = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """Counts what the service does; with several workers their counts are put together.

    Attributes:
        requests: Requests by route and status.
        seconds: How long they took, by route.
        images: Photographs by verdict, `unjudged` or `error`.
        faults: Photographs without an answer, by code.
        batches: Photographs that were computed together.
        batch_seconds: How long that took.
        reloads: Newer packages, `taken` or `refused`.
    """

    def __init__(self) -> None:
        """Starts at zero."""
        self._registry = CollectorRegistry()
        own = self._registry
        self.requests = Counter("phytoscope_requests", "Requests.", ["route", "status"], registry=own)
        self.seconds = Histogram("phytoscope_request_seconds", "Their time.", ["route"], buckets=_SECONDS, registry=own)
        self.images = Counter("phytoscope_images", "Photographs by verdict.", ["outcome"], registry=own)
        self.faults = Counter("phytoscope_image_faults", "Photographs without an answer.", ["code"], registry=own)
        self.batches = Histogram("phytoscope_batch_images", "Computed together.", buckets=_SIZES, registry=own)
        self.batch_seconds = Histogram("phytoscope_batch_seconds", "Time of a batch.", buckets=_SECONDS, registry=own)
        self.reloads = Counter("phytoscope_reloads", "Newer packages, taken or refused.", ["result"], registry=own)
        self._model = Gauge(
            "phytoscope_model",
            "1 for the model that answers.",
            ["name", "model_id", "runtime", "precision"],
            multiprocess_mode="livemax",
            registry=own,
        )
        self._told: dict[str, str] | None = None
        self._readers: dict[str, Callable[[], float]] = {}
        # What is under way ends with a worker that dies; what it kept and lost is not forgotten.
        self._levels = {
            name: Gauge(f"phytoscope_{name}", text, multiprocess_mode=mode, registry=own)
            for name, text, mode in _LEVELS
        }

    def tell_model(self, labels: Mapping[str, str]) -> None:
        """Says which model answers from now on."""
        if self._told is not None:
            # What several workers have written together cannot be taken away.
            self._model.labels(**self._told).set(0)
        if MULTIPROCESS_VARIABLE not in os.environ:
            self._model.clear()
        self._told = dict(labels)
        self._model.labels(**labels).set(1)

    def watch(self, name: str, read: Callable[[], float]) -> None:
        """Has a level read whenever `copy_levels` is called.

        Args:
            name: Name of the level.
            read: Gives its value.
        """
        self._readers[name] = read

    def copy_levels(self) -> None:
        """Reads all levels; with several workers each does so every second, because any of them may be asked."""
        for name, read in self._readers.items():
            self._levels[name].set(read())

    def render(self) -> bytes:
        """All of it, as Prometheus reads it."""
        self.copy_levels()
        if MULTIPROCESS_VARIABLE not in os.environ:
            return generate_latest(self._registry)
        joint = CollectorRegistry()
        MultiProcessCollector(joint)  # type: ignore[no-untyped-call]
        return generate_latest(joint)

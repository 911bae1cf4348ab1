"""How fast an engine is here."""

import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import numpy as np
from numpy.typing import NDArray

from phytoscope.models.runtime import draw_blocks
from phytoscope.predict.engines.engine import Engine

_WARMING: Final = 2
_SINGLES: Final = 5
_BATCHES: Final = (1, 4, 16)
_SECONDS_A_BATCH: Final = 0.12
# A network of which one batch takes longer than this is measured with smaller ones.
_LONGEST_BATCH_SECONDS: Final = 0.4
# What is done for each batch outside the network is worth a little of its speed, and short measurements are noisy.
_AS_FAST: Final = 0.9


def measure_latency(engine: Engine, size_px: int, covariate_dim: int, singles: int = _SINGLES) -> float:
    """Median time for one image that comes alone, in seconds; the first calls are not counted.

    Args:
        engine: What computes.
        size_px: Side S of the images.
        covariate_dim: Numbers that the network sees beside the image.
        singles: How often it is measured.
    """
    pixels, covariates = _draw(1, size_px, covariate_dim)
    took = []
    for _ in range(_WARMING + singles):
        started = time.perf_counter()
        engine.look(pixels, covariates)
        took.append(time.perf_counter() - started)
    return statistics.median(took[_WARMING:])


def measure_rate(engine: Engine, size_px: int, covariate_dim: int, *, batch_size: int, seconds: float) -> float:
    """Images per second when all lanes are busy.

    Args:
        engine: What computes.
        size_px: Side S of the images.
        covariate_dim: Numbers that the network sees beside the image.
        batch_size: Images a call.
        seconds: Time to measure for; one call a lane is finished in any case.
    """
    pixels, covariates = _draw(batch_size, size_px, covariate_dim)
    engine.look(pixels, covariates)
    started = time.perf_counter()

    def work(_lane: int) -> int:
        done = 0
        while done == 0 or time.perf_counter() - started < seconds:
            engine.look(pixels, covariates)
            done += batch_size
        return done

    with ThreadPoolExecutor(engine.lanes) as pool:
        done = sum(pool.map(work, range(engine.lanes)))
    return done / (time.perf_counter() - started)


def find_batch_size(engine: Engine, size_px: int, covariate_dim: int) -> tuple[int, float]:
    """The largest number of images a call with which an engine is about as fast as it can be, and images per second.

    Args:
        engine: What computes.
        size_px: Side S of the images.
        covariate_dim: Numbers that the network sees beside the image.
    """
    single = measure_latency(engine, size_px, covariate_dim, singles=2)
    sizes = [size for size in _BATCHES if size == 1 or size * single <= _LONGEST_BATCH_SECONDS]
    rates = {
        size: measure_rate(engine, size_px, covariate_dim, batch_size=size, seconds=_SECONDS_A_BATCH) for size in sizes
    }
    fastest = max(rates.values())
    return max(size for size in rates if rates[size] >= _AS_FAST * fastest), fastest


def _draw(count: int, size_px: int, covariate_dim: int) -> tuple[NDArray[np.uint8], NDArray[np.float32] | None]:
    pixels = np.ascontiguousarray(draw_blocks(count, size_px))
    return pixels, None if covariate_dim == 0 else np.zeros((count, covariate_dim), dtype=np.float32)

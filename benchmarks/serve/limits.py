"""The most that is possible: the network alone at its best batch, and what an image costs before it.

Usage: python limits.py PACKAGE RUNTIME; prints one line of JSON.
"""

import json
import os
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from phytoscope.predict.predictor import Predictor
from phytoscope.schema.choices import Runtime

_BATCHES = (1, 2, 4, 8, 16, 32, 64)
_SECONDS, _TURNS = 1.0, 3


def measure_limit(package: Path, runtime: Runtime) -> dict[str, Any]:
    """Images a second of the network alone, with all cores, for the best size of batch.

    Returns:
        Runtime, best batch, calls side by side, images a second, and milliseconds of one core to read one of the
        package's golden images.
    """
    predictor = Predictor.load(package, runtime=runtime)
    files = sorted((package / "golden").iterdir())
    squares = np.stack([predictor.prepare(path) for path in files])
    found = {batch: _time(predictor, np.resize(squares, (batch, *squares.shape[1:]))) for batch in _BATCHES}
    best = max(found, key=found.__getitem__)
    engine = predictor.engine
    return {
        "runtime": engine.runtime.value,
        "batch": best,
        "lanes": engine.lanes,
        "images_per_s": found[best],
        "by_batch": found,
        "read_ms": _time_reading(predictor, [path.read_bytes() for path in files]),
        "cores": len(os.sched_getaffinity(0)),
    }


def _time(predictor: Predictor, pixels: np.ndarray[Any, np.dtype[np.uint8]]) -> float:
    lanes = predictor.engine.lanes
    with ThreadPoolExecutor(lanes) as threads:
        list(threads.map(lambda _: predictor.look(pixels), range(2 * lanes)))
        turns = []
        for _ in range(_TURNS):
            begun, count = time.perf_counter(), 0
            while time.perf_counter() - begun < _SECONDS:
                list(threads.map(lambda _: predictor.look(pixels), range(4 * lanes)))
                count += 4 * lanes * len(pixels)
            turns.append(count / (time.perf_counter() - begun))
    return statistics.median(turns)


def _time_reading(predictor: Predictor, contents: list[bytes]) -> float:
    begun, count = time.process_time(), 0
    while time.process_time() - begun < _SECONDS:
        for content in contents:
            predictor.prepare_photo(content).measure()
        count += len(contents)
    return 1000 * (time.process_time() - begun) / count


if __name__ == "__main__":
    print(json.dumps(measure_limit(Path(sys.argv[1]), Runtime(sys.argv[2]))))

"""Counts false alarms of monitors in which nothing changes, and how often planted changes are found.

Usage: python benchmarks/drift/simulate.py [OUTPUT] [PART ...]

PART is any of `promise`, `alarms`, `plants`, `power`, `slow`, `streams` and `evidently`; all by default (the last one
needs evidently 0.7, which phytoscope does not). Images are drawn as numbers: plants differ, photographs of one plant
are alike (70 % of the variance). OUTPUT (default runs/drift) receives one JSON file a part; tables are printed as
Markdown.
"""

import os
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from monitors import PER_PLANT, PROMISE, WIDTH, draw_side, watch
from numpy.typing import NDArray
from scipy.stats import binomtest
from streams import measure_evidently, measure_streams

from phytoscope.evaluate.drift import DriftPlan, DriftSide, compare_batch
from phytoscope.evaluate.drift.permute import compare_blocks
from phytoscope.evaluate.drift.spending import share_of_look
from phytoscope.schema.artifact import write_json
from phytoscope.schema.drift import LookSummary
from phytoscope.schema.table import GROUP_ID

LOOKS = 50
REFERENCES = ((12, 10, 150), (40, 1, 150))
"""Plants of the reference, looks that are also taken together, and simulated monitors."""


def _draw_unchanged(rng: np.random.Generator, _look: int) -> DriftSide:
    return draw_side(rng, 6)


def _watch_unchanged(n_reference: int, window: int, seed: int) -> tuple[int, int, int]:
    """First look with an alarm by our rule, and by a level of 5 % at each look; 0 for none. And the alarms."""
    past = watch(_draw_unchanged, n_reference, LOOKS, seed, window=window)
    ours = [look.look for look in past if look.fired]
    lowest = {look.look: min(p for name, p in look.p_values.items() if name.startswith("batch/")) for look in past}
    naive = [look for look, p_value in lowest.items() if p_value <= PROMISE]
    return min(ours, default=0), min(naive, default=0), len(naive)


def measure_alarms(pool: ProcessPoolExecutor) -> list[dict[str, Any]]:
    """False alarms over all looks of many monitors."""
    rows = []
    for n_reference, window, monitors in REFERENCES:
        found = np.array(list(pool.map(partial(_watch_unchanged, n_reference, window), range(monitors), chunksize=10)))
        rows.append(
            {
                "reference images": n_reference * PER_PLANT,
                "looks together": window,
                "monitors": monitors,
                "looks": LOOKS,
                "ours": float((found[:, 0] > 0).mean()),
                "5 % at each look": float((found[:, 1] > 0).mean()),
                "of these per look": float(found[:, 2].mean() / LOOKS),
            }
        )
        print(rows[-1], flush=True)
    return rows


def _draw_blocks(rng: np.random.Generator, n: int) -> list[NDArray[np.float64]]:
    """Plants as three blocks of columns: eight normal numbers, one skewed one, and one of three classes."""
    classes = np.eye(3)[rng.choice(3, n, p=[0.6, 0.3, 0.1])] / np.sqrt([0.6, 0.3, 0.1])
    return [rng.normal(size=(n, WIDTH)), rng.exponential(size=(n, 1)) ** 2, classes]


def _watch_blocks(n_reference: int, seed: int) -> tuple[int, int]:
    """First look with an alarm by our rule, and by a level of 5 % at each look; 0 for none."""
    rng = np.random.default_rng(seed)
    reference = _draw_blocks(rng, n_reference)
    ours = naive = 0
    for look in range(1, LOOKS + 1):
        alpha = PROMISE * share_of_look(look)
        both = [np.concatenate(pair) for pair in zip(reference, _draw_blocks(rng, 6), strict=True)]
        lowest = float(compare_blocks(both, n_reference, 6, alpha, 99, [seed, look]).p_values.min())
        ours = look if ours == 0 and lowest <= alpha else ours
        naive = look if naive == 0 and lowest <= PROMISE else naive
    return ours, naive


def measure_promise(pool: ProcessPoolExecutor) -> list[dict[str, Any]]:
    """False alarms over all looks of very many monitors, of the test itself without what goes before it."""
    rows = []
    for n_reference in (12, 40, 200):
        found = np.array(list(pool.map(partial(_watch_blocks, n_reference), range(2000), chunksize=50)))
        low, high = proportion_interval(int((found[:, 0] > 0).sum()), len(found))
        rows.append(
            {
                "plants of the reference": n_reference,
                "monitors": len(found),
                "looks": LOOKS,
                "ours": float((found[:, 0] > 0).mean()),
                "low": low,
                "high": high,
                "5 % at each look": float((found[:, 1] > 0).mean()),
            }
        )
        print(rows[-1], flush=True)
    return rows


def proportion_interval(count: int, n: int) -> tuple[float, float]:
    """Exact 95 % interval of a share (Clopper and Pearson 1934, doi 10.1093/biomet/26.4.404)."""
    interval = binomtest(count, n).proportion_ci()
    return float(interval.low), float(interval.high)


def _watch_ignoring(ignore: bool, seed: int) -> bool:
    rng = np.random.default_rng(seed)
    sides = [draw_side(rng, n) for n in (40, 6)]
    if ignore:
        sides = [
            DriftSide(side.features, side.table.assign(**{GROUP_ID: np.arange(len(side)).astype(str)}))
            for side in sides
        ]
    found = compare_batch(*sides, DriftPlan(PROMISE, 199, seed)).findings
    return found[0].p_value <= PROMISE


def measure_plants(pool: ProcessPoolExecutor) -> list[dict[str, Any]]:
    """Share of single looks below 5 % when nothing has changed, with plants and with photographs dealt anew."""
    return [
        {
            "dealt anew": "photographs" if ignore else "plants",
            "below 5 %": float(np.mean(list(pool.map(partial(_watch_ignoring, ignore), range(500), chunksize=25)))),
        }
        for ignore in (False, True)
    ]


def _find_once(change: dict[str, float], n_new: int, looks_before: int, seed: int) -> bool:
    rng = np.random.default_rng(seed)
    reference = draw_side(rng, 40)
    past = [LookSummary(look, "", 1, 1, _ALPHAS[look - 1], False) for look in range(1, looks_before + 1)]
    return compare_batch(reference, draw_side(rng, n_new, **change), DriftPlan(PROMISE, 999, seed), past).fired


_ALPHAS = [PROMISE * share_of_look(look) for look in range(1, 100)]
CHANGES: dict[str, dict[str, float]] = {
    "features by 0.25": {"shift": 0.25},
    "features by 0.5": {"shift": 0.5},
    "features by 1": {"shift": 1.0},
    "brightness by 0.5": {"darker": 0.5},
    "brightness by 1": {"darker": 1.0},
    "brightness by 2": {"darker": 2.0},
    "rust from 33 % to 60 %": {"rust": 0.6},
    "rust from 33 % to 90 %": {"rust": 0.9},
}


def measure_power(pool: ProcessPoolExecutor) -> list[dict[str, Any]]:
    """Share of single looks that find a change, at the first look and at the fiftieth."""
    rows = []
    for name, change in CHANGES.items():
        row: dict[str, Any] = {"change": name}
        for n_new in (6, 20):
            for before in (0, 49):
                found = list(pool.map(partial(_find_once, change, n_new, before), range(50), chunksize=5))
                row[f"{n_new * PER_PLANT} images, look {before + 1}"] = float(np.mean(found))
        rows.append(row)
        print(row, flush=True)
    return rows


def _find_slow(speed: float, window: int, seed: int) -> int:
    """First look that finds features moving by `speed` a look, from look 6 on; 0 for none in 40."""

    def draw(rng: np.random.Generator, look: int) -> DriftSide:
        return draw_side(rng, 6, shift=speed * max(0, look - 5))

    past = watch(draw, 40, 40, seed, window=window)
    return min((look.look for look in past if look.fired), default=0)


def measure_slow(pool: ProcessPoolExecutor) -> list[dict[str, Any]]:
    """When slow changes are found, with single looks alone and with the last ones together."""
    rows = []
    for speed in (0.02, 0.05):
        for window in (1, 10):
            found = np.array(list(pool.map(partial(_find_slow, speed, window), range(40), chunksize=5)))
            first = np.where(found > 0, found, 41)
            row = {
                "moves a look": speed,
                "looks together": window,
                "found": float((found > 5).mean()),
                "median look": float(np.median(first)),
            }
            rows.append(row)
            print(row, flush=True)
    return rows


def write_table(rows: Sequence[dict[str, Any]]) -> str:
    """Rows as a Markdown table."""
    names = list(rows[0])
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    lines += ["| " + " | ".join(_write(row[name]) for name in names) + " |" for row in rows]
    return "\n".join(lines)


def _write(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else "-" if value is None else str(value)


def main(words: Sequence[str]) -> None:
    """Runs the parts that are asked for."""
    parts: dict[str, Callable[[ProcessPoolExecutor], list[dict[str, Any]]]] = {
        "promise": measure_promise,
        "alarms": measure_alarms,
        "plants": measure_plants,
        "power": measure_power,
        "slow": measure_slow,
        "streams": measure_streams,
        "evidently": measure_evidently,
    }
    output = Path(words[0] if words else "runs/drift")
    output.mkdir(parents=True, exist_ok=True)
    # One thread a process: the matrices are small.
    os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"
    with ProcessPoolExecutor(2) as pool:
        for name in words[1:] or parts:
            begin = time.perf_counter()
            rows = parts[name](pool)
            seconds = time.perf_counter() - begin
            write_json(output / f"{name}.json", {"part": name, "seconds": seconds, "rows": rows})
            print(f"\n### {name} ({seconds:.0f} s)\n\n{write_table(rows)}\n", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])

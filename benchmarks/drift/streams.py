"""Other ways to watch a stream, on the same numbers: betting against exchangeability, and Evidently."""

import importlib
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from monitors import PROMISE, draw_side
from numpy.typing import NDArray
from scipy.stats import ks_2samp, rankdata

from phytoscope.evaluate.drift.permute import compare_blocks
from phytoscope.evaluate.drift.spending import share_of_look

LOOKS = 50
NEW = 6
FROM = 10
"""Look from which on something has changed."""
WAYS = ("ours", "ours, single looks", "bets, fixed reference", "bets, growing reference")
STAKES = np.linspace(0.02, 1.0, 50)
Floats = NDArray[np.float64]


def bet(p_values: Floats) -> Floats:
    """Capital after each bet of a mixture of power martingales, half of it on each side (Vovk 2021).

    Args:
        p_values: Shape (T,), float64, above 0 and at most 1.
    """
    sides = [
        np.cumsum(np.log(STAKES)[:, None] + (STAKES[:, None] - 1) * np.log(side), axis=1) for side in _fold(p_values)
    ]
    return np.asarray(np.mean([np.exp(np.minimum(side, 300)).mean(axis=0) for side in sides], axis=0))


def _fold(p_values: Floats) -> tuple[Floats, Floats]:
    return np.maximum(p_values, 1e-12), np.maximum(1 - p_values, 1e-12)


def _rank_fixed(reference: Floats, new: Floats, rng: np.random.Generator) -> Floats:
    """Place of each new number among the reference alone, 0-1."""
    above = (reference > new[:, None]).sum(axis=1)
    return np.asarray((above + rng.random(len(new))) / (len(reference) + 1))


def _rank_growing(reference: Floats, new: Floats, rng: np.random.Generator) -> Floats:
    """Place of each new number among the reference and all new ones before it, 0-1."""
    both = np.concatenate([reference, new])
    places = np.arange(len(reference), len(both))
    above = np.array([(both[:place] > both[place]).sum() for place in places])
    return np.asarray((above + rng.random(len(new))) / (places + 1))


def _find_by_bets(rank: Callable[..., Floats], reference: Floats, new: Floats, rng: np.random.Generator) -> int:
    wealth = bet(rank(reference, new, rng))
    rich = np.flatnonzero(wealth >= 1 / PROMISE)
    return int(rich[0]) // NEW + 1 if len(rich) > 0 else 0


def _find_by_looks(window: int, reference: Floats, new: Floats, seed: int) -> int:
    """First look at which the newest numbers, or those of the last looks, differ; each has half of the share."""
    for look in range(1, LOOKS + 1):
        begins = [max(0, look - 1)] if window == 1 or look == 1 else [look - 1, max(0, look - window)]
        alpha = PROMISE * share_of_look(look) / len(begins)
        for begin in begins:
            part = new[begin * NEW : look * NEW]
            ranks = rankdata(np.concatenate([reference, part]))[:, None]
            outcome = compare_blocks([ranks], len(reference), len(part), alpha, 99, [seed, look, begin])
            if outcome.p_values[0] <= alpha:
                return look
    return 0


def _watch(n_reference: int, shift: float, seed: int) -> tuple[int, int, int, int]:
    """First look with an alarm of each way; 0 for none."""
    rng = np.random.default_rng(seed)
    reference, new = rng.normal(size=n_reference), rng.normal(size=LOOKS * NEW)
    new[(FROM - 1) * NEW :] += shift
    return (
        _find_by_looks(10, reference, new, seed),
        _find_by_looks(1, reference, new, seed),
        _find_by_bets(_rank_fixed, reference, new, rng),
        _find_by_bets(_rank_growing, reference, new, rng),
    )


def measure_streams(pool: ProcessPoolExecutor) -> list[dict[str, Any]]:
    """One number a plant, six plants a look: share of false alarms, and of rightly found changes with their delay."""
    rows = []
    for n_reference in (12, 40, 200):
        for shift in (0.0, 0.5, 1.0):
            found = np.array(list(pool.map(partial(_watch, n_reference, shift), range(100), chunksize=5)))
            for place, way in enumerate(
                ("ours", "ours, single looks", "bets, fixed reference", "bets, growing reference")
            ):
                first = found[:, place]
                rightly = first >= FROM
                row: dict[str, Any] = {"plants of the reference": n_reference, "moves by": shift, "way": way}
                row["alarm before"] = float(np.mean((first > 0) & ~rightly)) if shift else float(np.mean(first > 0))
                row["found"] = float(np.mean(rightly)) if shift else None
                known = shift > 0 and rightly.any()
                row["looks until then"] = float(np.median(first[rightly] - FROM + 1)) if known else None
                rows.append(row)
    return rows


def measure_evidently(_pool: ProcessPoolExecutor) -> list[dict[str, Any]]:
    """What Evidently says when nothing has changed: its own report, and its test (Kolmogorov-Smirnov) many times."""
    rng = np.random.default_rng(0)
    loading = time.perf_counter()
    report_class, preset_class, note = _import_evidently()
    loading = time.perf_counter() - loading
    apart, seconds = [], []
    for _ in range(5):
        first, second = _draw_columns(rng, 40), _draw_columns(rng, NEW)
        begin = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            metrics = report_class([preset_class()]).run(second, first).dict()["metrics"]
        seconds.append(time.perf_counter() - begin)
        theirs = [metric["value"] for metric in metrics if not isinstance(metric["value"], dict)]
        apart.append(np.abs(np.array(theirs) - _test_columns(first, second)).max())
    rows = []
    for per_plant in ("one photograph a plant", "five photographs a plant"):
        column, half = [], []
        for _ in range(200):
            low = _watch_columns(rng, every=5 if per_plant.startswith("one") else 1)
            column.append((low > 0).any())
            half.append((low >= 2).any())
        rows.append(
            {
                "photographs": per_plant,
                "monitors with any column below 5 % in 50 looks": float(np.mean(column)),
                "with half of the columns (its rule for a data set)": float(np.mean(half)),
                "import, s": loading,
                "a report, s": float(np.median(seconds)),
                "largest gap to scipy.stats.ks_2samp": float(max(apart)),
                "note": note,
            }
        )
    return rows


def _watch_columns(rng: np.random.Generator, every: int) -> NDArray[np.int64]:
    """Number of columns below 5 % at each of 50 looks, of which all share one reference."""
    reference = _draw_columns(rng, 40 * every)[::every]
    low = [(_test_columns(reference, _draw_columns(rng, NEW * every)[::every]) < PROMISE).sum() for _ in range(LOOKS)]
    return np.array(low)


def _draw_columns(rng: np.random.Generator, n_plants: int) -> pd.DataFrame:
    side = draw_side(rng, n_plants)
    return pd.DataFrame(side.features[:, :4].astype(np.float64), columns=list("abcd"))


def _test_columns(first: pd.DataFrame, second: pd.DataFrame) -> Floats:
    return np.array([ks_2samp(first[name], second[name]).pvalue for name in first])


def _import_evidently() -> tuple[Any, Any, str]:
    note = "imported as it is"
    try:
        evidently = importlib.import_module("evidently")
    except ImportError as error:
        # Evidently 0.7.23 needs a private function that pandas 3.1 no longer has.
        note = f"fails to import: {error}".split(" (")[0]
        common = importlib.import_module("pandas.core.dtypes.common")
        common.infer_dtype_from_object = lambda kind: np.dtype(kind).type
        evidently = importlib.import_module("evidently")
    return evidently.Report, importlib.import_module("evidently.presets").DataDriftPreset, note

"""The network of a run in 8 bits, with everything that its answers are judged by fitted to them anew."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phytoscope.data.cache.pixel_cache import PixelCache
from phytoscope.evaluate.bootstrap import BootstrapPlan
from phytoscope.models.ensemble import EnsembleMeaning
from phytoscope.predict.engines.openvino_engine import build_openvino_engine
from phytoscope.predict.export.int8 import Control, NetworkInputs, quantize_controlled, quantize_plainly
from phytoscope.predict.predictor import Predictor
from phytoscope.predict.reference_files import draw_groups
from phytoscope.schema.choices import NoveltyKind, Precision
from phytoscope.schema.config import RunConfig
from phytoscope.schema.table import GROUP_ID, PREDICTION, PROB_PREFIX, SHA256, SPLIT, TARGET, Split, Task
from phytoscope.steps.context import RunContext
from phytoscope.steps.evaluate import predict_rows
from phytoscope.steps.export_forms import compare_metrics, find_loss, put_on_engine
from phytoscope.steps.prepared import PreparedData
from phytoscope.steps.training_job import build_samples, read_columns
from phytoscope.steps.trust import fit_run_trust, read_wishes
from phytoscope.transforms.stream import count_cores
from phytoscope.trust.novelty import NoveltyReference, fit_novelty

_CONTROLLED_IMAGES: Final = 500


@dataclass(frozen=True)
class Int8Network:
    """A network in 8 bits.

    Attributes:
        model: As OpenVINO holds it.
        predictor: The model on its engine, with trust and novelty of its own.
        predictions: Table 7 of the validation, calibration and test rows, as it answers them.
        steps: What was tried, in words, the last one taken.
    """

    model: Any
    predictor: Predictor
    predictions: pd.DataFrame
    steps: list[str]


def make_int8(
    context: RunContext, prepared: PreparedData, predictor: Predictor, cache: PixelCache, model: Any
) -> Int8Network:
    """Brings a network to 8 bits: the plain way first, and more careful ways while validation images lose too much.

    Args:
        context: Settings; `package.max_loss`, `package.calibration_images` and `evaluate` are read.
        prepared: The data of the run.
        predictor: The trained model on torch, with its trust.
        cache: Squares of all rows.
        model: Its network in 32 bits, as OpenVINO holds it.

    Raises:
        MissingDependencyError: NNCF or OpenVINO is not installed.
        PackageError: It cannot be done for this network.
    """
    context.progress.start("Bringing the network to 8 bits", None)
    config = context.config
    calibration = _take_inputs(
        predictor, cache, _draw(prepared.of(Split.train), config.package.calibration_images, config)
    )
    ways: list[tuple[str, Callable[[], Any]]] = [
        ("plain", lambda: quantize_plainly(model, calibration)),
        ("careful (measured shift, asymmetric ranges)", lambda: quantize_plainly(model, calibration, careful=True)),
        (
            "controlled (the layers that cost most stay in 32 bits)",
            lambda: quantize_controlled(model, calibration, _build_control(config, prepared, predictor, cache)),
        ),
    ]
    best, steps = _choose_way(context, prepared, predictor, cache, ways)
    moved = _move(predictor, best)
    _refit_novelty(config, prepared, moved, cache)
    rows = prepared.rows[prepared.rows[SPLIT] != Split.train.value].reset_index(drop=True)
    predictions = predict_rows(context, moved, cache, rows)
    if predictor.trust is not None:
        moved.trust = fit_run_trust(predictions, moved, read_wishes(config, moved))
    context.progress.finish()
    return Int8Network(best, moved, predictions, steps)


def _choose_way(
    context: RunContext,
    prepared: PreparedData,
    predictor: Predictor,
    cache: PixelCache,
    ways: list[tuple[str, Callable[[], Any]]],
) -> tuple[Any, list[str]]:
    """The first way that loses little enough on the validation images, else the one that loses least."""
    rows = prepared.of(Split.val).reset_index(drop=True)
    reference = predict_rows(context, predictor, cache, rows)
    allowed = allow_change(predictor.description.task, context.config.package.max_loss)
    tried: list[tuple[float, str, Any]] = []
    for name, build in ways:
        model = build()
        table = predict_rows(context, _move(predictor, model), cache, rows)
        metrics = compare_metrics(predictor, reference, table, Split.val, BootstrapPlan())
        loss, change = find_loss(predictor.description.task, metrics), _find_change(predictor, reference, table)
        words = f"{name}: on {len(rows)} validation images it loses {loss:.4f}, and its answers change by {change:.3f}"
        tried.append((change, f"{words} (wanted at most {allowed:.3f})", model))
        if loss <= context.config.package.max_loss and change <= allowed:
            break
    taken = min(tried, key=lambda entry: entry[0])
    # What was taken is said last.
    return taken[2], [*(entry[1] for entry in tried if entry is not taken), taken[1]]


def allow_change(task: Task, max_loss: float) -> float:
    """How much answers may change, so that what is lost is likely to be small enough.

    Counting right answers on some hundred images is too coarse to steer by; how far the answers move is not. Of
    classes it is the mean total variation between the probabilities of 32 and 8 bits; four times the loss is allowed,
    as most of what moves changes no class, and some changes are for the better. Of numbers, an added error of root mean
    square d, unrelated to the own error e, makes it grow by the share d^2 / (2 e^2).

    Args:
        task: Classification or regression.
        max_loss: What may be lost, see `PackageConfig`.

    Returns:
        Mean total variation, 0-1, or d / e.
    """
    return 4.0 * max_loss if task is Task.classification else float(np.sqrt(2.0 * max_loss))


def _find_change(predictor: Predictor, first: pd.DataFrame, second: pd.DataFrame) -> float:
    if predictor.description.task is Task.classification:
        columns = [PROB_PREFIX + name for name in predictor.description.class_names]
        probs, changed = (table[columns].to_numpy(dtype=np.float64) for table in (first, second))
        return measure_change(Task.classification, probs, changed)
    values, moved = (table[[PREDICTION]].to_numpy(dtype=np.float64) for table in (first, second))
    return measure_change(Task.regression, values, moved, first[TARGET].to_numpy(dtype=np.float64))


def measure_change(
    task: Task, first: NDArray[np.float64], second: NDArray[np.float64], truth: NDArray[np.float64] | None = None
) -> float:
    """How far answers have moved, see `allow_change`.

    Args:
        task: Classification or regression.
        first: Probabilities of shape (N, classes), or values of shape (N, targets), in 32 bits.
        second: The same in 8 bits.
        truth: True values of the main target, shape (N,) (regression).
    """
    if task is Task.classification:
        return float(np.abs(second - first).sum(axis=1).mean() / 2.0)
    moved = float(np.sqrt(np.mean((second[:, 0] - first[:, 0]) ** 2)))
    own = 1.0 if truth is None else float(np.sqrt(np.mean((first[:, 0] - truth) ** 2)))
    return moved / max(own, 1e-12)


def _move(predictor: Predictor, model: Any) -> Predictor:
    engine = build_openvino_engine(model, predictor.preprocess.size_px, count_cores(), Precision.int8)
    return put_on_engine(predictor, engine)


def _draw(rows: pd.DataFrame, most: int, config: RunConfig) -> pd.DataFrame:
    groups = rows[GROUP_ID].astype(str).to_numpy(dtype=object)
    return rows[draw_groups(groups, np.ones(len(rows), dtype=bool), most, config.seed)].reset_index(drop=True)


def _take_inputs(predictor: Predictor, cache: PixelCache, rows: pd.DataFrame) -> NetworkInputs:
    encoder = predictor.meaning.covariates
    covariates = None if encoder is None else encoder.encode(read_columns(rows))
    return NetworkInputs(cache.pixels[cache.rows(rows[SHA256])], covariates)


def _build_control(config: RunConfig, prepared: PreparedData, predictor: Predictor, cache: PixelCache) -> Control:
    rows = _draw(prepared.of(Split.val), _CONTROLLED_IMAGES, config)
    task, inputs = predictor.description.task, _take_inputs(predictor, cache, rows)
    expected = predictor.finish(_look(predictor, inputs)[0])
    truth = None if task is Task.classification else rows[TARGET].to_numpy(dtype=np.float64)

    def score(outputs: NDArray[np.float64], places: NDArray[np.int64]) -> float:
        known = None if truth is None else truth[places]
        return 1.0 - measure_change(task, expected[places], predictor.finish(outputs), known)

    return Control(inputs, score, allow_change(task, config.package.max_loss))


def _look(predictor: Predictor, inputs: NetworkInputs) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    step = max(1, predictor.engine.batch_size)
    parts = [
        predictor.look(
            inputs.squares[first : first + step],
            None if inputs.covariates is None else inputs.covariates[first : first + step],
        )
        for first in range(0, len(inputs), step)
    ]
    return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])


def _refit_novelty(config: RunConfig, prepared: PreparedData, moved: Predictor, cache: PixelCache) -> None:
    if moved.novelty is None or config.evaluate.novelty is NoveltyKind.none:
        return
    moved.novelty = _fit_reference(config, prepared.of(Split.train), moved, cache)


def _fit_reference(config: RunConfig, train: pd.DataFrame, moved: Predictor, cache: PixelCache) -> NoveltyReference:
    meaning = moved.meaning.members[0] if isinstance(moved.meaning, EnsembleMeaning) else moved.meaning
    samples = build_samples(train, cache, meaning)
    parts = []
    for first in range(0, len(train), _CONTROLLED_IMAGES):
        block = train.iloc[first : first + _CONTROLLED_IMAGES]
        parts.append(_look(moved, _take_inputs(moved, cache, block)))
    outputs = np.concatenate([part[0] for part in parts])[:, : meaning.outputs]
    classes = None if config.data.task is Task.regression else np.asarray(samples.target, dtype=np.int64)
    return fit_novelty(
        config.evaluate.novelty,
        np.concatenate([part[1] for part in parts]),
        outputs,
        classes,
        seed=config.seed,
        groups=np.array(samples.group_ids, dtype=object),
    )

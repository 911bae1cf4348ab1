"""Answers for further sets: how a model does where nobody trained it, for example in the orchard."""

import dataclasses
import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phytoscope.configs.external import EXTERNAL, split_class_map
from phytoscope.data.facts.look import stat_files
from phytoscope.errors import ArtifactError, ConfigError, ImageReadError, storage_error
from phytoscope.evaluate.answers import judge_table
from phytoscope.evaluate.bootstrap import BootstrapPlan
from phytoscope.evaluate.external import ExternalScale, measure_external
from phytoscope.evaluate.external_examples import GIVEN_LABEL
from phytoscope.predict.prediction_table import tabulate_observed
from phytoscope.predict.predictor import Predictor
from phytoscope.schema.artifact import hash_content, write_folder_atomic
from phytoscope.schema.config import RunConfig
from phytoscope.schema.external import ExternalReport
from phytoscope.schema.table import (
    GROUP_ID,
    LABEL,
    META_PREFIX,
    MODEL_ID,
    PATH,
    SAMPLE_ID,
    SHA256,
    SPLIT,
    TARGET,
    TARGET_PREFIX,
    Split,
    Task,
)
from phytoscope.steps.context import RunContext
from phytoscope.steps.external_classes import ClassMatch, check_class_map, match_classes
from phytoscope.steps.external_sets import ExternalSet, list_loose_images, read_external_sets
from phytoscope.steps.prepared import PreparedData
from phytoscope.steps.training_job import read_columns
from phytoscope.transforms.decode import read_bytes
from phytoscope.transforms.photo import Photo
from phytoscope.transforms.stream import map_ordered
from phytoscope.trust.fit import TrustWishes
from phytoscope.trust.observed import Observed


def hash_external(config: RunConfig) -> list[str]:
    """What the further sets hold now: a hash of the names, sizes, times, labels and other columns of each.

    Raises:
        PhytoscopeError: A set cannot be read.
    """
    return [_hash_set(found) for found in read_external_sets(config)]


def _hash_set(found: ExternalSet) -> str:
    stamps = stat_files([str(path) for path in found.rows[PATH]])[:, :2].tolist()
    texts = found.rows.astype(object).where(found.rows.notna(), None).astype(str)
    digest = hashlib.sha256(pd.util.hash_pandas_object(texts, index=False).to_numpy().tobytes()).hexdigest()
    return hash_content([found.name, stamps, list(texts.columns), digest])


def score_external(
    context: RunContext, prepared: PreparedData, predictor: Predictor, wishes: TrustWishes
) -> list[ExternalReport]:
    """Answers for every image of the further sets and measures the answers; writes one table a set.

    Images that the model has already seen in training, validation or calibration are left out.

    Args:
        context: Settings and folder; `evaluate.external` and `evaluate.class_map` are read.
        prepared: The data the model learned from.
        predictor: The trained model, with its trust.
        wishes: What was wanted of the trust.

    Returns:
        One report a set, in the order of the settings.

    Raises:
        ArtifactError: The model does not judge its answers.
        ConfigError: A set or a class is not what the settings say, or a set measures in another unit.
        PhytoscopeError: A set cannot be read, or its table cannot be written.
    """
    config = context.config
    if predictor.trust is None:
        message = "the model has no trust by which its answers could be judged: evaluate the run first."
        raise ArtifactError(message)
    sets = read_external_sets(config)
    class_map = split_class_map(config.evaluate.class_map)
    check_class_map(sets, predictor.description.class_names, class_map)
    _check_units(sets, prepared.unit)
    wanted = config.evaluate
    scale = ExternalScale(
        predictor.trust,
        wishes,
        predictor.description.class_names,
        predictor.description.units,
        BootstrapPlan(wanted.bootstrap, wanted.confidence, config.seed),
    )
    place = context.run.external
    if not sets:
        # Tables of an earlier evaluation would look as if they belonged to this one.
        try:
            if place.is_dir():
                shutil.rmtree(place)
        except OSError as error:
            raise storage_error(place, error) from error
        return []
    with write_folder_atomic(place) as folder:
        reports = []
        for found in sets:
            report, answers = _score_set(context, prepared, predictor, scale, _match(found, scale, class_map))
            if answers is not None:
                answers.to_parquet(folder / f"{found.name}.parquet", index=False)
            reports.append(report)
    return reports


def _check_units(sets: list[ExternalSet], unit: str) -> None:
    for found in sets:
        if unit and found.unit and found.unit != unit:
            message = (
                f"{EXTERNAL} {found.name}: its numbers are in {found.unit!r}, those of the model in {unit!r}: convert "
                "the column and its name."
            )
            raise ConfigError(message)


@dataclass(frozen=True)
class _Matched:
    """A further set with the model's names of its classes."""

    found: ExternalSet
    classes: ClassMatch


def _match(found: ExternalSet, scale: ExternalScale, class_map: dict[str, str]) -> _Matched:
    if scale.trust.task is Task.regression:
        return _Matched(found, ClassMatch({}, [], []))
    classes = match_classes(found, scale.class_names, class_map)
    if not classes.known and found.place.is_dir():
        # Folders that are no classes of the model may not be classes at all, and loose images may lie beside them.
        loose = list_loose_images(found.place)
        labels = found.rows.set_index(SAMPLE_ID)[LABEL]
        given = loose[SAMPLE_ID].map(labels)
        rows = loose.assign(**{LABEL: given.where(given.notna(), None)})
        found = dataclasses.replace(found, rows=rows, n_unusable=0)
    return _Matched(found, classes)


def _score_set(
    context: RunContext, prepared: PreparedData, predictor: Predictor, scale: ExternalScale, matched: _Matched
) -> tuple[ExternalReport, pd.DataFrame | None]:
    found = matched.found
    rows, observed, seen = _observe_set(context, prepared, predictor, found)
    about = ExternalReport(
        name=found.name,
        source=str(found.place),
        n=0,
        n_unreadable=found.n_unusable + len(found.rows) - len(rows) - seen,
        n_labelled=0,
        n_groups=0,
        class_map=matched.classes.known,
        remarks=[*found.remarks, *matched.classes.remarks, *_word_seen(seen, len(rows))],
    )
    context.say(f"{found.name}: {len(rows)} images of {found.place} answered")
    if observed is None:
        return about, None
    known = _tell_truth(rows, predictor, matched.classes)
    predictions = pd.concat([known, observed], axis=1).assign(**{MODEL_ID: predictor.description.model_id})
    more = [target.name for target in predictor.meaning.targets[1:]]
    answers = judge_table(predictions, scale.trust, scale.class_names, more)
    if GIVEN_LABEL in answers:
        foreign = answers.loc[answers[LABEL].isna(), GIVEN_LABEL].value_counts()
        about = dataclasses.replace(about, foreign={str(name): int(count) for name, count in foreign.items()})
    return measure_external(about, predictions, answers, scale), answers


def _word_seen(seen: int, left: int) -> list[str]:
    if seen == 0:
        return []
    what = f"{seen} of its images are among those that the model learned from or was fitted on"
    return [f"{what}: nothing is left to measure." if left == 0 else f"{what}, and are left out."]


def _tell_truth(rows: pd.DataFrame, predictor: Predictor, classes: ClassMatch) -> pd.DataFrame:
    """The first columns of table 7: what is known of each image without looking at it."""
    # Where nobody said which images belong together, each one is a group of its own.
    groups = rows[GROUP_ID].where(rows[GROUP_ID].notna(), rows[SAMPLE_ID])
    known = pd.DataFrame({SAMPLE_ID: rows[SAMPLE_ID], PATH: rows[PATH], GROUP_ID: groups.astype(str)})
    if predictor.description.task is Task.classification:
        given = rows[LABEL]
        return known.assign(**{GIVEN_LABEL: given, LABEL: given.map(classes.known).astype(object)})
    truth: dict[str, Any] = {TARGET: rows[TARGET].astype(float) if TARGET in rows else np.nan}
    for target in predictor.meaning.targets[1:]:
        column = META_PREFIX + target.name
        values = pd.to_numeric(rows[column], errors="coerce") if column in rows else np.nan
        truth[TARGET_PREFIX + target.name] = values
    return known.assign(**truth)


_Looked = tuple[str, Photo | None]


def _observe_set(
    context: RunContext, prepared: PreparedData, predictor: Predictor, found: ExternalSet
) -> tuple[pd.DataFrame, pd.DataFrame | None, int]:
    """Rows of the images that could be answered, what was observed of them, and how many were seen in training."""
    config = context.config
    learned = set(prepared.rows.loc[prepared.rows[SPLIT] != Split.test.value, SHA256])
    encoder = predictor.meaning.covariates
    covariates = None if encoder is None else encoder.encode(read_columns(found.rows))

    def look(path: str) -> _Looked:
        try:
            content = read_bytes(Path(path))
            digest = hashlib.sha256(content).hexdigest()
            return digest, None if digest in learned else predictor.prepare_photo(content, path)
        except ImageReadError:
            return "", None

    context.progress.start(f"Answering {found.name}", len(found.rows))
    looked = map_ordered(look, found.rows[PATH], config.data.workers, context.progress)
    parts: list[Observed] = []
    kept: list[int] = []
    seen = 0
    for batch in _batch(enumerate(looked), config.evaluate.batch_size):
        seen += sum(1 for _, (digest, photo) in batch if photo is None and digest in learned)
        read = [(place, photo) for place, (_, photo) in batch if photo is not None]
        if not read:
            continue
        places = [place for place, _ in read]
        kept += places
        parts.append(
            _observe(predictor, [photo for _, photo in read], None if covariates is None else covariates[places])
        )
    context.progress.finish()
    rows = found.rows.iloc[kept].reset_index(drop=True)
    return rows, tabulate_observed(predictor, parts) if parts else None, seen


def _observe(predictor: Predictor, photos: list[Photo], covariates: NDArray[np.float32] | None) -> Observed:
    sizes = np.array([(photo.width_px, photo.height_px) for photo in photos], dtype=np.int64)
    return predictor.observe(np.stack([photo.square for photo in photos]), covariates, sizes)


def _batch(items: Iterator[tuple[int, _Looked]], size: int) -> Iterator[list[tuple[int, _Looked]]]:
    while batch := list(islice(items, size)):
        yield batch

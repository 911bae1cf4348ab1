"""Two models answer the same test images, except those that either has learned from."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phytoscope.errors import ImageReadError
from phytoscope.evaluate.answers import judge_table
from phytoscope.predict.prediction_table import tabulate_observed
from phytoscope.predict.predictor import Predictor
from phytoscope.predict.seen_files import SeenImages
from phytoscope.schema.progress import Progress
from phytoscope.schema.table import (
    GREEN_PX,
    GROUP_ID,
    LABEL,
    META_PREFIX,
    MODEL_ID,
    PATH,
    SAMPLE_ID,
    SPLIT,
    TARGET,
    TARGET_PREFIX,
)
from phytoscope.steps.training_job import read_columns
from phytoscope.transforms.decode import read_bytes
from phytoscope.transforms.photo import Photo
from phytoscope.transforms.stream import map_ordered
from phytoscope.trust.observed import Observed

SEEN: Final = "that one of the models has learned from"
SEEN_GROUP: Final = "of plants or leaves that one of the models has learned from"
UNREADABLE: Final = "that can no longer be read"
_BATCH: Final = 32


@dataclass(frozen=True)
class UnseenAnswers:
    """What models answered for the images that none of them has learned from.

    Attributes:
        tables: Judged answers of each model, the same rows in the same order.
        left_out: Why images were left out -> how many.
    """

    tables: list[pd.DataFrame]
    left_out: dict[str, int] = field(default_factory=dict)


_Looked = tuple[str, list[Photo]]


def answer_unseen(
    predictors: Sequence[Predictor],
    rows: pd.DataFrame,
    seen: Sequence[SeenImages],
    *,
    workers: int | None = None,
    progress: Progress,
) -> UnseenAnswers:
    """Lets models answer for the images of a table that none of them has learned from or was calibrated on.

    Args:
        predictors: The models, at least one.
        rows: Rows of a table of answers; only what is known without a model is read: paths, groups, truth and the
            user's own columns.
        seen: What each model says that it has seen.
        workers: Threads that read images; None for one a core.
        progress: Told about every image.

    Returns:
        The answers, judged where the model judges.
    """
    groups = rows[GROUP_ID].astype(str)
    of_seen_groups = np.zeros(len(rows), dtype=bool)
    for one in seen:
        of_seen_groups |= one.find([], groups)[1]

    def look(place: int) -> _Looked:
        path = str(rows[PATH].iloc[place])
        try:
            content = read_bytes(Path(path))
            digest = hashlib.sha256(content).hexdigest()
            if any(one.find([digest], [])[0][0] for one in seen):
                return SEEN, []
            if of_seen_groups[place]:
                return SEEN_GROUP, []
            return "", [predictor.prepare_photo(content, path) for predictor in predictors]
        except ImageReadError:
            return UNREADABLE, []

    progress.start("Answering the test images", len(rows))
    left_out: Counter[str] = Counter()
    kept: list[int] = []
    observed: list[list[Observed]] = [[] for _ in predictors]
    for batch in _batch(enumerate(map_ordered(look, range(len(rows)), workers, progress))):
        left_out.update(why for _, (why, _) in batch if why)
        places = [place for place, (why, _) in batch if not why]
        kept += places
        for number, predictor in enumerate(predictors):
            photos = [found[number] for _, (why, found) in batch if not why]
            if photos:
                observed[number].append(_observe(predictor, photos, rows.iloc[places].reset_index(drop=True)))
    progress.finish()
    known = rows.iloc[kept][_list_known(rows)].reset_index(drop=True)
    tables = [
        _judge(predictor, known, parts) if parts else known
        for predictor, parts in zip(predictors, observed, strict=True)
    ]
    return UnseenAnswers(tables, dict(left_out))


def _list_known(rows: pd.DataFrame) -> list[str]:
    """Columns of a table of answers that no model has written."""
    own = [name for name in map(str, rows.columns) if name.startswith((META_PREFIX, TARGET_PREFIX))]
    return [name for name in (SAMPLE_ID, PATH, GROUP_ID, SPLIT, LABEL, TARGET, GREEN_PX) if name in rows] + own


def _batch(items: Iterator[tuple[int, _Looked]]) -> Iterator[list[tuple[int, _Looked]]]:
    while batch := list(islice(items, _BATCH)):
        yield batch


def _observe(predictor: Predictor, photos: list[Photo], rows: pd.DataFrame) -> Observed:
    encoder = predictor.meaning.covariates
    known: NDArray[np.float32] | None = None if encoder is None else encoder.encode(read_columns(rows))
    sizes = np.array([(photo.width_px, photo.height_px) for photo in photos], dtype=np.int64)
    return predictor.observe(np.stack([photo.square for photo in photos]), known, sizes)


def _judge(predictor: Predictor, known: pd.DataFrame, parts: list[Observed]) -> pd.DataFrame:
    answers = tabulate_observed(predictor, parts)
    table = pd.concat([known, answers], axis=1).assign(**{MODEL_ID: predictor.description.model_id})
    if predictor.trust is None:
        return table
    more = [target.name for target in predictor.meaning.targets[1:]]
    return judge_table(table, predictor.trust, predictor.description.class_names, more)

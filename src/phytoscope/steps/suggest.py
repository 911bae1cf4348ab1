"""Which images without a label are most worth one."""

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phytoscope.errors import ConfigError, DataNotFoundError, DataValidationError, ImageReadError
from phytoscope.predict.predictor import Predictor
from phytoscope.predict.sources import check_source, list_images
from phytoscope.schema.artifact import write_atomic
from phytoscope.schema.prediction import Prediction
from phytoscope.schema.progress import Progress
from phytoscope.schema.run_folder import RunFolder
from phytoscope.schema.table import PATH, Task
from phytoscope.schema.verdict import REASONS, Reason
from phytoscope.transforms.photo import Photo
from phytoscope.transforms.photo_measures import measure_photo
from phytoscope.transforms.stream import map_ordered
from phytoscope.trust.observed import Floats, Observed
from phytoscope.trust.photo import MEASURES, PhotoLimits, fit_photo_limits
from phytoscope.trust.picking import Picked, measure_doubts, pick_images
from phytoscope.visualize.contact_sheet import plot_contact_sheet, write_contact_sheet
from phytoscope.visualize.text import format_quantity, prettify_class

COLUMNS = ("rank", "path", "why", "answer", "like")
_UNREADABLE = "not readable"
_FAULTS = {
    Reason.no_plant: "without a plant",
    Reason.too_dark: "too dark",
    Reason.too_bright: "too bright",
    Reason.too_small: "too small",
    Reason.blurred: "blurred",
}
_ALSO_NO_PLANT = 0.1
_BELIEF = {Reason.unlike_training: 0.5, Reason.somewhat_unlike: 0.75}
_CLEAR = 0.5
_MOST_ON_SHEET = 60
_SHEET_SUFFIX = ".png"


@dataclass(frozen=True)
class Suggestion:
    """One image to label.

    Attributes:
        path: The image, as it was named.
        why: Why it is worth a label, in words.
        answer: What the model says of it now, in words.
        like: Usable images that are nearest to this one, itself among them.
    """

    path: Path
    why: str
    answer: str
    like: int


@dataclass(frozen=True)
class Suggestions:
    """What to label first.

    Attributes:
        images: The images, the most worthwhile first.
        looked_at: Images that were looked at.
        skipped: Why images were passed over, in words -> how many, most frequent first.
    """

    images: tuple[Suggestion, ...]
    looked_at: int
    skipped: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class _Pool:
    """All images that could be read.

    Attributes:
        paths: Files, N of them.
        features: Shape (N, F), float16, as they would fill the memory otherwise.
        observed: What is known of them.
    """

    paths: list[Path]
    features: NDArray[np.float16]
    observed: Observed


def suggest_images(
    predictor: Predictor,
    sources: Sequence[Path],
    n: int,
    *,
    seed: int = 0,
    batch_size: int = 32,
    workers: int | None = None,
    progress: Progress,
) -> Suggestions:
    """Finds the images whose labels would teach the model most: it is unsure of them, and no two are alike.

    See `pick_images` for how. Photographs that are too dark, too bright, too small, blurred or without a plant are
    passed over, and so are images unlike all training images that show little green. Covariates count as missing.

    Args:
        predictor: The model.
        sources: Image files, folders and lists of paths, as for `predict_files`.
        n: How many to suggest.
        seed: Seed of the draws.
        batch_size: Images a step.
        workers: Threads that read images; None takes one per core.
        progress: Told about every image.

    Raises:
        DataNotFoundError: A source does not exist or cannot be opened, or there is no image in it.
        DataValidationError: No image can be used, or a list has no column of paths.
    """
    for source in sources:
        check_source(source)
    paths = list(dict.fromkeys(list_images(sources)))
    if not paths:
        message = f"there is no image in {', '.join(repr(str(source)) for source in sources)}: name their folder."
        raise DataNotFoundError(message)
    pool = _look_at(predictor, paths, batch_size=batch_size, workers=workers, progress=progress)
    usable, doubts, skipped = _weigh(predictor, pool)
    skipped[_UNREADABLE] = len(paths) - len(pool.paths)
    found = {reason: count for reason, count in skipped.most_common() if count > 0}
    if len(usable) == 0:
        reasons = ", ".join(f"{count} {reason}" for reason, count in found.items())
        message = f"none of the {len(paths)} images can be used ({reasons}): name others."
        raise DataValidationError(message)
    picked = pick_images(pool.features[usable].astype(np.float32), doubts[usable], n, np.random.default_rng(seed))
    chosen = [pool.paths[usable[place]] for place in picked.places]
    return Suggestions(tuple(_describe(predictor, chosen, picked, batch_size)), len(paths), found)


def find_unlabelled(place: Path) -> list[Path]:
    """The images without a label that a run was given.

    Args:
        place: Folder of the run, or its package.

    Raises:
        ConfigError: It is not the folder of a run.
        DataNotFoundError: The run was given none.
    """
    table = next(
        (run.unlabelled for run in (RunFolder(place), RunFolder(place.parent)) if run.unlabelled.is_file()), None
    )
    if table is None:
        message = (
            f"{str(place)!r} is not the folder of a run, so it knows no unlabelled images: name a folder of images."
        )
        raise ConfigError(message)
    rows = pd.read_parquet(table)
    if rows.empty:
        message = f"the data of the run {str(table.parent)!r} have no images without a label: name a folder of images."
        raise DataNotFoundError(message)
    return [Path(path) for path in rows[PATH]]


def write_suggestions(found: Suggestions, output: Path) -> Path:
    """Writes the list as a CSV file and the first pictures as a sheet beside it.

    Args:
        found: What to label.
        output: The CSV file; the sheet has the same name with `.png`.

    Returns:
        The sheet.

    Raises:
        StorageError: A file cannot be written.
    """
    with write_atomic(output) as temporary, temporary.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(COLUMNS)
        for rank, one in enumerate(found.images, start=1):
            path = str(one.path).encode("utf-8", "backslashreplace").decode("utf-8")
            writer.writerow([rank, path, one.why, one.answer, one.like])
    sheet = output.with_suffix(_SHEET_SUFFIX)
    shown = found.images[:_MOST_ON_SHEET]
    write_contact_sheet(plot_contact_sheet([one.path for one in shown], [one.answer for one in shown]), sheet)
    return sheet


def _look_at(
    predictor: Predictor, paths: Sequence[Path], *, batch_size: int, workers: int | None, progress: Progress
) -> _Pool:
    read: list[Path] = []
    features: list[NDArray[np.float16]] = []
    parts: list[Observed] = []
    progress.start("Looking at images", len(paths))
    prepared = map_ordered(lambda path: (path, _prepare(predictor, path)), paths, workers, progress)
    for batch in _batches(((path, photo) for path, photo in prepared if photo is not None), batch_size):
        read += [path for path, _ in batch]
        photos = [photo for _, photo in batch]
        outputs, seen = predictor.look(np.stack([photo.square for photo in photos]))
        features.append(seen.astype(np.float16))
        parts.append(_observe(predictor, photos, outputs, seen))
    progress.finish()
    if not read:
        message = f"none of the {len(paths)} images can be read: open one with another program, or copy them again."
        raise DataValidationError(message)
    observed = Observed(
        np.concatenate([part.answers for part in parts]),
        np.concatenate([part.novelty for part in parts]),
        {name: np.concatenate([part.photo[name] for part in parts]) for name in MEASURES},
    )
    return _Pool(read, np.concatenate(features), observed)


def _prepare(predictor: Predictor, path: Path) -> Photo | None:
    try:
        return predictor.prepare_photo(path)
    except ImageReadError:
        return None


def _batches(items: Iterator[tuple[Path, Photo]], size: int) -> Iterator[list[tuple[Path, Photo]]]:
    while batch := list(islice(items, size)):
        yield batch


def _observe(predictor: Predictor, photos: Sequence[Photo], outputs: Floats, features: NDArray[np.float32]) -> Observed:
    measured = [measure_photo(photo.square, photo.width_px, photo.height_px) for photo in photos]
    reference = predictor.novelty
    novelty = np.full(len(photos), np.nan) if reference is None else reference.score(features, outputs)
    return Observed(
        predictor.finish(outputs), novelty, {name: np.array([one[name] for one in measured]) for name in MEASURES}
    )


def _weigh(predictor: Predictor, pool: _Pool) -> tuple[NDArray[np.int64], Floats, Counter[str]]:
    """Places of the usable images, what a label could change in all, and why the others are passed over."""
    observed, trust = pool.observed, predictor.trust
    limits: PhotoLimits = fit_photo_limits({}, 0.02) if trust is None else trust.photo
    usable: NDArray[np.bool_] = np.asarray(np.isfinite(observed.answers).all(axis=1))
    skipped = Counter({"without an answer": int((~usable).sum())})
    judged = None if trust is None else trust.judge(observed)
    belief = np.ones(len(pool.paths))
    faults = limits.find_faults(observed.photo)
    if judged is not None:
        for reason, share in _BELIEF.items():
            belief[judged.reasons[:, REASONS.index(reason)]] = share
        strange = judged.reasons[:, REASONS.index(Reason.unlike_training)]
        bare = strange & (observed.photo["plant"] < _ALSO_NO_PLANT)
        faults[Reason.no_plant] = faults.get(Reason.no_plant, np.zeros_like(bare)) | bare
    for reason, words in _FAULTS.items():
        rows = faults.get(reason, np.zeros(len(usable), dtype=np.bool_)) & usable
        skipped[words] += int(rows.sum())
        usable &= ~rows
    answers = observed.answers if judged is None else judged.answers
    if predictor.description.task is Task.classification:
        return np.flatnonzero(usable), measure_doubts(answers, belief), skipped
    expected = np.ones(len(pool.paths))
    if judged is not None and judged.lower is not None and judged.upper is not None:
        width = judged.upper[:, 0] - judged.lower[:, 0]
        expected = np.where(np.isfinite(width), width, 1.0)
    # Far from all that was learned from, the interval is a promise for other images.
    strangeness = np.where(np.isfinite(observed.novelty), np.maximum(observed.novelty, 0.0), 1.0)
    return np.flatnonzero(usable), (expected * strangeness)[:, None], skipped


def _describe(predictor: Predictor, chosen: Sequence[Path], picked: Picked, batch_size: int) -> Iterator[Suggestion]:
    for first in range(0, len(chosen), batch_size):
        paths = chosen[first : first + batch_size]
        answers = predictor.answer([str(path) for path in paths], [predictor.prepare_photo(path) for path in paths])
        for place, (path, answer) in enumerate(zip(paths, answers, strict=True), start=first):
            like = int(picked.like[place])
            yield Suggestion(path, _word_why(answer, like), _word_answer(answer), like)


def _word_why(answer: Prediction, like: int) -> str:
    words = []
    ranked = sorted(answer.probabilities.items(), key=lambda item: -item[1])[:2]
    if len(ranked) == 2 and ranked[0][1] - ranked[1][1] < _CLEAR:
        words.append(
            "the model wavers between " + " and ".join(f"{prettify_class(name)} ({p:.0%})" for name, p in ranked)
        )
    if answer.lower is not None and answer.upper is not None:
        ends = f"{format_quantity(answer.lower, '')} to {format_quantity(answer.upper, answer.unit)}"
        words.append(f"the number could be {ends}")
    if Reason.unlike_training in answer.reasons:
        words.append("unlike all pictures that the model learned from")
    elif Reason.somewhat_unlike in answer.reasons:
        words.append("rather unlike the pictures that the model learned from")
    if like > 1:
        words.append(f"{like - 1} other pictures are like it" if like > 2 else "one other picture is like it")
    return "; ".join(words) or "unlike the other suggestions"


def _word_answer(answer: Prediction) -> str:
    if answer.label is not None:
        return f"{prettify_class(answer.label)} ({answer.probability or 0.0:.0%})"
    return format_quantity(answer.value, answer.unit)

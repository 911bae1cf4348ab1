"""Batch runner: many images in, one table out, with memory that does not grow."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import torch

from phytoscope import __version__
from phytoscope.errors import DataNotFoundError
from phytoscope.predict.batch_pipeline import Answered
from phytoscope.predict.batch_spool import AnswerSpool, chain_mark, open_spool
from phytoscope.predict.batch_tally import Tally
from phytoscope.predict.batch_work import ImageRows, PredictWork, iterate_images
from phytoscope.predict.covariate_rows import CovariateRows
from phytoscope.predict.predictor import Predictor
from phytoscope.predict.source_archives import ARCHIVE_SUFFIXES, count_members, is_archive
from phytoscope.predict.source_images import FoundImage
from phytoscope.predict.sources import check_source, count_skipped, count_unnamed, list_images, word_skipped
from phytoscope.predict.table_writer import TableForm
from phytoscope.schema.artifact import hash_content
from phytoscope.schema.engine import RowEngine
from phytoscope.schema.progress import Progress
from phytoscope.transforms.decode import IMAGE_SUFFIXES
from phytoscope.transforms.stream import count_cores

_RATE_SECONDS = 10.0


@dataclass(frozen=True)
class BatchPlan:
    """How many images are answered.

    Attributes:
        probs: Whether to write one column a class.
        batch_size: Images a call of the network; None takes what the engine is fastest with.
        workers: Threads that read images; None takes one per core.
        engine: Where the images are answered; None is this process.
        package: Path or address under which other machines find the model; needed when they shall work.
        task_rows: Images that are handed out together; rounded to whole batches, so that answers do not depend on it.
        fresh: Whether to begin anew where an earlier call was interrupted.
        say: Receiver of sentences: that a prediction goes on, or why it cannot.
    """

    probs: bool = False
    batch_size: int | None = None
    workers: int | None = None
    engine: RowEngine | None = None
    package: str | None = None
    task_rows: int = 512
    fresh: bool = False
    say: Callable[[str], None] = field(default=lambda _: None)


def predict_files(
    predictor: Predictor,
    sources: Sequence[Path],
    output: Path,
    *,
    probs: bool = False,
    batch_size: int | None = None,
    workers: int | None = None,
    known: CovariateRows | None = None,
    progress: Progress,
) -> Tally:
    """Answers for every image and writes one row each; see `predict_sources`."""
    plan = BatchPlan(probs=probs, batch_size=batch_size, workers=workers)
    return predict_sources(predictor, sources, output, plan, known=known, progress=progress)


def predict_sources(
    predictor: Predictor,
    sources: Sequence[Path],
    output: Path,
    plan: BatchPlan,
    *,
    known: CovariateRows | None = None,
    progress: Progress,
) -> Tally:
    """Answers for every image and writes one row each, in the order of the input.

    An image, sub-folder or archive that cannot be read becomes a row with an `error`. The output appears when it is
    whole. Until then its rows wait in a hidden folder beside it, and a call that was interrupted is continued by the
    same call: images that were answered are not read again, as long as they, the model and the settings are the same.

    Args:
        predictor: The model.
        sources: Image files, folders (searched for images at any depth), lists of paths (`.csv`, `.tsv` or `.parquet`
            with a column `path`, or `.txt` with one path a line; relative to the list) and archives (`.zip`, `.tar`,
            `.tar.gz` and the like), which a list may name, too.
        output: `.csv`, `.jsonl` or `.parquet`.
        plan: How.
        known: What is known of the images beside their pictures; None when nothing is.
        progress: Told about every image.

    Returns:
        What became of the images.

    Raises:
        DataNotFoundError: A source does not exist or cannot be opened, or no image is found.
        DataValidationError: A list has no column of paths, or is a table of another kind.
        ConfigError: The extension of the output is unknown, or another process writes it now.
        StorageError: The output cannot be written.
    """
    form = TableForm(output, predictor.description, probs=plan.probs)
    for source in sources:
        check_source(source)
    total = count_images(sources)
    if total == 0:
        raise _no_image(sources)
    for place, count in count_unnamed(sources).items():
        plan.say(f"{place}: {count} {'row names' if count == 1 else 'rows name'} no image and cannot be answered")
    key = _hash_settings(predictor, known, probs=plan.probs)
    with open_spool(output, form, key, fresh=plan.fresh) as spool:
        left = _skip_done(spool, sources, plan.say)
        progress.start("Predicting", total)
        progress.advance(spool.done.rows)
        rate = _Rate()
        try:
            for found in _answer(predictor, sources, left, spool.done.rows, plan, known):
                spool.write(found.images, found.rows, found.unmatched)
                progress.advance(len(found.rows), rate.tell(len(found.rows)))
        except BaseException:
            # Also when somebody stops it: what was answered is answered.
            spool.save()
            raise
        if known is not None:
            known.unmatched = spool.done.unmatched
        if spool.done.rows == 0:
            raise _no_image(sources)
        tally = spool.done.tally
        spool.finish()
    progress.finish()
    return tally


def count_images(sources: Iterable[Path]) -> int | None:
    """Number of images that the sources name; None where only reading an archive would tell.

    Raises:
        DataNotFoundError: A list cannot be opened.
        DataValidationError: A list has no column of paths, or is a table of another kind.
    """
    total = 0
    for path in list_images(sources):
        count = count_members(path) if is_archive(path) else 1
        if count is None:
            return None
        total += count
    return total


def _skip_done(spool: AnswerSpool, sources: Sequence[Path], say: Callable[[str], None]) -> Iterator[FoundImage]:
    """The images that are left, behind those that an earlier call answered if they are still the same."""
    done, left = spool.done, iterate_images(sources)
    if spool.remark:
        say(f"{spool.remark}: all images are answered anew")
        spool.clear()
        return left
    if done.rows == 0:
        return left
    seen = ""
    for image in islice(left, done.rows):
        seen = chain_mark(seen, image.check())
    if seen == done.seen:
        say(f"an interrupted prediction goes on: {done.rows} images are answered already")
        return left
    say("the images of an interrupted prediction have changed since: all are answered anew")
    spool.clear()
    return iterate_images(sources)


def _answer(
    predictor: Predictor,
    sources: Sequence[Path],
    left: Iterator[FoundImage],
    done: int,
    plan: BatchPlan,
    known: CovariateRows | None,
) -> Iterator[Answered]:
    computed_by = predictor.engine
    size = plan.batch_size if plan.batch_size is not None else computed_by.batch_size
    computing = torch.get_num_threads(), count_cores()
    work = PredictWork(
        predictor,
        plan.package,
        computed_by.runtime,
        computed_by.precision,
        size,
        computing,
        plan.workers,
        known,
    )
    if plan.engine is None or plan.engine.is_local:
        return work.open(None)(left)
    # Whole batches, so that each holds the same images as it would here. Those out of an archive travel with their
    # bytes, so only one batch at a time.
    batches = 1 if any(is_archive(path) for path in sources) else max(1, plan.task_rows // size)
    return plan.engine.map(work, ImageRows(sources, done), title="predict", task_rows=batches * size)


def _hash_settings(predictor: Predictor, known: CovariateRows | None, *, probs: bool) -> str:
    """Hash of everything but the images that decides the rows."""
    engine = predictor.engine
    trust = None if predictor.trust is None else predictor.trust.to_dict()
    beside = None if known is None else known.digest
    model = predictor.description.to_dict()
    return hash_content([__version__, model, trust, engine.runtime.value, engine.precision.value, probs, beside])


def _no_image(sources: Sequence[Path]) -> DataNotFoundError:
    places = ", ".join(repr(str(source)) for source in sources)
    message = (
        f"no image found in {places}{word_skipped(count_skipped(sources))}; known extensions: "
        f"{', '.join(sorted(IMAGE_SUFFIXES))}; archives: {', '.join(ARCHIVE_SUFFIXES)}."
    )
    return DataNotFoundError(message)


class _Rate:
    """Images per second in the last seconds."""

    def __init__(self) -> None:
        self._ticks: deque[tuple[float, int]] = deque([(time.monotonic(), 0)])
        self._count = 0

    def tell(self, count: int) -> str:
        """The rate in words after `count` further images."""
        now = time.monotonic()
        self._count += count
        self._ticks.append((now, self._count))
        while len(self._ticks) > 2 and now - self._ticks[0][0] > _RATE_SECONDS:
            self._ticks.popleft()
        began, before = self._ticks[0]
        return f"{(self._count - before) / max(now - began, 1e-9):,.0f} images/s"

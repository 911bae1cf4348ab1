"""New images beside those that a model was measured on: what has changed, and whether that is more than chance."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phytoscope.errors import ConfigError, DataValidationError
from phytoscope.evaluate.drift import DriftPlan, DriftSide, compare_batch
from phytoscope.predict.package import load_package
from phytoscope.predict.reference_files import ReferenceImages, draw_groups, read_reference
from phytoscope.predict.seen_files import read_seen
from phytoscope.schema.artifact import hash_content
from phytoscope.schema.drift import DriftReport
from phytoscope.schema.operate import MonitorConfig
from phytoscope.schema.package import ModelDescription
from phytoscope.schema.progress import Progress, SilentProgress
from phytoscope.schema.table import GROUP_ID, SHA256
from phytoscope.steps.drift_folder import MonitorFolder
from phytoscope.steps.drift_hashes import FileHashes
from phytoscope.steps.drift_images import (
    FoundImages,
    ImageAnswers,
    find_new_images,
    is_table,
    name_image_groups,
    read_known,
)
from phytoscope.steps.drift_page import draw_unlike, write_drift_page
from phytoscope.steps.drift_parts import AnsweredImages, Watched, tell_time
from phytoscope.visualize.drift_words import word_look, word_nothing_new, word_waiting


def _ignore(message: str) -> None:
    """Says nothing."""


@dataclass(frozen=True)
class DriftRequest:
    """What to look at, and how.

    Attributes:
        package: Folder of the model package.
        images: Folders, images, lists of paths (`.txt`), and tables with a column of image names.
        monitor: Folder in which this model is watched; created when it is not there.
        settings: How often a false alarm is allowed, and how many images are compared.
        table: Table with file names, and the columns that the model sees beside the image; the table among `images`
            when None and there is one.
        group_by: Columns of the table that name what belongs together (plant, leaf).
        group_pattern: Regular expression with one group that finds this in file names; None when each image is alone.
        seed: Seed of all draws.
        batch_size: Images a step.
        workers: Threads that read images; None takes one per core.
        progress: Receiver of progress.
        say: Receiver of sentences for the user.
    """

    package: Path
    images: list[Path]
    monitor: Path
    settings: MonitorConfig = field(default_factory=MonitorConfig)
    table: Path | None = None
    group_by: list[str] = field(default_factory=list)
    group_pattern: str | None = None
    seed: int = 0
    batch_size: int = 32
    workers: int | None = None
    progress: Progress = field(default_factory=SilentProgress)
    say: Callable[[str], None] = _ignore


@dataclass(frozen=True)
class DriftLook:
    """What came of one call.

    Attributes:
        report: What was found; None when no look was taken, as there were too few new images.
        sentence: The same in words.
        n_new: Images that were not there at an earlier look.
        n_waiting: Answered images that wait for more; 0 after a look.
        n_known: Images that an earlier look has seen already.
        n_own: Images that the model learned from or was measured on; they are left out.
        unreadable: Path and reason of each file that cannot be read.
        folder: Folder of this look; None when none was taken.
        page: The page of the monitor; None when no look was ever taken.
        is_new_series: Whether another model was watched here before, whose looks were put aside.
    """

    report: DriftReport | None
    sentence: str
    n_new: int = 0
    n_waiting: int = 0
    n_known: int = 0
    n_own: int = 0
    unreadable: tuple[tuple[str, str], ...] = ()
    folder: Path | None = None
    page: Path | None = None
    is_new_series: bool = False

    @property
    def n_unreadable(self) -> int:
        """Number of files that cannot be read."""
        return len(self.unreadable)

    @property
    def fired(self) -> bool:
        """Whether something has changed more than chance explains."""
        return self.report is not None and self.report.fired


def look_for_drift(request: DriftRequest) -> DriftLook:
    """Answers for new images, compares them with the model's reference, and records the look.

    Images that an earlier look has seen are not counted twice, whatever they are called now. Fewer new images than
    `settings.min_images` wait, answered, for the next call, and no look is spent. An interrupted call is continued by
    the next one, which answers only what is left.

    Raises:
        ArtifactError: Another process works in the monitor's folder, or it is not one.
        ConfigError: The settings cannot work, or the monitor was begun with another false alarm.
        DataNotFoundError: A source does not exist or holds no image.
        DataValidationError: None of the new images can be read.
        PackageError: The package is damaged, or cannot judge its answers.
        StorageError: The folder cannot be written.
    """
    _check_settings(request.settings)
    if request.table is None:
        request = dataclasses.replace(request, table=next(filter(is_table, request.images), None))
    predictor = load_package(request.package)
    reference = read_reference(request.package)
    answers = ImageAnswers(predictor, read_known(predictor, request.table), request.batch_size, request.workers)
    folder = MonitorFolder(request.monitor)
    with folder.locked():
        watched = folder.read_watched() if folder.about.is_file() else None
        other = watched is not None and watched.model_id != predictor.description.model_id
        if watched is not None and not other:
            _check_promise(folder, watched, request.settings)
        found = _find_new(request, folder, reference, other=other)
        if other or watched is None or watched.false_alarm != request.settings.false_alarm:
            _begin(request, folder, predictor.description, reference, watched if other else None)
        passed_over = _answer_new(request, folder, answers, found)
        look = _take_look(request, folder, reference, passed_over)
        unreadable = [*found.unreadable, *answers.unreadable]
        _check_readable(look, unreadable)
        return dataclasses.replace(
            look,
            n_new=len(found.rows),
            n_known=found.n_known,
            n_own=found.n_own,
            unreadable=tuple(unreadable),
            is_new_series=other,
        )


def _check_settings(settings: MonitorConfig) -> None:
    if not 0 < settings.false_alarm < 0.5:
        message = f"monitor.false_alarm={settings.false_alarm:g} must be above 0 and below 0.5."
        raise ConfigError(message)
    if settings.max_images is not None and settings.max_images < settings.min_images:
        message = (
            f"monitor.max_images={settings.max_images} is below monitor.min_images={settings.min_images}: no look "
            "could ever have enough images; raise the first or lower the second."
        )
        raise ConfigError(message)


def _check_promise(folder: MonitorFolder, watched: Watched, settings: MonitorConfig) -> None:
    if watched.false_alarm != settings.false_alarm and folder.count_looks() > 0:
        message = (
            f"the looks in {str(folder.root)!r} count on a false alarm of {watched.false_alarm:g}, now it is "
            f"{settings.false_alarm:g}: the promise is about all looks together, so keep the first number or choose "
            "another folder."
        )
        raise ConfigError(message)


def _find_new(request: DriftRequest, folder: MonitorFolder, reference: ReferenceImages, *, other: bool) -> FoundImages:
    seen: set[str] = set()
    if not other:
        waiting = folder.read_waiting()
        seen = folder.list_seen() | (set() if waiting is None else set(waiting.table[SHA256]))
    hashes = FileHashes(folder.hashes)
    found = find_new_images(request.images, seen, hashes, request.workers, request.progress)
    hashes.save()
    if found.n_copies:
        request.say(f"{found.n_copies} files are copies of others among the new ones, and count once")
    own = _find_own(request.package, found.rows, reference)
    if own.any():
        request.say(
            f"{int(own.sum())} of the images are among those that the model learned from or was measured on, and are "
            "left out: they are no new ones"
        )
    return dataclasses.replace(found, rows=found.rows[~own].reset_index(drop=True), n_own=int(own.sum()))


def _find_own(package: Path, rows: pd.DataFrame, reference: ReferenceImages) -> NDArray[np.bool_]:
    digits = len(reference.table[SHA256].iloc[0])
    own = rows[SHA256].str[:digits].isin(set(reference.table[SHA256])).to_numpy(dtype=bool)
    seen = read_seen(package)
    return own if seen is None else own | seen.find(rows[SHA256], rows[SHA256])[0]


def _begin(
    request: DriftRequest,
    folder: MonitorFolder,
    description: ModelDescription,
    reference: ReferenceImages,
    before: Watched | None,
) -> None:
    if before is not None:
        place = folder.put_aside(before.model_id)
        request.say(
            f"{str(folder.root)!r} watched the model {before.name} ({before.model_id}) until now; its looks lie in "
            f"{str(place)!r}. The looks of {description.name} ({description.model_id}) begin anew."
        )
    folder.write_reference(reference.table)
    folder.write_watched(Watched.begin(description, request.settings.false_alarm))


def _answer_new(request: DriftRequest, folder: MonitorFolder, answers: ImageAnswers, found: FoundImages) -> list[str]:
    """Keeps answers for the next look; gives the SHA-256 of the images that were not drawn."""
    groups, remark = name_image_groups(
        found.rows, request.table, request.group_by, request.group_pattern, request.settings.min_images
    )
    if remark:
        request.say(remark)
    rows = found.rows.assign(**{GROUP_ID: groups.astype(str)})
    drawn = np.ones(len(rows), dtype=bool)
    if request.settings.max_images is not None:
        waiting = folder.read_waiting()
        room = max(0, request.settings.max_images - (0 if waiting is None else len(waiting)))
        drawn = draw_groups(rows[GROUP_ID].to_numpy(dtype=object), drawn, room, request.seed + folder.count_looks())
    if not drawn.all():
        request.say(
            f"{int(drawn.sum())} of {len(rows)} new images are drawn, by group (monitor.max_images="
            f"{request.settings.max_images}); the others are passed over"
        )
    for part in answers.answer_parts(rows[drawn], request.progress):
        folder.add_waiting(part)
    return rows.loc[~drawn, SHA256].tolist()


def _take_look(
    request: DriftRequest, folder: MonitorFolder, reference: ReferenceImages, passed_over: list[str]
) -> DriftLook:
    settings = request.settings
    images = folder.read_waiting()
    past = folder.read_reports()
    if images is None or len(images) < settings.min_images:
        page = folder.page if folder.page.is_file() else None
        waiting = 0 if images is None else len(images)
        sentence = word_waiting(waiting, settings.min_images) if waiting else word_nothing_new(len(past))
        return DriftLook(None, sentence, n_waiting=waiting, page=page)
    watched = folder.read_watched()
    plan = DriftPlan(
        settings.false_alarm, settings.draws, request.seed, max_images=settings.max_images, unit=watched.unit
    )
    first = max(1, len(past) + 2 - plan.window)
    earlier = [_make_side(folder.read_images(number)) for number in range(first, len(past) + 1)]
    request.progress.start("Comparing", None)
    report = compare_batch(
        DriftSide(reference.features, reference.table),
        _make_side(images),
        plan,
        [one.summarize() for one in past],
        earlier=earlier,
    )
    request.progress.finish()
    report = dataclasses.replace(
        report,
        time=tell_time(),
        model_id=watched.model_id,
        reference_id=_identify(reference.table),
        batch_id=_identify(images.table),
    )
    place = folder.record(report, images, passed_over, draw_unlike(images.table))
    write_drift_page(folder)
    return DriftLook(report, word_look(report), folder=place, page=folder.page)


def _make_side(images: AnsweredImages) -> DriftSide:
    return DriftSide(images.features, images.table)


def _identify(table: pd.DataFrame) -> str:
    return hash_content(sorted(table[SHA256]))[:16]


def _check_readable(look: DriftLook, unreadable: list[tuple[str, str]]) -> None:
    if look.report is None and look.n_waiting == 0 and unreadable:
        path, reason = unreadable[0]
        message = f"none of the {len(unreadable)} new images can be read, the first one is {path!r}: {reason}."
        raise DataValidationError(message)

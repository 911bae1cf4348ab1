"""Truth that arrives later: joined with the answers that were given, and made into errors over time."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phytoscope.data.readers.read_labels import find_image_column, read_labels
from phytoscope.data.readers.read_table import find_column, read_table
from phytoscope.data.readers.spellings import fold_label
from phytoscope.data.readers.units import same_unit
from phytoscope.data.source import Fault, Source, find_file
from phytoscope.errors import ConfigError, DataValidationError, suggest
from phytoscope.evaluate.drift import DriftPlan, ErrorSide, compare_errors
from phytoscope.predict.reference_files import ERROR, measure_errors
from phytoscope.schema.artifact import write_json
from phytoscope.schema.choices import DataKind
from phytoscope.schema.data_config import DataConfig
from phytoscope.schema.drift import TruthReport
from phytoscope.schema.table import GROUP_ID, LABEL, PATH, SAMPLE_ID, SHA256, TARGET, Task
from phytoscope.steps.drift_folder import MonitorFolder
from phytoscope.steps.drift_names import NamedRows
from phytoscope.steps.drift_page import write_drift_page
from phytoscope.steps.drift_parts import Watched, read_truth, read_truth_reports, tell_time, write_truth
from phytoscope.visualize.drift_words import word_truth

_LABEL_COLUMNS = ("label", "class", "disease", "truth")
_MOST_LOOKS = 24
"""More looks than these are put together by month."""
_SHOWN = 3


def _ignore(message: str) -> None:
    """Says nothing."""


@dataclass(frozen=True)
class TruthRequest:
    """What turned out to be true, and of which watch.

    Attributes:
        monitor: Folder of the watch.
        table: Table with one row an image.
        column: Column with the true class or number; found by the model's own name for it when None.
        image_column: Column with file names, or SHA-256 of files; found by its usual names when None.
        unit: Unit of the numbers, where the column's name does not say it.
        draws: Permutations behind the significance.
        seed: Seed of the draws.
        say: Receiver of sentences for the user.
    """

    monitor: Path
    table: Path
    column: str | None = None
    image_column: str | None = None
    unit: str = ""
    draws: int = 1000
    seed: int = 0
    say: Callable[[str], None] = _ignore


@dataclass(frozen=True)
class TruthAdded:
    """What came of one table.

    Attributes:
        report: Errors over time; None when no truth is known of any answered image.
        sentence: The same in words.
        n_new: Images whose truth was not known before.
        n_changed: Images for which another truth was known; the new one counts.
        n_unmatched: Rows that are about no answered image.
        n_known: Rows that say what was known already.
        page: The page of the watch; None before its first look.
    """

    report: TruthReport | None
    sentence: str
    n_new: int = 0
    n_changed: int = 0
    n_unmatched: int = 0
    n_known: int = 0
    page: Path | None = None


@dataclass
class _Match:
    """Truth of answered images, and what does not fit."""

    truth: dict[str, str | float] = field(default_factory=dict)
    used: set[int] = field(default_factory=set)
    ambiguous: list[str] = field(default_factory=list)


def add_truth(request: TruthRequest) -> TruthAdded:
    """Adds what turned out to be true of answered images, and measures the errors over time.

    A row is about an image when its name is the end of the path that the image had when it was answered, or the SHA-256
    of its file. Adding the same table again changes nothing and spends nothing.

    Raises:
        ArtifactError: No model is watched in the folder, or another process works there.
        ConfigError: A column is not there, or the numbers are in another unit than the model's.
        DataNotFoundError: The table does not exist or has no row.
        DataValidationError: The table cannot be read, or none of its rows is about an answered image.
        StorageError: The folder cannot be written.
    """
    folder = MonitorFolder(request.monitor)
    watched = folder.read_watched()
    with folder.locked():
        source = _read_truth(request, watched)
        for fault in source.faults[:_SHOWN]:
            request.say(_word_fault(fault))
        if len(source.faults) > _SHOWN:
            request.say(f"... and {len(source.faults) - _SHOWN} more cells that cannot be read")
        answers = folder.read_all_answers()
        match = _match(source.rows, answers, watched)
        _tell_unmatched(request, source.rows, match, answers)
        if not match.truth:
            message = (
                f"none of the {len(source.rows)} rows of {str(request.table)!r} is about one image that was answered "
                f"in {str(folder.root)!r}, or its truth is empty; answered images are called like "
                f"{_show_path(answers)!r}."
            )
            raise DataValidationError(message)
        _tell_foreign(request, match, watched)
        known = read_truth(folder.truth)
        new = {digest for digest in match.truth if digest not in known}
        changed = {digest for digest in match.truth if digest in known and known[digest] != match.truth[digest]}
        if new or changed:
            known |= match.truth
            write_truth(folder.truth, known)
        report = _measure(request, folder, watched, answers, known, is_new=bool(new or changed))
        page = write_drift_page(folder)
    return TruthAdded(
        report,
        "No errors can be told: the truth of no compared image is known." if report is None else word_truth(report),
        n_new=len(new),
        n_changed=len(changed),
        n_unmatched=len(source.rows) - len(match.used) - len(match.ambiguous),
        n_known=len(match.truth) - len(new) - len(changed),
        page=page,
    )


def _read_truth(request: TruthRequest, watched: Watched) -> Source:
    path = find_file(str(request.table), "TABLE")
    table = read_table(path)
    key = "--label" if watched.task is Task.classification else "--target"
    column = find_column(table, request.column, key) if request.column else _find_answer(table, watched, key)
    image_column = find_image_column(table, None) if request.image_column is None else request.image_column
    is_regression = watched.task is Task.regression
    source = read_labels(
        DataConfig(
            kind=DataKind.table,
            table=str(path),
            images=str(path.parent),
            image_column=find_column(table, image_column, "--image-column"),
            target=column if is_regression else None,
            label=None if is_regression else column,
            unit=request.unit,
        )
    )
    unit = source.unit or request.unit
    if is_regression and unit and watched.unit and not same_unit(unit, watched.unit):
        message = (
            f"{key}: the column {column!r} is in {unit}, the model answers in {watched.unit}: convert the "
            "column and its name."
        )
        raise ConfigError(message)
    return source


def _find_answer(table: pd.DataFrame, watched: Watched, key: str) -> str:
    if watched.task is Task.regression:
        return find_column(table, watched.target_name, key)
    folded = {str(name).strip().lower(): str(name) for name in table.columns}
    found = next((folded[name] for name in (watched.target_name.lower(), *_LABEL_COLUMNS) if name in folded), None)
    if found is None:
        message = f"{key}: say which column holds the true class; {suggest('label', map(str, table.columns))}"
        raise ConfigError(message)
    return found


def _match(rows: pd.DataFrame, answers: pd.DataFrame, watched: Watched) -> _Match:
    is_regression = watched.task is Task.regression
    values = rows[TARGET if is_regression else LABEL].tolist()
    classes = {fold_label(name): name for name in watched.class_names} | {name: name for name in watched.class_names}
    names = [str(name) for name in rows[SAMPLE_ID]]
    by_name, by_hash = NamedRows(names), {name.lower(): row for row, name in enumerate(names)}
    found: dict[int, list[str]] = {}
    for digest, path in zip(answers[SHA256], answers[PATH], strict=True):
        row = by_hash.get(digest, by_name.find(path))
        if row is not None:
            found.setdefault(row, []).append(digest)
    match = _Match()
    for row, digests in found.items():
        if len(set(digests)) > 1:
            match.ambiguous.append(names[row])
            continue
        match.used.add(row)
        value = values[row]
        if is_regression and np.isfinite(value):
            match.truth[digests[0]] = float(value)
        elif not is_regression and isinstance(value, str):
            match.truth[digests[0]] = classes.get(value) or classes.get(fold_label(value)) or value
    return match


def _tell_unmatched(request: TruthRequest, rows: pd.DataFrame, match: _Match, answers: pd.DataFrame) -> None:
    names = [str(name) for name in rows[SAMPLE_ID]]
    unmatched = [name for row, name in enumerate(names) if row not in match.used and name not in match.ambiguous]
    if unmatched and match.truth:
        request.say(
            f"{request.table}: {len(unmatched)} of {len(names)} rows are about no answered image, for example "
            f"{', '.join(map(repr, unmatched[:_SHOWN]))}; answered images are called like {_show_path(answers)!r}"
        )
    if match.ambiguous:
        request.say(
            f"{request.table}: {len(match.ambiguous)} names fit several answered images, for example "
            f"{match.ambiguous[0]!r}, and are left out: write their folders too"
        )


def _show_path(answers: pd.DataFrame) -> str:
    return "" if answers.empty else "/".join(Path(answers[PATH].iloc[0]).parts[-2:])


def _tell_foreign(request: TruthRequest, match: _Match, watched: Watched) -> None:
    if watched.task is Task.regression:
        return
    foreign = sorted({str(value) for value in match.truth.values() if value not in watched.class_names})
    for name in foreign[:_SHOWN]:
        count = sum(1 for value in match.truth.values() if value == name)
        request.say(
            f"{count} images are truly {name!r}, which the model does not know: every answer for them counts as wrong. "
            f"If it is only spelled otherwise, {suggest(name, watched.class_names)}"
        )


def _word_fault(fault: Fault) -> str:
    return f"line {fault.source_row}, column {fault.column!r}: {fault.reason}; {fault.remedy}"


def _measure(
    request: TruthRequest,
    folder: MonitorFolder,
    watched: Watched,
    answers: pd.DataFrame,
    known: dict[str, str | float],
    *,
    is_new: bool,
) -> TruthReport | None:
    past = read_truth_reports(folder.truths)
    if past and not is_new:
        return past[-1]
    is_regression = watched.task is Task.regression
    rows = answers[answers[SHA256].isin(list(known))].reset_index(drop=True)
    rows = rows.assign(**{TARGET if is_regression else LABEL: rows[SHA256].map(known)})
    reference = folder.read_reference()
    before = reference[reference[ERROR].notna()]
    if rows.empty or before.empty:
        return None
    report = compare_errors(
        _make_side(before[ERROR].to_numpy(dtype=float), before, ["reference"] * len(before)),
        _make_side(measure_errors(rows), rows, _name_windows(folder, rows["look"].tolist())),
        DriftPlan(watched.false_alarm, request.draws, request.seed),
        [report.summarize() for report in past],
        # Errors without a unit would be read as shares of wrong answers.
        unit=(watched.unit or watched.target_name) if is_regression else "",
    )
    report = dataclasses.replace(report, time=tell_time(), model_id=watched.model_id)
    write_json(folder.truths / f"{report.look:04d}.json", report.to_dict())
    return report


def _make_side(errors: NDArray[np.float64], rows: pd.DataFrame, windows: Sequence[str]) -> ErrorSide:
    return ErrorSide(errors, rows[GROUP_ID].to_numpy(dtype=object), np.array(windows, dtype=object))


def _name_windows(folder: MonitorFolder, looks: Sequence[int]) -> list[str]:
    """Stretch of time of each image: its look, or of very many looks the month, in words that sort by time."""
    reports = {report.look: report for report in folder.read_reports()}
    following = max(reports, default=0) + 1
    if following > _MOST_LOOKS:
        months = {look: report.time[:7] for look, report in reports.items()}
        return [months.get(look, tell_time()[:7]) for look in looks]
    digits = len(str(following))
    # What waits belongs to the look that comes next.
    return [f"look {look if look > 0 else following:0{digits}d}" for look in looks]

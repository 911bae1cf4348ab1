"""How much of a numeric target simple things explain: the numbers that a model must beat."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd

from phytoscope.audit.cross_validation import Floats, Integers
from phytoscope.audit.evidence import ProbeData, Skipped
from phytoscope.audit.question import Question, ask, join_views
from phytoscope.audit.scoring import interval_of
from phytoscope.audit.views import corner_of, one_hot, rank_of, times_of
from phytoscope.audit.wording import spell_percent, spell_r2
from phytoscope.schema.audit import Explained
from phytoscope.schema.progress import Progress
from phytoscope.schema.table import GREEN_PX, HEIGHT_PX, META_PREFIX, WIDTH_PX, Task

AGE, GREEN, SIZE, TAG, SOURCE = "age", "green_pixels", "image_size", "burnt_in_tag", "source"
GREEN_LOG = "green_pixels_log"
CORNER, CONDITION, TIME = "lower_left_corner", "condition", "capture_time"

_CORNER_LEAD = 0.1
"""R² by which the lower left corner must lead the other three before it is suspected of a tag."""
_FEWEST = 2
_PARTS_OF_TAG = ("experiment", "bot", "plant")
"""Robots burn experiment, robot and plant into the picture: with columns for all three, what they tell is known."""


def explain_target(data: ProbeData, *, folds: int, seed: int, progress: Progress) -> list[Explained]:
    """Scores straight lines and small models on simple things, on groups kept back; empty for classification.

    Green pixels and age are given to a straight line, the age as it is or as its logarithm, whichever does better
    within the training groups; what has no order or many numbers is given to the quick model of the probes.

    Args:
        data: Images with a numeric target.
        folds: Folds of the cross-validation, by group.
        seed: Seed of folds and landmarks.
        progress: Told about each thing.

    Returns:
        Entries `age`, `green_pixels`, `green_pixels_log`, `image_size`, `burnt_in_tag`, `source`, `lower_left_corner`,
        `condition`, `capture_time` as far as the data have them; R² is None where it could not be measured, and the
        verdict says why.
    """
    if data.task is not Task.regression:
        return []
    question = ask(data, folds=folds, seed=seed)
    if isinstance(question, Skipped):
        verdict = f"Not measured: {question.reason}"
        return [Explained(name, "", None, len(data), verdict) for name in (AGE, GREEN)]
    progress.start("Explaining the target", len(_EXPLAINERS))
    found: list[Explained] = []
    for explain in _EXPLAINERS:
        for entry in explain(question):
            # What the corner's pixels tell was measured; what the columns tell is then only where the picture is from.
            is_second = entry.name == TAG and any(earlier.name == TAG for earlier in found)
            found.append(replace(entry, name=SOURCE) if is_second else entry)
        progress.advance(1)
    progress.finish()
    return found


def _explain_age(question: Question) -> list[Explained]:
    name = question.data.roles.age
    if name is None:
        return []
    age = pd.to_numeric(question.data.rows[name], errors="coerce").to_numpy(dtype=float)
    what = f"The age ({_shown(name)})"
    return [_explain_line(question, AGE, what, {"the age": age, "the logarithm of the age": _log(age)})]


def _explain_green(question: Question) -> list[Explained]:
    green = _column(question, GREEN_PX)
    count, log = "the number of green pixels", "the logarithm of the number of green pixels"
    return [
        _explain_line(question, GREEN, "The number of green pixels", {count: green}),
        _explain_line(question, GREEN_LOG, "The logarithm of the number of green pixels", {log: _log(green)}),
    ]


def _explain_size(question: Question) -> list[Explained]:
    width, height = (pd.Series(_column(question, name)) for name in (WIDTH_PX, HEIGHT_PX))
    if np.ptp(width) <= 0 and np.ptp(height) <= 0:
        verdict = "All pictures have the same size, which explains nothing."
        return [Explained(SIZE, "width and height of the picture", None, len(question.data), verdict)]
    view = join_views([rank_of(width), rank_of(height), rank_of(width / height)])
    return [_explain_view(question, SIZE, "The size of the picture", "width, height and their ratio", view)]


def _explain_corner(question: Question) -> list[Explained]:
    pictures = question.data.facts.thumbnails(question.data.positions)
    own, *others = (
        question.predict(corner_of(pictures, bottom=bottom, left=left))[0]
        for bottom, left in ((True, True), (True, False), (False, True), (False, False))
    )
    score, (low, high) = _r2(question, own), _interval(question, own)
    rest = [_r2(question, preds) for preds in others]
    # With few plants one corner leads by accident.
    leads = score >= max(*rest, 0.0) + _CORNER_LEAD and low > max(*rest, 0.0)
    compared = f"the other three explain {', '.join(spell_percent(max(value, 0.0)) for value in rest)}"
    verdict = f"{_explains(question, 'The lower left corner', score)}; {compared}: " + (
        "it tells more than the picture around it, as a tag would." if leads else "no sign of a tag that can be read."
    )
    given = "the pixels of the lower left quarter of the width and height, at 8 x 8 px"
    entry = Explained(CORNER, given, score, len(question.data), verdict, low, high)
    return [entry, replace(entry, name=TAG)] if leads else [entry]


def _explain_source(question: Question) -> list[Explained]:
    columns = question.data.roles.tags
    names = _varying(question, columns)
    if all(any(part in _shown(name).lower() for name in names) for part in _PARTS_OF_TAG):
        return _explain_columns(question, columns, one_hot, TAG, "What a tag in the picture may say")
    return _explain_columns(question, columns, one_hot, SOURCE, "Where the picture comes from")


def _explain_condition(question: Question) -> list[Explained]:
    return _explain_columns(question, question.data.roles.conditions, one_hot, CONDITION, "The condition")


def _explain_time(question: Question) -> list[Explained]:
    return _explain_columns(question, question.data.roles.times, times_of, TIME, "When the picture was taken")


def _explain_columns(
    question: Question, columns: tuple[str, ...], encode: Callable[[pd.Series], Floats], name: str, subject: str
) -> list[Explained]:
    names = _varying(question, columns)
    if not names:
        return []
    shown = ", ".join(map(_shown, names))
    view = join_views([encode(question.data.rows[column]) for column in names])
    return [_explain_view(question, name, f"{subject} ({shown})", shown, view)]


_EXPLAINERS: tuple[Callable[[Question], list[Explained]], ...] = (
    _explain_age,
    _explain_green,
    _explain_size,
    _explain_corner,
    _explain_source,
    _explain_condition,
    _explain_time,
)


def predict_by_line(target: Floats, forms: dict[str, Floats], fold_of: Integers) -> tuple[Floats, str]:
    """Predicts each image from one number by the straight line of the other folds.

    Args:
        target: Shape (N,).
        forms: Name -> the number in one form, shape (N,); NaN where it is missing.
        fold_of: Fold of each image, shape (N,).

    Returns:
        Predictions, shape (N,), the training mean where the number is missing; and the form that was chosen most often,
        each fold choosing on the other folds alone.
    """
    preds = np.empty(len(target))
    chosen: list[str] = []
    for fold in np.unique(fold_of):
        training = fold_of != fold
        best = _choose_form(
            target[training], {name: values[training] for name, values in forms.items()}, fold_of[training]
        )
        chosen.append(best)
        line = _fit_line(forms[best][training], target[training])
        preds[~training] = _apply(line, forms[best][~training])
    return preds, max(forms, key=chosen.count)


def _choose_form(target: Floats, forms: dict[str, Floats], fold_of: Integers) -> str:
    """The form whose line predicts folds best that it was not fitted on."""
    errors = dict.fromkeys(forms, 0.0)
    for fold in np.unique(fold_of):
        # With two folds in all there is one to choose on, and the line is judged where it was fitted.
        training = (fold_of != fold) | (len(np.unique(fold_of)) == 1)
        for name, values in forms.items():
            line = _fit_line(values[training], target[training])
            judged = fold_of == fold
            errors[name] += float(np.square(target[judged] - _apply(line, values[judged])).sum())
    return min(errors, key=lambda name: errors[name])


def _fit_line(values: Floats, target: Floats) -> tuple[float, float, float, float]:
    """Slope, centre and mean of the line, and the mean of all targets for images without a number."""
    known = np.isfinite(values)
    overall = float(target.mean())
    if known.sum() < _FEWEST or np.ptp(values[known]) <= 0:
        return 0.0, 0.0, overall, overall
    centre, mean = float(values[known].mean()), float(target[known].mean())
    offset = values[known] - centre
    return float(offset @ (target[known] - mean) / (offset @ offset)), centre, mean, overall


def _apply(line: tuple[float, float, float, float], values: Floats) -> Floats:
    slope, centre, mean, overall = line
    return np.where(np.isfinite(values), mean + slope * (values - centre), overall)


def _explain_line(question: Question, name: str, what: str, forms: dict[str, Floats]) -> Explained:
    known = int(np.isfinite(next(iter(forms.values()))).sum())
    preds, form = predict_by_line(question.answers[:, 0], forms, question.fold_of)
    score = _r2(question, preds[:, None])
    missing = f" (missing for {len(question.data) - known} images)" if known < len(question.data) else ""
    verdict = f"{_explains(question, what, score)}{missing}."
    given = f"a straight line on {form}"
    return Explained(name, given, score, len(question.data), verdict, *_interval(question, preds[:, None]))


def _explain_view(question: Question, name: str, what: str, given: str, view: Floats) -> Explained:
    preds = question.predict(view)[0]
    score = _r2(question, preds)
    verdict = f"{_explains(question, what, score)}."
    return Explained(name, given, score, len(question.data), verdict, *_interval(question, preds))


def _explains(question: Question, what: str, score: float) -> str:
    target, shown = question.data.target_name, spell_r2(score)
    if score <= 0:
        return f"{what} explains nothing of {target} on groups kept back (R² {shown})"
    return f"{what} explains {spell_percent(score)} of the variance of {target} on groups kept back (R² {shown})"


def _r2(question: Question, preds: Floats) -> float:
    return question.tally(preds).score


def _interval(question: Question, preds: Floats) -> tuple[float, float]:
    return interval_of([question.tally(preds)], (1.0,), question.seed)


def _column(question: Question, name: str) -> Floats:
    return question.data.column(name).to_numpy(dtype=float)


def _log(values: Floats) -> Floats:
    return np.log1p(np.maximum(values, 0.0))


def _varying(question: Question, names: tuple[str, ...]) -> list[str]:
    return [name for name in names if len(question.data.rows[name].dropna().unique()) > 1]


def _shown(name: str) -> str:
    return name.removeprefix(META_PREFIX)

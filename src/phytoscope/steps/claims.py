"""What must hold of the data, the model and its answers before the next step may use them: one function a claim."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from phytoscope.data.split.leaks import find_leaks, summarise_leaks
from phytoscope.errors import ArtifactError
from phytoscope.evaluate.baselines import CONSTANT
from phytoscope.evaluate.caveats import loses_to
from phytoscope.evaluate.report import main_metric
from phytoscope.schema.config import RunConfig
from phytoscope.schema.drift import DriftReport
from phytoscope.schema.report import Baseline, EvaluationReport
from phytoscope.schema.run_folder import RunFolder
from phytoscope.schema.table import GROUP_ID, LABEL, SAMPLE_ID, SPLIT, TARGET, Split, Task
from phytoscope.schema.trust_report import CoverageRow, ReliabilityBin
from phytoscope.steps.survey import Survey
from phytoscope.visualize.figures import shown_split

MOST_MISSING: Final = 0.5
"""Share of rows without their image above which a wrong folder or a half copied one is more likely than a few gaps."""
BIAS_SHARE: Final = 0.25
"""Mean of predicted minus true, as a share of the mean absolute error, that is always allowed."""
Values = dict[str, float | int | str | bool]
# One check in a hundred fails by chance alone where all is as it should be.
_CHANCE: Final = 2.326
_USUAL: Final = 1.96


@dataclass(frozen=True)
class Claim:
    """Whether something holds.

    Attributes:
        holds: Whether it does; False also where it could not be measured.
        text: A sentence that says so, with the numbers in it.
        measured: What was measured and what it was held against, by name.
    """

    holds: bool
    text: str
    measured: Values = field(default_factory=dict)


def claim_rows_and_labels(survey: Survey) -> Claim:
    """There are rows, most of their images are there, and the answers differ."""
    share = survey.missing / survey.rows if survey.rows else 1.0
    differ = len(survey.classes) if survey.task is Task.classification else int(survey.smallest != survey.largest) + 1
    values: Values = {
        "rows": survey.rows,
        "images": survey.images,
        "labelled": survey.labelled,
        "missing_share": share,
        "most_missing_share": MOST_MISSING,
        "different_answers": differ if survey.labelled else 0,
    }
    if survey.images == 0:
        return Claim(False, f"none of the images of {survey.rows} rows is there", values)
    if survey.labelled == 0:
        return Claim(False, f"none of the {survey.rows} rows has a value in {survey.target_name!r}", values)
    if differ < 2:
        return Claim(
            False, f"all {survey.labelled} rows have the same {survey.target_name}: nothing can be told", values
        )
    if share > MOST_MISSING:
        text = f"{survey.missing} of {survey.rows} images are missing, more than half: is it the right folder?"
        return Claim(False, text, values)
    return Claim(
        True, f"{survey.rows} rows, {survey.labelled} of them labelled, {survey.missing} without image", values
    )


def claim_no_group_torn(run: RunFolder) -> Claim:
    """No group, and no copy of a picture, stands in two splits.

    Raises:
        ArtifactError: A table is missing or damaged.
    """
    manifest, split = _read_table(run.manifest), _read_table(run.split)
    absent = set(manifest[SAMPLE_ID]) ^ set(split[SAMPLE_ID])
    doubled = int(split[SAMPLE_ID].duplicated().sum())
    leaks = find_leaks(manifest, split.drop_duplicates(SAMPLE_ID))
    values: Values = {
        "images": len(manifest),
        "groups": int(split[GROUP_ID].nunique()),
        "pairs_on_both_sides": len(leaks),
        "images_without_a_split": len(absent),
        "images_in_several_rows": doubled,
    }
    if leaks:
        return Claim(False, summarise_leaks(leaks), values)
    if absent or doubled:
        return Claim(False, f"{len(absent)} images stand in one table only, {doubled} stand in the split twice", values)
    return Claim(True, f"{values['groups']} groups, each in one split", values)


def claim_targets_in_range(run: RunFolder, config: RunConfig) -> Claim:
    """Every answer is a finite number within the limits, or a class that the training images show.

    Args:
        run: A prepared run.
        config: `data.target_min` and `data.target_max` are read.

    Raises:
        ArtifactError: A table is missing or damaged.
    """
    manifest = _read_table(run.manifest)
    if config.data.task is Task.classification:
        return _claim_classes(manifest, _read_table(run.split))
    numbers = pd.to_numeric(manifest[TARGET], errors="coerce").to_numpy(dtype=np.float64)
    low, high = config.data.target_min, config.data.target_max
    outside = ~np.isfinite(numbers)
    outside |= numbers < (-math.inf if low is None else low)
    outside |= numbers > (math.inf if high is None else high)
    values: Values = {"images": len(numbers), "outside": int(outside.sum())}
    limits = {"smallest": np.nanmin, "largest": np.nanmax}
    values |= {name: float(find(numbers)) for name, find in limits.items() if np.isfinite(numbers).any()}
    values |= {"lower_limit": "none" if low is None else low, "upper_limit": "none" if high is None else high}
    if len(numbers) == 0 or outside.any():
        return Claim(False, f"{int(outside.sum())} of {len(numbers)} targets are no number or out of range", values)
    return Claim(True, f"{len(numbers)} targets from {values['smallest']:.4g} to {values['largest']:.4g}", values)


def _claim_classes(manifest: pd.DataFrame, split: pd.DataFrame) -> Claim:
    rows = manifest.merge(split[[SAMPLE_ID, SPLIT]], on=SAMPLE_ID)
    learned = set(rows.loc[rows[SPLIT] == Split.train.value, LABEL].dropna())
    without = int(rows[LABEL].isna().sum())
    unknown = sorted(set(rows[LABEL].dropna()) - learned)
    values: Values = {
        "images": len(rows),
        "classes_in_training": len(learned),
        "images_without_a_class": without,
        "classes_not_in_training": ", ".join(map(str, unknown)),
    }
    if without or unknown or len(learned) < 2:
        names = f" ({', '.join(map(repr, unknown[:5]))})" if unknown else ""
        text = f"{without} images have no class, {len(unknown)} classes are not in training{names}"
        return Claim(False, f"{text}; {len(learned)} are", values)
    return Claim(True, f"{len(learned)} classes, all of them in training", values)


def claim_loss_finite(run: RunFolder) -> Claim:
    """Every loss of every epoch is a finite number.

    Raises:
        ArtifactError: There is no history, or it is damaged.
    """
    try:
        history = pd.read_csv(run.history)
    except (OSError, ValueError) as error:
        message = f"the history {str(run.history)!r} cannot be read ({error}): train again."
        raise ArtifactError(message) from error
    columns = [name for name in history if "loss" in str(name)]
    losses = history[columns].apply(pd.to_numeric, errors="coerce")
    # A column may begin late, but what an epoch says must be a number.
    wrong = int((~np.isfinite(losses.to_numpy(dtype=np.float64))).sum())
    values: Values = {"epochs": len(history), "losses_not_finite": wrong}
    values |= {f"last {name}": float(losses[name].iloc[-1]) for name in columns if len(losses)}
    if history.empty or not columns:
        return Claim(False, "the history holds no loss", values)
    return Claim(wrong == 0, f"{wrong} losses of {len(history)} epochs are no finite number", values)


def claim_beats_baseline(report: EvaluationReport) -> Claim:
    """The model is better than always giving the same answer, and not clearly worse than any other napkin model.

    Always giving the same answer says nothing about a picture, so it must be beaten. A line on the green pixels can be
    as good as any network where weight is area: it fails a model only where the interval of the difference, drawn by
    plants, lies wholly on its side, or where there is no interval.

    Args:
        report: Report of the run; the split to quote is looked at.
    """
    metric, higher = main_metric(report.task)
    split = shown_split(report)
    part = report.splits[split]
    model = report.metric(split, metric)
    values: Values = {"metric": f"{split}/{metric}"}
    if report.beats_baseline is None or model is None or not part.baselines:
        return Claim(False, "there is no test split with a baseline: nothing was compared", values)
    values["model"] = model
    lost = [baseline.name for baseline in loses_to(part, metric, higher_is_better=higher)]
    failed, words = [], []
    for baseline in part.baselines:
        value = next((entry.value for entry in baseline.metrics if entry.name == metric), None)
        if value is not None:
            values[baseline.name] = value
        word = "not better" if baseline.name in lost else "better"
        if baseline.name in lost and not _is_unclear(baseline, higher=higher):
            failed.append(baseline.name)
        elif baseline.name in lost:
            word = "as good as can be told"
        words.append(f"{word} {'as' if word.startswith('as') else 'than'} {baseline.name} ({_word_number(value)})")
    return Claim(not failed, f"{metric} {model:.4g}: {', '.join(words)}", values)


def _is_unclear(baseline: Baseline, *, higher: bool) -> bool:
    lead = baseline.lead
    if baseline.name == CONSTANT or lead is None or lead.low is None or lead.high is None:
        return False
    return lead.high >= 0 if higher else lead.low <= 0


def _word_number(value: float | None) -> str:
    return "not defined" if value is None else f"{value:.4g}"


def claim_calibrated(report: EvaluationReport, config: RunConfig) -> Claim:
    """Probabilities mean what they say; numbers are right on average.

    The expected calibration error is held against what chance gives a calibrated model with as many groups (Broecker
    and Smith 2007, doi 10.1175/WAF993.1), plus `promote.calibration_margin`. The bias of numbers is held against its
    own interval, and against a quarter of the mean absolute error.

    Args:
        report: What was measured.
        config: `promote.calibration_margin` is read.
    """
    if report.task is Task.regression:
        return _claim_unbiased(report)
    calibration = None if report.trust is None else report.trust.calibration
    if calibration is None or not calibration.bins_after:
        return Claim(False, "calibration was not measured: there are too few calibration or test images")
    split = report.splits[shown_split(report)]
    chance = _expect_ece(calibration.bins_after, split.n_groups / split.n)
    limit = chance + config.promote.calibration_margin
    ece = calibration.after["ece"]
    values: Values = {
        "ece": ece,
        "limit": limit,
        "explained_by_chance": chance,
        "margin": config.promote.calibration_margin,
        "ece_before": calibration.before["ece"],
    }
    text = f"probabilities are off by {ece:.3f} on average; up to {limit:.3f} is allowed"
    return Claim(bool(ece <= limit), text, values)


def _expect_ece(bins: Sequence[ReliabilityBin], groups_an_image: float) -> float:
    """Calibration error that a calibrated model stays below 99 times of 100, where images of a group are alike."""
    weights = np.array([entry.n for entry in bins], dtype=np.float64)
    sure = np.array([entry.confidence for entry in bins], dtype=np.float64)
    spread = np.sqrt(sure * (1.0 - sure) / np.maximum(1.0, weights * groups_an_image))
    shares = weights / weights.sum()
    # Of a normal deviate without its sign: mean and variance.
    mean = float((shares * spread).sum()) * math.sqrt(2.0 / math.pi)
    variance = float(((shares * spread) ** 2).sum()) * (1.0 - 2.0 / math.pi)
    return mean + _CHANCE * math.sqrt(variance)


def _claim_unbiased(report: EvaluationReport) -> Claim:
    split = shown_split(report)
    metrics = {metric.name: metric for metric in report.splits[split].metrics}
    bias, mae = metrics.get("bias"), metrics.get("mae")
    if bias is None or bias.value is None or mae is None or mae.value is None:
        return Claim(False, "the bias was not measured")
    chance = 0.0 if bias.low is None or bias.high is None else (bias.high - bias.low) / 2.0 * _CHANCE / _USUAL
    limit = max(BIAS_SHARE * mae.value, chance)
    values: Values = {
        "bias": bias.value,
        "limit": limit,
        "explained_by_chance": chance,
        "mae": mae.value,
    }
    unit = f" {bias.unit}" if bias.unit else ""
    text = f"answers are off by {bias.value:.4g}{unit} on average; up to {limit:.4g}{unit} is allowed"
    return Claim(abs(bias.value) <= limit, text, values)


def claim_covers(report: EvaluationReport, config: RunConfig) -> Claim:
    """Sets or intervals hold the truth as often as promised, less `promote.coverage_margin` and chance.

    Chance has two parts: which groups were tested, and which ones the sets or intervals were fitted on; with n of the
    latter the true coverage itself scatters like a Beta variable (Vovk 2012, arXiv:1209.2673).

    Args:
        report: What was measured.
        config: `promote.coverage_margin` is read.
    """
    trust, margin = report.trust, config.promote.coverage_margin
    parts = [] if trust is None else [(part.target, part.promised, part.rows) for part in trust.intervals]
    if trust is not None and trust.sets is not None:
        parts.append(("sets", trust.sets.promised, trust.sets.rows))
    rows = [(name, promised, _find_all(found)) for name, promised, found in parts]
    known = [(name, promised, row) for name, promised, row in rows if row is not None]
    if not known:
        return Claim(False, "coverage was not measured: there are too few calibration or test images")
    fitted = report.splits.get(Split.calibration.value)
    values: Values = {"margin": margin}
    failed, said = [], []
    for name, promised, row in known:
        draws = 1.0 / row.n_groups + (1.0 / fitted.n_groups if fitted is not None else 0.0)
        limit = promised - margin - _CHANCE * math.sqrt(promised * (1.0 - promised) * draws)
        values |= {f"coverage {name}": row.coverage, f"promised {name}": promised, f"limit {name}": limit}
        said.append(f"{name}: {row.coverage:.3f} of {promised:.3f} promised (at least {limit:.3f} on so few groups)")
        if not row.coverage >= limit:
            failed.append(name)
    return Claim(not failed, "; ".join(said), values)


def _find_all(rows: Sequence[CoverageRow]) -> CoverageRow | None:
    return next((row for row in rows if row.what == "all" and row.n_groups > 0), None)


def claim_no_drift(report: DriftReport) -> Claim:
    """The new images are like those that the model was measured on."""
    fired = report.list_fired()
    values: Values = {
        "images": report.n,
        "groups": report.n_groups,
        "look": report.look,
        "false_alarm": report.false_alarm,
        "smallest_p_value": min((finding.p_value for finding in report.findings), default=1.0),
        "threshold": min((finding.threshold for finding in report.findings), default=0.0),
    }
    if not report.findings:
        return Claim(False, "nothing could be compared: " + "; ".join(report.reasons), values)
    if not report.fired:
        return Claim(True, f"{report.n} new images are like those the model was measured on", values)
    return Claim(False, "; ".join(finding.effect for finding in fired), values)


def _read_table(path: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(path)
    except (OSError, ValueError) as error:
        message = f"{str(path)!r} cannot be read ({error}): prepare the data again."
        raise ArtifactError(message) from error

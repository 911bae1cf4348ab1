"""Findings in the table: rows that cannot be used, classes, target, groups, columns."""

import re
from dataclasses import dataclass, field

import pandas as pd

from phytoscope.audit.relations import NameSeries
from phytoscope.audit.wording import is_short, plural, sentence, spell_names, title_with
from phytoscope.data.split import ThinStratum
from phytoscope.schema.audit import AuditReport, Finding, LabelRow, Severity, TargetSummary

_IMBALANCED, _SLIGHTLY_IMBALANCED = 10.0, 3.0
_SKEWED = 1.0
_MISSING_ANSWERS = ("the target is missing", "the label is missing")
_OFTEN_MISSING, _MOSTLY_MISSING = 0.1, 0.5


@dataclass(frozen=True)
class Hints:
    """What findings need beside the report.

    Attributes:
        rejected: `rejected.csv`, one row a fault.
        warnings: `warnings.csv`, one row a fault in a row that is used all the same.
        constant_columns: The user's columns with one value only.
        telling_columns: Columns, or formulas of columns, from which the answer follows exactly.
        series: File names that look like series of one plant; None when they do not, or groups are known.
        groups_known: Whether the user's data say of any image which plant it shows.
        plant_columns: The user's columns that seem to name the plant.
        n_splits: Number of splits each class should stand in.
        thin: Classes that would be missing from a split that is drawn with these settings.
        examples: Most sample ids in a finding.
    """

    rejected: pd.DataFrame
    warnings: pd.DataFrame
    constant_columns: list[str] = field(default_factory=list)
    telling_columns: list[str] = field(default_factory=list)
    series: NameSeries | None = None
    groups_known: bool = True
    plant_columns: list[str] = field(default_factory=list)
    n_splits: int = 4
    thin: list[ThinStratum] = field(default_factory=list)
    examples: int = 12


def list_table_findings(report: AuditReport, hints: Hints) -> list[Finding]:
    """Says what is wrong or noteworthy in the table, in no particular order.

    Args:
        report: All measured parts.
        hints: What findings need beside it.
    """
    return [
        *_data_findings(report),
        *_fault_findings(_without_unlabelled(report, hints.rejected), hints.examples, rejected=True),
        *_fault_findings(hints.warnings, hints.examples, rejected=False),
        *_label_findings(report.labels, hints.n_splits, hints.thin),
        *_target_findings(report.target, report.target_name, report.unit),
        *_group_findings(report, hints),
        *_column_findings(report, hints),
    ]


def _data_findings(report: AuditReport) -> list[Finding]:
    counts = report.counts
    unlabelled, images = counts.get("unlabelled", 0), counts.get("images", 0)
    found = []
    if images == 0:
        found.append(
            Finding(
                "data/no_images",
                Severity.error,
                f"None of {plural(counts.get('rows', 0), 'row')} can be learned from",
                f"{plural(unlabelled, 'image')} can be read but have no answer." if unlabelled > 0 else "",
                "Correct what is listed in rejected.csv, or label the images.",
            )
        )
    if unlabelled > 0:
        found.append(
            Finding(
                "data/unlabelled",
                Severity.note,
                f"{plural(unlabelled, 'image has', 'images have')} no answer in {report.target_name!r}",
                "They are kept apart: nothing is trained or scored on them.",
                "Measure or label them (unlabelled.parquet lists them), or predict them later.",
                unlabelled,
            )
        )
    return found


def _without_unlabelled(report: AuditReport, rejected: pd.DataFrame) -> pd.DataFrame:
    # Missing answers are told with the images that are kept apart for that reason.
    if report.counts.get("unlabelled", 0) == 0:
        return rejected
    reasons = rejected["reason"].astype(str)
    return rejected[~((rejected["column"] == report.target_name) & reasons.isin(_MISSING_ANSWERS))]


def _fault_findings(faults: pd.DataFrame, examples: int, *, rejected: bool) -> list[Finding]:
    area, what = ("rejected", "rejected.csv") if rejected else ("validation", "warnings.csv")
    consequence = "left out" if rejected else "used all the same"
    found = []
    for kind, rows in faults.groupby(kinds_of_faults(faults), sort=False):
        columns = sorted({str(column) for column in rows["column"].dropna() if str(column)})
        where = f" (column {spell_names(columns, 3)})" if columns else ""
        reasons = list(dict.fromkeys(map(str, rows["reason"])))
        opening = plural(len(rows), "row or file", "rows or files") + where
        told = (
            f"It is {consequence}; {what} lists it" if len(rows) == 1 else f"They are {consequence}; {what} lists them"
        )
        is_told = len(reasons) == 1 and is_short(f"{opening}: {reasons[0]}")
        example = "" if is_told else f" For example: {reasons[0]}."
        found.append(
            Finding(
                f"{area}/{_slug(str(kind))}",
                Severity.warning,
                title_with(opening, [reasons[0] if is_told else str(kind)]),
                f"{told} with row, value and reason.{example}",
                sentence(str(rows["remedy"].value_counts().index[0])),
                len(rows),
                [str(path) for path in rows["path"].head(examples) if str(path)],
            )
        )
    return found


def kinds_of_faults(faults: pd.DataFrame) -> pd.Series:
    """The reason of each fault without what is special about the one row, with the same index."""
    kinds = [str(reason).partition(":")[0] for reason in faults["reason"]]
    return pd.Series(kinds, index=faults.index, dtype=object)


def _slug(reason: str) -> str:
    words = re.findall(r"[a-z]+", reason.lower())
    return "_".join([word for word in words if word not in ("the", "is", "a", "an", "of")][:5]) or "other"


def _label_findings(labels: list[LabelRow], n_splits: int, thin: list[ThinStratum]) -> list[Finding]:
    if len(labels) == 1:
        return [
            Finding(
                "labels/one_class",
                Severity.error,
                f"There is only one class, {labels[0].label!r}",
                "Nothing can be told apart.",
                "Add images of another class, or check where the classes come from.",
                labels[0].images,
            )
        ]
    found = []
    few = [row for row in reversed(labels) if row.too_few_groups]
    missing_from = {item.stratum: spell_names(list(item.missing)) for item in thin}
    if few:
        # Where each would be missing is known once a split was drawn.
        absent = [f"{row.label!r} from {missing_from[row.label]}" for row in few if row.label in missing_from]
        drawn = f" In a split drawn with these settings these are missing: {spell_names(absent)}." if absent else ""
        named = [f"{row.label!r} ({plural(row.groups, 'group')})" for row in few]
        found.append(
            Finding(
                "labels/too_few_groups",
                Severity.warning,
                title_with(
                    f"{len(few)} of {plural(len(labels), 'class', 'classes')} have fewer than {n_splits} groups", named
                ),
                f"{spell_names(named)}. "
                f"Such a class cannot stand in all of the {n_splits} splits, so its numbers are missing or rest on one "
                f"plant.{drawn}",
                "Add plants or leaves of these classes, or leave the classes out.",
                len(few),
            )
        )
    enough = [item for item in thin if item.stratum not in {row.label for row in few}]
    return [*found, *_split_findings(enough, len(labels)), *_imbalance_findings(labels)]


def _split_findings(thin: list[ThinStratum], n_classes: int) -> list[Finding]:
    if not thin:
        return []
    named = [f"{item.stratum!r} from {spell_names(list(item.missing))}" for item in thin]
    return [
        Finding(
            "labels/missing_from_split",
            Severity.warning,
            title_with(f"{len(thin)} of {plural(n_classes, 'class', 'classes')} would be missing from a split", named),
            f"{spell_names(named)}. They have groups enough, but so few or so large ones, or ones shared with other "
            "classes or pictures, that a split drawn with these settings cannot spread them.",
            "Add plants or leaves of these classes, or check data.group_by: it must name the plant.",
            len(thin),
        )
    ]


def _imbalance_findings(labels: list[LabelRow]) -> list[Finding]:
    if not labels or labels[-1].images == 0:
        return []
    ratio = labels[0].images / labels[-1].images
    if ratio < _SLIGHTLY_IMBALANCED:
        return []
    return [
        Finding(
            "labels/imbalance",
            Severity.warning if ratio >= _IMBALANCED else Severity.note,
            f"The largest class has {ratio:.1f} times as many images as the smallest",
            f"{labels[0].label!r} has {labels[0].images:,}, {labels[-1].label!r} {labels[-1].images:,}. Accuracy "
            "rewards a model that forgets the small classes.",
            "Judge by macro F1 or balanced accuracy, and keep task.class_weighting=balanced.",
        )
    ]


def _target_findings(target: TargetSummary | None, name: str, unit: str) -> list[Finding]:
    if target is None:
        return []
    if target.skewness is None:
        value = f"{target.mean:g} {unit}".strip()
        return [
            Finding(
                "target/constant",
                Severity.error,
                f"{name!r} is {value} in every image",
                "There is nothing to learn.",
                "Check that the right column is named.",
                target.n,
            )
        ]
    if target.suggested_transform == "none" and abs(target.skewness) <= _SKEWED:
        return []
    use = (
        f"Try {target.suggested_transform}: task.target_transform=auto compares it with the plain scale on your data, "
        "and says which it takes."
    )
    return [
        Finding(
            "target/skewed",
            Severity.note,
            f"{name!r} is skewed: skewness {target.skewness:.2f}",
            sentence(target.why),
            use
            if target.suggested_transform != "none"
            else "Judge by median errors too, and look at the largest values.",
        )
    ]


def _group_findings(report: AuditReport, hints: Hints) -> list[Finding]:
    images, groups = report.counts.get("images", 0), report.counts.get("groups", 0)
    if images > 1 and hints.groups_known and groups == 1:
        return [
            Finding(
                "groups/one",
                Severity.error,
                f"All {images:,} images are one group",
                "One group cannot stand in two splits, so there is nothing to test on.",
                "Check data.group_by or data.group_pattern: it must name the plant, not the data set.",
                images,
            )
        ]
    if images <= 1 or hints.groups_known:
        return []
    if hints.plant_columns:
        named = ",".join(hints.plant_columns)
        return [
            Finding(
                "groups/not_used",
                Severity.warning,
                f"Every image counts as a plant of its own, but {len(hints.plant_columns)} "
                f"{'column seems' if len(hints.plant_columns) == 1 else 'columns seem'} to name the plant",
                f"{spell_names([f'`{name}`' for name in hints.plant_columns])}. "
                "Photographs of one plant on both sides of a split make every score too good.",
                f"Add data.group_by=[{named}].",
                images,
            )
        ]
    return [_series_finding(hints.series) if hints.series is not None else _NO_GROUPS]


_NO_GROUPS = Finding(
    "groups/none",
    Severity.note,
    "Every image is a group of its own: nothing says which photographs show the same plant",
    "If some do, every score is too good.",
    "If plants were photographed more than once, name them: data.group_by=[COLUMN] or data.group_pattern=REGEX.",
)


def _series_finding(series: NameSeries) -> Finding:
    return Finding(
        "groups/series",
        Severity.warning,
        f"{plural(series.images, 'file name')} look like {series.series:,} series of one plant or leaf",
        "Every image counts as a plant of its own all the same, and photographs of one plant on both sides of a split "
        f"make every score too good. For example {spell_names([repr(name) for name in series.example])}.",
        "Name the plant: data.group_by=[COLUMN] for a table, or a pattern on the file names such as "
        f"data.group_pattern='{series.pattern}'.",
        series.images,
    )


def _column_findings(report: AuditReport, hints: Hints) -> list[Finding]:
    found = []
    if hints.telling_columns:
        named = spell_names([f"`{name}`" for name in hints.telling_columns])
        exact = f"{report.target_name!r} follows exactly from {named}"
        found.append(
            Finding(
                "correlation/tells_the_answer",
                Severity.warning,
                exact if is_short(exact) else f"{report.target_name!r} follows exactly from other columns",
                f"It follows from {named}. "
                "phytoscope learns from the pixels alone and never reads these columns; a model that is given them "
                "would only copy the answer.",
                "Never use them as inputs.",
                len(hints.telling_columns),
            )
        )
    found += _missing_findings(report)
    if hints.constant_columns:
        found.append(
            Finding(
                "eda/constant_columns",
                Severity.note,
                title_with(
                    f"{plural(len(hints.constant_columns), 'column holds', 'columns hold')} one value only",
                    hints.constant_columns,
                ),
                f"{spell_names(hints.constant_columns, 20)}. They say nothing about any image.",
                "",
                len(hints.constant_columns),
            )
        )
    return found


def _missing_findings(report: AuditReport) -> list[Finding]:
    told = {report.target_name, "group (plant, leaf)"}
    often = [entry for entry in report.missing if entry.missing >= _OFTEN_MISSING and entry.column not in told]
    if not often:
        return []
    worst = often[0].missing
    shares = [f"{entry.column} {100 * entry.missing:.0f} %" for entry in often]
    return [
        Finding(
            "missing/columns",
            Severity.warning if worst >= _MOSTLY_MISSING else Severity.note,
            title_with(f"{plural(len(often), 'column is', 'columns are')} missing in many rows", shares),
            f"{spell_names(shares, 20)}. "
            "What is computed from them rests on the other rows, which may differ from these.",
            "Fill them in where the values are known.",
            len(often),
        )
    ]

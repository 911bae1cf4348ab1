"""The inspection of a data set: every check in order, what could not be done and why, and how long each took."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phytoscope.audit.columns import Column, collect_columns
from phytoscope.audit.copies import describe_clusters
from phytoscope.audit.eda import (
    break_down,
    correlate_columns,
    count_labels,
    count_missing,
    list_constant_columns,
    summarise_target,
)
from phytoscope.audit.evidence import ProbeData, Skipped, build_probe_data
from phytoscope.audit.explain import explain_target
from phytoscope.audit.findings import list_findings
from phytoscope.audit.findings_table import Hints, kinds_of_faults
from phytoscope.audit.label_noise import find_suspect_labels
from phytoscope.audit.leakage import check_given_split, list_readable, measure_coverage
from phytoscope.audit.optimism import measure_optimism
from phytoscope.audit.probes import run_probes
from phytoscope.audit.quality import find_quality_issues
from phytoscope.audit.relations import (
    find_columns_of_label,
    find_columns_of_target,
    find_name_series,
    find_plant_columns,
)
from phytoscope.data.copies.duplicates import add_duplicate_ids
from phytoscope.data.copies.groups import join_groups
from phytoscope.data.facts.image_facts import ImageFacts
from phytoscope.data.source import Source
from phytoscope.data.split import ThinStratum, find_thin_strata, hash_manifest, split_by_group
from phytoscope.data.split.official_split import GivenSplit
from phytoscope.data.validate import Validated
from phytoscope.errors import PhytoscopeError
from phytoscope.schema.audit import AuditReport, DuplicateCluster, Explained, QualityIssue, SuspectLabel
from phytoscope.schema.config import RunConfig
from phytoscope.schema.progress import Progress
from phytoscope.schema.table import GROUP_ID, LABEL, PATH, SAMPLE_ID, TARGET, Task

_Result = TypeVar("_Result")
_FEWEST_FOR_MODELS = 20


@dataclass(frozen=True)
class Inspected:
    """What an inspection gives.

    Attributes:
        report: All that was found.
        manifest: One row an image with an answer, with `duplicate_id` of the copies that were found.
        pictures: The same rows and those of good images without an answer.
    """

    report: AuditReport
    manifest: pd.DataFrame
    pictures: pd.DataFrame


@dataclass
class _Log:
    """Times the stages, and keeps why some were not done."""

    progress: Progress
    seconds: dict[str, float] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str, words: str | None) -> Iterator[None]:
        """Times one stage, and says that it has begun unless it says so itself."""
        started = time.monotonic()
        if words is not None:
            self.progress.start(words, None)
        try:
            yield
        finally:
            self.progress.finish()
            self.seconds[name] = self.seconds.get(name, 0.0) + round(time.monotonic() - started, 3)

    def attempt(
        self, name: str, words: str | None, work: Callable[[], _Result | Skipped], otherwise: _Result
    ) -> _Result:
        """Does one check; what the data do not allow is noted with its reason, and the rest goes on."""
        with self.stage(name, words):
            try:
                result = work()
            except PhytoscopeError as error:
                result = Skipped(str(error))
        if isinstance(result, Skipped):
            self.skipped[name] = result.reason.rstrip(".")
            return otherwise
        return result


def inspect_data(
    source: Source,
    validated: Validated,
    facts: ImageFacts,
    config: RunConfig,
    *,
    split: GivenSplit | None,
    progress: Progress,
) -> Inspected:
    """Makes every check that the data allow; none of them fails because there is too little of something.

    Args:
        source: The user's rows as read.
        validated: The same rows, checked.
        facts: What is known of the images of `source.rows`, in the same order.
        config: Settings of `data`, `audit`, `seed` and the name.
        split: A split to check, of all rows that it names; None when there is none.
        progress: Told about every stage.
    """
    log = _Log(progress)
    manifest, pictures = _mark_copies(validated, facts, config, log)
    report = _start_report(source, validated, manifest, config)
    in_facts = _find_positions(facts, manifest)
    columns = collect_columns(manifest, facts.table.iloc[in_facts].reset_index(drop=True))
    report, hints = _explore(report, source, validated, manifest, columns, config, log)
    report = _look_at_pictures(report, pictures, facts, config, log)
    hints = replace(hints, thin=_find_thin(report, manifest, config, log))
    if split is not None:
        report = replace(report, coverage=measure_coverage(manifest, split))
        report = _check_split(report, source, facts, pictures, split, config, log)
    report = _try_models(report, manifest, facts, config, log)
    report = replace(report, skipped=log.skipped, seconds=log.seconds)
    return Inspected(replace(report, findings=list_findings(report, hints)), manifest, pictures)


def _mark_copies(
    validated: Validated, facts: ImageFacts, config: RunConfig, log: _Log
) -> tuple[pd.DataFrame, pd.DataFrame]:
    # Copies are looked for among all good images: one without an answer may be the copy of one with an answer.
    unlabelled = validated.unlabelled
    pictures = pd.concat(
        [validated.manifest, unlabelled.reindex(columns=validated.manifest.columns)], ignore_index=True
    )
    if len(pictures) > 1:
        near = config.data.split.near_duplicates
        if not near:
            log.skipped["near duplicates"] = "switched off (data.split.near_duplicates=false)"
        pictures = log.attempt(
            "duplicates",
            None,
            lambda: add_duplicate_ids(pictures, facts, near=near, progress=log.progress),
            pictures,
        )
    return pictures.iloc[: len(validated.manifest)].reset_index(drop=True), pictures


def _start_report(source: Source, validated: Validated, manifest: pd.DataFrame, config: RunConfig) -> AuditReport:
    known = set(source.rows[SAMPLE_ID])
    rejected = validated.rejected[~validated.rejected["path"].isin(validated.unlabelled[SAMPLE_ID])]
    kinds = kinds_of_faults(validated.rejected).value_counts()
    return AuditReport(
        task=source.task,
        name=config.name,
        target_name=source.target_name,
        unit=config.data.unit or source.unit,
        data_hash=hash_manifest(manifest),
        counts={
            "rows": len(source.rows) + sum(fault.path not in known for fault in source.faults),
            "images": len(manifest),
            "rejected": len(rejected[["source_row", "path"]].drop_duplicates()),
            "unlabelled": len(validated.unlabelled),
            "groups": int(manifest[GROUP_ID].nunique()),
            "warnings": len(validated.warnings),
        },
        findings=[],
        rejected={str(kind): int(count) for kind, count in kinds.items()},
    )


def _find_positions(facts: ImageFacts, rows: pd.DataFrame) -> NDArray[np.int64]:
    position_of = pd.Series(np.arange(len(facts.table)), index=facts.table[PATH])
    position_of = position_of[~position_of.index.duplicated()]
    positions: NDArray[np.int64] = position_of.reindex(rows[PATH]).to_numpy(dtype=np.int64)
    return positions


def _explore(
    report: AuditReport,
    source: Source,
    validated: Validated,
    manifest: pd.DataFrame,
    columns: list[Column],
    config: RunConfig,
    log: _Log,
) -> tuple[AuditReport, Hints]:
    split = config.data.split
    n_splits = 1 + sum(share > 0 for share in (split.val, split.calibration, split.test))
    groups_known = bool(source.rows[GROUP_ID].notna().any())
    parts: dict[str, Any] = {"missing": count_missing(source.rows, source.target_name)}
    tells: list[str] = []
    with log.stage("columns", "Describing the table"):
        if len(manifest) == 0:
            manifest = _rows_with_answers(source)
            columns = collect_columns(manifest)
        if len(manifest) > 0:
            parts["breakdowns"] = break_down(manifest, source.task, columns)
            if source.task is Task.classification:
                parts["labels"] = count_labels(manifest, n_splits=n_splits)
                tells = find_columns_of_label(manifest, columns)
            else:
                parts["target"] = summarise_target(manifest)
                parts["correlations"] = correlate_columns(manifest, columns)
                tells = find_columns_of_target(manifest, columns)
    hints = Hints(
        rejected=validated.rejected,
        warnings=validated.warnings,
        constant_columns=list_constant_columns(columns),
        telling_columns=tells,
        series=None if groups_known else find_name_series(manifest),
        groups_known=groups_known,
        plant_columns=[] if groups_known else find_plant_columns(columns),
        n_splits=n_splits,
        examples=config.audit.examples,
    )
    return replace(report, **parts), hints


def _rows_with_answers(source: Source) -> pd.DataFrame:
    # Where no picture can be used, the table alone can still be described.
    answer = LABEL if source.task is Task.classification else TARGET
    rows = source.rows[source.rows[answer].notna()].reset_index(drop=True)
    groups = rows[GROUP_ID].astype(object)
    return rows.assign(**{GROUP_ID: groups.where(groups.notna(), rows[SAMPLE_ID])})


def _look_at_pictures(
    report: AuditReport, pictures: pd.DataFrame, facts: ImageFacts, config: RunConfig, log: _Log
) -> AuditReport:
    if len(pictures) == 0:
        log.skipped |= dict.fromkeys(("duplicates", "quality"), "no image can be read")
        return report
    clusters: list[DuplicateCluster] = log.attempt(
        "duplicates", "Comparing copies", lambda: describe_clusters(pictures, report.task), []
    )
    issues: list[QualityIssue] = log.attempt(
        "quality",
        "Judging image quality",
        lambda: find_quality_issues(pictures, facts, examples=config.audit.examples),
        [],
    )
    return replace(report, duplicates=clusters, quality=issues)


def _check_split(
    report: AuditReport,
    source: Source,
    facts: ImageFacts,
    pictures: pd.DataFrame,
    split: GivenSplit,
    config: RunConfig,
    log: _Log,
) -> AuditReport:
    near = config.data.split.near_duplicates
    leaks: list[str] = log.attempt(
        "leakage",
        "Checking the split",
        lambda: check_given_split(
            list_readable(source, facts, pictures, near=near, progress=log.progress), split.table
        ),
        [],
    )
    return replace(report, leakage=None if "leakage" in log.skipped else leaks)


def _find_thin(report: AuditReport, manifest: pd.DataFrame, config: RunConfig, log: _Log) -> list[ThinStratum]:
    """Classes that would be missing from a split as `prepare` draws it with these settings."""
    if report.task is not Task.classification or manifest[LABEL].nunique() < 2:
        return []

    def draw() -> list[ThinStratum]:
        split = split_by_group(manifest, report.task, config.data.split, config.seed)
        return find_thin_strata(manifest, split, report.task)

    return log.attempt("drawn split", "Drawing a split", draw, [])


_MODELS = ("label noise", "shortcut probes", "optimism gap", "explained target")


def _try_models(
    report: AuditReport, manifest: pd.DataFrame, facts: ImageFacts, config: RunConfig, log: _Log
) -> AuditReport:
    audit, seed = config.audit, config.seed
    why_not = _why_no_models(report.task, manifest)
    noise, probes, gap, explained = _MODELS
    later = [probes, gap, explained] if report.task is Task.regression else [probes, gap]
    if why_not is not None:
        log.skipped |= dict.fromkeys([noise, *later], why_not)
        return report
    data = build_probe_data(
        manifest,
        join_groups(manifest),
        facts,
        task=report.task,
        max_images=audit.max_images,
        seed=seed,
        target_name=report.target_name,
        unit=report.unit,
    )
    if audit.label_noise:
        suspects: list[SuspectLabel] = log.attempt(
            noise, None, lambda: _call(find_suspect_labels, data, config, log), []
        )
        report = replace(report, suspects=suspects)
    else:
        log.skipped[noise] = "switched off (audit.label_noise=false)"
    if not audit.probes:
        log.skipped |= dict.fromkeys(later, "switched off (audit.probes=false)")
        return report
    report = replace(
        report,
        probes=log.attempt(probes, None, lambda: _call(run_probes, data, config, log), []),
        optimism=log.attempt(gap, None, lambda: _call(measure_optimism, data, config, log), None),
    )
    if report.task is Task.regression:
        found: list[Explained] = log.attempt(explained, None, lambda: _call(explain_target, data, config, log), [])
        report = replace(report, explained=found)
    return report


def _call(check: Callable[..., Any], data: ProbeData, config: RunConfig, log: _Log) -> Any:
    return check(data, folds=config.audit.folds, seed=config.seed, progress=log.progress)


def _why_no_models(task: Task, manifest: pd.DataFrame) -> str | None:
    """Why small models cannot be trained on these images; None when they can."""
    if len(manifest) < _FEWEST_FOR_MODELS:
        return f"{len(manifest)} images with an answer are too few; at least {_FEWEST_FOR_MODELS} are needed"
    if task is Task.classification and manifest[LABEL].nunique() < 2:
        return "there is only one class"
    if task is Task.regression and manifest[TARGET].nunique() < 2:
        return "the target never changes"
    if manifest[GROUP_ID].nunique() < 2:
        return "all images are one group"
    return None

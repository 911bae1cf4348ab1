"""The model card: what a person should know before using a package, from measurements only."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from phytoscope.predict.card_words import UNKNOWN_FIELD, describe_limits, describe_promises, word_headline
from phytoscope.predict.description import read_meaning
from phytoscope.schema.external import ExternalReport
from phytoscope.schema.metric import MetricValue
from phytoscope.schema.package import ModelDescription
from phytoscope.schema.report import EvaluationReport
from phytoscope.schema.table import Split, Task
from phytoscope.schema.trust_report import TrustReport
from phytoscope.schema.verdict import Verdict
from phytoscope.trust.trust import Trust

_NOT_DEFINED = "not defined"
_NOTHING = "-"
_TENTH = "0.1"
_INTENDED = (
    "Photographs like those it learned from: the same crops, organs, cameras and places. Elsewhere only after a test "
    "on photographs from there (`evaluate.external=[field=FOLDER]`)."
)
_SIDE_BY_SIDE: Final = {
    Task.classification: ("accuracy", "balanced_accuracy", "macro_f1"),
    Task.regression: ("mae", "rmse", "r2", "bias"),
}


def write_card(
    path: Path,
    description: ModelDescription,
    limitations: Sequence[str],
    *,
    report: EvaluationReport | None = None,
    trust: Trust | None = None,
) -> None:
    """Writes the card as Markdown.

    Args:
        path: File to write.
        description: What the model is.
        limitations: Sentences a user must know; each becomes an item.
        report: What was measured; None leaves out ranges, further sets and verdicts.
        trust: How the model judges its answers; None when it does not.
    """
    path.write_text("\n".join(_lines(description, limitations, report, trust)) + "\n", encoding="utf-8")


def _lines(
    description: ModelDescription, limitations: Sequence[str], report: EvaluationReport | None, trust: Trust | None
) -> list[str]:
    headline = [] if report is None else word_headline(report)
    beside = _list_covariates(description)
    more = " and what is known of the plant" if beside else ""
    return [
        f"# {description.name}",
        "",
        f"Predicts {_word_answer(description)} from one photograph{more}.",
        "",
        *beside,
        *([f"**{' '.join(headline)}**", ""] if headline else []),
        *_list_facts(description),
        "",
        "## Intended use",
        "",
        _INTENDED,
        "",
        "## Measured on images the model never saw",
        "",
        *_list_metrics(description, report),
        "",
        *_compare_sets(report),
        *_list_judging(report, trust, description.unit),
        "## Know before use",
        "",
        *(f"- {sentence}" for sentence in limitations),
        *(f"- {sentence}" for sentence in _list_warnings(report, trust)),
    ]


def _word_answer(description: ModelDescription) -> str:
    if description.task is Task.classification:
        names = ", ".join(f"`{name}`" for name in description.class_names)
        return f"one of {len(description.class_names)} classes: {names}"
    return " and ".join(f"`{name}`{f' in {unit}' if unit else ''}" for name, unit in description.units.items())


def _list_facts(description: ModelDescription) -> list[str]:
    size = description.preprocess["size_px"]
    views = [f"| answers averaged over | {description.views} views of each image |"] if description.views > 1 else []
    return [
        "| fact | value |",
        "|---|---|",
        f"| model id | `{description.model_id}` |",
        f"| backbone | `{description.backbone}` ({description.weights_origin}) |",
        f"| input | {size} x {size} px, {description.preprocess['resize']} |",
        *views,
        f"| data hash | `{description.data_hash}` |",
        f"| split hash | `{description.split_hash}` |",
        f"| made | {description.created_at} with phytoscope {description.version} |",
        f"| licence | {description.licence} |",
    ]


def _list_covariates(description: ModelDescription) -> list[str]:
    encoder = read_meaning(description).covariates
    if encoder is None:
        return []
    known = ", ".join(f"`{name}` ({words})" for name, words in encoder.describe().items())
    return [f"Beside the photograph it sees {known}; any of these may be missing.", ""]


def _list_metrics(description: ModelDescription, report: EvaluationReport | None) -> list[str]:
    test = None if report is None else report.splits.get(Split.test.value)
    measured = {} if test is None else {f"test/{metric.name}": metric for metric in test.metrics}
    rows = ["| metric | value | range |", "|---|---|---|"]
    if not any(metric.low is not None for metric in measured.values()):
        rows = ["| metric | value |", "|---|---|"]
    for name, value in description.metrics.items():
        shown = _NOT_DEFINED if value is None else format(value, ".4g")
        cells = [f"`{name}`", shown]
        if rows[0].count("|") == 4:
            cells.append(_word_span(measured.get(name)))
        rows.append(f"| {' | '.join(cells)} |")
    if test is None or report is None:
        return rows
    ranges = f", drawing these groups again {report.bootstrap} times ({100 * report.confidence:g} % ranges)"
    how = f"{test.n} images of {test.n_groups} groups (leaves, plants){ranges if report.bootstrap else ''}."
    return [*rows, "", how]


def _word_span(metric: MetricValue | None) -> str:
    if metric is None or metric.low is None or metric.high is None:
        return _NOTHING
    return f"{metric.low:.4g} to {metric.high:.4g}"


def _compare_sets(report: EvaluationReport | None) -> list[str]:
    """One column a set: the photographs that it was tested on at home, and each further set."""
    if report is None or not report.external:
        return []
    test = report.splits.get(Split.test.value)
    home = {} if test is None else {metric.name: metric for metric in test.metrics}
    columns = ["like those it learned from", *(f"`{further.name}`" for further in report.external)]
    rows = [("images with known truth", [str(test.n) if test else _NOTHING, *_counts(report.external)])]
    for name in _SIDE_BY_SIDE[report.task]:
        cells = [_word_metric(home.get(name)), *(_word_metric(further.metric(name)) for further in report.external)]
        rows.append((f"`{name}`", cells))
    if any(further.metrics_restricted for further in report.external):
        only = [_word_metric(further.metric("accuracy", restricted=True)) for further in report.external]
        rows.append(("`accuracy`, only the set's classes allowed", [_NOTHING, *only]))
    trusts = [report.trust, *(further.trust for further in report.external)]
    for verdict, words in ((Verdict.accept, "accepted"), (Verdict.review, "for review"), (Verdict.reject, "rejected")):
        rows.append((words, [_word_share(trust, verdict) for trust in trusts]))
    verdicts = [None if trust is None else trust.verdicts for trust in trusts]
    if any(found is not None and found.answered_at for found in verdicts):
        wrong = [None if found is None else found.errors.get(Verdict.accept.value) for found in verdicts]
        rows.append(("wrong among the accepted", [_word_percent(share) for share in wrong]))
        surest = [None if found is None else found.answered_at.get(_TENTH) for found in verdicts]
        rows.append(("surest that could be answered with 10 % wrong", [_word_percent(share) for share in surest]))
    return [
        "## At home and elsewhere",
        "",
        f"| | {' | '.join(columns)} |",
        f"|---|{'---|' * len(columns)}",
        *(f"| {title} | {' | '.join(cells)} |" for title, cells in rows),
        "",
    ]


def _counts(sets: Sequence[ExternalReport]) -> list[str]:
    return [str(further.n_labelled) if further.n_labelled else f"none of {further.n}" for further in sets]


def _word_metric(metric: MetricValue | None) -> str:
    if metric is None or metric.value is None:
        return _NOTHING
    value = f"{metric.value:.3g} {metric.unit}".strip()
    return value if metric.low is None or metric.high is None else f"{value} ({metric.low:.3g} to {metric.high:.3g})"


def _word_share(trust: TrustReport | None, verdict: Verdict) -> str:
    if trust is None or not trust.verdicts.shares:
        return _NOTHING
    return _word_percent(trust.verdicts.shares.get(verdict.value, 0.0))


def _word_percent(share: float | None) -> str:
    return _NOTHING if share is None else f"{100 * share:.3g} %"


def _list_judging(report: EvaluationReport | None, trust: Trust | None, unit: str) -> list[str]:
    if trust is None:
        return []
    measured = None if report is None else report.trust
    remarks = [remark[:1].upper() + remark[1:] for remark in trust.remarks]
    promises = [] if measured is None else describe_promises(measured)
    sentences = [*describe_limits(trust, unit), *promises, *remarks]
    return ["## When it does not know", "", *(f"- {sentence}" for sentence in sentences), ""]


def _list_warnings(report: EvaluationReport | None, trust: Trust | None) -> list[str]:
    warnings = [
        "The numbers hold for photographs like those it learned from; test it anew for another camera or place."
    ]
    if report is not None and not report.external:
        warnings.append(UNKNOWN_FIELD)
    if trust is None:
        warnings.append("It always answers, also for a picture that shows no plant.")
    return warnings

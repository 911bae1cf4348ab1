"""The inspection as one HTML page: can these data be believed, what is wrong with them, and what to do about it."""

from collections.abc import Mapping
from typing import Any, Final

import pandas as pd

from phytoscope import __version__
from phytoscope.schema.audit import AuditReport, DuplicateCluster, Finding, Severity
from phytoscope.schema.table import Task
from phytoscope.visualize.audit_content import describe_content
from phytoscope.visualize.audit_pictures import TILE_PX, Tile, load_pictures
from phytoscope.visualize.audit_shortcuts import describe_shortcuts
from phytoscope.visualize.audit_words import (
    COUNTS,
    QUALITY,
    SECTIONS,
    SEVERITY_WORDS,
    WHOLE_LIST,
    find_place,
    keep_together,
    word_judgement,
    word_name,
    word_verdict,
)
from phytoscope.visualize.page import render_page
from phytoscope.visualize.text import format_count, format_percent, prettify_classes, shorten_middle

FINDINGS_SHOWN: Final = 24
CLUSTERS_SHOWN: Final = 12
SUSPECTS_SHOWN: Final = 24
LEAKS_SHOWN: Final = 50
REASONS_SHOWN: Final = 40
_EXAMPLES = 6
_COPIES = 4
_CAPTION_WIDTH = 48


def build_audit_page(report: AuditReport, manifest: pd.DataFrame, *, title: str) -> str:
    """Renders one self-contained page: pictures, styles and the script for sorting tables are part of it.

    Long lists are cut with a word on how much is left out; the number and the bytes of the pictures are bounded, so
    the page stays small however many images there are. Pictures that are missing or broken show as grey tiles.

    Args:
        report: What the inspection found.
        manifest: One row per image with `sample_id`, `path`, `group_id` and `label` or `target`; `path` is where the
            picture is read from. It may be empty.
        title: Headline of the page.

    Returns:
        The page as HTML text; write it as UTF-8.
    """
    words = _name_classes(report)
    content = describe_content(report, manifest, words)
    findings = _describe_findings(report.findings)
    quality = _describe_quality(report)
    duplicates = _describe_duplicates(report, words)
    suspects = _describe_suspects(report, words)
    judgement, badge = word_judgement(report)
    shown = {"quality": quality["issues"], "duplicates": duplicates["clusters"], "suspects": suspects["tiles"]}
    pictures = load_pictures(manifest, _list_wanted(findings[:FINDINGS_SHOWN], shown, content))
    context = {
        "report": report,
        "title": title,
        "version": __version__,
        "is_classification": report.task == Task.classification,
        "verdict": word_verdict(report),
        "judgement": judgement,
        "badge": badge,
        "tiles": _make_tiles(report),
        "findings": findings[:FINDINGS_SHOWN],
        "other_findings": findings[FINDINGS_SHOWN:],
        "shortcuts": describe_shortcuts(report),
        "content": content,
        "quality": quality,
        "duplicates": duplicates,
        "suspects": suspects,
        "leaks": (report.leakage or [])[:LEAKS_SHOWN],
        "leaks_more": max(0, len(report.leakage or []) - LEAKS_SHOWN),
        "rejected": _describe_rejected(report),
        "skipped": _sort_skipped(report),
        "seconds": [(stage, _format_seconds(seconds)) for stage, seconds in report.seconds.items()],
        "total_seconds": _format_seconds(sum(report.seconds.values())),
        "pictures": pictures,
        # Of rows that were rejected there is no picture: their names are enough.
        "any_picture": lambda tiles: any(tile.sample_id in pictures for tile in tiles),
        "tile_px": TILE_PX,
        "whole_list": WHOLE_LIST,
        "shorten": lambda name: shorten_middle(name, _CAPTION_WIDTH),
    }
    context["sections"] = _list_sections(context)
    return render_page("audit.html.j2", context, styles=("report.css", "audit.css"))


def _name_classes(report: AuditReport) -> dict[str, str]:
    """Class name -> its words, for every name that the report holds anywhere."""
    if report.task != Task.classification:
        return {}
    names = [row.label for row in report.labels]
    names += [name for suspect in report.suspects for name in (suspect.given, suspect.suggested)]
    names += [name for cluster in report.duplicates for name in cluster.labels]
    return prettify_classes(list(dict.fromkeys(names)))


def _format_seconds(seconds: float) -> str:
    return "< 0.1\u00a0s" if seconds < 0.05 else f"{seconds:,.1f}\u00a0s"


def _make_tiles(report: AuditReport) -> list[dict[str, str]]:
    return [
        {"title": title, "value": f"{report.counts[name]:,}", "meaning": meaning}
        for name, (title, meaning) in COUNTS.items()
        if name in report.counts
    ]


def _describe_findings(findings: list[Finding]) -> list[dict[str, Any]]:
    order = list(Severity)
    return [_describe_finding(item) for item in sorted(findings, key=lambda item: order.index(item.severity))]


def _describe_finding(finding: Finding) -> dict[str, Any]:
    word, sign, meaning = SEVERITY_WORDS[finding.severity]
    return {
        "severity": str(finding.severity),
        "word": word,
        "sign": sign,
        "meaning": meaning,
        "title": keep_together(finding.title),
        "detail": keep_together(finding.detail),
        "remedy": keep_together(finding.remedy),
        "check": finding.check,
        "tiles": [Tile(name) for name in finding.sample_ids[:_EXAMPLES]],
        "more": max(0, finding.count - len(finding.sample_ids[:_EXAMPLES])) if finding.sample_ids else 0,
        "place": find_place(finding.check),
    }


def _describe_quality(report: AuditReport) -> dict[str, Any]:
    issues = [
        {
            "title": word_name(issue.name, QUALITY),
            "description": issue.description,
            "count": format_count(issue.count, "image"),
            "share": format_percent(issue.share, 1 if issue.share >= 0.01 else 2),
            "tiles": [Tile(name) for name in issue.sample_ids[:_EXAMPLES]],
            "more": max(0, issue.count - len(issue.sample_ids[:_EXAMPLES])),
        }
        for issue in report.quality
        if issue.count > 0
    ]
    return {"issues": issues}


def _describe_duplicates(report: AuditReport, words: Mapping[str, str]) -> dict[str, Any]:
    parts = []
    n_within = sum(cluster.exact_spares for cluster in report.duplicates if cluster.kind != "exact")
    for kind, meaning in (("exact", "with the same bytes"), ("near", "that show the same picture in another file")):
        found = [cluster for cluster in report.duplicates if cluster.kind == kind]
        n_images = sum(len(cluster.sample_ids) for cluster in found)
        is_off = kind == "near" and "near duplicates" in report.skipped
        if kind == "exact" and not found and n_within > 0:
            continue
        parts.append(
            f"{format_count(len(found), f'cluster of {kind} duplicates', f'clusters of {kind} duplicates')}: "
            f"{format_count(n_images, 'image')} {meaning}."
            if found
            else ("Near duplicates were not looked for." if is_off else f"No {kind} duplicates.")
        )
    if n_within > 0:
        parts.append(f"Among these, {format_count(n_within, 'file has', 'files have')} the same bytes as another.")
    # Contradictions come first: they are wrong whatever the split.
    ordered = sorted(
        report.duplicates, key=lambda item: (not item.conflicting, item.kind != "exact", -len(item.sample_ids))
    )
    return {
        "words": parts,
        "conflicts": sum(cluster.conflicting for cluster in report.duplicates),
        "clusters": [_describe_cluster(cluster, words) for cluster in ordered[:CLUSTERS_SHOWN]],
        "more": max(0, len(ordered) - CLUSTERS_SHOWN),
    }


def _describe_cluster(cluster: DuplicateCluster, words: Mapping[str, str]) -> dict[str, Any]:
    labels = [words.get(label, label) for label in cluster.labels] or [""] * len(cluster.sample_ids)
    first_of_label: dict[str, int] = {}
    for position, label in enumerate(labels):
        first_of_label.setdefault(label, position)
    # One picture of each label comes first, else a contradiction may not be seen.
    order = sorted(range(len(labels)), key=lambda position: (first_of_label[labels[position]] != position, position))
    kind = "Same bytes" if cluster.kind == "exact" else "Same picture"
    groups = list(dict.fromkeys(cluster.groups))
    return {
        "title": f"{kind}, {format_count(len(cluster.sample_ids), 'file')}",
        "conflicting": cluster.conflicting,
        "tiles": [Tile(cluster.sample_ids[position], labels[position]) for position in order[:_COPIES]],
        "more": max(0, len(cluster.sample_ids) - _COPIES),
        "groups": f"in {len(groups)} groups: {', '.join(map(str, groups[:3]))}" if len(groups) > 1 else "",
        "more_groups": max(0, len(groups) - 3),
    }


def _describe_suspects(report: AuditReport, words: Mapping[str, str]) -> dict[str, Any]:
    rows = [
        {
            "tile": Tile(row.sample_id),
            "given": words.get(row.given, row.given),
            "suggested": words.get(row.suggested, row.suggested),
            "confidence": format_percent(row.confidence, 0 if row.confidence >= 0.1 else 1),
        }
        for row in report.suspects[:SUSPECTS_SHOWN]
    ]
    return {
        "rows": rows,
        "tiles": [row["tile"] for row in rows],
        "n": len(report.suspects),
        "more": max(0, len(report.suspects) - SUSPECTS_SHOWN),
    }


def _describe_rejected(report: AuditReport) -> dict[str, Any]:
    rows = sorted(report.rejected.items(), key=lambda item: (-item[1], item[0]))
    return {
        "rows": [(reason, f"{count:,}") for reason, count in rows[:REASONS_SHOWN]],
        "more": max(0, len(rows) - REASONS_SHOWN),
        "n": report.counts.get("rejected", sum(report.rejected.values())),
    }


def _sort_skipped(report: AuditReport) -> dict[str, list[tuple[str, str]]]:
    """Checks that were not done with their reasons, by the place of the page that they would have filled."""
    places: dict[str, list[tuple[str, str]]] = {place: [] for place in SECTIONS}
    for check, reason in report.skipped.items():
        place = find_place(check)
        entry = (check.replace("_", " "), reason)
        places["making"].append(entry)
        if place is not None:
            places[place].append(entry)
    return places


def _list_wanted(findings: list[dict[str, Any]], shown: Mapping[str, Any], content: Mapping[str, Any]) -> list[str]:
    """Sample ids of all tiles, the most important first: what is found comes before what is only an example."""
    tiles: list[Tile] = [tile for finding in findings for tile in finding["tiles"]]
    tiles += [tile for cluster in shown["duplicates"] for tile in cluster["tiles"]]
    tiles += shown["suspects"]
    tiles += [tile for issue in shown["quality"] for tile in issue["tiles"]]
    tiles += [tile for sheet in content["sheets"] for tile in sheet.tiles]
    return [tile.sample_id for tile in tiles]


def _list_sections(context: Mapping[str, Any]) -> dict[str, str]:
    """Place -> name of the sections that have something to say; a clean result says so, an empty one vanishes."""
    report, skipped, content = context["report"], context["skipped"], context["content"]
    parts = ("classes", "target", "figures", "correlations", "breakdowns", "missing", "sheets")
    empty = {
        "shortcuts": not any(context["shortcuts"].values()) and not skipped["shortcuts"],
        "content": not any(content[part] for part in parts) and not skipped["content"],
        "leakage": report.leakage is None and not skipped["leakage"],
    }
    return {place: name for place, name in SECTIONS.items() if not empty.get(place, False)}

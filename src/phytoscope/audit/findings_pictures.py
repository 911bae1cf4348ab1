"""Findings in the pictures: copies, leaks of a split that was given, outliers in quality."""

from phytoscope.audit.wording import plural, spell_names, spell_share
from phytoscope.schema.audit import AuditReport, DuplicateCluster, Finding, QualityIssue, Severity, SplitCoverage

_MANY_OUTLIERS = 0.1
_HARMFUL = ("dark", "light", "blurry", "low_information")
_LOOK = "Look at them on the page; leave out what nobody could judge by eye."
_SET = "If a person can see the plant well, nothing needs doing; else take new pictures with other light."
_WORDS = {
    "dark": ("is dark", "are dark", _LOOK),
    "dark_set": ("is dark, as the set is", "are dark, as the set is", _SET),
    "light": ("is overexposed", "are overexposed", _LOOK),
    "light_set": ("is very light, as the set is", "are very light, as the set is", _SET),
    "blurry": ("is blurry", "are blurry", _LOOK),
    "low_information": ("shows next to nothing", "show next to nothing", _LOOK),
    "odd_size": (
        "has an unusual size",
        "have an unusual size",
        "Make sure that they were taken like the others; data.resize decides how pictures become squares.",
    ),
    "odd_aspect": (
        "has an unusual shape",
        "have an unusual shape",
        "Crop them to the plant, or take data.resize=letterbox so that nothing is squeezed.",
    ),
    "greyscale": (
        "has no colours",
        "have no colours",
        "Find the colour originals; if there are none, leave them out.",
    ),
    "misnamed": (
        "has an extension that does not fit the content",
        "have an extension that does not fit the content",
        "Rename them; phytoscope reads them all the same.",
    ),
    "exif_rotated": (
        "is stored turned or mirrored",
        "are stored turned or mirrored",
        "phytoscope turns them upright; make sure that other programs you use do too.",
    ),
}
"""Issue -> its words for one image and for several, and what to do."""


def list_picture_findings(report: AuditReport, examples: int, *, groups_known: bool) -> list[Finding]:
    """Says what is wrong or noteworthy in the pictures, in no particular order.

    Args:
        report: All measured parts.
        examples: Most sample ids in a finding.
        groups_known: Whether the user's data say which plant a picture shows.
    """
    return [
        *_copy_findings(report.duplicates, examples, groups_known=groups_known),
        *_contradiction_findings(report.duplicates, examples),
        *_leak_findings(report.leakage),
        *_coverage_findings(report.coverage),
        *[_quality_finding(issue, examples) for issue in report.quality if issue.count > 0],
    ]


def _copy_findings(clusters: list[DuplicateCluster], examples: int, *, groups_known: bool) -> list[Finding]:
    found = []
    for kind, (one, several, meaning) in _COPIES.items():
        # A cluster of re-compressions may hold the same file twice.
        exact = [cluster.exact_spares for cluster in clusters]
        spares = exact if kind == "exact" else [len(c.sample_ids) - n - 1 for c, n in zip(clusters, exact, strict=True)]
        spare = sum(spares)
        if spare == 0:
            continue
        chosen = [cluster for cluster, number in zip(clusters, spares, strict=True) if number > 0]
        across = sum(len(cluster.groups) > 1 for cluster in chosen) if groups_known else 0
        where, consequence = _where(len(chosen), across) if groups_known else ("", _ACROSS)
        found.append(
            Finding(
                f"duplicates/{kind}",
                Severity.warning if kind == "exact" or across > 0 or not groups_known else Severity.note,
                f"{plural(spare, one, several)}: {plural(len(chosen), 'cluster')}{where}",
                f"{meaning} {consequence}",
                "phytoscope keeps them in one split; for a split of your own, keep rows of manifest.parquet with the "
                "same duplicate_id together, or remove the copies (duplicates.csv).",
                spare,
                _first_ids(chosen, examples),
            )
        )
    return found


_ACROSS = "On both sides of a split they are tested by heart, so they are joined into one group."


def _where(clusters: int, across: int) -> tuple[str, str]:
    """Where clusters of copies lie, for a title, and what that means."""
    if across == 0:
        where = ", within one plant or leaf" if clusters == 1 else ", each within one plant or leaf"
        return where, "They lie within one group, which stays in one split: no score is spoiled by them."
    within = clusters - across
    rest = f" The other {within} within one group are harmless in a split by group." if within > 0 else ""
    return f", {across} of them across plants or leaves", f"{_ACROSS}{rest}"


_COPIES = {
    "exact": (
        "picture is an exact copy of another",
        "pictures are exact copies of others",
        "The same file stands under several names.",
    ),
    "near": (
        "picture looks the same as another",
        "pictures look the same as others",
        "They are re-compressed, resized, mirrored or turned, or taken one after the other.",
    ),
}
"""Kind of copy -> its words for one picture and for several, and what it means."""


def _contradiction_findings(clusters: list[DuplicateCluster], examples: int) -> list[Finding]:
    conflicting = [cluster for cluster in clusters if cluster.conflicting]
    if not conflicting:
        return []
    first = " and ".join(map(repr, dict.fromkeys(label for label in conflicting[0].labels if label)))
    return [
        Finding(
            "duplicates/conflicting",
            Severity.warning,
            f"{plural(len(conflicting), 'cluster of copies carries', 'clusters of copies carry')} different answers",
            f"For example {first}. At least one of the answers is wrong, and no model can give both.",
            "Look at them on the page and correct the answers.",
            len(conflicting),
            _first_ids(conflicting, examples),
        )
    ]


def _first_ids(clusters: list[DuplicateCluster], limit: int) -> list[str]:
    return [sample_id for cluster in clusters for sample_id in cluster.sample_ids][:limit]


def _leak_findings(leaks: list[str] | None) -> list[Finding]:
    if not leaks:
        return []
    return [
        Finding(
            "split/leaks",
            Severity.error,
            "The split that was given leaks: "
            f"{plural(len(leaks), 'group or picture', 'groups or pictures')} on both sides",
            spell_names(leaks) + ".",
            "Draw it again by group (phytoscope prepare writes split.parquet), and forget scores made with it.",
            len(leaks),
        )
    ]


def _coverage_findings(coverage: SplitCoverage | None) -> list[Finding]:
    if coverage is None or (coverage.named == coverage.images and coverage.unknown == 0):
        return []
    left_out = coverage.images - coverage.named
    share = spell_share(coverage.named / max(coverage.images, 1))
    texts = []
    if left_out > 0:
        texts.append(f"{plural(left_out, 'image')} with an answer stand in no split, and were not checked for leaks.")
    if coverage.unknown > 0:
        shown = spell_names([repr(name) for name in coverage.unknown_examples], 3)
        texts.append(f"{plural(coverage.unknown, 'name')} in it belong to no image of these data, for example {shown}.")
    return [
        Finding(
            "split/incomplete",
            Severity.warning,
            f"The split that was given names {coverage.named:,} of {plural(coverage.images, 'image')} ({share})"
            + (f", and {coverage.unknown:,} that are not in the data" if coverage.unknown > 0 else ""),
            " ".join(texts),
            "Make sure that it was made for these data as they are now, and name images as in manifest.parquet.",
            left_out + coverage.unknown,
            [],
        )
    ]


def _quality_finding(issue: QualityIssue, examples: int) -> Finding:
    is_harmful = issue.name in _HARMFUL and issue.share >= _MANY_OUTLIERS
    name = issue.name.replace("_", " ")
    one, several, remedy = _WORDS.get(issue.name, (f"stands out: {name}", f"stand out: {name}", _LOOK))
    return Finding(
        f"quality/{issue.name}",
        Severity.warning if is_harmful else Severity.note,
        f"{plural(issue.count, f'image {one}', f'images {several}')} ({spell_share(issue.share)})",
        issue.description,
        remedy,
        issue.count,
        issue.sample_ids[:examples],
    )

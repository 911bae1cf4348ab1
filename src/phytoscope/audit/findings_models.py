"""Findings that small models have proved: wrong labels, shortcuts, the optimism of a random split."""

from phytoscope.audit.probes import remedy_of
from phytoscope.audit.wording import plural, spell_share
from phytoscope.schema.audit import AuditReport, Explained, Finding, OptimismGap, Severity, SuspectLabel

_MANY_SUSPECTS = 0.02
_WORTH_SAYING = 0.02
_EXPLAINED, _EXPLAINED_BY_ACCIDENT = 0.3, 0.1
_ACCIDENTS = {
    "burnt_in_tag": "If such a tag can be read in the pictures, crop or cover it.",
    "image_size": "Bring all pictures to one scale, so that a centimetre is the same number of pixels everywhere.",
}
_SIMPLE = {
    "age": "A model must beat this number before it has learned anything but the age.",
    "green_pixels": "A model must beat this number before it has learned more than to count green pixels.",
    "condition": "Judge the model within each condition too.",
    "capture_time": "Keep whole sessions back for the test.",
}
"""What to do about what a target follows from, by accident of the recording or because plants are like that."""


def list_model_findings(report: AuditReport, examples: int) -> list[Finding]:
    """Says what labels, probes, optimism gap and explainers of a report mean.

    Args:
        report: All measured parts.
        examples: Most sample ids in a finding.
    """
    found = _suspect_findings(report.suspects, report.counts.get("images", 0), examples)
    found += [
        Finding(
            f"shortcut/{probe.name}",
            probe.severity,
            probe.verdict,
            probe.description,
            remedy_of(probe),
            probe.n,
        )
        for probe in report.probes
        if probe.severity is not Severity.note
    ]
    found += _optimism_findings(report.optimism)
    return found + [_explained_finding(entry) for entry in report.explained if _is_worth_saying(entry)]


def _suspect_findings(suspects: list[SuspectLabel], images: int, examples: int) -> list[Finding]:
    if not suspects:
        return []
    share = len(suspects) / max(images, 1)
    first = suspects[0]
    return [
        Finding(
            "labels/suspect",
            Severity.warning if share >= _MANY_SUSPECTS else Severity.note,
            f"{plural(len(suspects), 'label is', 'labels are')} doubtful ({spell_share(share)} of the images)",
            f"Images like them carry another answer, for example {first.sample_id!r}: given {first.given!r}, images "
            f"like it {first.suggested!r}.",
            "Look at them (suspect_labels.csv) and correct those that are wrong: a model learns what it is given.",
            len(suspects),
            [suspect.sample_id for suspect in suspects[:examples]],
        )
    ]


def _optimism_findings(gap: OptimismGap | None) -> list[Finding]:
    if gap is None or gap.low <= 0 or gap.gap < _WORTH_SAYING:
        return []
    return [
        Finding(
            "optimism/random_split",
            Severity.warning,
            gap.verdict,
            f"The same quick model reaches {gap.random_score:.3f} {gap.metric} when images are split at random and "
            f"{gap.group_score:.3f} when plants and leaves stay together.",
            "Split by group (phytoscope does), and do not compare with scores on random splits.",
            gap.n,
        )
    ]


def _is_worth_saying(entry: Explained) -> bool:
    if entry.r2 is None or entry.name not in (*_ACCIDENTS, *_SIMPLE):
        return False
    return entry.r2 >= (_EXPLAINED_BY_ACCIDENT if entry.name in _ACCIDENTS else _EXPLAINED)


def _explained_finding(entry: Explained) -> Finding:
    accident = entry.name in _ACCIDENTS
    return Finding(
        f"shortcut/{entry.name}" if accident else f"explain/{entry.name}",
        Severity.warning if accident else Severity.note,
        entry.verdict,
        entry.description,
        _ACCIDENTS[entry.name] if accident else _SIMPLE[entry.name],
        entry.n,
    )

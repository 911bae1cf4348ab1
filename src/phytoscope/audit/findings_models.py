"""Findings that small models have proved: wrong labels, shortcuts, the optimism of a random split."""

from phytoscope.audit.probes import remedy_of, title_of
from phytoscope.audit.wording import plural, spell_interval, spell_percent, spell_r2, spell_share
from phytoscope.schema.audit import AuditReport, Explained, Finding, OptimismGap, Severity, SuspectLabel

_MANY_SUSPECTS = 0.03
"""Share of images from which on doubted labels are a warning: of sound labels, one or two in a hundred are doubted."""
_WORTH_SAYING, _MUCH = 0.02, 0.05
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
    "source": "Keep whole sources (trays, robots, sites) back for the test.",
}
"""What to do about what a target follows from, by accident of the recording or because plants are like that."""
_SUBJECTS = {
    "burnt_in_tag": "A tag in the picture",
    "image_size": "The size of the picture",
    "age": "The age",
    "green_pixels": "The number of green pixels",
    "condition": "The condition",
    "capture_time": "When the picture was taken",
    "source": "Where the picture comes from",
}


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
            title_of(probe, report.target_name),
            f"{probe.verdict} {probe.description}",
            remedy_of(probe),
            probe.n,
        )
        for probe in report.probes
        if probe.severity is not Severity.note
    ]
    found += _optimism_findings(report.optimism)
    return found + [
        _explained_finding(entry, report.target_name) for entry in report.explained if _is_worth_saying(entry)
    ]


def _suspect_findings(suspects: list[SuspectLabel], images: int, examples: int) -> list[Finding]:
    if not suspects:
        return []
    share = len(suspects) / max(images, 1)
    first = suspects[0]
    return [
        Finding(
            "labels/suspect",
            Severity.warning if share >= _MANY_SUSPECTS else Severity.note,
            f"{plural(len(suspects), 'label is', 'labels are')} worth a look ({spell_share(share)} of the images)",
            f"Images like them carry another answer, for example {first.sample_id!r}: given {first.given!r}, images "
            f"like it {first.suggested!r}. The quick model may be wrong as well as the label: without a look, nothing "
            "should be changed.",
            "Look at them (suspect_labels.csv) and correct those that are wrong: a model learns what it is given.",
            len(suspects),
            [suspect.sample_id for suspect in suspects[:examples]],
        )
    ]


def _optimism_findings(gap: OptimismGap | None) -> list[Finding]:
    if gap is None or gap.low <= 0 or gap.gap < _WORTH_SAYING:
        return []
    if gap.metric == "r2":
        size = f"{gap.gap:.2f} in R²"
        both = f"{spell_r2(gap.random_score)} instead of {spell_r2(gap.group_score)}"
    else:
        size = f"{100 * gap.gap:.1f} points"
        both = f"{100 * gap.random_score:.1f} % right instead of {100 * gap.group_score:.1f} %"
    return [
        Finding(
            "optimism/random_split",
            Severity.warning if gap.gap >= _MUCH else Severity.note,
            f"A random split flatters by {size}: {both}",
            gap.verdict,
            "Split by group (phytoscope does), and do not compare with scores on random splits.",
            gap.n,
        )
    ]


def _is_worth_saying(entry: Explained) -> bool:
    if entry.r2 is None or entry.name not in (*_ACCIDENTS, *_SIMPLE):
        return False
    if entry.name in _SIMPLE:
        return entry.r2 >= _EXPLAINED
    return entry.r2 >= _EXPLAINED_BY_ACCIDENT and entry.low is not None and entry.low > 0


def _explained_finding(entry: Explained, target_name: str) -> Finding:
    is_accident = entry.name in _ACCIDENTS
    is_sure = entry.low is not None and entry.low >= _EXPLAINED_BY_ACCIDENT
    share, interval = spell_percent(0.0 if entry.r2 is None else entry.r2), ""
    if entry.low is not None and entry.high is not None:
        interval = f" {spell_interval(entry.low, entry.high)}."
    return Finding(
        f"shortcut/{entry.name}" if is_accident else f"explain/{entry.name}",
        Severity.warning if is_accident and is_sure else Severity.note,
        f"{_SUBJECTS[entry.name]} explains {share} of the variance of {target_name}",
        f"{entry.verdict}{interval} It was measured with {entry.description}.",
        _ACCIDENTS[entry.name] if is_accident else _SIMPLE[entry.name],
        entry.n,
    )

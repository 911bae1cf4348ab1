"""From measured parts to sentences: what was found, what it means for a model, what to do about it."""

from phytoscope.audit.findings_models import list_model_findings
from phytoscope.audit.findings_pictures import list_picture_findings
from phytoscope.audit.findings_table import Hints, list_table_findings
from phytoscope.schema.audit import AuditReport, Finding, Severity

_AREAS = (
    "data",
    "split",
    "shortcut",
    "optimism",
    "labels",
    "target",
    "rejected",
    "duplicates",
    "groups",
    "validation",
    "quality",
)
"""Which area is told first among findings of one severity."""


def list_findings(report: AuditReport, hints: Hints) -> list[Finding]:
    """Says everything worth acting on, the worst first.

    Args:
        report: All measured parts; its own findings are not read.
        hints: What findings need beside it.
    """
    found = [
        *list_table_findings(report, hints),
        *list_picture_findings(report, hints.examples, groups_known=hints.groups_known),
        *list_model_findings(report, hints.examples),
    ]
    severities = list(Severity)

    def rank(finding: Finding) -> tuple[int, int, int]:
        area = finding.check.partition("/")[0]
        place = _AREAS.index(area) if area in _AREAS else len(_AREAS)
        return severities.index(finding.severity), place, -finding.count

    return sorted(found, key=rank)

"""An inspection survives JSON, and one that is not whole is refused."""

import json

import pytest

from factories.audits import build_classification_audit, build_regression_audit
from phytoscope.errors import ArtifactError
from phytoscope.schema.audit import AuditReport


@pytest.mark.parametrize("build", [build_classification_audit, build_regression_audit])
def test_inspection_survives_json(build):
    """What is written can be read back to an equal inspection, for classes and for numbers."""
    report = build().report
    assert AuditReport.from_dict(json.loads(json.dumps(report.to_dict(), allow_nan=False))) == report


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"format": 0}, "has format 0, this version reads .*: inspect the data again"),
        ({"findings": None}, "not complete .*: inspect the data again"),
        ({"findings": [{"kind": "x"}]}, "not complete"),
        ({"more": 1}, "not complete"),
    ],
)
def test_other_content_is_refused(change, text):
    """An inspection of another version, or edited by hand, is not taken for a whole one."""
    with pytest.raises(ArtifactError, match=text):
        AuditReport.from_dict({**build_regression_audit().report.to_dict(), **change})


def test_inspection_without_a_format_is_refused():
    """Any other JSON file is told apart by what it lacks."""
    with pytest.raises(ArtifactError, match="has format None"):
        AuditReport.from_dict({})

"""A report that is not whole or of another format is refused, never half believed."""

import pytest

from factories.reports import build_classification
from phytoscope.errors import ArtifactError
from phytoscope.schema.report import EvaluationReport


@pytest.fixture(scope="module")
def content():
    """A whole report as plain values."""
    return build_classification().report.to_dict()


def test_metric_is_found_by_split_and_name(content):
    """What is not there is None, not an error and not zero."""
    report = EvaluationReport.from_dict(content)
    assert report.metric("test", "macro_f1") is not None
    assert report.metric("test", "no_such_metric") is None
    assert report.metric("no_such_split", "macro_f1") is None


@pytest.mark.parametrize("version", [0, 2, None, "1"])
def test_other_format_is_refused(content, version):
    """A number that meant something else before is not shown."""
    with pytest.raises(ArtifactError, match=f"has format {version!r}, this version reads 1: evaluate the run again"):
        EvaluationReport.from_dict({**content, "format": version})


@pytest.mark.parametrize("change", [{"splits": None}, {"splits": {"test": {}}}, {"task": "guessing"}, {"unknown": 1}])
def test_incomplete_report_is_refused(content, change):
    """A report edited by hand is not taken for a whole one."""
    with pytest.raises(ArtifactError, match="the report is not complete"):
        EvaluationReport.from_dict({**content, **change})

"""A report that is not whole or of another format is refused, never half believed."""

import json

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


def test_reports_of_older_versions_still_load(content):
    """What they lack is empty: no intervals, no slices, no groups."""
    old = json.loads(json.dumps(content))
    for name in ("bootstrap", "confidence", "trust", "explanations", "robustness", "external"):
        old.pop(name, None)
    for part in old["splits"].values():
        del part["slices"], part["groups"]
        for metric in part["metrics"]:
            del metric["low"], metric["high"]
        for row in part["classes"]:
            for name in [name for name in row if name.endswith(("_low", "_high")) or name == "n_groups"]:
                del row[name]
    report = EvaluationReport.from_dict(old)
    part = report.splits["test"]
    assert report.bootstrap == 0
    assert (part.slices, part.groups) == ([], [])
    assert part.metrics[0].low is None
    assert part.classes[0].f1_low is None

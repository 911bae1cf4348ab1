"""Reports of drift and of true errors survive the way to JSON and back."""

import dataclasses
import json

import pytest

from phytoscope.errors import ArtifactError
from phytoscope.schema.drift import (
    DriftFinding,
    DriftKind,
    DriftReport,
    LookSummary,
    LookWindow,
    TruthReport,
    TruthWindow,
)

FINDING = DriftFinding(
    DriftKind.photo,
    "photo/brightness",
    LookWindow.batch,
    statistic=2.5,
    p_value=0.001,
    threshold=0.01,
    fired=True,
    before=120.0,
    after=90.0,
    unit="grey levels, 0-255",
    effect="brightness 120 -> 90 (grey levels, 0-255)",
)
CALM = dataclasses.replace(FINDING, name="features", kind=DriftKind.features, fired=False, p_value=0.4, before=None)
REPORT = DriftReport(3, 30, 6, 90, 15, 200, 40, 0.05, 0.004, 0.03, 1000, True, [FINDING, CALM], ["a remark"], "2026")
TRUTH = TruthReport(
    look=1,
    unit="",
    n=10,
    n_groups=4,
    reference=TruthWindow("reference", 50, 20, 0.1, 0.05, 0.2),
    windows=[TruthWindow("2026-11", 10, 4, 0.3, None, None)],
    false_alarm=0.05,
    alpha=0.01,
    alpha_spent=0.01,
    draws=1000,
    fired=False,
    findings=[CALM],
)


@pytest.mark.parametrize("report", [REPORT, TRUTH])
def test_reports_survive_json(report):
    """What is read back equals what was written, enumerations and nested rows included."""
    assert type(report).from_dict(json.loads(json.dumps(report.to_dict()))) == report


def test_summary_survives_json_and_keeps_what_later_looks_need():
    """The summary holds the spent share and each p-value under its window and name."""
    summary = REPORT.summarize()
    assert summary.p_values == {"batch/photo/brightness": 0.001, "batch/features": 0.4}
    assert (summary.look, summary.alpha, summary.fired, summary.time) == (3, 0.004, True, "2026")
    assert LookSummary.from_dict(json.loads(json.dumps(summary.to_dict()))) == summary
    assert TRUTH.summarize().p_values == {"batch/features": 0.4}


def test_fired_findings_are_listed():
    """Only those that fired are told."""
    assert REPORT.list_fired() == [FINDING]


@pytest.mark.parametrize("report", [REPORT, TRUTH])
@pytest.mark.parametrize(
    "spoil",
    [
        {"format": 99},
        {"findings": [{"kind": "photo"}]},
        {"findings": [{**FINDING.__dict__, "kind": "moon"}]},
        {"something": 1},
    ],
)
def test_other_content_is_refused(report, spoil):
    """Another format, a finding that is not whole and an unknown field are told apart from a report."""
    with pytest.raises(ArtifactError, match=r"format 99|not complete"):
        type(report).from_dict({**report.to_dict(), **spoil})


def test_incomplete_windows_and_summaries_are_refused():
    """A stretch of time without its numbers, or a summary without a look, is an error and not a default."""
    with pytest.raises(ArtifactError, match="not complete"):
        TruthReport.from_dict({**TRUTH.to_dict(), "windows": [{"name": "2026-11"}]})
    with pytest.raises(ArtifactError, match="not complete"):
        LookSummary.from_dict({"time": ""})

"""From measured parts to sentences."""

import dataclasses

import pandas as pd
import pytest

from phytoscope.audit.copies import describe_clusters
from phytoscope.audit.findings import list_findings
from phytoscope.audit.findings_table import Hints
from phytoscope.audit.relations import NameSeries
from phytoscope.data.split import ThinStratum
from phytoscope.schema.audit import (
    AuditReport,
    DuplicateCluster,
    Explained,
    LabelRow,
    Missing,
    OptimismGap,
    Probe,
    QualityIssue,
    Severity,
    SplitCoverage,
    SuspectLabel,
    TargetSummary,
)
from phytoscope.schema.table import REJECTED_COLUMNS, Task

NOTHING = pd.DataFrame(columns=list(REJECTED_COLUMNS))
COUNTS = {"rows": 200, "images": 200, "rejected": 0, "unlabelled": 0, "groups": 90, "warnings": 0}
CLEAN = AuditReport(
    task=Task.classification,
    name="leaves",
    target_name="class",
    unit="",
    data_hash="0" * 64,
    counts=COUNTS,
    findings=[],
    labels=[LabelRow("rust", 110, 50), LabelRow("healthy", 90, 40)],
    missing=[Missing("class", 0.0, 200)],
)
TARGET = TargetSummary(200, 90, 1.0, 0.5, [0.0] * 7, 0.2, 0.1, "none", "skewness 0.20: nearly even")


def faults(*reasons, remedy="mend it"):
    """Rows as in `rejected.csv`."""
    rows = [(number + 2, f"{number}.jpg", "weight", "x", reason, remedy) for number, reason in enumerate(reasons)]
    return pd.DataFrame(rows, columns=list(REJECTED_COLUMNS))


def findings_of(hints=None, **parts):
    """Check -> finding of a report that is clean but for some parts."""
    report = dataclasses.replace(CLEAN, **parts)
    return {finding.check: finding for finding in list_findings(report, hints or Hints(NOTHING, NOTHING))}


def test_clean_data_have_no_finding() -> None:
    """Where there is nothing to say, nothing is said."""
    assert findings_of() == {}
    assert findings_of(task=Task.regression, labels=[], target=TARGET) == {}


@pytest.mark.parametrize(
    ("parts", "check", "severity", "words"),
    [
        ({"counts": {**COUNTS, "images": 0, "unlabelled": 7}}, "data/no_images", "error", "None of 200 rows"),
        ({"counts": {**COUNTS, "unlabelled": 1}}, "data/unlabelled", "note", "1 image has no answer"),
        ({"labels": [LabelRow("rust", 9, 9)]}, "labels/one_class", "error", "only one class, 'rust'"),
        (
            {"labels": [LabelRow("rust", 110, 50), LabelRow("mould", 90, 2, too_few_groups=True)]},
            "labels/too_few_groups",
            "warning",
            "1 of 2 classes have fewer than 4 groups: 'mould' (2 groups)",
        ),
        (
            {"labels": [LabelRow("rust", 1100, 50), LabelRow("mould", 50, 20)]},
            "labels/imbalance",
            "warning",
            "22.0 times as many",
        ),
        (
            {"labels": [LabelRow("rust", 200, 50), LabelRow("mould", 50, 20)]},
            "labels/imbalance",
            "note",
            "4.0 times as many",
        ),
        ({"counts": {**COUNTS, "groups": 1}}, "groups/one", "error", "All 200 images are one group"),
        ({"missing": [Missing("age", 0.7, 200)]}, "missing/columns", "warning", "age 70 %"),
        ({"missing": [Missing("age", 0.12, 200)]}, "missing/columns", "note", "age 12 %"),
        ({"leakage": ["'a' (train) and 'b' (test) are copies"]}, "split/leaks", "error", "1 group or picture"),
        (
            {"quality": [QualityIssue("dark", "below 0.3", 3, 0.015, ["a", "b", "c"])]},
            "quality/dark",
            "note",
            "3 images are dark (1.5 %)",
        ),
        (
            {"quality": [QualityIssue("blurry", "below 0.3", 1, 0.3, ["a"])]},
            "quality/blurry",
            "warning",
            "1 image is blurry",
        ),
        (
            {"suspects": [SuspectLabel("a", "rust", "mould", 0.01)] * 10},
            "labels/suspect",
            "warning",
            "10 labels are worth a look (5.0 %",
        ),
        (
            {"optimism": OptimismGap("accuracy", 0.9, 0.8, 0.1, 0.05, 0.15, 200, 90, "10 points too good")},
            "optimism/random_split",
            "warning",
            "A random split flatters by 10.0 points: 90.0 % right instead of 80.0 %",
        ),
        (
            {"probes": [Probe("border_pixels", "border", "r2", 0.5, 0, 0.4, 0.6, 9, "tells", Severity.error)]},
            "shortcut/border_pixels",
            "error",
            "Border pixels alone explain 50 % of the variance of class",
        ),
        ({"explained": [Explained("age", "a line", 0.6, 200, "explains 60 %")]}, "explain/age", "note", "60 %"),
        (
            {"explained": [Explained("burnt_in_tag", "corner", 0.4, 200, "the tag tells", 0.2, 0.6)]},
            "shortcut/burnt_in_tag",
            "warning",
            "A tag in the picture explains 40 % of the variance",
        ),
    ],
)
def test_what_is_said(parts, check, severity, words) -> None:
    """Every planted part gives its one finding, with the number and what to do."""
    found = findings_of(**parts)
    assert list(found) == [check] if check != "data/no_images" else check in found
    assert found[check].severity == severity
    assert words in found[check].title
    assert found[check].detail or found[check].remedy
    assert len(found[check].title) <= 110


@pytest.mark.parametrize(
    "parts",
    [
        {"optimism": OptimismGap("accuracy", 0.81, 0.8, 0.01, 0.001, 0.02, 200, 90, "nearly the same")},
        {"optimism": OptimismGap("accuracy", 0.9, 0.8, 0.1, -0.01, 0.2, 200, 90, "may be chance")},
        {"probes": [Probe("colour", "colours", "r2", 0.0, 0, -0.1, 0.1, 9, "nothing", Severity.note)]},
        {"explained": [Explained("age", "a line", None, 200, "no age"), Explained("green_pixels", "", 0.1, 9, "")]},
        {"explained": [Explained("image_size", "", 0.3, 9, "few plants", -0.2, 0.7)]},
        {"leakage": []},
        {"quality": [QualityIssue("dark", "", 0, 0.0, [])]},
    ],
)
def test_what_is_harmless_is_not_said(parts) -> None:
    """A gap that may be chance, a probe that guesses, a clean split."""
    assert findings_of(**parts) == {}


def test_target() -> None:
    """A constant target is an error, a skewed one a note that names the transform."""
    constant = dataclasses.replace(TARGET, mean=2.5, skewness=None)
    found = findings_of(task=Task.regression, labels=[], target=constant, target_name="weight", unit="g")
    assert found["target/constant"].title == "'weight' is 2.5 g in every image"
    skewed = dataclasses.replace(TARGET, skewness=2.1, suggested_transform="log1p", why="few large values")
    found = findings_of(task=Task.regression, labels=[], target=skewed)
    assert "log1p" in found["target/skewed"].remedy


def test_faults_are_told_by_kind() -> None:
    """One finding a kind of fault, with its count, its rows and its most frequent remedy."""
    rejected = faults("the file is truncated: at 10 bytes", "the file is truncated: at 20 bytes", "the file is empty")
    found = findings_of(Hints(rejected, faults("spelt in two ways")))
    assert found["rejected/file_truncated"].count == 2
    assert found["rejected/file_truncated"].sample_ids == ["0.jpg", "1.jpg"]
    assert found["rejected/file_truncated"].remedy == "Mend it."
    assert found["rejected/file_empty"].title.startswith("1 row or file (column weight): the file is empty")
    assert "used all the same" in found["validation/spelt_in_two_ways"].detail


def test_missing_answers_are_told_once() -> None:
    """Rows that are kept apart for want of an answer are no faults as well."""
    rejected = faults("the target is missing", "the file is empty")
    found = findings_of(Hints(rejected, NOTHING), counts={**COUNTS, "unlabelled": 1}, target_name="weight")
    assert set(found) == {"data/unlabelled", "rejected/file_empty"}
    assert "rejected/target_missing" in findings_of(Hints(rejected, NOTHING), target_name="weight")


def test_columns_and_names() -> None:
    """Constant columns, formulas of the target, and names that look like series."""
    series = NameSeries(120, 30, ["p1_1.jpg", "p1_2.jpg"], "(.+)_.*")
    hints = Hints(NOTHING, NOTHING, ["robot"], ["shoot + root"], series, groups_known=False)
    found = findings_of(hints)
    assert set(found) == {"eda/constant_columns", "correlation/tells_the_answer", "groups/series"}
    assert "`shoot + root`" in found["correlation/tells_the_answer"].title
    assert "data.group_pattern='(.+)_.*'" in found["groups/series"].remedy
    assert "groups/none" in findings_of(Hints(NOTHING, NOTHING, groups_known=False))
    found = findings_of(Hints(NOTHING, NOTHING, groups_known=False, plant_columns=["robot", "plant"]))
    assert found["groups/not_used"].remedy == "Add data.group_by=[robot,plant]."


LONG = [f"a column with a rather long name, number {number}" for number in range(30)]


def test_titles_stay_short() -> None:
    """However many classes, columns and files are meant, a title is one short line; the rest is in the detail."""
    labels = [LabelRow(name, 200, 50) for name in LONG[:3]] + [LabelRow(name, 2, 1, True) for name in LONG[3:]]
    series = NameSeries(120_000, 30_000, [LONG[0] * 3, LONG[1]], "(.+)_.*")
    hints = Hints(faults(f"wrong: {LONG * 2}"), faults(LONG[0] * 4), LONG, LONG, series, groups_known=False)
    found = findings_of(hints, labels=labels, missing=[Missing(name, 0.7, 200) for name in LONG])
    found |= findings_of(Hints(NOTHING, NOTHING, groups_known=False, plant_columns=LONG))
    assert {check.partition("/")[0] for check in found} >= {"rejected", "labels", "missing", "eda", "groups"}
    assert [finding.title for finding in found.values() if len(finding.title) > 110] == []
    assert LONG[0] in found["eda/constant_columns"].detail


@pytest.mark.parametrize(
    ("groups", "known", "severity", "words"),
    [
        (["g"], True, "note", "1 cluster, within one plant or leaf"),
        (["g", "h"], True, "warning", "1 cluster, 1 of them across plants or leaves"),
        (["g", "h"], False, "warning", "1 cluster"),
    ],
)
def test_where_copies_lie(groups, known, severity, words) -> None:
    """Frames of one plant that look alike are harmless; copies of several plants are not."""
    cluster = DuplicateCluster("near", ["a", "b"], ["x", "x"], conflicting=False, groups=groups)
    found = findings_of(Hints(NOTHING, NOTHING, groups_known=known), duplicates=[cluster])["duplicates/near"]
    assert found.severity == severity
    assert found.title == f"1 picture looks the same as another: {words}"


@pytest.mark.parametrize(
    ("coverage", "title"),
    [
        (SplitCoverage(200, 200, 0), None),
        (SplitCoverage(200, 150, 0), "names 150 of 200 images (75.0 %)"),
        (SplitCoverage(200, 200, 1, ["z"]), "names 200 of 200 images (100.0 %), and 1 that are not in the data"),
        (SplitCoverage(0, 0, 0), None),
    ],
)
def test_split_of_a_part_of_the_data(coverage, title) -> None:
    """A split that says nothing of some images, or speaks of others, is told with its numbers."""
    found = findings_of(coverage=coverage, leakage=[])
    if title is None:
        assert found == {}
    else:
        assert found["split/incomplete"].severity == "warning"
        assert found["split/incomplete"].title == f"The split that was given {title}"


def test_where_a_class_would_be_missing() -> None:
    """The finding of small classes says from which split; classes with groups enough have a finding of their own."""
    labels = [LabelRow("rust", 110, 50), LabelRow("mild", 60, 6), LabelRow("scab", 40, 2, too_few_groups=True)]
    thin = [
        ThinStratum("mild", 60, 6, ("test",), "mild is missing"),
        ThinStratum("scab", 40, 2, ("val", "test"), "scab is missing"),
    ]
    found = findings_of(Hints(NOTHING, NOTHING, thin=thin), labels=labels)
    assert "'scab' from val, test" in found["labels/too_few_groups"].detail
    assert found["labels/missing_from_split"].title == (
        "1 of 3 classes would be missing from a split: 'mild' from test"
    )


def test_worst_comes_first() -> None:
    """Errors before warnings before notes; among equals, what spoils every number first."""
    found = findings_of(
        Hints(faults("the file is empty"), NOTHING),
        leakage=["x"],
        labels=[LabelRow("rust", 200, 50), LabelRow("mould", 50, 20)],
        duplicates=[DuplicateCluster("exact", ["a", "b"], ["x", "y"], conflicting=True, groups=["g", "h"])],
    )
    assert list(found) == [
        "split/leaks",
        "rejected/file_empty",
        "duplicates/exact",
        "duplicates/conflicting",
        "labels/imbalance",
    ]


class TestCopies:
    """Clusters of copies in words."""

    def pictures(self, answers, task, hashes):
        """Pictures of one cluster, and one that has no copy."""
        column = "label" if task is Task.classification else "target"
        rows = {
            "sample_id": [f"{number}.jpg" for number in range(len(answers))] + ["alone.jpg"],
            "sha256": [*hashes, "z"],
            "label": None,
            "target": float("nan"),
            "group_id": [f"g{number}" for number in range(len(answers))] + ["g9"],
            "duplicate_id": ["one"] * len(answers) + ["two"],
        }
        return pd.DataFrame({**rows, column: [*answers, answers[0]]})

    @pytest.mark.parametrize(
        ("answers", "task", "conflicting"),
        [
            (["x", "x"], Task.classification, False),
            (["x", "y"], Task.classification, True),
            (["x", None], Task.classification, False),
            ([1.0, 1.01], Task.regression, False),
            ([1.0, 1.5], Task.regression, True),
            ([0.0, 0.0], Task.regression, False),
            ([1.0, float("nan")], Task.regression, False),
        ],
    )
    def test_contradictions(self, answers, task, conflicting) -> None:
        """Other classes and clearly other numbers contradict each other; a missing answer does not."""
        (cluster,) = describe_clusters(self.pictures(answers, task, ["a", "b"]), task)
        assert (cluster.kind, cluster.conflicting) == ("near", conflicting)
        assert (cluster.sample_ids, cluster.groups) == (["0.jpg", "1.jpg"], ["g0", "g1"])

    def test_growing_plant_is_no_contradiction(self) -> None:
        """Frames of one plant that look alike may have other weights; the same bytes may not."""
        frames = self.pictures([1.0, 1.5], Task.regression, ["a", "b"]).assign(group_id="plant")
        assert not describe_clusters(frames, Task.regression)[0].conflicting
        assert describe_clusters(frames.assign(sha256="a"), Task.regression)[0].conflicting

    def test_same_bytes_within_a_cluster(self) -> None:
        """A picture, its byte copy and a re-compression: one exact copy, and one picture that looks the same."""
        pictures = self.pictures(["x", "x", "x"], Task.classification, ["a", "a", "b"])
        (cluster,) = describe_clusters(pictures, Task.classification)
        assert (cluster.kind, cluster.files, cluster.exact_spares) == ("near", 2, 1)
        found = findings_of(duplicates=[cluster])
        assert (found["duplicates/exact"].count, found["duplicates/near"].count) == (1, 1)

    def test_same_bytes(self) -> None:
        """One hash in the whole cluster is an exact copy."""
        (cluster,) = describe_clusters(self.pictures(["x", "x"], Task.classification, ["a", "a"]), Task.classification)
        assert (cluster.kind, cluster.labels) == ("exact", ["x", "x"])
        assert (cluster.files, cluster.exact_spares) == (1, 1)

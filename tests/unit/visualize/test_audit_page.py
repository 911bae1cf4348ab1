"""The inspection's page says what was found, worst first, and survives whatever the data hold."""

import dataclasses
import time

import numpy as np
import pandas as pd
import pytest

from factories.audits import build_classification_audit, build_regression_audit
from factories.images import encode, write_image
from factories.pages import PageReader
from phytoscope.schema.audit import (
    DuplicateCluster,
    Finding,
    LabelRow,
    OptimismGap,
    Probe,
    Severity,
    SplitCoverage,
    SuspectLabel,
)
from phytoscope.visualize.audit_page import CLUSTERS_SHOWN, FINDINGS_SHOWN, build_audit_page
from phytoscope.visualize.audit_words import SECTIONS

EVIL = "<script>alert('x')</script>"


@pytest.fixture
def pictures(tmp_path):
    return [write_image(tmp_path / f"{seed}.png", seed, 40, 60) for seed in range(4)]


def render(audit, **changes):
    return build_audit_page(dataclasses.replace(audit.report, **changes), audit.manifest, title="My data")


@pytest.mark.parametrize("build", [build_classification_audit, build_regression_audit])
def test_page_is_complete_in_itself(build, pictures):
    """All addresses are data inside the page or places on it, and every picture has words."""
    reader = PageReader(render(build(pictures)))
    assert all(address.startswith(("data:", "#")) for address in reader.addresses)
    places = [attrs["id"] for _, attrs in reader.tags if "id" in attrs]
    assert len(places) == len(set(places))
    assert {address[1:] for address in reader.addresses if address.startswith("#")} <= set(places)
    images = [attrs for tag, attrs in reader.tags if tag == "img"]
    assert len(images) > 20
    assert all(attrs["alt"] for attrs in images)


@pytest.mark.parametrize("n_findings", [5, 200])
def test_each_finding_is_there_and_the_worst_is_first(pictures, n_findings):
    """However many there are, each title stands on the page, in the order of the report."""
    audit = build_classification_audit(pictures, n_findings=n_findings)
    text = PageReader(render(audit)).plain
    places = [text.index(finding.title) for finding in audit.report.findings]
    assert places[0] == min(places)
    assert ("Show the other" in text) == (n_findings > FINDINGS_SHOWN)


def test_severity_is_told_by_a_word_and_a_sign(pictures):
    """No severity is told by colour alone."""
    text = PageReader(render(build_classification_audit(pictures))).plain
    for expected in ("\u2715 Error The border pixels", "! Warning 41 labels", "i Note 12 images are dark"):
        assert expected in text


def test_page_says_what_the_report_says(pictures):
    """Verdict, counts, version, probes, gap, classes, copies, leaks, doubtful labels, reasons and times are there."""
    text = PageReader(render(build_classification_audit(pictures))).plain
    for expected in (
        "Can these data be believed? In 144 images there are 2 errors that will make numbers computed from them wrong",
        "and 2 warnings that may. 1 check was not done.",
        "These data cannot be trusted yet",
        "Version of the data: 3f2a3f2a3f2a",
        "Rejected 20",
        "Border pixels only 31.0 % 28.0 % to 33.5 % 4.0 % 3,549",
        "+4.4 points 95 %: +3.1 to +5.6 points",
        "Random split: 97.0 % . Split by group: 92.6 %",
        "! Too few groups to be split",
        "the largest has 74 images, the smallest 24 (3.1 to 1)",
        "3 clusters of exact duplicates: 6 images with the same bytes. 4 clusters of near duplicates: 14 images",
        "In 2 of them the answers contradict each other.",
        "leaf-3 stands in train and in test.",
        "given Apple: apple scab looks like Tomato: healthy credibility 2.0 %",
        "\u2026 and 6 more in suspect_labels.csv",
        "12 image file is truncated 8",
        "metadata/exif No picture says when it was taken.",
        "pixels 12.3 s",
        "All 33.5 s",
    ):
        assert expected in text


def test_regression_page_has_distribution_correlations_and_explanations(pictures):
    """Quantities carry the user's unit, and what simple things explain is sorted."""
    audit = build_regression_audit(pictures)
    page = render(audit)
    text = PageReader(page).plain
    assert page.count("data:image/svg+xml") == 2
    assert "Smallest 5 % 25 % Median 75 % 95 % Largest" in text
    assert "Suggested transform: log1p" in text
    assert "age_days 0.47 0.42 60 11.5 %" in text
    assert "control 40 20 0.410 g 0.328 g 0.205 g" in text
    explained = [
        text.index(name) for name in ("Number of green pixels", "Tag burnt into the picture", "Border pixels A")
    ]
    assert explained == sorted(explained)
    assert "\u22120.07" in text
    assert "Values that are worth a look" in text
    assert "1 column is complete." in text


def test_clean_data_are_said_to_be_clean(pictures):
    """Where a check found nothing the page says so, and what does not exist has no section."""
    empty = {"findings": [], "rejected": {}, "quality": [], "duplicates": [], "leakage": [], "suspects": []}
    audit = build_classification_audit(pictures, **empty, probes=[], optimism=None, skipped={})
    reader = PageReader(render(audit))
    for expected in (
        "there is nothing that makes numbers computed from them wrong",
        "No fault was found",
        "Nothing worth acting on was found.",
        "No picture stands out",
        "No exact duplicates. No near duplicates.",
        "Nothing stands on both sides of it",
        "None: no picture clearly looks like others with another answer.",
        "every row and every image could be used",
    ):
        assert expected in reader.plain
    assert "shortcuts" not in [attrs.get("id") for _, attrs in reader.tags]
    assert 'id="leakage"' not in render(audit, leakage=None)


def test_check_that_was_not_done_is_not_called_clean(pictures):
    """Beside the reason why a check was not done, the page does not claim that it found nothing."""
    names = ("duplicates", "quality", "label noise", "leakage", "shortcut probes")
    empty = {"quality": [], "duplicates": [], "suspects": [], "leakage": None, "probes": [], "optimism": None}
    audit = build_classification_audit(pictures, **empty, skipped=dict.fromkeys(names, "too few images"))
    text = PageReader(render(audit)).plain
    for name in names:
        assert f"Not checked ({name}): too few images" in text
    for wrong in ("No exact duplicates", "No picture stands out", "None: every picture"):
        assert wrong not in text


@pytest.mark.parametrize(
    ("severities", "judgement", "badge"),
    [
        ([], "No fault was found", "good"),
        ([Severity.note], "No fault was found", "good"),
        ([Severity.note, Severity.warning], "To be used with care", "open"),
        ([Severity.warning, Severity.error], "These data cannot be trusted yet", "bad"),
    ],
)
def test_verdict_follows_the_worst_finding(severities, judgement, badge):
    """One error is enough."""
    findings = [Finding("other/thing", severity, f"title {severity}") for severity in severities]
    page = render(build_classification_audit(), findings=findings)
    assert f'<span class="badge {badge}">{judgement}</span>' in page


def test_names_with_markup_are_harmless(pictures):
    """Names, titles, reasons and file names with markup are shown as text."""
    audit = build_classification_audit(pictures, class_names=[EVIL, '"><img src=x onerror=alert(1)>'])
    finding = Finding(EVIL, Severity.error, EVIL, EVIL, EVIL, 1, [EVIL])
    page = build_audit_page(
        dataclasses.replace(
            audit.report, name=EVIL, findings=[finding], rejected={EVIL: 1}, leakage=[EVIL], skipped={EVIL: EVIL}
        ),
        audit.manifest,
        title=EVIL,
    )
    reader = PageReader(page)
    assert [tag for tag, _ in reader.tags].count("script") == 1
    assert not any(name.startswith("on") for _, attrs in reader.tags for name in attrs)
    assert EVIL in reader.plain


def test_names_that_are_odd_are_shown(pictures):
    """Quotes, other scripts, very long names and bytes that are not UTF-8 do not stop the page."""
    names = [
        "\u6c34\u7a32___\u8449\u67af\u75c5",
        "Blatt \"krank\" & 'welk'",
        "x" * 400,
        b"bl\xe4tt".decode("utf-8", "surrogateescape"),
    ]
    page = render(build_classification_audit(pictures, class_names=names))
    text = PageReader(page.encode("utf-8").decode("utf-8")).plain
    assert "\u6c34\u7a32: \u8449\u67af\u75c5" in text
    assert "Blatt \"krank\" & 'welk'" in text
    assert "bl\ufffdtt" in text


@pytest.mark.parametrize("manifest", ["gone", "empty", "bare"])
@pytest.mark.parametrize("build", [build_classification_audit, build_regression_audit])
def test_missing_pictures_do_not_break_the_page(build, manifest):
    """Files that are gone, no rows and no columns: the findings stand there with the names of the files."""
    audit = build()
    rows = {
        "gone": audit.manifest,
        "empty": audit.manifest.iloc[:0],
        "bare": pd.DataFrame(columns=["sample_id", "path"]),
    }
    page = build_audit_page(audit.report, rows[manifest], title="t")
    assert "data:image/jpeg" not in page
    assert audit.report.findings[0].sample_ids[0] in PageReader(page).plain


def test_rejected_examples_are_listed_beside_those_with_a_picture(pictures):
    """A picture that cannot be read has a grey tile among the others, so that no example is lost."""
    audit = build_classification_audit(pictures)
    ids = [audit.manifest["sample_id"].iloc[0], "broken/file.jpg"]
    page = render(audit, findings=[Finding("rejected/x", Severity.warning, "t", sample_ids=ids, count=9)])
    text = PageReader(page).plain
    assert "no picture broken/file.jpg \u2026 and 7 more." in text


def test_numbers_that_are_not_known_are_told(pictures):
    """Probes without a score, undefined correlations and very negative R² have their words."""
    bad = Probe("odd_name", "d", "r2", -3.0, 0.0, -9.0, -1.0, 10, "Worse than the mean.", Severity.note)
    gap = OptimismGap("r2", -0.1, -0.4, -0.3, -0.5, 0.1, 10, 5, "The other way round.")
    text = PageReader(render(build_regression_audit(pictures), probes=[bad], optimism=gap)).plain
    assert "Odd name" in text
    assert "\u22123.00" in text
    assert "\u22120.30 95 %: \u22120.50 to +0.10" in text
    unmeasured = PageReader(render(build_regression_audit())).plain
    assert "not measured guessing 0.00" in unmeasured
    assert "constant \u2013 \u2013 60" in unmeasured


def test_contradicting_copies_come_first_and_show_both_labels(pictures):
    """Of a large cluster the pictures with different labels are shown, and it stands before larger ones."""
    audit = build_classification_audit(pictures, ["a", "b"])
    ids = audit.manifest["sample_id"].tolist()
    clusters = [
        DuplicateCluster("exact", ids[:9], ["a"] * 9, conflicting=False, groups=[]),
        DuplicateCluster("near", ids[10:18], ["a"] * 7 + ["b"], conflicting=True, groups=["g1", "g2"]),
    ]
    text = PageReader(render(audit, duplicates=clusters, suspects=[])).plain
    assert text.index("Same picture, 8 files ! Contradicting answers in 2 groups: g1, g2") < text.index(
        "Same bytes, 9 files"
    )
    assert ids[17] in text[text.index("Same picture, 8 files") : text.index("Same bytes, 9 files")]


def test_exact_copies_within_a_cluster_are_told(pictures):
    """A byte copy beside a re-compression is no cluster of its own, and exact duplicates are not said to be absent."""
    audit = build_classification_audit(pictures)
    ids = audit.manifest["sample_id"].tolist()
    clusters = [DuplicateCluster("near", ids[:3], ["a"] * 3, conflicting=False, groups=[], files=2)]
    text = PageReader(render(audit, duplicates=clusters)).plain
    assert "1 cluster of near duplicates" in text
    assert "1 file has the same bytes as another" in text
    assert "No exact duplicates" not in text


def test_given_split_says_how_much_it_names(pictures):
    """Also where nothing leaks."""
    audit = build_classification_audit(pictures)
    text = PageReader(render(audit, leakage=[], coverage=SplitCoverage(60, 50, 3, ["z.png"]))).plain
    assert "It names 50 of the 60 images with an answer, and 3 that are not in the data." in text


def test_images_without_an_answer_may_stand_in_the_table(pictures):
    """Rows without label or target and group give pictures to findings and nothing else."""
    for audit, answer in (
        (build_classification_audit(pictures), "label"),
        (build_regression_audit(pictures), "target"),
    ):
        extra = pd.DataFrame({"sample_id": ["unlabelled.png"], "path": [str(pictures[0])], answer: [None]})
        rows = pd.concat([audit.manifest, extra.astype({answer: audit.manifest[answer].dtype})], ignore_index=True)
        finding = Finding("data/unlabelled", Severity.note, "t", count=1, sample_ids=["unlabelled.png"])
        page = build_audit_page(dataclasses.replace(audit.report, findings=[finding]), rows, title="t")
        assert 'alt="Photograph unlabelled.png"' in page


def test_no_images_at_all_still_give_a_page():
    """An inspection of a folder without one good picture says so."""
    report = build_classification_audit(counts={"rows": 3, "images": 0}, labels=[], probes=[], optimism=None).report
    report = dataclasses.replace(report, duplicates=[], quality=[], suspects=[], breakdowns=[], missing=[])
    page = build_audit_page(report, pd.DataFrame(columns=["sample_id", "path", "label", "group_id"]), title="t")
    assert "No image can be used." in PageReader(page).plain


def test_same_report_gives_the_same_page(pictures):
    """Neither a date nor a random id stands in the page."""
    audit = build_regression_audit(pictures)
    assert render(audit) == render(audit)


def test_large_data_stay_light(pictures):
    """38 classes, 54,306 images, 200 findings and 3,000 clusters give less than 3 MB in a few seconds."""
    names = [f"Tomato___A_disease_with_a_long_name_{number}" for number in range(38)]
    audit = build_classification_audit(pictures, names, n_per_class=1430, n_findings=200, n_clusters=3000)
    noise = np.random.default_rng(0).integers(0, 255, (256, 256, 3)).astype(np.uint8)
    for path in pictures:
        # Noise is what compresses worst.
        path.write_bytes(encode(noise, "JPEG", quality=95))
    started = time.perf_counter()
    page = render(audit)
    assert time.perf_counter() - started < 20  # a wide margin: 0.5 s on an idle machine
    assert len(page.encode()) < 3_000_000
    assert f"\u2026 and {3000 - CLUSTERS_SHOWN:,} more clusters in duplicates.csv" in PageReader(page).plain


def test_many_classes_and_suspects_are_cut(pictures):
    """What is left out is counted."""
    rows = [LabelRow(f"class {number}", 5, 2) for number in range(150)]
    suspects = [SuspectLabel(f"{number}.png", "class 1", "class 2", 0.1) for number in range(500)]
    text = PageReader(render(build_classification_audit(pictures), labels=rows, suspects=suspects)).plain
    assert "\u2026 and 50 more in inspect.json" in text
    assert "\u2026 and 476 more in suspect_labels.csv" in text


def test_sections_are_those_of_the_navigation(pictures):
    """A full report fills every place, in the order of the navigation."""
    reader = PageReader(render(build_classification_audit(pictures)))
    sections = [attrs["id"] for tag, attrs in reader.tags if tag == "section"]
    assert sections == list(SECTIONS)
    links = [attrs["href"][1:] for tag, attrs in reader.tags if tag == "a" and attrs["href"][1:] in SECTIONS]
    assert set(links) == set(SECTIONS)

"""The page of a watch, and the words in it."""

import dataclasses
import re

import numpy as np
import pytest
from PIL import Image

from factories.drift_reports import make_finding, make_report, make_rows, make_truth, make_watch
from factories.pages import PageReader
from phytoscope.errors import ArtifactError
from phytoscope.schema.drift import DriftKind, LookWindow
from phytoscope.schema.table import Task
from phytoscope.visualize.drift import choose_panels, plot_unlike
from phytoscope.visualize.drift_page import render_drift
from phytoscope.visualize.drift_words import format_chance, sort_fired, title_finding, word_look, word_truth


@pytest.fixture
def gallery(tmp_path):
    """A picture in place of the most unlike photographs."""
    Image.new("RGB", (400, 200), "green").save(tmp_path / "unlike.jpg", dpi=(200, 200))
    return tmp_path / "unlike.jpg"


@pytest.mark.parametrize("task", list(Task))
def test_page_holds_all_and_loads_nothing(task, gallery):
    """Verdict, changes, distributions, errors over time, all looks and pictures stand in one well-formed page."""
    page = PageReader(render_drift(make_watch(task, gallery=gallery)))
    assert all(address.startswith(("data:", "#")) for address in page.addresses)
    assert "leaves & <grain>" in page.plain
    assert "brightness 120 \u2192 90" in page.plain
    assert "changed, and answers have become worse" in page.plain
    assert "The new images name no plants." in page.plain
    assert "Only plants that somebody labelled count." in page.plain
    assert "The last looks together, where nothing was found" in page.plain
    names = [attrs["id"] for tag, attrs in page.tags if tag == "figure"]
    mix = ["class_mix"] if task is Task.classification else []
    assert names == ["then_now", *mix, "unlike_gallery", "errors_over_time", "looks_over_time"]
    assert ("40.0 %" if task is Task.classification else "6.00 g") in page.plain
    assert not any(tag == "b" for tag, _ in page.tags)


def test_quiet_page_asks_for_truth():
    """Where nothing is known of the errors, the page says how to find out, and does not call anything changed."""
    page = PageReader(render_drift(make_watch(truth=False, fired=False))).plain
    assert "no change found" in page
    assert "What was compared" in page
    assert "phytoscope drift truth /data/watch <1> TABLE" in page
    assert "have changed" not in page


def test_a_first_look_without_measures_still_has_a_page():
    """A package that measures no novelty, and a look whose findings say no numbers, leave out what is not known."""
    watch = make_watch(truth=False)
    empty = {"novelty": np.nan, "photo/brightness": np.nan}
    watch = dataclasses.replace(
        watch,
        reports=[make_report(1, [make_finding(DriftKind.features, "features", before=None, effect="")])],
        accepted=[1.0],
        reference=watch.reference.assign(**empty),
        batch=watch.batch.assign(**empty),
    )
    assert "Then and now" in PageReader(render_drift(watch)).plain


def test_a_lost_picture_is_said(tmp_path):
    """A page is not drawn with a hole."""
    with pytest.raises(ArtifactError, match="cannot be read"):
        render_drift(make_watch(gallery=tmp_path / "nowhere.jpg"))


def test_what_fired_is_drawn_first_and_what_never_moves_is_not():
    """Panels begin with the changes; a measure that is one number on both sides needs none."""
    watch = make_watch()
    names = choose_panels(watch.last, watch.reference, watch.batch)
    assert names[:2] == ["photo/brightness", "novelty"]
    assert not {"photo/highlights", "photo/side_px"} & set(names)
    assert choose_panels(watch.last, watch.reference, watch.batch.drop(columns="photo/brightness"))[0] == "novelty"


def test_the_plainest_cause_is_named_first():
    """Sharpness before verdicts, and what shows no difference in its numbers last."""
    findings = [
        make_finding(DriftKind.verdict, "verdict", p=1e-6, fired=True, before=None, effect="verdict"),
        make_finding(name="photo/plant", p=1e-5, fired=True, before=2.0, after=2.0, effect="same"),
        make_finding(name="photo/sharpness", p=1e-4, fired=True, before=2.0, after=0.5, effect="sharpness"),
        make_finding(name="photo/brightness", p=1e-4, fired=True, before=100.0, after=90.0, effect="brightness"),
    ]
    report = make_report(4, findings)
    assert [finding.effect for finding in sort_fired(report)] == ["sharpness", "brightness", "verdict", "same"]
    sentence = word_look(report)
    assert "sharpness; brightness; verdict; and 1 more" in sentence
    assert "camera, light or distance" in sentence
    assert "phytoscope drift truth" in sentence
    assert "phytoscope drift truth" not in word_look(report, has_truth=True)


@pytest.mark.parametrize(
    ("p_value", "text"),
    [(1.0, "100\u00a0%"), (0.25, "25\u00a0%"), (0.01, "1 in 100"), (1e-9, "below 1 in 1,000,000"), (0.0, "\u2013")],
)
def test_chances_are_read_easily(p_value, text):
    """Large ones as a percentage, small ones as one in so many, none as a dash."""
    assert format_chance(p_value) == text


def test_truth_is_worded_with_its_unit():
    """Shares for classes, the unit for numbers, and worse only when it is."""
    assert "have become worse: wrong answers 17.0\u00a0%, 5.0\u00a0%" in word_truth(make_truth())
    assert "mean error 2.70\u00a0g, 1.00\u00a0g" in word_truth(make_truth("g"))
    assert "not clearly worse" in word_truth(make_truth(fired=False))


@pytest.mark.parametrize("kind", list(DriftKind))
def test_every_kind_has_a_title(kind):
    """Nothing is shown under its name in the code."""
    name = "photo/sharpness" if kind is DriftKind.photo else kind.value
    title = title_finding(make_finding(kind, name, window=LookWindow.recent))
    assert re.fullmatch(r"[A-Z][A-Za-z ]+", title)


def test_the_most_unlike_are_shown_first():
    """Missing pictures are grey tiles; without novelty there is no gallery."""
    rows = make_rows(20)
    figure = plot_unlike(rows)
    captions = [ax.get_xlabel() for ax in figure.axes]
    strangest = rows.sort_values("novelty", ascending=False)
    assert len(captions) == 8
    assert f"novelty {strangest['novelty'].iloc[0]:.3f}" in captions[0]
    assert plot_unlike(rows.assign(novelty=np.nan)) is None

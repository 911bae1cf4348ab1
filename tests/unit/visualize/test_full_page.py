"""The page with everything that can be known of a model, and what it leaves out where something is not known."""

import dataclasses
import json
import re
from types import SimpleNamespace

import pytest
from PIL import Image

from factories.beliefs import build_full_regression
from factories.pages import PageReader
from factories.predictions import make_rejected
from phytoscope.schema.report import EvaluationReport
from phytoscope.visualize.figures import draw_figures
from phytoscope.visualize.html import render_report
from phytoscope.visualize.words import FIGURES

SECTIONS = ("unsure", "baselines", "results", "believe", "elsewhere", "mistakes", "explained", "spoiled", "data")
BELIEF = ("unsure", "believe", "elsewhere", "explained", "spoiled")


@pytest.fixture(scope="module")
def all_figures(tmp_path_factory):
    """A small picture for every figure that has words."""
    folder = tmp_path_factory.mktemp("figures")
    paths = {name: folder / f"{name}.png" for name in FIGURES}
    for path in paths.values():
        Image.new("RGB", (90, 60), "green").save(path, dpi=(300, 300))
    return paths


def render(run, figures=(), **changes):
    report = dataclasses.replace(run.report, **changes)
    tables = {"predictions": run.answers, "history": run.history, "manifest": run.manifest}
    return render_report(report, **tables, rejected=make_rejected(1), figures=dict(figures), facts={})


def places_of(page):
    return [attrs["id"] for tag, attrs in PageReader(page).tags if tag == "section"]


@pytest.mark.parametrize("name", ["full_diseases", "full_weights"])
def test_sections_stand_in_the_order_of_the_contents(request, all_figures, name):
    """Verdict in words, numbers, belief, elsewhere, failures, then data; each link of the contents leads somewhere."""
    page = render(request.getfixturevalue(name), all_figures)
    places = places_of(page)
    assert [place for place in places if place in SECTIONS] == list(SECTIONS)
    contents = page[page.index('<ol class="contents">') : page.index("</ol>")]
    assert re.findall(r'href="#(\w+)"', contents) == places


@pytest.mark.parametrize("name", ["full_diseases", "full_weights"])
def test_every_figure_is_shown_once_with_words(request, all_figures, name):
    """Whatever group a figure belongs to, the page has a place for it."""
    reader = PageReader(render(request.getfixturevalue(name), all_figures))
    shown = [attrs["id"] for tag, attrs in reader.tags if tag == "figure"]
    # Numbers have no probabilities, so nobody draws a reliability diagram of them.
    expected = set(all_figures) - ({"reliability"} if name == "full_weights" else set())
    assert sorted(shown) == sorted(expected)
    assert reader.plain.count("How to read this:") == len(expected)


def test_all_figures_of_belief_are_drawn(full_diseases, full_weights, find_leaf):
    """Classes have reliability and sets, numbers have intervals, both have verdicts, curve, sets, slices, spoiling."""
    both = {"coverage", "verdicts", "risk_coverage", "external_gallery", "slices", "robustness"}
    for run, own in ((full_diseases, {"reliability", "set_sizes", "home_and_away"}), (full_weights, {"intervals"})):
        tables = {"predictions": run.answers, "history": run.history, "manifest": run.manifest}
        figures = draw_figures(run.report, find_image=find_leaf, **tables)
        assert both | own <= set(figures) <= set(FIGURES)


def test_curves_of_one_point_are_not_drawn(full_weights, find_leaf):
    """Intervals of one width for all make no answer surer than another."""
    report = full_weights.report
    verdicts = dataclasses.replace(report.trust.verdicts, curve=report.trust.verdicts.curve[-1:])
    report = dataclasses.replace(report, trust=dataclasses.replace(report.trust, verdicts=verdicts), external=[])
    tables = {"predictions": full_weights.answers, "history": full_weights.history, "manifest": full_weights.manifest}
    assert "risk_coverage" not in draw_figures(report, find_image=find_leaf, **tables)


def test_page_of_classes_says_what_is_known(full_diseases):
    """Sentences about verdicts, promises, the orchard, slices, heat maps and spoiled pictures."""
    text = PageReader(render(full_diseases)).plain
    for expected in (
        "accepts 81, asks a person to look at 12 and rejects 7",
        "blurred: hold the camera still and let it focus",
        "The sets promise to hold the truth for 90 of 100",
        "with at most 1 wrong of 100 answered, 42 of 100 photographs can be answered",
        "Sets of rare classes are pooled.",
        "12 of 100 named rightly (between 7 and 18)",
        "Mango: die back (10)",
        "camera = phone (90 photographs): accuracy lower by 11.0 points",
        "The model looks at the background in 42 % of the 12 explained images",
        "What breaks it first: motion blur",
        "leaf-17 6 1 33 %",
    ):
        assert expected in text


def test_probabilities_without_calibration_have_one_column(full_diseases):
    """Nothing is shown before and after what did not happen."""
    trust = full_diseases.report.trust
    bare = dataclasses.replace(trust, calibration=dataclasses.replace(trust.calibration, kind="none"))
    assert "Measure Before After Calibration error" in PageReader(render(full_diseases)).plain
    assert "Measure Value Calibration error" in PageReader(render(full_diseases, trust=bare)).plain


def test_set_with_all_classes_has_no_column_for_fewer(full_diseases):
    """Where every class occurs, allowing only these changes nothing and is not shown."""
    orchard = dataclasses.replace(full_diseases.report.external[0], metrics_restricted=[])
    assert "only these classes" in render(full_diseases)
    assert "only these classes" not in render(full_diseases, external=[orchard])


def test_page_of_numbers_says_what_is_known(full_weights):
    """Intervals of each target, errors in the unit, what was not tried and why."""
    text = PageReader(render(full_weights)).plain
    for expected in (
        "Intervals of fresh_weight_total The intervals promise to hold the truth for 83 of 100",
        "Intervals of leaf area",
        "Accepted answers are off by 0.0310 g on average",
        "mean absolute error higher by 0.110 g",
        "zoom: it changes the true value",
    ):
        assert expected in text


def test_numbers_with_a_tolerance_can_be_wrong(leaf_picture):
    """Where the user said which error still counts as right, errors are shares."""
    text = PageReader(render(build_full_regression(leaf_picture, tolerance=0.1))).plain
    assert "Of the accepted answers 3 of 100 are wrong" in text
    assert "42 of 100 photographs can be answered" in text


def test_what_is_not_known_has_no_heading(diseases):
    """A report of an older version shows neither empty sections nor links to them."""
    run = diseases
    run.answers = run.predictions
    page = render(run)
    assert not set(BELIEF) & set(places_of(page))
    assert not any(f'href="#{place}"' in page for place in BELIEF)


@pytest.mark.parametrize(
    ("changes", "gone"),
    [
        ({"external": []}, {"elsewhere"}),
        ({"explanations": None}, {"explained"}),
        ({"robustness": None}, {"spoiled"}),
        ({"trust": None}, {"unsure", "believe"}),
    ],
)
def test_each_part_can_be_missing(full_diseases, changes, gone):
    """One missing part takes its own section away, and no other."""
    assert set(SECTIONS) - set(places_of(render(full_diseases, **changes))) == gone


def test_trust_without_calibration_split_keeps_the_verdicts(full_diseases):
    """Nothing was calibrated or promised: there is no section on belief, but verdicts were given."""
    trust = dataclasses.replace(full_diseases.report.trust, calibration=None, sets=None, remarks=[])
    verdicts = dataclasses.replace(trust.verdicts, answered_at={}, curve=[])
    page = render(full_diseases, trust=dataclasses.replace(trust, verdicts=verdicts))
    assert set(SECTIONS) - set(places_of(page)) == {"believe"}


@pytest.mark.parametrize("kept", ["remarks", "answered_at", "risk_coverage"])
def test_belief_is_shown_for_any_of_its_parts(full_diseases, all_figures, kept):
    """A remark, a line or the curve alone is enough to have the section, so that nothing is lost."""
    trust = dataclasses.replace(full_diseases.report.trust, calibration=None, sets=None)
    if kept != "remarks":
        trust = dataclasses.replace(trust, remarks=[])
    if kept != "answered_at":
        trust = dataclasses.replace(trust, verdicts=dataclasses.replace(trust.verdicts, answered_at={}))
    figures = {name: path for name, path in all_figures.items() if name == kept}
    assert "believe" in places_of(render(full_diseases, figures, trust=trust))


def test_unknown_field_is_said(full_diseases):
    """Without a further set the page says that nothing is known of the field, with one it does not."""
    assert "Nothing is known about other places" in render(full_diseases, external=[])
    assert "Nothing is known about other places" not in render(full_diseases)


def test_names_of_sets_and_slices_are_harmless(full_diseases):
    """Names with markup are shown as text, wherever they come from."""
    evil = "<img src=x onerror=alert(1)>"
    report = full_diseases.report
    external = [dataclasses.replace(report.external[0], name=evil, source=evil, remarks=[evil], foreign={evil: 2})]
    part = report.splits["test"]
    slices = [dataclasses.replace(row, column=evil, value=evil) for row in part.slices]
    splits = {**report.splits, "test": dataclasses.replace(part, slices=slices)}
    trust = dataclasses.replace(report.trust, remarks=[evil])
    trust = dataclasses.replace(trust, verdicts=dataclasses.replace(trust.verdicts, reasons={evil: 0.5}))
    reader = PageReader(render(full_diseases, external=external, splits=splits, trust=trust))
    assert not any(name.startswith("on") for _, attrs in reader.tags for name in attrs)
    assert reader.plain.count(evil) >= 6


def test_page_of_a_report_read_from_json_is_the_same(full_diseases):
    """Nothing on the page depends on more than report.json holds."""
    content = json.loads(json.dumps(full_diseases.report.to_dict()))
    again = SimpleNamespace(**{**vars(full_diseases), "report": EvaluationReport.from_dict(content)})
    assert render(again) == render(full_diseases)

"""The inspection's page in a real browser: wide and narrow, light and dark, with the keyboard, on paper."""

import shutil

import pytest

from factories.audits import build_classification_audit, build_regression_audit
from factories.images import write_image
from phytoscope.visualize.audit_page import build_audit_page
from phytoscope.visualize.audit_words import SECTIONS

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the path: install it to see the page rendered")

LONG = "Tomato___" + "Anthracnose_" * 25


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Address of the page of each task."""
    folder = tmp_path_factory.mktemp("pages")
    pictures = [write_image(folder / f"{seed}.png", seed, 40, 60) for seed in range(4)]
    audits = {
        "classes": build_classification_audit(pictures, [LONG, "Apple___rust", "Apple___healthy"], n_findings=40),
        "weight": build_regression_audit(pictures),
    }
    for name, audit in audits.items():
        page = build_audit_page(audit.report, audit.manifest, title=f"{name} <{LONG}>")
        (folder / f"{name}.html").write_text(page, encoding="utf-8")
    return {name: (folder / f"{name}.html").as_uri() for name in audits}


@pytest.mark.parametrize("name", ["classes", "weight"])
@pytest.mark.parametrize("width", [390, 1280])
def test_page_fits_every_screen(open_page, name, width):
    """Nothing is wider than the window, no picture is broken, nothing is asked of a network, no message is written."""
    page = open_page(name, width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("[...document.images].filter(image => image.naturalWidth === 0).length") == 0
    assert page.faults == []
    hidden = {"leakage"} if name == "weight" else set()
    for place in set(SECTIONS) - hidden:
        assert page.locator(f"#{place}").bounding_box()["height"] > 40


def test_rows_of_tables_stay_low_on_a_phone(open_page):
    """No column is squeezed until each letter has a line of its own."""
    page = open_page("weight", 390)
    assert page.evaluate("Math.max(...[...document.querySelectorAll('tbody tr')].map(row => row.offsetHeight))") < 160


def test_marks_stand_where_their_numbers_are(open_page):
    """The dot of the border probe is at 31 % of the chart, right of the line of guessing."""
    page = open_page("classes")
    row = page.locator("#probes li", has_text="Border pixels only")
    track, dot, line = (row.locator(name).bounding_box() for name in (".track", ".dot", ".line"))
    assert (dot["x"] + dot["width"] / 2 - track["x"]) / track["width"] == pytest.approx(0.31, abs=0.01)
    assert (line["x"] + line["width"] / 2 - track["x"]) / track["width"] == pytest.approx(0.04, abs=0.01)


def test_dark_scheme_has_light_text(open_page):
    """Readers at night get the dark colours of the other report."""
    page = open_page("classes", color_scheme="dark")
    brightness = "colour => colour.match(/\\d+/g).slice(0, 3).reduce((sum, part) => sum + Number(part), 0)"
    style = "getComputedStyle(document.querySelector('.finding h3'))"
    assert page.evaluate(f"({brightness})({style}.color)") > 500
    assert page.evaluate(f"({brightness})(getComputedStyle(document.body).backgroundColor)") < 150


def test_keyboard_reaches_findings_and_folded_tables(open_page):
    """The first stop of the tabulator skips to the findings, and a folded table opens with Enter."""
    page = open_page("classes")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the findings"
    page.keyboard.press("Enter")
    assert page.url.endswith("#findings")
    folded = page.locator("#findings details")
    folded.locator("summary").focus()
    page.keyboard.press("Enter")
    assert folded.evaluate("part => part.open")


def test_classes_can_be_sorted_by_images(open_page):
    """A click on the head sorts by number, not by text."""
    page = open_page("classes")
    page.locator("#content table.sortable th button").nth(1).click()
    counts = page.evaluate(
        "[...document.querySelectorAll('#content table.bars.sortable tbody tr')].map(r => +r.cells[1].dataset.value)"
    )
    assert counts == sorted(counts)
    assert len(counts) == 3


def test_paper_shows_what_is_folded(open_page):
    """For printing everything folded is opened."""
    page = open_page("classes")
    assert len(page.pdf()) > 20_000
    assert page.evaluate("[...document.querySelectorAll('details')].every(part => part.open)")

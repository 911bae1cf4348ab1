"""The report's page in a real browser: wide and narrow, light and dark, with the keyboard, on paper."""

import itertools
import shutil

import pytest
from PIL import Image

from factories.beliefs import build_full_classification, build_full_regression
from factories.predictions import make_rejected
from phytoscope.visualize.html import render_report
from phytoscope.visualize.words import FIGURES

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the path: install it to see the page rendered"),
]
LONG = "Tomato___" + "Anthracnose_" * 25


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Address of the page of each task."""
    folder = tmp_path_factory.mktemp("pages")
    picture = folder / "wide.png"
    Image.new("RGB", (2400, 900), "green").save(picture, dpi=(300, 300))
    addresses = {}
    for name, build in (("classes", build_full_classification), ("weight", build_full_regression)):
        run = build(picture)
        tables = {"predictions": run.answers, "history": run.history, "manifest": run.manifest}
        facts = {"settings": LONG}
        page = render_report(
            run.report, **tables, rejected=make_rejected(3), figures=dict.fromkeys(FIGURES, picture), facts=facts
        )
        (folder / f"{name}.html").write_text(page, encoding="utf-8")
        addresses[name] = (folder / f"{name}.html").as_uri()
    return addresses


@pytest.mark.parametrize("name", ["classes", "weight"])
@pytest.mark.parametrize("width", [390, 1280])
def test_page_fits_every_screen(open_page, name, width):
    """Nothing is wider than the window, no picture is broken, nothing is asked of a network, no message is written."""
    page = open_page(name, width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("[...document.images].filter(image => image.naturalWidth === 0).length") == 0
    assert page.faults == []
    assert page.evaluate("[...document.querySelectorAll('section')].every(part => part.offsetHeight > 60)")


def test_cards_stand_side_by_side_on_a_desk_and_below_each_other_on_a_phone(open_page):
    """Home, orchard and not a leaf are seen at one glance where there is room."""
    tops = "[...document.querySelectorAll('.card')].map(card => Math.round(card.getBoundingClientRect().top))"
    assert len(set(open_page("classes").evaluate(tops))) == 1
    assert len(set(open_page("classes", 390).evaluate(tops))) == 3


def test_bars_of_a_card_are_as_wide_as_their_shares(open_page):
    """Accepted 81, for review 12, rejected 7 of 100."""
    page = open_page("classes")
    script = "[...document.querySelector('.card .stack').children].map(bar => bar.getBoundingClientRect().width)"
    widths = page.evaluate(script)
    assert [width / sum(widths) for width in widths] == pytest.approx([0.81, 0.12, 0.07], abs=0.01)


def test_figures_can_be_read_on_a_phone(open_page):
    """A wide figure keeps a readable size and is moved sideways inside its own frame."""
    page = open_page("classes", 390)
    assert page.evaluate("document.querySelector('#coverage img').offsetWidth") >= 500
    frame = "document.querySelector('#coverage .paper')"
    assert page.evaluate(f"{frame}.scrollWidth > {frame}.clientWidth")


def test_links_of_the_contents_lead_to_headings(open_page):
    """Every entry has a place, and the place has a heading."""
    page = open_page("weight")
    found = page.evaluate(
        "[...document.querySelectorAll('.contents a')].map(a => document.querySelector(a.hash + ' h2') !== null)"
    )
    assert len(found) == 12
    assert all(found)


def test_headings_never_skip_a_level(open_page):
    """A reader of the headings alone finds the way."""
    levels = open_page("classes").evaluate(
        "[...document.querySelectorAll('h1, h2, h3, h4')].map(head => Number(head.tagName[1]))"
    )
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


def test_dark_scheme_has_light_text(open_page):
    """Readers at night get dark cards."""
    page = open_page("classes", color_scheme="dark")
    brightness = "colour => colour.match(/\\d+/g).slice(0, 3).reduce((sum, part) => sum + Number(part), 0)"
    card = "getComputedStyle(document.querySelector('.card'))"
    assert page.evaluate(f"({brightness})({card}.color)") > 500
    assert page.evaluate(f"({brightness})({card}.backgroundColor)") < 150


def test_keyboard_opens_folded_tables(open_page):
    """The first stop skips to the result, and a folded table opens with Enter."""
    page = open_page("classes")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the result"
    folded = page.locator("#believe details").first
    assert not folded.evaluate("part => part.open")
    folded.locator("summary").focus()
    page.keyboard.press("Enter")
    assert folded.evaluate("part => part.open")


def test_paper_shows_what_is_folded(open_page):
    """For printing everything folded is opened."""
    page = open_page("weight")
    assert len(page.pdf()) > 20_000
    assert page.evaluate("[...document.querySelectorAll('details')].every(part => part.open)")

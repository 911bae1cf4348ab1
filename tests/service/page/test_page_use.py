"""The web page in Chromium for everybody: keyboard, screen reader, phone, German, dark, history, table."""

import csv
import io
import itertools
import json

import pytest

from factories.page_visits import MARKUP, draw_picture

pytestmark = pytest.mark.slow
PICTURES = [("a.png", draw_picture()), ("b.png", draw_picture("dark")), ("c.png", draw_picture("small"))]


def find_violations(page):
    """Accessibility faults that axe-core calls serious or critical."""
    sync_playwright = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")
    found = sync_playwright.Axe().run(page).response["violations"]
    return [
        (each["id"], [node["html"][:120] for node in each["nodes"]])
        for each in found
        if each["impact"] in {"serious", "critical"}
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1100])
def test_every_state_can_be_used_by_everybody(visit_page, serve, scheme, width):
    """No serious accessibility fault, in contrast too, and nothing wider than the window: empty, answered, opened."""
    visit = visit_page(serve("several").url, width, color_scheme=scheme)
    page = visit.open()
    assert find_violations(page) == []
    assert visit.is_narrow()
    visit.ask(*PICTURES, ("notes.txt", b"none"))
    page.get_by_role("button", name="Show what this rests on").first.click()
    page.wait_for_selector(".stack img")
    for folded in page.locator("#answers details > summary").all():
        folded.click()
    page.wait_for_timeout(400)
    assert find_violations(page) == []
    assert visit.is_narrow()
    page.get_by_role("button", name="Delete all answers").click()
    assert find_violations(page) == []
    assert visit.faults == []


def test_everything_is_reached_with_the_keyboard(visit):
    """The first stop skips to the pictures; the place to drop them is a button that opens the chooser."""
    page, choosers = visit.page, []

    def note(chooser):
        choosers.append(chooser)

    # Long before it is needed, because the browser is told of it in the background.
    page.on("filechooser", note)
    visit.open()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the pictures"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "drop"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    visit.wait_until(lambda: choosers)
    choosers[0].set_files([{"name": "leaf.png", "mimeType": "image/png", "buffer": draw_picture()}])
    visit.wait_for(1)
    seen = []
    for _ in range(12):
        page.keyboard.press("Tab")
        seen.append(page.evaluate("document.activeElement.textContent.trim().slice(0, 24)"))
    for words in (
        "Show what this rests on",
        "This is right",
        "I know better: it is …",
        "Details",
        "Save all answers as a ta",
    ):
        assert words in seen


def test_headings_and_regions_tell_a_listener_where_she_is(visit):
    """Headings skip no level, every card is named by its file and its answer, and news is announced politely."""
    page = visit.open()
    visit.ask(*PICTURES)
    levels = page.evaluate(
        "[...document.querySelectorAll('h1, h2, h3, h4')].filter((h) => h.checkVisibility())"
        ".map((h) => Number(h.tagName[1]))"
    )
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    assert page.get_by_role("article", name="b.png No answer that can be believed").count() == 1
    assert page.get_by_role("status").first.inner_text() == "All 3 pictures are answered."


def test_phone_offers_its_camera(visit_page, serve):
    """With a finger there is a button that opens the camera at the back; everything large enough to be hit."""
    visit = visit_page(serve("page").url, 320, has_touch=True, is_mobile=True)
    page = visit.open()
    page.get_by_role("button", name="Take a photograph").wait_for(state="visible")
    assert page.locator("#camera").get_attribute("capture") == "environment"
    visit.ask(*PICTURES)
    assert visit.is_narrow()
    low = (
        "[...document.querySelectorAll('main button')].filter((b) => b.checkVisibility() && b.offsetHeight < 44).length"
    )
    assert page.evaluate(low) == 0


def test_german_reader_gets_german(visit_page, serve):
    """Language, numbers and the page's own mark follow the browser; a switch is remembered."""
    visit = visit_page(serve("several").url, locale="de-DE")
    page = visit.open()
    assert page.evaluate("document.documentElement.lang") == "de"
    card = visit.ask(("pflanze.png", draw_picture())).first
    assert "Danach können Sie handeln" in card.inner_text()
    assert "," in card.locator(".headline").inner_text()
    page.get_by_role("button", name="English").click()
    page.wait_for_function("() => document.documentElement.lang === 'en'")
    assert "You can act on this" in card.inner_text()
    assert "." in card.locator(".headline").inner_text()
    page.reload()
    page.wait_for_selector("html[data-ready]", state="attached")
    page.get_by_role("button", name="Choose pictures").wait_for(state="visible")


def test_history_survives_a_reload_and_can_be_deleted(visit):
    """Earlier answers open into whole ones, never leave the browser, and go when told to, after a question."""
    page = visit.open()
    visit.ask(*PICTURES)
    visit.wait_kept(3)
    page.reload()
    page.wait_for_selector("#earlier summary")
    lines = page.locator("#earlier > details")
    assert lines.count() == 3
    before = len([url for url in visit.asked if "/v1/predict" in url])
    lines.filter(has_text="a.png").locator("summary").first.click()
    lines.filter(has_text="a.png").locator(".bars").wait_for(state="visible")
    assert page.evaluate("[...document.querySelectorAll('#earlier img')].every((each) => each.naturalWidth > 0)")
    assert len([url for url in visit.asked if "/v1/predict" in url]) == before
    page.get_by_role("button", name="Delete all answers").click()
    page.get_by_role("button", name="Keep them").click()
    assert lines.count() == 3
    page.get_by_role("button", name="Delete all answers").click()
    page.get_by_role("button", name="Delete", exact=True).click()
    page.wait_for_function("() => document.querySelectorAll('#earlier > details').length === 0")
    page.reload()
    page.wait_for_selector("html[data-ready]", state="attached")
    assert not page.locator("#past").is_visible()


@pytest.mark.parametrize(("locale", "delimiter", "mark"), [("en-GB", ",", "."), ("de-DE", ";", ",")])
def test_table_holds_every_answer(visit_page, serve, locale, delimiter, mark):
    """The saved file has a row for each answer, numbers as the language writes them, and no cell that is a formula."""
    served = serve("page")
    visit = visit_page(served.url, locale=locale)
    page = visit.open()
    visit.ask(("=1+1.png", draw_picture()), ("notes.txt", b"none"))
    visit.wait_kept(1)
    with page.expect_download() as download:
        page.locator("#export").click()
    assert download.value.suggested_filename.endswith(".csv")
    content = download.value.path().read_bytes()
    assert content.startswith(b"\xef\xbb\xbf")
    rows = list(csv.DictReader(io.StringIO(content.decode("utf-8-sig")), delimiter=delimiter))
    assert [row["file"] for row in rows] == ["'=1+1.png"]
    answer = served.predictor.predict(draw_picture())
    assert rows[0]["label"] == answer.label
    assert float(rows[0]["probability"].replace(mark, ".")) == pytest.approx(answer.probability, abs=1e-4)
    assert mark in rows[0]["probability"]
    assert rows[0]["verdict"] == "accept"
    assert rows[0]["model_id"] == served.predictor.description.model_id


def test_each_number_has_columns_of_its_own(visit_page, serve):
    """All targets with their units and intervals, and what was given beside the picture."""
    visit = visit_page(serve("several").url)
    page = visit.open()
    page.get_by_role("spinbutton", name="Age").fill("12")
    visit.ask(("plant.png", draw_picture()))
    visit.wait_kept(1)
    with page.expect_download() as download:
        page.locator("#export").click()
    (row,) = csv.DictReader(io.StringIO(download.value.path().read_text(encoding="utf-8-sig")))
    answer = serve("several").predictor.predict(draw_picture(), covariates={"age": 12})
    assert float(row["value_fresh_weight"]) == pytest.approx(answer.value, abs=1e-3)
    assert float(row["upper_leaves"]) == pytest.approx(answer.uppers["leaves"], abs=1e-3)
    assert (row["unit_fresh_weight"], row["given_age"], row["label"]) == ("g", "12", "")


def test_cells_of_the_table_are_safe_in_a_spreadsheet(visit):
    """What begins like a formula gets a mark before it; numbers, also negative ones, stay numbers."""
    visit.open()
    cells = ["=1+1", "+1", "-1", "@a", "\t=1", " =1", 'a"b', "a,b", "a;b", "a\nb", MARKUP, -1.5, None]
    found = visit.call("table.js", f"{json.dumps(cells)}.map((cell) => m.writeCell(cell))")
    assert found[:6] == ["'=1+1", "'+1", "'-1", "'@a", "'\t=1", "' =1"]
    assert found[6:10] == ['"a""b"', '"a,b"', '"a;b"', '"a\nb"']
    assert found[11:] == ["-1.5", ""]


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("m.readable('Corn_(maize)___Common_rust_')", "Corn (maize) \u2013 Common rust"),
        ("m.formatShare(0.9999)", "over 99%"),
        ("m.formatShare(0)", "under 1%"),
        ("m.formatShare(0.874)", "87%"),
        ("m.formatNumber(1.23456, 0.05)", "1.235"),
        ("m.formatNumber(1234.5, 300)", "1,235"),
        ("m.formatNumber(null)", "\u2013"),
        ("m.formatNumber(0)", "0.00"),
        ("m.t('rest', { n: 1, share: '3%' })", "1 other class: 3%"),
        ("m.t('rest', { n: 2, share: '3%' })", "2 other classes together: 3%"),
    ],
)
def test_numbers_are_written_as_people_read_them(visit, script, words):
    """No answer is surer than it can be, and no number finer than what is known of it."""
    visit.open()
    assert visit.call("words.js", script) == words

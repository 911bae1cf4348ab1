"""The web page in Chromium, asking a real service: pictures in, answers in words, heat map, feedback."""

import pytest

from factories.page_visits import MARKUP, draw_picture

pytestmark = pytest.mark.slow


def test_dropped_picture_is_answered_in_words(visit):
    """A dropped leaf: what to do first, then the class, how sure, what else it may be; nothing asked elsewhere."""
    page = visit.open()
    card = visit.ask(("leaf.png", draw_picture())).first
    assert "You can act on this" in card.inner_text()
    assert card.locator(".verdict svg").count() == 1
    assert card.locator(".headline").inner_text() in {"Äpfel \u2013 Apple scab", "Rust", MARKUP}
    shares = card.locator(".bars .num").all_inner_texts()
    assert len(shares) == 3
    assert sum(float(share.rstrip("%")) for share in shares) == pytest.approx(100, abs=2)
    assert "at least 90 of 100 pictures" in card.inner_text()
    assert "tells 3 classes apart" in page.locator("#lead").inner_text()
    assert page.locator("#status").inner_text().startswith("leaf.png: You can act on this.")
    assert visit.outside() == []
    assert visit.faults == []


def test_answer_is_that_of_the_model(visit, serve):
    """The page shows the probabilities that the predictor gives for the same file."""
    visit.open()
    answer = serve("page").predictor.predict(draw_picture())
    card = visit.ask(("leaf.png", draw_picture())).first
    card.locator(".facts summary").click()
    shown = card.locator(".facts").inner_text()
    assert all(f"{name}: {100 * share:.0f}%" in shown for name, share in answer.probabilities.items())
    assert "48 \u00d7 48 px" in shown
    assert serve("page").predictor.description.model_id in shown


def test_each_verdict_says_what_to_do(visit):
    """Dark: another picture, and the guess is folded away; small: somebody should look, and the answer is shown."""
    page = visit.open()
    cards = visit.ask(
        ("dark.png", draw_picture("dark")), ("small.png", draw_picture("small")), ("a.png", draw_picture())
    )
    dark, small = cards.nth(0), cards.nth(1)
    assert "Take another picture" in dark.inner_text()
    assert "No answer that can be believed" in dark.inner_text()
    assert "The picture is too dark. Take it in daylight" in dark.inner_text()
    assert not dark.locator(".bars").is_visible()
    dark.get_by_text("What the model would have said").click()
    dark.locator(".bars").wait_for(state="visible")
    assert "Let somebody look" in small.inner_text()
    assert "too few pixels" in small.inner_text()
    small.locator(".bars").wait_for(state="visible")
    tally = page.locator("#tally li").all_inner_texts()
    assert [line.partition(" ")[0] for line in tally] == ["1", "1", "1"]
    assert page.locator("#status").inner_text() == "All 3 pictures are answered."


def test_heat_map_is_faded_in_with_the_keyboard(visit):
    """The map lies over the picture, and its slider has the focus at once and changes how strong it is."""
    page = visit.open()
    card = visit.ask(("leaf.png", draw_picture())).first
    card.get_by_role("button", name="Show what this rests on").click()
    slider = card.get_by_role("slider", name="Heat map, faint to strong")
    slider.wait_for()
    heat = card.locator(".stack .over")
    assert page.evaluate("[...document.querySelectorAll('.stack img')].every((each) => each.naturalWidth === 32)")
    before = float(heat.evaluate("each => getComputedStyle(each).opacity"))
    assert slider.evaluate("each => each === document.activeElement")
    page.keyboard.press("ArrowLeft")
    assert float(heat.evaluate("each => getComputedStyle(each).opacity")) == pytest.approx(before - 0.05)
    page.keyboard.press("Home")
    assert float(heat.evaluate("each => getComputedStyle(each).opacity")) == 0
    assert slider.get_attribute("aria-valuetext") == "0 %"
    assert visit.faults == []


def test_what_a_person_knows_better_reaches_the_service(visit, serve):
    """The true class is chosen, sent and kept by the service; the page says so, and remembers it."""
    page = visit.open()
    card = visit.ask(("leaf.png", draw_picture())).first
    card.get_by_text("I know better").click()
    card.get_by_label("It is").select_option("rust")
    card.get_by_label("Remark").fill("seen by hand")
    card.get_by_role("button", name="Send to the service").click()
    card.get_by_text("Thank you, the service has noted it.").wait_for()
    assert serve("page").read_feedback()[-1] == ("rust", None, None, "seen by hand")
    page.get_by_role("button", name="Deutsch").click()
    page.get_by_text("Sie haben dem Dienst gesagt: rust").wait_for()


def test_weight_comes_with_its_interval(visit_page, serve):
    """The main number with unit and interval, the second one beside it, and what is known of the plant counts."""
    served = serve("several")
    visit = visit_page(served.url)
    page = visit.open()
    page.get_by_role("spinbutton", name="Age").fill("12")
    page.get_by_label("State").select_option("dry")
    card = visit.ask(("plant.png", draw_picture())).first
    answer = served.predictor.predict(draw_picture(), covariates={"age": 12, "state": "dry"})
    assert answer.value != pytest.approx(served.predictor.predict(draw_picture()).value, abs=0.02)
    words = card.inner_text().replace("\u00a0", " ")
    assert card.locator(".headline").inner_text() == f"{answer.value:.1f}\u00a0g"
    assert f"between {answer.lower:.1f} and {answer.upper:.1f} g" in words
    assert "at least 90 of 100 plants" in words
    assert "Leaves" in card.locator("dl.more").inner_text()
    card.locator(".facts summary").click()
    assert "age: 12, state: dry" in card.inner_text()


def test_measured_plant_is_told_to_the_service(visit_page, serve):
    """A measured number goes to the target that was chosen."""
    visit = visit_page(serve("several").url)
    visit.open()
    card = visit.ask(("plant.png", draw_picture())).first
    card.get_by_text("I have measured it").click()
    card.get_by_label("What was measured").select_option("leaves")
    card.get_by_label("Measured value").fill("7")
    card.get_by_role("button", name="Send to the service").click()
    card.get_by_text("Thank you").wait_for()
    assert serve("several").read_feedback()[-1] == (None, "leaves", 7.0, None)


def test_names_with_markup_stay_text(visit_page, serve):
    """Neither a file's name nor a class name runs as a script or makes an element."""
    visit = visit_page(serve("page").url)
    page = visit.open()
    card = visit.ask((f"{MARKUP}.png", draw_picture())).first
    assert MARKUP in card.locator(".file").inner_text()
    card.get_by_text("I know better").click()
    card.locator(".facts summary").click()
    assert MARKUP in card.inner_text()
    visit.wait_kept(1)
    page.reload()
    page.wait_for_selector("#earlier summary")
    assert f"{MARKUP}.png" in page.locator("#earlier").inner_text()
    assert page.evaluate("window.hit") is None
    assert page.locator("img[src=x]").count() == 0
    assert visit.faults == []

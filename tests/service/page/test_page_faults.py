"""The web page in Chromium where something is wrong: files, keys, the connection, a busy service."""

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image

from factories.page_visits import draw_picture
from factories.services import running_service

pytestmark = pytest.mark.slow
BUSY = {"error": {"code": "too_busy", "message": "try again in 1 s.", "request_id": "a1"}}


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("notes.txt", b"nothing to see here", "This file is not a picture"),
        ("empty.jpg", b"", "This file is empty"),
        ("phone.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "Most Compatible"),
        ("cut.png", draw_picture()[:200], "broken or incomplete"),
    ],
)
def test_bad_file_is_told_in_words_and_the_others_are_answered(visit, name, content, words):
    """Each kind of file that cannot be answered says why and what to do, and goes away when asked to."""
    page = visit.open()
    cards = visit.ask((name, content), ("leaf.png", draw_picture()))
    assert words in cards.nth(0).inner_text()
    assert "Not answered" in cards.nth(0).inner_text()
    assert "You can act on this" in cards.nth(1).inner_text()
    cards.nth(0).get_by_role("button", name="Remove").click()
    assert cards.count() == 1
    assert page.evaluate("document.activeElement.id") == "drop"
    assert visit.faults == []


def test_file_that_is_no_picture_is_not_sent(visit):
    """What cannot be answered costs no upload."""
    visit.open()
    visit.ask(("notes.txt", b"nothing to see here"))
    assert not any(url.endswith("/v1/predict") for url in visit.asked)


def test_large_picture_is_sent_smaller_and_the_page_says_so(visit):
    """A picture with more pixels than the service takes becomes a copy that it takes; a small one is sent as it is."""
    page = visit.open()
    wide = io.BytesIO()
    Image.fromarray(np.full((300, 400, 3), 130, dtype=np.uint8)).save(wide, "PNG")
    script = """(async ([large, small], limits) => {
      const file = (text) => new File([Uint8Array.from(atob(text), (c) => c.charCodeAt(0))], "a.png");
      const sizes = [];
      for (const text of [large, small]) {
        const sent = await m.prepare(file(text), limits);
        const bitmap = await createImageBitmap(sent.blob);
        sizes.push([sent.name, sent.copied, bitmap.width, bitmap.height]);
      }
      return sizes;
    })"""
    texts = [base64.b64encode(content).decode() for content in (wide.getvalue(), draw_picture())]
    found = visit.call("pictures.js", f"{script}({json.dumps(texts)}, {{max_mb: 5, max_megapixels: 0.03}})")
    (large, small) = found
    assert large[:2] == ["a.jpg", "shrunk"]
    assert large[2] * large[3] <= 30_000
    assert large[2] / large[3] == pytest.approx(4 / 3, abs=0.02)
    assert small == ["a.png", "", 48, 48]
    assert page.evaluate("document.querySelectorAll('.answer').length") == 0


def test_picture_of_an_unknown_kind_is_sent_as_jpeg(visit):
    """What the browser can open and the service cannot is turned into what both can, and the card says so."""
    content = io.BytesIO()
    Image.open(io.BytesIO(draw_picture())).save(content, "GIF")
    visit.open()
    card = visit.ask(("leaf.gif", content.getvalue())).first
    assert "You can act on this" in card.inner_text()
    assert "A JPEG copy of the same size was sent" in card.inner_text()


def test_busy_service_is_waited_for(visit):
    """An answer 429 is no fault: the card says that it waits, and the answer comes by itself."""
    page = visit.open()
    tries = []

    def refuse(route):
        tries.append(route.request.url)
        if len(tries) > 1:
            route.fallback()
        else:
            route.fulfill(status=429, json=BUSY, headers={"Retry-After": "1"})

    page.route("**/v1/predict", refuse)
    visit.drop(("leaf.png", draw_picture()))
    page.get_by_text("The service is busy; this waits and tries again by itself").wait_for()
    assert "You can act on this" in visit.wait_for(1).first.inner_text()
    assert len(tries) == 2
    assert visit.faults == []


def test_waiting_picture_can_be_cancelled(visit):
    """A picture that waits goes away when it is cancelled, and the others go on."""
    page = visit.open()
    page.route("**/v1/predict", lambda route: route.fulfill(status=429, json=BUSY, headers={"Retry-After": "30"}))
    visit.drop(*[(f"leaf{number}.png", draw_picture()) for number in range(4)])
    page.get_by_role("button", name="Cancel leaf0.png").click()
    page.wait_for_function("() => document.querySelectorAll('#answers .answer').length === 3")
    page.get_by_role("button", name="Cancel all that wait").click()
    page.wait_for_function("() => document.querySelectorAll('#answers .answer').length === 0")
    assert not page.locator("#now").is_visible()


def test_lost_connection_is_told_and_goes_on_by_itself(visit):
    """Without a network the page says so; when it is back, the picture is sent again without being asked."""
    page = visit.open()
    visit.context.set_offline(True)
    cards = visit.ask(("leaf.png", draw_picture()))
    assert "The service cannot be reached" in cards.first.inner_text()
    page.get_by_role("alert").get_by_text("cannot be reached").wait_for(state="visible")
    visit.context.set_offline(False)
    cards.first.get_by_text("You can act on this").wait_for()
    page.wait_for_function("() => document.getElementById('notice').textContent === ''")


def test_key_is_asked_for_and_kept_until_the_tab_is_closed(visit_page, serve, tmp_path):
    """Nothing is shown before the key is right; a wrong one is told; another window asks again."""
    from phytoscope.api.keys import add_key

    file = tmp_path / "keys.json"
    secret = add_key(file, "lab")
    package = serve("page").package
    with running_service(package, f"serve.keys={file}", "serve.decoders=1", folder=tmp_path / "service") as service:
        visit = visit_page(service.url)
        page = visit.open()
        field = page.get_by_label("Key", exact=True)
        assert field.evaluate("each => each === document.activeElement")
        field.fill("wrong")
        field.press("Enter")
        page.get_by_text("The service does not know this key").wait_for()
        field.fill(secret)
        field.press("Enter")
        page.get_by_text("tells 3 classes apart").wait_for()
        assert not field.is_visible()
        assert "You can act on this" in visit.ask(("leaf.png", draw_picture())).first.inner_text()
        page.reload()
        page.get_by_text("tells 3 classes apart").wait_for()
        assert page.evaluate("JSON.stringify(localStorage)").count(secret) == 0
        visit_page(service.url).open().get_by_label("Key", exact=True).wait_for(state="visible")

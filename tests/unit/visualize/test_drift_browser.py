"""The page of a watch in a real browser: wide and narrow, light and dark."""

import shutil

import pytest
from PIL import Image

from factories.drift_reports import make_watch
from phytoscope.schema.table import Task
from phytoscope.visualize.drift_page import render_drift

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        shutil.which("chromium") is None and shutil.which("chromium-browser") is None,
        reason="no chromium on the path: install it to see the page rendered",
    ),
]


@pytest.fixture(scope="module")
def addresses(tmp_path_factory):
    """Address of the page of each task."""
    folder = tmp_path_factory.mktemp("pages")
    Image.new("RGB", (1400, 800), "green").save(folder / "unlike.jpg", dpi=(200, 200))
    for task in Task:
        page = render_drift(make_watch(task, gallery=folder / "unlike.jpg"))
        (folder / f"{task.value}.html").write_text(page, encoding="utf-8")
    return {task: (folder / f"{task.value}.html").as_uri() for task in Task}


@pytest.mark.parametrize("task", list(Task))
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_fits_every_screen(browser, addresses, task, width, scheme):
    """Nothing is wider than the window, no picture is broken, nothing is asked of a network, no message is written."""
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    faults, asked = [], []
    page.on("console", lambda message: faults.append(message.text))
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on(
        "request", lambda request: None if request.url.startswith(("file:", "data:")) else faults.append(request.url)
    )
    page.goto(addresses[task])
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("[...document.images].filter(image => image.naturalWidth === 0).length") == 0
    page.click("summary")
    assert page.evaluate("document.querySelector('details').open")
    assert faults == []
    assert all(address.startswith(("file:", "data:")) for address in asked)
    page.close()

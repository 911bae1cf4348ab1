"""Reports and tables that the tests of figures and of the page share."""

import shutil

import pytest
from PIL import Image

from factories.beliefs import build_full_classification, build_full_regression
from factories.reports import build_classification, build_regression

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture
def diseases():
    """A classification run with long class names."""
    return build_classification(n_per_class=6, accuracy=0.8)


@pytest.fixture
def weights():
    """A regression run in grams."""
    return build_regression()


@pytest.fixture(scope="session")
def leaf_picture(tmp_path_factory):
    """One picture that stands for every photograph."""
    path = tmp_path_factory.mktemp("leaf") / "leaf.png"
    Image.new("RGB", (60, 40), (40, 140, 60)).save(path)
    return path


@pytest.fixture(scope="session")
def full_diseases(leaf_picture):
    """A classification run of which everything is known; nobody changes it."""
    return build_full_classification(leaf_picture)


@pytest.fixture(scope="session")
def full_weights(leaf_picture):
    """A regression run of which everything is known; nobody changes it."""
    return build_full_regression(leaf_picture)


@pytest.fixture
def find_leaf(tmp_path):
    """A finder that knows one picture for every sample but those numbered 001."""
    path = tmp_path / "leaf.png"
    Image.new("RGB", (60, 40), (40, 140, 60)).save(path)
    return lambda sample_id: None if "001" in sample_id else path


@pytest.fixture(scope="module")
def browser():
    """Chromium, without a network."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def open_page(browser, pages):
    """Opens a page of the module's `pages` and collects what goes wrong: console messages and addresses asked for."""
    contexts = []

    def open_one(name, width=1280, **settings):
        context = browser.new_context(viewport={"width": width, "height": 900}, **settings)
        contexts.append(context)
        page = context.new_page()
        page.faults = []
        page.on("console", lambda message: page.faults.append(message.text))
        page.on("pageerror", lambda error: page.faults.append(str(error)))
        page.on("request", lambda request: page.faults.append(request.url) if _is_outside(request.url) else None)
        page.goto(pages[name])
        return page

    yield open_one
    for context in contexts:
        context.close()


def _is_outside(address):
    return not address.startswith(("file:", "data:"))

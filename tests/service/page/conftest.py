"""Services with tiny models, and a browser that visits their page."""

import sqlite3
from dataclasses import dataclass
from pathlib import Path

import pytest

from factories.page_visits import CHROMIUM, Visit, make_judged_package
from factories.services import running_service
from phytoscope.predict.predictor import Predictor


@dataclass
class Served:
    """A running service and the model that it serves.

    Attributes:
        url: Its address.
        package: What it serves.
        predictor: The model, for the numbers that the page must show.
        records: Its database.
    """

    url: str
    package: Path
    predictor: Predictor
    records: str

    def read_feedback(self):
        """Label, target, value and comment of all feedback that the service has, the newest last."""
        with sqlite3.connect(self.records) as base:
            rows = base.execute("SELECT label, target, value, comment FROM phytoscope_feedback ORDER BY at").fetchall()
        base.close()
        return rows


@pytest.fixture(scope="session")
def serve(tmp_path_factory):
    """Starts the service of one model, once for all tests."""
    running, stack = {}, []

    def start(meaning):
        if meaning not in running:
            folder = tmp_path_factory.mktemp("page")
            predictor = make_judged_package(folder / "package", meaning)
            service = running_service(folder / "package", "serve.threads=1", "serve.decoders=1")
            stack.append(service)
            running[meaning] = Served(
                service.__enter__().url, folder / "package", predictor, str(folder / "service" / "records.db")
            )
        return running[meaning]

    yield start
    for service in reversed(stack):
        service.__exit__(None, None, None)


@pytest.fixture(scope="module")
def browser():
    """Chromium."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("no chromium on the path: install it to use the page")
    with sync_api.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def visit_page(browser):
    """Visits an address in a window of its own, which remembers nothing of other tests; closes it in the end."""
    contexts = []

    def visit_one(url, width=1100, **settings):
        wishes = {"locale": "en-GB", "timezone_id": "Europe/Berlin", **settings}
        contexts.append(browser.new_context(viewport={"width": width, "height": 800}, **wishes))
        return Visit(contexts[-1], url)

    yield visit_one
    for context in contexts:
        context.close()


@pytest.fixture
def visit(visit_page, serve):
    """The page of a classifier."""
    return visit_page(serve("page").url)

"""A person's visits to the service's page: a browser, a package with known verdicts, pictures to drop."""

import base64
import io
import shutil
import time
from unittest.mock import patch

import numpy as np
from PIL import Image

from factories import packages
from phytoscope.models.meaning import Meaning
from phytoscope.trust.photo import PhotoLimits
from phytoscope.trust.trust import Trust

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
MARKUP = "<img src=x onerror=window.hit=1>"
MEANINGS = {"page": Meaning(class_names=(MARKUP, "Äpfel___Apple_scab", "rust"))}
PATIENCE_MS = 60_000
_DROP = """([element, files]) => {
  const carried = new DataTransfer();
  for (const [name, type, text] of files) {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    carried.items.add(new File([bytes], name, { type }));
  }
  element.dispatchEvent(new DragEvent("dragover", { dataTransfer: carried, bubbles: true, cancelable: true }));
  element.dispatchEvent(new DragEvent("drop", { dataTransfer: carried, bubbles: true, cancelable: true }));
}"""


def make_judged_package(folder, meaning):
    """Writes a package that rejects dark pictures, asks for a review of small ones, and accepts all others."""
    make_trust = packages.make_trust

    def judge(task, **wishes):
        trust = make_trust(task, **wishes)
        photo = PhotoLimits(lowest={"brightness": 40.0, "side_px": 30.0})
        return Trust(task, sets=trust.sets, intervals=trust.intervals, photo=photo, limits=trust.limits)

    with patch.object(packages, "make_trust", judge), patch.dict(packages.MEANINGS, MEANINGS):
        return packages.make_package(folder, meaning)


def draw_picture(kind="good", file_format="PNG"):
    """Bytes of a picture that is `good`, `dark` or `small`."""
    rng = np.random.default_rng(0)
    side = 20 if kind == "small" else 48
    level = 10 if kind == "dark" else 130
    pixels = np.clip(rng.normal((level, 1.25 * level, level), 5, (side, side, 3)), 0, 255).astype(np.uint8)
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, file_format)
    return content.getvalue()


class Visit:
    """One page in a window of its own, and what went wrong on it.

    Attributes:
        page: Playwright's page.
        faults: Messages of the console and errors of scripts; answers that are no success are not among them.
        asked: All addresses that were asked for.
    """

    def __init__(self, context, url):
        self.context, self.url = context, url
        self.page = context.new_page()
        self.page.set_default_timeout(PATIENCE_MS)
        self.faults, self.asked = [], []
        self.page.on("console", self._note)
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))

    def _note(self, message):
        # The browser itself writes a line for each answer that is no success, for which the page has words of its own.
        if not message.text.startswith("Failed to load resource"):
            self.faults.append(message.text)

    def open(self):
        """Opens the page and waits until it knows the model, or wants something first."""
        self.page.goto(self.url)
        self.page.wait_for_selector("html[data-ready]", state="attached")
        return self.page

    def drop(self, *files):
        """Drops files, (name, content) each, onto the page."""
        kinds = {"png": "image/png", "jpg": "image/jpeg"}
        carried = [
            [name, kinds.get(name[-3:], ""), base64.b64encode(content).decode("ascii")] for name, content in files
        ]
        self.page.evaluate(_DROP, [self.page.query_selector("#drop"), carried])

    def wait_for(self, count):
        """Waits until so many pictures are answered, or failed; gives their cards."""
        self.page.wait_for_function(
            "count => document.querySelectorAll('#answers .answer:not(.waiting)').length >= count", arg=count
        )
        return self.page.locator("#answers .answer")

    def wait_until(self, look):
        """Looks again and again, while the browser goes on, until something is found."""
        deadline = time.monotonic() + PATIENCE_MS / 1000
        while not look():
            assert time.monotonic() < deadline, "not in time"
            self.page.wait_for_timeout(50)

    def ask(self, *files):
        """Drops files and waits for all of them; gives the cards."""
        self.drop(*files)
        return self.wait_for(len(files))

    def outside(self):
        """Addresses of other places that were asked for."""
        return [url for url in self.asked if not url.startswith((self.url, "data:", "blob:"))]

    def is_narrow(self):
        """Whether nothing is wider than the window."""
        return self.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")

    def call(self, module, expression):
        """Gives the value of an expression in which one of the page's own modules is `m`."""
        place = self.page.evaluate("document.querySelector('script[type=module]').src").rpartition("/")[0]
        return self.page.evaluate(f"import('{place}/{module}').then((m) => {expression})")

    def wait_kept(self, count):
        """Waits until the browser has kept so many answers."""
        self.wait_until(lambda: self.call("history.js", "m.readAll().then((all) => all.length)") == count)

"""Takes the pictures of the web page's guide: drawn leaves and plants, shown to the service.

Run as `python docs/make_service_pictures.py FOLDER`; what the folder holds already is used. Two heads are trained on
drawn pictures, which takes some minutes; a browser named chromium takes the pictures through Playwright.
"""

import contextlib
import io
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests
from PIL import Image, ImageFilter

from phytoscope.data.synthetic import draw_leaf_dataset, draw_rosette_dataset
from phytoscope.schema.artifact import write_atomic, write_folder_atomic

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

_IMAGES = Path(__file__).parent / "images"
_START_S, _PATIENCE_MS = 180, 120_000
_COMMON = ("model=efficientnet_lite0", "model.input_size_px=160", "adapt=head", "seed=0", "package.onnx=never")
_PLANT = "image_127.png"
_LEAVES = {"rust": "leaf-07.jpg", "late_blight": "leaf-15.jpg"}


def take_pictures(folder: Path) -> None:
    """Makes both models unless they are there, serves them, and pictures what a person sees."""
    from playwright.sync_api import sync_playwright

    browser_path = shutil.which("chromium")
    if browser_path is None:
        message = "chromium is not on the PATH: install it to take the pictures."
        raise SystemExit(message)
    disease = _train(folder, "plantvillage", "leaves", "leaf-diseases", draw_leaf_dataset)
    biomass = _train(folder, "farmbot_biomass", "rosettes", "plant-weight", draw_rosette_dataset)
    leaves = _choose_leaves(folder)
    plant = folder / "rosettes" / "images_med_res" / _PLANT
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
        with _served(disease) as address:
            _picture_answers(browser, address, leaves)
            _picture_heat(browser, address, leaves[0])
        with _served(biomass) as address:
            _picture_phone(browser, address, plant)
        browser.close()


def _train(folder: Path, kind: str, data: str, name: str, draw: Callable[..., Any]) -> Path:
    root, run = folder / data, folder / name
    if not root.is_dir():
        with write_folder_atomic(root) as temporary:
            draw(temporary, seed=0)
    words = [f"data={kind}", f"data.root={root}", f"name={name}", f"paths.run_dir={run}", *_COMMON]
    if not (run / "package" / "package.json").is_file():
        command = [sys.executable, "-m", "phytoscope", "run", *words, f"paths.cache_dir={folder / 'cache'}"]
        subprocess.run(command, check=True)  # noqa: S603 (our own command)
    return run / "package"


def _choose_leaves(folder: Path) -> list[Path]:
    """One leaf as a camera sees it, and one that is out of focus."""
    chosen = folder / "chosen"
    chosen.mkdir(exist_ok=True)
    for kind, name in _LEAVES.items():
        found = sorted((folder / "leaves" / f"Drawn___{kind}").glob("*.JPG"))[5]
        with Image.open(found) as picture:
            large = picture.convert("RGB").resize((640, 640), Image.Resampling.LANCZOS)
        if kind == "late_blight":
            large = large.filter(ImageFilter.GaussianBlur(14))
        large.save(chosen / name, quality=92)
    return [chosen / name for name in _LEAVES.values()]


@contextlib.contextmanager
def _served(package: Path) -> Iterator[str]:
    command = [sys.executable, "-m", "phytoscope", "serve", str(package), "serve.port=0", "serve.records=false"]
    process = subprocess.Popen(  # noqa: S603 (our own command)
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    try:
        address = ""
        for line in process.stdout or ():
            if found := re.search(r"Listening on (http://\S+)", line):
                address = found[1]
                break
        deadline = time.monotonic() + _START_S
        while not requests.get(f"{address}/readyz", timeout=_START_S).ok:
            if time.monotonic() > deadline:
                message = "the service did not get ready"
                raise RuntimeError(message)
            time.sleep(0.2)
        yield address
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.communicate()


def _open(browser: "Browser", address: str, pictures: list[Path], width: int, height: int, **settings: Any) -> "Page":
    context = browser.new_context(viewport={"width": width, "height": height}, locale="en-GB", **settings)
    page = context.new_page()
    page.set_default_timeout(_PATIENCE_MS)
    # Without the movement of cards that come up, which a picture may catch in the middle.
    page.emulate_media(reduced_motion="reduce", color_scheme=settings.get("color_scheme", "light"))
    page.goto(address)
    page.wait_for_selector("html[data-ready]", state="attached")
    page.set_input_files("#files", [str(picture) for picture in pictures])
    page.wait_for_function(
        "count => document.querySelectorAll('#answers .answer:not(.waiting)').length >= count", arg=len(pictures)
    )
    return page


def _picture_answers(browser: "Browser", address: str, pictures: list[Path]) -> None:
    page = _open(browser, address, pictures, 1040, 900)
    page.evaluate("scrollTo(0, 0)")
    _keep(page.screenshot(full_page=True), "service_page.png")
    page.context.close()


def _picture_heat(browser: "Browser", address: str, picture: Path) -> None:
    page = _open(browser, address, [picture], 1040, 900)
    card = page.locator("#answers .answer").first
    card.locator(".actions button").first.click()
    page.wait_for_selector(".stack img")
    page.mouse.move(0, 0)
    page.wait_for_timeout(500)
    _keep(card.screenshot(), "service_heat.png")
    page.context.close()


def _picture_phone(browser: "Browser", address: str, picture: Path) -> None:
    """The same page on a phone, by day in English and by night in German, side by side."""
    shots = []
    for scheme, language in (("light", "English"), ("dark", "Deutsch")):
        page = _open(
            browser,
            address,
            [picture],
            390,
            844,
            device_scale_factor=2,
            has_touch=True,
            is_mobile=True,
            color_scheme=scheme,
        )
        page.get_by_role("button", name=language).click()
        page.wait_for_timeout(300)
        page.evaluate("document.getElementById('now').scrollIntoView()" if scheme == "light" else "scrollTo(0, 0)")
        shots.append(Image.open(io.BytesIO(page.screenshot())).convert("RGB"))
        page.context.close()
    gap = 48
    both = Image.new("RGB", (sum(shot.width for shot in shots) + gap, shots[0].height), "#9aa79f")
    for place, shot in enumerate(shots):
        both.paste(shot, (place * (shot.width + gap), 0))
    drawn = io.BytesIO()
    both.save(drawn, format="png")
    _keep(drawn.getvalue(), "service_phone.png")


def _keep(content: bytes, name: str) -> None:
    with write_atomic(_IMAGES / name) as temporary, Image.open(io.BytesIO(content)) as picture:
        # The colours of a heat map need all their shades.
        flat = picture.convert("RGB")
        kept = flat if picture.height < 700 else flat.quantize(256)
        kept.save(temporary, format="png", optimize=True)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    take_pictures(Path(sys.argv[1]))

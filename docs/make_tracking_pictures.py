"""Pictures MLflow's pages of a finished run for the docs: `python docs/make_tracking_pictures.py runs/mlflow NAME`.

`NAME` is the name of a run in the store `runs/mlflow/mlflow.db`. Needs Chromium (`/usr/bin/chromium`, or what
`CHROMIUM` names) and a minute.
"""

import contextlib
import io
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import requests
from mlflow import MlflowClient
from PIL import Image
from playwright.sync_api import Page, sync_playwright

from phytoscope.schema.artifact import write_atomic
from phytoscope.track.target import local_uri

_WIDTH, _HEIGHT = 1500, 940
_START_S = 120
_CURVES = "train/loss|val/(loss|r2|rmse)"


def draw_mlflow(store: Path, name: str) -> None:
    """Draws docs/images/mlflow.png: the curves of a run, and below them its scatter plot among its files.

    Args:
        store: Folder of `mlflow.db`.
        name: Name of the run.
    """
    client = MlflowClient(local_uri(store))
    (run,) = client.search_runs([each.experiment_id for each in client.search_experiments()], f"run_name = '{name}'")
    with _served(store) as address, _opened() as page:
        place = f"{address}/#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}"
        pictures = [
            _picture(page, f"{place}/model-metrics", wait_for=".js-plotly-plot", search=_CURVES),
            _picture(page, f"{place}/artifacts/figures/predicted_vs_actual.png", wait_for="img[src^='blob:']"),
        ]
    both = Image.new("RGB", (_WIDTH, sum(picture.height for picture in pictures)))
    for number, picture in enumerate(pictures):
        both.paste(picture, (0, sum(above.height for above in pictures[:number])))
    with write_atomic(Path(__file__).parent / "images" / "mlflow.png") as temporary:
        both.resize((both.width * 3 // 4, both.height * 3 // 4)).quantize(128).save(temporary, optimize=True)


@contextlib.contextmanager
def _served(store: Path) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", local_uri(store)]
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    process = subprocess.Popen(  # noqa: S603 (our own command)
        command,
        env={**os.environ, **quiet},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        address = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + _START_S
        while not _answers(address):
            if process.poll() is not None or time.monotonic() > deadline:
                message = "the MLflow server did not start"
                raise RuntimeError(message)
            time.sleep(0.2)
        yield address
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _answers(address: str) -> bool:
    try:
        return requests.get(f"{address}/health", timeout=5).ok
    except requests.RequestException:
        return False


@contextlib.contextmanager
def _opened() -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=os.environ.get("CHROMIUM", "/usr/bin/chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page(viewport={"width": _WIDTH, "height": _HEIGHT})
        yield page
        browser.close()


def _picture(page: Page, address: str, *, wait_for: str, search: str = "") -> Image.Image:
    page.goto(address)
    page.wait_for_selector(wait_for, timeout=60_000)
    if (close := page.get_by_label("Close", exact=True)).count():
        # The assistant takes a third of the page.
        close.first.click()
    if (kind := page.get_by_text("Model training", exact=True)).count():
        # Else the menu beside the run is that for language models.
        kind.first.click()
        page.goto(address)
        page.wait_for_selector(wait_for, timeout=60_000)
    if search:
        page.get_by_placeholder("Search metric charts").fill(search)
    # Curves and pictures are drawn a moment after they are there.
    page.wait_for_timeout(3000)
    return Image.open(io.BytesIO(page.screenshot())).convert("RGB")


if __name__ == "__main__":
    draw_mlflow(Path(sys.argv[1]), sys.argv[2])

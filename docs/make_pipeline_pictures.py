"""Takes the pictures of the pipeline's guide: the drawn plants taken the whole way, seen in Dagster's page.

Run as `python docs/make_pipeline_pictures.py FOLDER`; what the folder holds already is used. A browser named chromium
takes the pictures through Playwright.
"""

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from phytoscope.pipeline.headless import run_partition
from phytoscope.pipeline.new_workspace import new_workspace
from phytoscope.pipeline.servers import Servers, run_servers
from phytoscope.pipeline.workspace import Workspace

if TYPE_CHECKING:
    from playwright.sync_api import Page

_IMAGES = Path(__file__).parent / "images"
_WIDTH, _HEIGHT = 1500, 620
_PORT, _MLFLOW_PORT = 3071, 5071
_PATIENCE_MS = 120_000


def take_pictures(folder: Path) -> None:
    """Makes the run unless it is there, starts the pages and takes their pictures."""
    workspace = new_workspace(folder, ["biomass"]).workspace
    run_partition(workspace, "biomass", say=print)
    with run_servers(workspace, port=_PORT, mlflow_port=_MLFLOW_PORT) as servers:
        _photograph(workspace, servers)


def _photograph(workspace: Workspace, servers: Servers) -> None:
    from playwright.sync_api import sync_playwright

    browser_path = shutil.which("chromium")
    if browser_path is None:
        message = "chromium is not on the PATH: install it to take the pictures."
        raise SystemExit(message)
    dagster = next(server.address for server in servers.started if server.name == "Dagster")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": _WIDTH, "height": _HEIGHT})
        page.goto(f"{dagster}/asset-groups", timeout=_PATIENCE_MS)
        _wait(page, "registry")
        # The page's own key for opening all groups.
        page.keyboard.press("Alt+KeyE")
        _wait(page, "promoted_model")
        _keep(page, workspace.root / "lineage.png", _IMAGES / "dagster.png")
        page.goto(f"{dagster}/assets/model_evaluation?view=partitions&partition=biomass", timeout=_PATIENCE_MS)
        _wait(page, "test/rmse")
        _keep(page, workspace.root / "asset.png", _IMAGES / "dagster_asset.png")
        browser.close()


def _wait(page: "Page", text: str) -> None:
    page.get_by_text(text).first.wait_for(timeout=_PATIENCE_MS)
    # The page draws its graph a little after its words.
    page.wait_for_timeout(4000)


def _keep(page: "Page", taken: Path, kept: Path) -> None:
    page.screenshot(path=str(taken))
    with Image.open(taken) as picture:
        picture.convert("RGB").quantize(128).save(kept, format="png", optimize=True)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    take_pictures(Path(sys.argv[1]))

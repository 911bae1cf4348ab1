"""Other people's layouts as one table that every command reads: COCO annotations and Hugging Face image folders."""

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd
from PIL import Image

from phytoscope.data.readers.read_table import read_table
from phytoscope.data.readers.split_names import is_split_name, official_split_of
from phytoscope.data.source import find_file, find_folder
from phytoscope.errors import ConfigError, DataNotFoundError, DataValidationError, ImageReadError
from phytoscope.schema.artifact import write_atomic
from phytoscope.schema.progress import Progress
from phytoscope.transforms.decode import IMAGE_SUFFIXES, read_image

_METADATA_NAMES = ("metadata.csv", "metadata.jsonl", "metadata.parquet")


@dataclass(frozen=True)
class Imported:
    """What an import made.

    Attributes:
        table: One row an image: `image` (relative to `images`), `label` where there are classes, `split` where there
            is an official one, and whatever else the source knows.
        images: Folder that the names are relative to.
        notes: What a reader should know, one sentence each.
    """

    table: pd.DataFrame
    images: Path
    notes: list[str]


def import_image_folder(folder: Path) -> Imported:
    """Reads Hugging Face's image folder: `train/CLASS/image.png`, `CLASS/image.png`, or images beside a metadata table.

    Args:
        folder: Root; folders named train, validation or test in it are an official split. `metadata.csv`,
            `metadata.jsonl` or `metadata.parquet` with a column `file_name` brings further columns.

    Raises:
        DataNotFoundError: The folder does not exist or holds no image.
        DataValidationError: A metadata table has no column `file_name` or cannot be read.
    """
    root = find_folder(str(folder), "FOLDER")
    parts = find_split_folders(root)
    rows: list[dict[str, Any]] = []
    notes: list[str] = []
    for part in parts or [root]:
        split = official_split_of(pd.Series([part.name])).iloc[0] if parts else None
        described, note = _read_metadata(part)
        notes += note
        for path in sorted(part.rglob("*")):
            if path.suffix.lower() not in IMAGE_SUFFIXES or not path.is_file():
                continue
            row: dict[str, Any] = {"image": path.relative_to(root).as_posix()}
            inside = path.relative_to(part).parts
            if len(inside) > 1 and "label" not in described.columns:
                row["label"] = inside[0]
            if split is not None:
                row["split"] = split
            name = path.relative_to(part).as_posix()
            more = described.loc[name].to_dict() if name in described.index else {}
            rows.append(row | {str(key): value for key, value in more.items()})
    if not rows:
        message = f"{str(root)!r} holds no image ({', '.join(sorted(IMAGE_SUFFIXES))}): name the folder above them."
        raise DataNotFoundError(message)
    return Imported(pd.DataFrame(rows), root, notes)


def find_split_folders(root: Path) -> list[Path]:
    """Folders of an official split directly in a folder: `train`, `validation`, `test`, ...; none where it has classes.

    Raises:
        DataValidationError: Some folders are named after splits and some are not: nobody can tell what they are.
    """
    folders = sorted(entry for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    parts = [entry for entry in folders if is_split_name(entry.name)]
    others = [entry.name for entry in folders if entry not in parts]
    # One class may well be called "test"; two names of splits are a split.
    if len(parts) > 1 and others:
        message = (
            f"{str(root)!r} holds {', '.join(repr(entry.name) for entry in parts)}, which name a split, beside "
            f"{', '.join(map(repr, others[:5]))}: move the others away, or rename them after a split."
        )
        raise DataValidationError(message)
    return [] if others else parts


def import_coco(
    annotations: Sequence[Path], images: Path, *, crops: Path | None, max_megapixels: float, progress: Progress
) -> Imported:
    """Reads COCO annotations (Lin et al. 2014, doi 10.1007/978-3-319-10602-1_48) as one row an image or one a box.

    Without `crops` an image has a label only if all its annotations are of one category; the number of annotations and
    their summed area come along as `n_annotations` and `area_px`, which are targets of their own for counting and size.
    With `crops` every box becomes a picture of its own, grouped by the image it was cut from.

    Args:
        annotations: JSON files; where there are several, each is one split, named after the split word in its name.
        images: Folder of the images.
        crops: Folder to write the boxes' pictures into.
        max_megapixels: Larger images are not cut.
        progress: Told about every image that is cut.

    Raises:
        ConfigError: Several files are given and one names no split, or the folder of the crops is not empty.
        DataNotFoundError: A file or folder does not exist, or there is no image in the annotations.
        DataValidationError: A file is not COCO's format.
        StorageError: The crops cannot be written.
    """
    root = find_folder(str(images), "--images")
    if crops is not None and crops.is_dir() and any(crops.iterdir()):
        message = f"--crops {str(crops)!r} is not empty: choose a new folder, so that nothing of yours is replaced."
        raise ConfigError(message)
    tables, notes = [], []
    for path in annotations:
        content = _read_coco(find_file(str(path), "ANNOTATIONS"))
        split = _split_word(path, needed=len(annotations) > 1)
        table = _coco_images(content) if crops is None else _coco_boxes(content)
        if split is not None:
            table["split"] = split
            if crops is not None:
                # Every file counts its annotations from one.
                table["image"] = split + "/" + table["image"]
        tables.append(table)
    table = pd.concat(tables, ignore_index=True)
    if table.empty:
        message = f"{', '.join(str(path) for path in annotations)}: no image in the annotations."
        raise DataNotFoundError(message)
    if crops is None:
        mixed = int((table["n_categories"] > 1).sum())
        if mixed > 0:
            notes.append(f"{mixed} images show several categories and have no label; --crops DIR cuts out every box")
        return Imported(table.drop(columns="n_categories"), root, notes)
    table, failed = _cut(table, root, crops, max_megapixels, progress)
    if failed:
        shown = "; ".join(f"{name} ({reason})" for name, reason in list(failed.items())[:5])
        notes.append(f"{len(failed)} images could not be cut: {shown}")
    return Imported(table, crops, notes)


def write_import(imported: Imported, output: Path) -> None:
    """Writes the table as CSV.

    Raises:
        StorageError: The place cannot be written.
    """
    with write_atomic(output) as temporary:
        imported.table.to_csv(temporary, index=False)


def _read_metadata(folder: Path) -> tuple[pd.DataFrame, list[str]]:
    path = next((folder / name for name in _METADATA_NAMES if (folder / name).is_file()), None)
    if path is None:
        return pd.DataFrame(), []
    try:
        table = pd.read_json(path, lines=True) if path.suffix == ".jsonl" else read_table(path)
    except ValueError as error:
        message = f"{str(path)!r} cannot be read ({error}): save it again as text in UTF-8."
        raise DataValidationError(message) from error
    if "file_name" not in table.columns:
        message = f"{str(path)!r} has no column 'file_name'; its columns are {', '.join(map(str, table.columns))}."
        raise DataValidationError(message)
    repeated = int(table["file_name"].duplicated().sum())
    absent = [name for name in table["file_name"].dropna() if not (folder / str(name)).is_file()]
    notes = []
    if repeated > 0:
        notes.append(f"{path.name} of {folder.name!r} lists {repeated} images twice; the first row counts")
    if absent:
        notes.append(f"{path.name} of {folder.name!r} lists {len(absent)} images that do not exist, e.g. {absent[0]!r}")
    return table.drop_duplicates("file_name").set_index("file_name"), notes


def _read_coco(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        images = [{"id": row["id"], "file_name": str(row["file_name"])} for row in content["images"]]
        categories = {row["id"]: str(row["name"]) for row in content["categories"]}
        boxes = [
            {
                "image_id": row["image_id"],
                "id": row["id"],
                "label": categories.get(row["category_id"]),
                "category": row["category_id"],
                "area": float(row.get("area") or 0.0),
                "bbox": [float(value) for value in row["bbox"]] if row.get("bbox") else None,
            }
            for row in content["annotations"]
        ]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        message = (
            f"{str(path)!r} is not COCO's format ({type(error).__name__}: {error}): expected the lists images (id, "
            "file_name), annotations (id, image_id, category_id, bbox) and categories (id, name)."
        )
        raise DataValidationError(message) from error
    outside = [row["file_name"] for row in images if _leaves_folder(row["file_name"])]
    if outside:
        message = f"{str(path)!r}: {outside[0]!r} lies outside of the image folder; names must be relative to it."
        raise DataValidationError(message)
    nameless = [row for row in boxes if row["label"] is None]
    if nameless:
        message = (
            f"{str(path)!r}: {len(nameless)} annotations have a category that is not in the list of categories, for "
            f"example annotation {nameless[0]['id']!r} with category {nameless[0]['category']!r}."
        )
        raise DataValidationError(message)
    odd = [row["id"] for row in boxes if not re.fullmatch(r"[\w-]{1,64}", str(row["id"]))]
    if odd:
        message = f"{str(path)!r}: annotation id {odd[0]!r}; expected a number, or a word of letters, digits, _ and -."
        raise DataValidationError(message)
    known = {row["id"] for row in images}
    lost = [row["id"] for row in boxes if row["image_id"] not in known]
    if lost:
        message = f"{str(path)!r}: {len(lost)} annotations belong to no image, for example annotation {lost[0]!r}."
        raise DataValidationError(message)
    return {"images": images, "boxes": boxes}


def _leaves_folder(name: str) -> bool:
    path = PurePosixPath(name.replace("\\", "/"))
    return path.is_absolute() or ".." in path.parts


def _split_word(path: Path, *, needed: bool) -> str | None:
    # The year of COCO's own files stands behind the word: instances_train2017.json.
    words = [word.rstrip("0123456789") for word in re.split(r"[^a-z0-9]+", path.stem.lower())]
    found = next((str(official_split_of(pd.Series([word])).iloc[0]) for word in words if is_split_name(word)), None)
    if needed and found is None:
        message = (
            f"{path.name!r} names no split: with several files each must hold a word such as train, val or test in its "
            "name, for example instances_train.json."
        )
        raise ConfigError(message)
    return found


def _coco_images(content: dict[str, Any]) -> pd.DataFrame:
    labels: dict[Any, Counter[str]] = {row["id"]: Counter() for row in content["images"]}
    area: Counter[Any] = Counter()
    for box in content["boxes"]:
        labels[box["image_id"]][box["label"]] += 1
        area[box["image_id"]] += box["area"]
    return pd.DataFrame(
        [
            {
                "image": row["file_name"],
                "label": next(iter(labels[row["id"]])) if len(labels[row["id"]]) == 1 else None,
                "n_annotations": labels[row["id"]].total(),
                "area_px": area[row["id"]],
                "n_categories": len(labels[row["id"]]),
            }
            for row in content["images"]
        ]
    )


def _coco_boxes(content: dict[str, Any]) -> pd.DataFrame:
    names = {row["id"]: row["file_name"] for row in content["images"]}
    return pd.DataFrame(
        [
            {
                "image": f"{names[box['image_id']]}__{box['id']}.png",
                "label": box["label"],
                "cut_from": names[box["image_id"]],
                "bbox": box["bbox"],
            }
            for box in content["boxes"]
        ],
        columns=["image", "label", "cut_from", "bbox"],
    )


def _cut(
    table: pd.DataFrame, images: Path, crops: Path, max_megapixels: float, progress: Progress
) -> tuple[pd.DataFrame, dict[str, str]]:
    failed: dict[str, str] = {}
    done: list[int] = []
    progress.start("Cutting boxes", table["cut_from"].nunique())
    for name, part in table.groupby("cut_from", sort=False):
        progress.advance()
        try:
            pixels = read_image(images / str(name), max_megapixels=max_megapixels)
        except ImageReadError as error:
            failed[str(name)] = error.reason
            continue
        height, width = pixels.shape[:2]
        for line, target, bbox in zip(part.index.tolist(), part["image"], part["bbox"], strict=True):
            x, y, w, h = bbox if bbox is not None else (0.0, 0.0, 0.0, 0.0)
            left, top = max(0, int(x)), max(0, int(y))
            right, bottom = min(width, round(x + w)), min(height, round(y + h))
            if right <= left or bottom <= top:
                failed[str(target)] = "the box lies outside of the image or is empty"
                continue
            with write_atomic(crops / str(target)) as temporary:
                Image.fromarray(pixels[top:bottom, left:right]).save(temporary, format="PNG")
            done.append(line)
    progress.finish()
    return table.loc[done].drop(columns="bbox").reset_index(drop=True), failed

"""A drawn leaf disease data set: a folder of class folders, with a leaf map and a few faults."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from phytoscope.data.synthetic.drawing import ByteImage
from phytoscope.data.synthetic.files import (
    DrawnDataset,
    check_at_least,
    check_common,
    copy_file,
    empty_file,
    make_folder,
    random_stream,
    random_uuid,
    truncate_file,
    write_bytes,
    write_image,
)
from phytoscope.data.synthetic.leaf_photo import draw_leaf, photograph_leaf
from phytoscope.transforms.backgrounds import replace_background

__all__ = ["LEAF_CLASSES", "draw_field_leaves", "draw_leaf_dataset"]

LEAF_MAP_NAME = "leaf-map.json"
_NOTE_NAME = "note.txt"
_NOTE = "Camera battery changed after the first tray.\n"
_FAULT_STREAM = 1_000_003
_FIELD_STREAM = 1_000_033


@dataclass(frozen=True)
class _LeafClass:
    """Folder name, tag in the file names and key of the lesions (None: healthy) of a class."""

    folder: str
    tag: str
    disease: str | None


_CLASSES = (
    _LeafClass("Drawn___healthy", "DR_HL", None),
    _LeafClass("Drawn___late_blight", "DR_Late.B", "late_blight"),
    _LeafClass("Drawn___leaf_spot", "DR_Leaf.S", "leaf_spot"),
    _LeafClass("Drawn___powdery_mildew", "DR_Pwd.M", "powdery_mildew"),
    _LeafClass("Drawn___rust", "DR_Rust", "rust"),
)

LEAF_CLASSES: tuple[str, ...] = tuple(item.folder for item in _CLASSES)


def draw_leaf_dataset(
    root: Path,
    *,
    leaves_per_class: int = 40,
    photos_per_leaf: int = 3,
    size_px: int = 256,
    seed: int = 0,
    on_image: Callable[[int], None] | None = None,
) -> DrawnDataset:
    """Draw single leaves on grey paper, healthy or with one of four diseases, laid out as PlantVillage is.

    The photographs of one leaf show the same blade and the same lesions in another pose, light and noise;
    `leaf-map.json` in the root says which belong together. Light, paper, shape, pose and green tone vary
    independently of the class. Four faults are planted: one truncated and one empty picture, one exact copy under
    another name in the same class folder, one text file among the pictures.

    Args:
        root: Folder to write to; created if absent, files of the same name are replaced.
        leaves_per_class: Leaves of each class in `LEAF_CLASSES`.
        photos_per_leaf: Photographs of each leaf.
        size_px: Side of the square pictures in pixels.
        seed: Seed, 0 or more: the same seed gives the same bytes.
        on_image: Called after each picture with the number of pictures written so far.

    Returns:
        What was written, and where the faults are: keys `truncated`, `zero_byte`, `duplicate` (the original, then its
        copy) and `stray_file`, each with paths relative to the root.

    Raises:
        ConfigError: A number is too small.
        StorageError: The folder cannot be written to.
    """
    check_at_least("leaves_per_class", leaves_per_class, 1)
    check_at_least("photos_per_leaf", photos_per_leaf, 1)
    check_common(size_px, seed)
    leaf_map: dict[str, list[str]] = {}
    written: dict[str, list[str]] = {leaf_class.folder: [] for leaf_class in _CLASSES}
    for folder in LEAF_CLASSES:
        make_folder(root / folder)
    photos = _photographs(leaves_per_class, photos_per_leaf, size_px, seed)
    for count, (folder, leaf, name, picture) in enumerate(photos, start=1):
        write_image(root / folder / name, picture)
        leaf_map[_photo_tag(name)] = [f"{folder}:::{leaf}.0"]
        written[folder].append(name)
        if on_image is not None:
            on_image(count)
    faults, copy_name = _plant_faults(root, written, seed)
    leaf_map[_photo_tag(copy_name)] = leaf_map[_photo_tag(Path(faults["duplicate"][0]).name)]
    if on_image is not None:
        on_image(len(leaf_map))
    write_bytes(root / LEAF_MAP_NAME, (json.dumps(leaf_map, indent=1) + "\n").encode())
    return DrawnDataset(root=root, images=len(leaf_map), planted_faults=faults)


def draw_field_leaves(
    root: Path,
    *,
    leaves_per_class: int = 8,
    size_px: int = 256,
    seed: int = 0,
    on_image: Callable[[int], None] | None = None,
) -> DrawnDataset:
    """Draw one photograph each of further leaves of the same classes, set before soil, foliage, sky and other grounds.

    What a model from `draw_leaf_dataset`'s grey paper is worth outside shows on these.

    Args:
        root: Folder to write to; created if absent, files of the same name are replaced.
        leaves_per_class: Leaves of each class in `LEAF_CLASSES`.
        size_px: Side of the square pictures in pixels.
        seed: Seed, 0 or more: no leaf of `draw_leaf_dataset` with the same seed is among them.
        on_image: Called after each picture with the number of pictures written so far.

    Returns:
        What was written; there are no faults.

    Raises:
        ConfigError: A number is too small.
        StorageError: The folder cannot be written to.
    """
    check_at_least("leaves_per_class", leaves_per_class, 1)
    check_common(size_px, seed)
    count = 0
    for class_index, leaf_class in enumerate(_CLASSES):
        make_folder(root / leaf_class.folder)
        for leaf in range(leaves_per_class):
            rng = random_stream(seed, _FIELD_STREAM, class_index, leaf)
            blade = draw_leaf(rng, leaf_class.disease, size_px=size_px)
            picture = replace_background(photograph_leaf(blade, rng, size_px=size_px), rng)
            write_image(root / leaf_class.folder / f"field_{leaf + 1:03d}.jpg", picture)
            count += 1
            if on_image is not None:
                on_image(count)
    return DrawnDataset(root=root, images=count, planted_faults={})


def _photographs(
    leaves_per_class: int, photos_per_leaf: int, size_px: int, seed: int
) -> Iterator[tuple[str, int, str, ByteImage]]:
    """Class folder, leaf number from 1, file name and picture of each photograph."""
    for class_index, leaf_class in enumerate(_CLASSES):
        # Photo numbers run leaf after leaf, as a photographer's do, from another start in each class.
        number = 1001 + 137 * class_index
        for leaf in range(leaves_per_class):
            blade = draw_leaf(random_stream(seed, class_index, leaf), leaf_class.disease, size_px=size_px)
            for photo in range(photos_per_leaf):
                rng = random_stream(seed, class_index, leaf, photo + 1)
                name = f"{random_uuid(rng)}___{leaf_class.tag} {number}.JPG"
                yield leaf_class.folder, leaf + 1, name, photograph_leaf(blade, rng, size_px=size_px)
                number += 1


def _photo_tag(name: str) -> str:
    """Key of a photograph in the leaf map."""
    return name.split("___", 1)[1].rsplit(".", 1)[0].lower()


def _plant_faults(root: Path, written: dict[str, list[str]], seed: int) -> tuple[dict[str, list[str]], str]:
    """Damage one picture each of two classes, copy one of a third, leave a note in a fourth; names the copy too."""
    rng = random_stream(seed, _FAULT_STREAM)
    classes = [_CLASSES[index] for index in rng.permutation(len(_CLASSES))]
    picks = [
        written[leaf_class.folder][int(rng.integers(len(written[leaf_class.folder])))] for leaf_class in classes[:3]
    ]
    folders = [leaf_class.folder for leaf_class in classes]
    truncate_file(root / folders[0] / picks[0])
    empty_file(root / folders[1] / picks[1])
    last_number = int(written[folders[2]][-1].rsplit(" ", 1)[1].removesuffix(".JPG"))
    copy_name = f"{random_uuid(rng)}___{classes[2].tag} {last_number + 1}.JPG"
    copy_file(root / folders[2] / picks[2], root / folders[2] / copy_name)
    write_bytes(root / folders[3] / _NOTE_NAME, _NOTE.encode())
    faults = {
        "truncated": [f"{folders[0]}/{picks[0]}"],
        "zero_byte": [f"{folders[1]}/{picks[1]}"],
        "duplicate": [f"{folders[2]}/{picks[2]}", f"{folders[2]}/{copy_name}"],
        "stray_file": [f"{folders[3]}/{_NOTE_NAME}"],
    }
    return faults, copy_name

"""Draws photographs to practise the tutorials with, so that nobody needs data of their own to follow them.

Usage:

    python docs/draw_practice_photos.py few FOLDER         50 labelled photographs, 120 without labels, 90 for the end
    python docs/draw_practice_photos.py label FOLDER LIST  files what a list names into the class folders of `few`
    python docs/draw_practice_photos.py german FOLDER      leaves in class folders, and plants with a German table
"""

import shutil
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pandas as pd

from phytoscope.data.synthetic import draw_rosette_dataset
from phytoscope.data.synthetic.files import random_stream, write_image
from phytoscope.data.synthetic.leaf_photo import draw_leaf, photograph_leaf
from phytoscope.schema.artifact import write_folder_atomic

_FEW = (None, "leaf_spot", "rust")
_GERMAN_CLASSES = {None: "gesund", "leaf_spot": "Blattflecken", "powdery_mildew": "Mehltau", "rust": "Rost"}
_GERMAN_LEAVES = 12
_FIRST, _ASIDE, _LATER = (9, 8, 8), 20, 15
"""Leaves of each class of `few`: labelled at first, waiting for a label, kept for the end."""
_SIZE_PX, _SEED = 192, 7
_GERMAN = {
    "filename": "Bild",
    "plant": "Pflanze",
    "age_days": "Alter (Tage)",
    "condition": "Behandlung",
    "fresh_weight_total": "Frischgewicht (g)",
}
_TREATMENTS = {"control": "Kontrolle", "drought": "Trockenheit", "salinity": "Salz"}


def draw_few(folder: Path) -> None:
    """Draws 50 labelled photographs, 120 that wait for a label, and 90 further ones to judge the model by at the end.

    Args:
        folder: Gets the class folders `first/` and `later/`, the loose photographs `unlabelled/`, and `answers.csv`,
            which holds what a person would say of those; it must not exist yet.
    """
    # A number tells nothing of the class, as where leaves are picked in a field.
    total = sum(_FIRST) + len(_FEW) * (_ASIDE + _LATER)
    numbers = iter(random_stream(_SEED).permutation(total) + 1)
    answers = []
    with write_folder_atomic(folder) as place:
        for disease, first in zip(_FEW, _FIRST, strict=True):
            name = _name(disease)
            parts = [(f"first/{name}", first), ("unlabelled", _ASIDE), (f"later/{name}", _LATER)]
            for part, number in ((part, int(next(numbers))) for part, leaves in parts for _ in range(leaves)):
                for path in _photograph(place / part, disease, number, photos=2):
                    answers += [{"file": path.name, "class": name}] if part == "unlabelled" else []
        pd.DataFrame(answers).sort_values("file").to_csv(place / "answers.csv", index=False)


def label_listed(folder: Path, listed: Path) -> None:
    """Does what you would do by eye: puts the listed photographs into the folders of their classes.

    Args:
        folder: What `draw_few` wrote.
        listed: CSV with the column `path`, as `phytoscope suggest` writes it. Every photograph of a listed leaf is
            filed: who holds the leaf knows the answer to all of them.
    """
    answers = pd.read_csv(folder / "answers.csv").set_index("file")["class"]
    leaves = {_leaf_of(Path(path)) for path in pd.read_csv(listed)["path"]}
    chosen = [path for path in sorted((folder / "unlabelled").iterdir()) if _leaf_of(path) in leaves]
    for path in chosen:
        shutil.move(path, folder / "first" / str(answers[path.name]) / path.name)
    print(f"{len(chosen)} photographs of {len(leaves)} leaves moved into the class folders of {folder / 'first'}")


def draw_german(folder: Path) -> None:
    """Draws leaves with German class names, and plants in pots with their weights as a German spreadsheet saves them.

    Args:
        folder: Gets `blaetter/`, and in `pflanzen/` the pictures `fotos/`, `gewichte.csv` (semicolons, decimal commas,
            letters of Windows) and the same as `gewichte.xlsx`; it must not exist yet.
    """
    with write_folder_atomic(folder) as place:
        numbers = count(1)
        for disease, name in _GERMAN_CLASSES.items():
            for number in (next(numbers) for _ in range(_GERMAN_LEAVES)):
                _photograph(place / "blaetter" / name, disease, number, photos=3, called="blatt")
        _draw_plants(place / "pflanzen")


def _draw_plants(place: Path) -> None:
    drawn = place / "drawn"
    draw_rosette_dataset(drawn, plants=60, size_px=_SIZE_PX, seed=_SEED, write_xlsx=True)
    (drawn / "images_med_res").rename(place / "fotos")
    table = pd.read_excel(drawn / "digital_biomass_labels.xlsx")
    plant = table[["experiment_id", "farmbot_name", "plant_number"]].astype(str).agg("-".join, axis=1)
    table = table.assign(plant=plant, condition=table["condition"].map(_TREATMENTS))
    # A column with gaps is one of decimal numbers, and ages are whole.
    german = table.astype({"age_days": "Int64"})[list(_GERMAN)].rename(columns=_GERMAN)
    german.to_csv(place / "gewichte.csv", index=False, sep=";", decimal=",", encoding="cp1252")
    german.to_excel(place / "gewichte.xlsx", index=False)
    shutil.rmtree(drawn)


def _name(disease: str | None) -> str:
    return "healthy" if disease is None else disease


def _photograph(folder: Path, disease: str | None, number: int, *, photos: int, called: str = "leaf") -> list[Path]:
    """Draws one leaf and takes photographs of it."""
    folder.mkdir(parents=True, exist_ok=True)
    blade = draw_leaf(random_stream(_SEED, number), disease, size_px=_SIZE_PX)
    paths = [folder / f"{called}{number:03d}_{photo}.jpg" for photo in range(1, photos + 1)]
    for photo, path in enumerate(paths, start=1):
        write_image(path, photograph_leaf(blade, random_stream(_SEED, number, photo), size_px=_SIZE_PX))
    return paths


def _leaf_of(path: Path) -> str:
    return path.name.partition("_")[0]


def main(words: list[str]) -> None:
    """Does what the words of the command line ask for."""
    works: dict[tuple[str, int], Callable[..., None]] = {
        ("few", 1): draw_few,
        ("label", 2): label_listed,
        ("german", 1): draw_german,
    }
    work = works.get((words[0] if words else "", len(words) - 1))
    if work is None:
        raise SystemExit(__doc__)
    work(*map(Path, words[1:]))


if __name__ == "__main__":
    main(sys.argv[1:])

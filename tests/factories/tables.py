"""Spreadsheets of plants: the same table in every format, and tables with one named fault each."""

import csv
import io
from pathlib import Path

import openpyxl
import pandas as pd

from factories.images import write_image
from phytoscope.data.facts.image_facts import read_image_facts
from phytoscope.data.source import Source
from phytoscope.data.validate.validation import Validated, validate_source
from phytoscope.schema.choices import DataKind
from phytoscope.schema.data_config import DataConfig
from phytoscope.schema.progress import SilentProgress
from phytoscope.schema.table import Task

HEADER = ["filename", "plant", "weight_g", "is_active"]
ROWS = [
    ["a.png", "02", 0.1308, True],
    ["b.png", "02", 0.5, False],
    ["c.png", "03", 1234.5, True],
    ["d.png", "04", None, None],
]


def write_csv(path, header=HEADER, rows=ROWS, *, separator=",", comma=False, encoding="utf-8", end="\r\n"):
    """Write a table as a spreadsheet program would; with `comma` as a German one."""

    def cell(value):
        if value is None:
            return ""
        if isinstance(value, bool):
            return ("WAHR" if value else "FALSCH") if comma else str(value).upper()
        return str(value).replace(".", ",") if comma and isinstance(value, float) else str(value)

    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=separator, lineterminator=end)
    writer.writerows([header, *[[cell(value) for value in row] for row in rows]])
    Path(path).write_bytes(buffer.getvalue().encode(encoding))
    return Path(path)


def write_xlsx(path, header=HEADER, rows=ROWS):
    """Write a table as a workbook with one sheet."""
    book = openpyxl.Workbook()
    for row in [header, *rows]:
        book.active.append(row)
    book.save(path)
    return Path(path)


def make_dataset(folder, rows=None, header=("filename", "plant", "weight_g"), *, missing=()):
    """Write `table.csv` and `images/`; by default six plants with two different pictures each.

    Args:
        folder: Where to.
        rows: Cells of the table; the first is the image's name.
        header: Names of the columns.
        missing: Names of images that are listed and not written.
    """
    folder = Path(folder)
    if rows is None:
        rows = [[f"p{plant}_{shot}.png", str(plant), 0.5 + plant] for plant in range(1, 7) for shot in (1, 2)]
    (folder / "images").mkdir(parents=True, exist_ok=True)
    for seed, name in enumerate(dict.fromkeys(str(row[0]) for row in rows if row[0])):
        if name not in missing:
            write_image(folder / "images" / name, seed=seed)
    write_csv(folder / "table.csv", list(header), rows)
    return folder


def make_source(folder, answers, *, task=Task.regression, groups=None, lines=True):
    """Write one picture for each answer and return them as a source.

    Args:
        folder: Where to; the pictures are named `0.png`, `1.png`, ...
        answers: Labels or targets.
        task: What they are.
        groups: Group ids; None for each image when None.
        lines: Whether the rows have lines of a table.
    """
    count = len(answers)
    names = [f"{number}.png" for number in range(count)]
    paths = [write_image(Path(folder) / name, seed=number) for number, name in enumerate(names)]
    rows = pd.DataFrame(
        {
            "sample_id": names,
            "path": list(map(str, paths)),
            "source_row": pd.array([number + 2 if lines else pd.NA for number in range(count)], dtype="Int64"),
            "group_id": pd.Series(groups or [None] * count, dtype=object),
        }
    )
    if task is Task.classification:
        rows["label"] = pd.Series(list(answers), dtype=object)
    else:
        rows["target"] = pd.Series(list(answers), dtype=float)
    return Source(rows, task, "class" if task is Task.classification else "weight_g", "filename" if lines else "")


def look_and_validate(source, folder, config=None) -> Validated:
    """Look at the images of a source and validate it.

    Args:
        source: Rows to check.
        folder: Where the facts are kept.
        config: Settings of the data; those of a plain table when None.
    """
    config = config or DataConfig(DataKind.table, workers=1)
    facts = read_image_facts(
        list(source.rows["path"]),
        Path(folder) / "facts",
        max_megapixels=config.max_megapixels,
        workers=1,
        progress=SilentProgress(),
    )
    return validate_source(source, config, facts, SilentProgress())


def make_manifest(groups, answers, *, task=Task.regression, pictures=None):
    """Return a manifest without files: one row for each group id given, pictures all different unless named."""
    count = len(groups)
    names = [f"{number:05d}.png" for number in range(count)]
    is_classification = task is Task.classification
    return pd.DataFrame(
        {
            "sample_id": names,
            "path": names,
            "sha256": [f"{number:064x}" for number in (pictures if pictures is not None else range(count))],
            "label": pd.Series(list(answers) if is_classification else [None] * count, dtype=object),
            "target": pd.Series([float("nan")] * count if is_classification else list(answers), dtype=float),
            "group_id": pd.Series(list(groups), dtype=object),
        }
    )

"""The table of a drawn rosette data set: truth, sensor readings and gaps, in the columns of the farmbot export."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass

import numpy as np
import pandas as pd

__all__ = [
    "COLUMNS",
    "TARGET_COLUMNS",
    "Cell",
    "PlantRecord",
    "Row",
    "photo_row",
    "table_as_german_csv",
    "table_as_xlsx",
]

Cell = str | int | float | bool | None
Row = dict[str, Cell]

COLUMNS: tuple[str, ...] = (
    *("filename", "experiment_id", "farmbot_name", "plant_number", "timestamp", "temperature", "humidity"),
    *("illuminancelux", "illuminanceinfrared", "illuminancevisible", "illuminancefullspectrum", "is_active"),
    *("fresh_weight_total", "fresh_weight_shoot", "fresh_weight_root", "dry_weight_shoot", "age_days", "condition"),
    *("shoot_root_ratio_fresh", "plant_surface_area", "leaf_surface_area", "small_leaves", "big_leaves"),
    *("total_leaves", "artificial_light", "lab_book_page"),
)
TARGET_COLUMNS: tuple[str, ...] = (
    *("fresh_weight_total", "fresh_weight_shoot", "fresh_weight_root", "dry_weight_shoot", "shoot_root_ratio_fresh"),
    *("plant_surface_area", "leaf_surface_area", "small_leaves", "big_leaves", "total_leaves", "lab_book_page"),
)
_FIRST_TIMESTAMP_S = 1_720_500_000.0
_AREAL_DENSITY_G_PER_CM2 = {"control": 0.029, "drought": 0.022, "salinity": 0.027}


@dataclass(frozen=True)
class PlantRecord:
    """The truth about one plant.

    Attributes:
        experiment_id: Number of the experiment.
        farmbot_name: Name of the robot.
        plant_number: Number of the plant, from 1 in each experiment and robot.
        age_days: Age in days.
        condition: Growing condition.
        projected_area_cm2: Leaf area as seen from above.
        small_leaves: Leaves shorter than half the longest.
        big_leaves: The other leaves.
        lab_book_page: Page in the laboratory's book.
    """

    experiment_id: int
    farmbot_name: str
    plant_number: int
    age_days: int
    condition: str
    projected_area_cm2: float
    small_leaves: int
    big_leaves: int
    lab_book_page: int

    def targets(self, rng: np.random.Generator) -> Row:
        """Weigh and measure the plant.

        Args:
            rng: Source of the noise in weights and areas.

        Returns:
            Weights in grams, areas in square centimetres and leaf counts under the names in `TARGET_COLUMNS`.
        """
        density = _AREAL_DENSITY_G_PER_CM2[self.condition]
        shoot = max(0.0002, round(self.projected_area_cm2 * density * float(rng.lognormal(0.0, 0.08)), 4))
        root = max(0.0001, round(shoot * float(rng.lognormal(np.log(0.09), 0.5)), 4))
        outlier = 5.0 if rng.random() < 0.03 else 1.0
        return {
            "fresh_weight_total": round(shoot + root, 4),
            "fresh_weight_shoot": shoot,
            "fresh_weight_root": root,
            "dry_weight_shoot": round(shoot * float(rng.uniform(0.04, 0.08)), 3),
            "shoot_root_ratio_fresh": round(shoot / root, 5),
            "plant_surface_area": round(self.projected_area_cm2 * float(rng.lognormal(0.0, 0.12)) * outlier, 4),
            "leaf_surface_area": round(self.projected_area_cm2, 4),
            "small_leaves": self.small_leaves,
            "big_leaves": self.big_leaves,
            "total_leaves": self.small_leaves + self.big_leaves,
            "lab_book_page": self.lab_book_page,
        }


def photo_row(filename: str, record: PlantRecord, targets: Row, rng: np.random.Generator, *, lamp_on: bool) -> Row:
    """Fill one row: one photograph of a plant.

    Args:
        filename: Name of the picture.
        record: The plant.
        targets: What `PlantRecord.targets` gave, the same for all photographs of a plant.
        rng: Source of the sensor readings.
        lamp_on: Whether the lamp was on.

    Returns:
        Values under the names in `COLUMNS`.
    """
    started_s = _FIRST_TIMESTAMP_S + record.experiment_id * 2_400_000 + record.age_days * 86_400
    visible = int(rng.lognormal(np.log(4.2e7 if lamp_on else 2.0e7), 0.3))
    infrared = int(visible / 65_000)
    readings: Row = {
        "filename": filename,
        "experiment_id": record.experiment_id,
        "farmbot_name": record.farmbot_name,
        "plant_number": record.plant_number,
        "timestamp": round(started_s + record.plant_number * 8 + (2000 if lamp_on else 0) + float(rng.random()), 5),
        "temperature": round(float(rng.normal(24.0 + lamp_on, 2.5)), 12),
        "humidity": round(float(rng.normal(55.0 - 3.0 * lamp_on, 6.0)), 12),
        "illuminancelux": round(visible / 11_000, 4),
        "illuminanceinfrared": infrared,
        "illuminancevisible": visible,
        "illuminancefullspectrum": visible + infrared,
        "is_active": False,
        "age_days": record.age_days,
        "condition": record.condition,
        "artificial_light": lamp_on,
        **targets,
    }
    return {column: readings[column] for column in COLUMNS}


def table_as_german_csv(rows: list[Row]) -> bytes:
    """Write a table as a German spreadsheet exports it: quoted decimal commas, WAHR and FALSCH, empty cells.

    Args:
        rows: Rows with the names in `COLUMNS`.

    Returns:
        The file's content, UTF-8.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([_german(row[column]) for column in COLUMNS] for row in rows)
    return text.getvalue().encode()


def table_as_xlsx(rows: list[Row]) -> bytes:
    """Write a table as a spreadsheet with real numbers; the file carries the time it was made.

    Args:
        rows: Rows with the names in `COLUMNS`.

    Returns:
        The file's content.
    """
    content = io.BytesIO()
    table = pd.DataFrame(rows, columns=list(COLUMNS), dtype=object)
    table.to_excel(content, index=False, sheet_name="Sheet1", engine="openpyxl")
    return content.getvalue()


def _german(cell: Cell) -> str:
    """One cell as text."""
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "WAHR" if cell else "FALSCH"
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() else f"{cell:.15g}".replace(".", ",")
    return str(cell)

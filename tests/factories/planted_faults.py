"""Tables and folders with planted faults and the key to them: where each one stands and what must be said of it.

The sound part is as untidy as real tables are: decimal commas, signs of thousands, several ways to write a time, units
in the header, spaces around cells. None of that is a fault.
"""

import datetime
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from factories.images import broken_files, write_image
from factories.tables import write_csv, write_xlsx
from phytoscope.schema.choices import DataKind
from phytoscope.schema.data_config import DataConfig

STYLES = ("german_csv", "english_csv", "workbook")
TARGET = "fresh weight (g)"
_HEADER = [
    "filename",
    "plant_id",
    TARGET,
    "fresh_weight_shoot",
    "fresh_weight_root",
    "age_days",
    "condition",
    "small_leaves",
    "big_leaves",
    "total_leaves",
    "leaf area [mm²]",
    "is_active",
    "timestamp",
    "taken at time",
    "note",
]
_RULES = [
    "fresh_weight = fresh_weight_shoot + fresh_weight_root",
    "total_leaves = small_leaves + big_leaves",
    "0 <= age_days <= 100",
    "condition in control, drought, salinity",
    "fresh_weight_root >= 0",
    "lab_temperature > 0 if present",
]
_NOT_CHECKED = "a rule is not checked because a column is missing"
ERROR, WARNING = "error", "warning"


@dataclass(frozen=True)
class PlantedFault:
    """One fault: how bad it is, its line (None in a folder), its column, and a part of its reason."""

    severity: str
    line: int | None
    column: str
    reason: str
    path: str = ""


@dataclass
class Planted:
    """Settings that read the data, and everything that is wrong with them."""

    config: DataConfig
    key: list[PlantedFault] = field(default_factory=list)


def plant_table(folder, seed=0, style="german_csv", *, sound=False) -> Planted:
    """Write a table of weighed plants beside their pictures.

    Args:
        folder: Where to.
        seed: Which rows and values are drawn.
        style: One of `STYLES`.
        sound: Leave every fault out.
    """
    rng = np.random.default_rng(seed)
    writer = _TableWriter(Path(folder), rng, style)
    writer.draw_rows(150)
    if not sound:
        writer.plant_everything()
    suffix = ".xlsx" if style == "workbook" else ".csv"
    table = writer.folder / f"table{suffix}"
    if style == "workbook":
        write_xlsx(table, _HEADER, writer.rows)
    else:
        german = style == "german_csv"
        write_csv(table, _HEADER, writer.rows, comma=german, separator=";" if german and seed % 2 else ",")
    config = DataConfig(
        DataKind.table,
        table=str(table),
        images=str(writer.images),
        target="fresh_weight",
        group_by=["plant_id"],
        target_max=50.0,
        rules=_RULES,
        workers=1,
    )
    writer.key.append(PlantedFault(WARNING, None, "", _NOT_CHECKED))
    return Planted(config, writer.key)


class _TableWriter:
    """Draws sound rows, then spoils some of them, each row once."""

    def __init__(self, folder: Path, rng: np.random.Generator, style: str) -> None:
        self.folder, self.images, self.rng = folder, folder / "images", rng
        self.comma = style == "german_csv"
        self.is_workbook = style == "workbook"
        self.rows: list[list[object]] = []
        self.key: list[PlantedFault] = []
        self._free: list[int] = []

    def draw_rows(self, count: int) -> None:
        for number in range(count):
            name = f"plant_{number:03d}.png"
            write_image(self.images / name, seed=1000 + number)
            shoot, root = np.round(self.rng.lognormal(-1, 0.8), 4), np.round(self.rng.lognormal(-3, 0.5), 4)
            small, big = self.rng.integers(0, 6, 2)
            area = np.round(self.rng.uniform(1001, 9999), 1)
            moment = datetime.datetime(2024, 3, 21, 14, 5) + datetime.timedelta(hours=number)
            unix = moment.replace(tzinfo=datetime.UTC).timestamp()
            self.rows.append(
                [
                    f" {name} " if number % 17 == 0 else name,
                    f"P{number // 2}",
                    float(np.round(shoot + root, 4)),
                    float(shoot),
                    float(root),
                    int(self.rng.choice([7, 14, 21, 28])),
                    str(self.rng.choice(["control", "drought", "salinity"])),
                    int(small),
                    int(big),
                    int(small + big),
                    self._write_area(float(area), number),
                    bool(self.rng.random() < 0.5),
                    unix * 1000 if number % 10 == 0 else unix + 0.25,
                    moment.strftime(("%Y-%m-%dT%H:%M:%S", "%d.%m.%Y %H:%M", "%Y-%m-%d %H:%M")[number % 3]),
                    ["", "early", "Early, wet", "n/a", "leaf 3 torn"][number % 5],
                ]
            )
        self._free = [int(row) for row in self.rng.permutation(count)]

    def _write_area(self, area: float, number: int) -> object:
        if self.is_workbook and number % 2:
            return area
        thousands, point = (".", ",") if self.comma else (",", ".")
        sign = (thousands, " ", "\N{NO-BREAK SPACE}", "")[number % 4]
        return f"{int(area) // 1000}{sign}{int(area) % 1000:03d}{point}{round(area * 10) % 10}"

    def spoil(self, column: str, value: object, reason: str, severity: str = WARNING) -> int:
        """Put a value into a row that nothing else is wrong with, and note it in the key."""
        row = self._free.pop()
        self.rows[row][_HEADER.index(column)] = value
        self.key.append(PlantedFault(severity, row + 2, column, reason))
        return row

    def plant_everything(self) -> None:
        self._plant_targets()
        self._plant_images()
        self._plant_copies()
        self._plant_rules()
        self._plant_cells()

    def _plant_targets(self) -> None:
        for value in ("", "NA", "n/a", " ", "-", "#NV"):
            self.spoil(TARGET, value, "the target is missing", ERROR)
        texts = ["ca. 2", "zwei", "1 g", "#DIV/0!", "<0.1", "inf", "2 / 3", "1.2.3", "2024-03-01", "unknown", "12:30"]
        texts.append("0.75" if self.comma else "0,75,1" if self.is_workbook else "0,75")
        for value in texts:
            self.spoil(TARGET, value, "the target is text", ERROR)
        for value, reason in ((-0.5, "the target is negative"), (50.5, "above 50"), (-0.0001, "negative")):
            row = self.spoil(TARGET, value, reason, ERROR)
            # The weight is what is wrong here, not the sum.
            self.rows[row][_HEADER.index("fresh_weight_shoot")] = None

    def _plant_images(self) -> None:
        for value in ("", "NA", None):
            self.spoil("filename", value, "no image is named", ERROR)
        for value in ("gone.png", "sub/gone.jpg", "https://example.org/a.png", "/nowhere/a.png", "C:\\pictures\\a.png"):
            self.spoil("filename", value, "the file does not exist", ERROR)
        for spelling in (str.upper, str.title):
            row = self.spoil("filename", "", "the file does not exist", ERROR)
            self.rows[row][0] = spelling(f"plant_{row:03d}.png")
        row = self.spoil("filename", "", "the file does not exist", ERROR)
        self.rows[row][0] = f"plant_{row:03d}.jpg"
        row = self.spoil("filename", "", "unknown image extension", ERROR)
        self.rows[row][0] = f"plant_{row:03d}"
        for content, reason in broken_files().values():
            row = self.spoil("filename", "", reason, ERROR)
            self.rows[row][0] = f"plant_{row:03d}.png"
            (self.images / f"plant_{row:03d}.png").write_bytes(content)
        row = self.spoil("filename", "", "the image lies outside")
        self.rows[row][0] = f"../other/{row}.png"
        write_image(self.folder / "other" / f"{row}.png", seed=5000)

    def _plant_copies(self) -> None:
        for reason, changed in (("listed more than once: first", False), ("with different values: lines", True)):
            for _ in range(2):
                row = self._free.pop()
                again = list(self.rows[row])
                if changed:
                    again[_HEADER.index(TARGET)] = float(np.round(float(again[2]) + 1, 4))
                    again[_HEADER.index("fresh_weight_root")] = None
                    self.key.append(PlantedFault(ERROR, row + 2, "filename", reason))
                self.rows.append(again)
                self.key.append(PlantedFault(ERROR, len(self.rows) + 1, "filename", reason))
        for _ in range(2):
            first, second = self._free.pop(), self._free.pop()
            shutil.copy(self.images / f"plant_{first:03d}.png", self.images / f"plant_{second:03d}.png")
            for row in (first, second):
                self.key.append(PlantedFault(ERROR, row + 2, TARGET, "the same picture has another answer"))

    def _plant_rules(self) -> None:
        for factor in (1.5, 0.5, 3.0):
            row = self._free.pop()
            value = float(self.rows[row][_HEADER.index(TARGET)])
            self.rows[row][_HEADER.index(TARGET)] = float(np.round(value * factor + 0.01, 4))
            self.key.append(PlantedFault(ERROR, row + 2, TARGET, "a rule is broken: fresh_weight ="))
        for value in (13, 99):
            self.spoil("total_leaves", value, "a rule is broken: total_leaves =")
        for value in (400, -7):
            self.spoil("age_days", value, "a rule is broken: 0 <= age_days")
        for value in ("Drought", "salt", "control?"):
            self.spoil("condition", value, "a rule is broken: condition in")
        row = self.spoil("fresh_weight_root", -0.02, "a rule is broken: fresh_weight_root >= 0")
        self.rows[row][_HEADER.index("fresh_weight_shoot")] = None

    def _plant_cells(self) -> None:
        for value in ("eight", "7 days", "7-14"):
            self.spoil("age_days", value, "the cell is not a number")
        self.spoil("fresh_weight_shoot", "0.02 g", "the cell is not a number")
        self.spoil("big_leaves", -999, "a code for 'not measured'")
        for value in ("maybe", "0.5"):
            self.spoil("is_active", value, "the cell is no truth value")
        for value in ("31.02.2024 10:00", "yesterday", "2024-13-01"):
            self.spoil("taken at time", value, "the cell is no time")
        for value in (0, 12345):
            self.spoil("timestamp", value, "neither seconds nor milliseconds")
        self.spoil("timestamp", "noon", "the cell is not a number")
        row = self.spoil("plant_id", "", "the name of the group differs")
        self.rows[row][1] = f" p_{row // 2}"


def plant_class_table(folder, seed=0, *, sound=False) -> Planted:
    """Write a table of photographs with a class each; the arguments are those of `plant_table`."""
    rng = np.random.default_rng(seed)
    folder, key = Path(folder), []
    names = ["Early Blight", "Late Blight", "Stage 1_2", "Stage 12", "healthy", "N", "-N", "late-season blight"]
    rows: list[list[object]] = []
    for number in range(100):
        write_image(folder / "images" / f"{number:03d}.png", seed=2000 + number)
        rows.append([f"{number:03d}.png", names[number % len(names)], f"p{number // 4}"])
    free = [int(row) for row in rng.permutation(100)]
    if not sound:
        for label in ("", "NA", "-"):
            rows[row := free.pop()][1] = label
            key.append(PlantedFault(ERROR, row + 2, "kind", "the label is missing"))
        for label in ("early blight", "Early_Blight", "EARLY BLIGHT", "Early  Blight", "EarlyBlight", "Healthy"):
            rows[row := free.pop()][1] = label
            key.append(PlantedFault(ERROR, row + 2, "kind", "only by case, space or underscore"))
        sample = [row for row in free if rows[row][1] == "healthy"][:2]
        other = next(row for row in free if rows[row][1] == "Late Blight")
        rows.append([rows[sample[0]][0], "Late Blight", "p"])
        key += [
            PlantedFault(ERROR, line, "photo", "with different values: lines")
            for line in (sample[0] + 2, len(rows) + 1)
        ]
        shutil.copy(folder / "images" / str(rows[sample[1]][0]), folder / "images" / str(rows[other][0]))
        key += [PlantedFault(ERROR, row + 2, "kind", "has another answer elsewhere") for row in (sample[1], other)]
    table = write_csv(folder / "classes.csv", ["photo", "kind", "plant"], rows)
    config = DataConfig(
        DataKind.table,
        table=str(table),
        images=str(folder / "images"),
        label="kind",
        group_by=["plant"],
        workers=1,
    )
    return Planted(config, key)


def plant_folder(folder, seed=0, *, sound=False) -> Planted:
    """Write a folder of class folders; the arguments are those of `plant_table`."""
    rng = np.random.default_rng(seed)
    folder, key = Path(folder), []
    names = ["Early Blight", "healthy"]
    for number in range(60):
        write_image(folder / names[number % 2] / f"{number:03d}.png", seed=3000 + number)
    free = [int(number) for number in rng.permutation(60)]

    def note(path: str, reason: str, column: str = "") -> None:
        key.append(PlantedFault(ERROR, None, column, reason, path))

    if not sound:
        for content, reason in broken_files().values():
            name = f"{names[(number := free.pop()) % 2]}/{number:03d}.png"
            (folder / name).write_bytes(content)
            note(name, reason)
        for number in range(2):
            write_image(folder / "early_blight" / f"{number}.png", seed=4000 + number)
            note(f"early_blight/{number}.png", "the folder differs from another only by case", "class")
        write_image(folder / "stray.png")
        note("stray.png", "the image lies in no class folder")
        (folder / "empty").mkdir()
        note("empty", "the class folder holds no image")
        (folder / "healthy" / "notes.txt").write_text("wet", encoding="utf-8")
        note("healthy/notes.txt", "unknown image extension")
        one, two = (next(n for n in free if n % 2 == kind) for kind in (0, 1))
        shutil.copy(folder / names[0] / f"{one:03d}.png", folder / names[1] / f"{two:03d}.png")
        for name in (f"{names[0]}/{one:03d}.png", f"{names[1]}/{two:03d}.png"):
            note(name, "has another answer elsewhere", "class")
    return Planted(DataConfig(DataKind.folder, root=str(folder), workers=1), key)

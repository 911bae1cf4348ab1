"""A drawn biomass data set: top views of rosettes with a table of weights, laid out as the farmbot export is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from phytoscope.data.synthetic.drawing import SUPERSAMPLE, ByteImage, Camera, FloatImage, develop_photo, light_field
from phytoscope.data.synthetic.files import (
    DrawnDataset,
    check_at_least,
    check_common,
    empty_file,
    make_folder,
    random_stream,
    truncate_file,
    write_bytes,
    write_image,
)
from phytoscope.data.synthetic.pot import draw_pot
from phytoscope.data.synthetic.rosette_plant import Plant, PlantTraits, draw_plant, place_plant
from phytoscope.data.synthetic.rosette_table import (
    TARGET_COLUMNS,
    PlantRecord,
    Row,
    photo_row,
    table_as_german_csv,
    table_as_xlsx,
)

__all__ = ["draw_rosette_dataset"]

TABLE_NAME = "digital_biomass_labels"
IMAGE_FOLDER = "images_med_res"
_FEWEST_PLANTS = 6
_EXPERIMENTS = (1, 2, 3)
_ROBOTS = (("farmbot_uzk", "01"), ("farmbot_uzk_2", "02"))
_AGES_DAYS = (7, 14, 21, 28)
_CONDITIONS = ("control", "control", "drought", "salinity")
_LOG_AREA = {7: 0.75, 14: 1.35, 21: 1.9, 28: 2.3}
_LOG_STRESS = {"control": 0.25, "drought": -0.2, "salinity": -0.25}
_LEAVES = {7: 6, 14: 8, 21: 10, 28: 12}
_PLANT_STREAM, _POT_STREAM, _PHOTO_STREAM, _FAULT_STREAM = 1, 2, 3, 4


def draw_rosette_dataset(
    root: Path,
    *,
    plants: int = 90,
    photos_per_plant: int = 2,
    size_px: int = 256,
    seed: int = 0,
    write_xlsx: bool = False,
    on_image: Callable[[int], None] | None = None,
) -> DrawnDataset:
    """Draw rosettes in pots from above, with a table of weights, areas, leaf counts, ages and sensor readings.

    The rig is fixed: every picture shows 12 cm, so that leaf area follows from the pixels alone; the fresh weight is
    the drawn area times an areal density that depends on the condition, with noise of 8 %. The photographs of one plant
    show it with the lamp on and off. A tag `experiment_robot_plant` is burnt into the lower left corner.

    Args:
        root: Folder to write to; created if absent, files of the same name are replaced.
        plants: Number of plants, 6 or more.
        photos_per_plant: Photographs of each plant.
        size_px: Side of the square pictures in pixels.
        seed: Seed, 0 or more: the same seed gives the same pictures and the same CSV, byte by byte.
        write_xlsx: Whether to write the table as a spreadsheet too.
        on_image: Called after each picture with the number of pictures written so far.

    Returns:
        What was written, and where the faults are: keys `no_label`, `no_age`, `zero_leaf_area`, `negative_weight`,
        `missing_file`, `truncated` and `zero_byte`, each with values of the column `filename`.

    Raises:
        ConfigError: A number is too small.
        StorageError: The folder cannot be written to.
    """
    check_at_least("plants", plants, _FEWEST_PLANTS)
    check_at_least("photos_per_plant", photos_per_plant, 1)
    check_common(size_px, seed)
    make_folder(root / IMAGE_FOLDER)
    plan = _plan(plants, photos_per_plant, size_px, seed)
    rows: list[Row] = []
    count = 0
    for number in range(plants):
        for row, picture in _photographs(number, plan):
            rows.append(row)
            if picture is None:
                continue
            write_image(root / IMAGE_FOLDER / str(row["filename"]), picture)
            count += 1
            if on_image is not None:
                on_image(count)
    faults = plan.faults
    truncate_file(root / IMAGE_FOLDER / faults["truncated"][0])
    empty_file(root / IMAGE_FOLDER / faults["zero_byte"][0])
    write_bytes(root / f"{TABLE_NAME}.csv", table_as_german_csv(rows))
    if write_xlsx:
        write_bytes(root / f"{TABLE_NAME}.xlsx", table_as_xlsx(rows))
    return DrawnDataset(root=root, images=count, planted_faults=faults)


@dataclass(frozen=True)
class _Plan:
    """What is settled before the first plant is drawn: sizes, gaps by plant, faults by file name."""

    photos_per_plant: int
    size_px: int
    seed: int
    gaps: dict[str, list[int]]
    faults: dict[str, list[str]]


def _plan(plants: int, photos_per_plant: int, size_px: int, seed: int) -> _Plan:
    """Choose where the gaps and the faults go."""
    rng = random_stream(seed, _FAULT_STREAM)
    gaps = _choose_gaps(plants, rng)
    faults = _choose_files(plants, photos_per_plant, gaps, rng)
    for kind, numbers in gaps.items():
        faults[kind] = [_file_name(n, photo, photos_per_plant) for n in numbers for photo in range(photos_per_plant)]
    return _Plan(photos_per_plant, size_px, seed, gaps, faults)


def _file_name(plant: int, photo: int, photos_per_plant: int) -> str:
    """Name of a picture, numbered plant after plant."""
    return f"image_{plant * photos_per_plant + photo + 1}.png"


def _photographs(number: int, plan: _Plan) -> Iterator[tuple[Row, ByteImage | None]]:
    """Rows and pictures of one plant; None in place of a picture that is to be missing."""
    seed = plan.seed
    plant, record = _grow(number, seed, plan.size_px)
    targets = record.targets(random_stream(seed, _PLANT_STREAM, number, 1))
    towards = _towards_light(record)
    pot = draw_pot(random_stream(seed, _POT_STREAM, number), size_px=plan.size_px, towards_light=towards)
    for photo in range(plan.photos_per_plant):
        name, lamp_on = _file_name(number, photo, plan.photos_per_plant), photo % 2 == 0
        row_rng = random_stream(seed, _PHOTO_STREAM, number, photo, 1)
        row = photo_row(name, record, targets, row_rng, lamp_on=lamp_on)
        row = _leave_gaps(row, number, plan.gaps, negative=name in plan.faults["negative_weight"])
        if name in plan.faults["missing_file"]:
            yield row, None
            continue
        photo_rng = random_stream(seed, _PHOTO_STREAM, number, photo, 0)
        yield row, _photograph(plant, record, pot, photo_rng, lamp_on=lamp_on)


def _grow(number: int, seed: int, size_px: int) -> tuple[Plant, PlantRecord]:
    """Draw one plant with its record; experiments and robots take turns."""
    rng = random_stream(seed, _PLANT_STREAM, number, 0)
    batches = len(_EXPERIMENTS) * len(_ROBOTS)
    batch = number % batches
    age, condition = int(rng.choice(_AGES_DAYS)), str(rng.choice(_CONDITIONS))
    vigour = float(rng.standard_normal())
    log_area = _LOG_AREA[age] + _LOG_STRESS[condition] + 1.08 * vigour
    traits = PlantTraits(
        target_area_cm2=float(np.clip(np.exp(log_area), 0.08, 70.0)),
        leaves=int(np.clip(round(_LEAVES[age] + 1.6 * vigour + float(rng.normal(0.0, 1.0))), 4, 20)),
        condition=condition,
    )
    plant = draw_plant(traits, rng, size_px=size_px)
    record = PlantRecord(
        experiment_id=_EXPERIMENTS[batch // len(_ROBOTS)],
        farmbot_name=_ROBOTS[batch % len(_ROBOTS)][0],
        plant_number=number // batches + 1,
        age_days=age,
        condition=condition,
        projected_area_cm2=plant.projected_area_cm2,
        small_leaves=plant.small_leaves,
        big_leaves=plant.big_leaves,
        lab_book_page=400 + number,
    )
    return plant, record


def _choose_gaps(plants: int, rng: np.random.Generator) -> dict[str, list[int]]:
    """Plants without a label, without an age and with a leaf area of zero: about 14, 11 and 4 of 100."""
    order = [int(number) for number in rng.permutation(plants)]
    unlabelled, ageless = max(1, round(0.142 * plants)), max(1, round(0.115 * plants))
    zeros = max(1, round(0.04 * plants))
    # Half of the missing ages belong to plants that were never weighed, half to plants that can still be learned from.
    first_ageless = unlabelled - ageless // 2
    first_zero = first_ageless + ageless
    return {
        "no_label": sorted(order[:unlabelled]),
        "no_age": sorted(order[first_ageless:first_zero]),
        "zero_leaf_area": sorted(order[first_zero : first_zero + zeros]),
    }


def _choose_files(
    plants: int, photos_per_plant: int, gaps: dict[str, list[int]], rng: np.random.Generator
) -> dict[str, list[str]]:
    """Pictures that are to be damaged or left out, and the row that gets a negative weight."""
    labelled = [number for number in range(plants) if number not in gaps["no_label"]]
    negative = _file_name(int(rng.choice(labelled)), int(rng.integers(photos_per_plant)), photos_per_plant)
    others = [
        _file_name(number, photo, photos_per_plant) for number in range(plants) for photo in range(photos_per_plant)
    ]
    others.remove(negative)
    picks = [others[int(index)] for index in rng.choice(len(others), 5, replace=False)]
    return {
        "negative_weight": [negative],
        "missing_file": sorted(picks[:3]),
        "truncated": [picks[3]],
        "zero_byte": [picks[4]],
    }


def _leave_gaps(row: Row, plant: int, gaps: dict[str, list[int]], *, negative: bool) -> Row:
    """The row as it is found in the table: with gaps, zeros and the sign slip."""
    row = dict(row)
    if plant in gaps["no_label"]:
        row.update(dict.fromkeys(TARGET_COLUMNS))
    if plant in gaps["no_age"]:
        row["age_days"] = None
    if plant in gaps["zero_leaf_area"]:
        row["leaf_surface_area"] = 0
    total = row["fresh_weight_total"]
    if negative and isinstance(total, float):
        row["fresh_weight_total"] = -total
    return row


def _towards_light(record: PlantRecord) -> tuple[float, float]:
    """Unit vector to the lamp: it hangs in the same place in an experiment and robot."""
    robot = [name for name, _ in _ROBOTS].index(record.farmbot_name)
    azimuth = -0.9 - 0.7 * robot + 0.25 * record.experiment_id
    return float(np.cos(azimuth)), float(np.sin(azimuth))


def _photograph(
    plant: Plant, record: PlantRecord, pot: FloatImage, rng: np.random.Generator, *, lamp_on: bool
) -> ByteImage:
    """One top view: pot and plant are the same in all photographs of a plant, light and noise are not."""
    towards = _towards_light(record)
    scene = place_plant(pot, plant, towards_light=towards, hardness=0.8 if lamp_on else 0.15)
    glow = light_field(scene.shape[0], towards_light=towards, fall_off=0.16 if lamp_on else 0.05, vignette=0.22)
    warmth = float(rng.normal(0.20 if lamp_on else -0.04, 0.04))
    camera = Camera(
        exposure=float(rng.uniform(1.5, 1.9) if lamp_on else rng.uniform(0.95, 1.3)),
        white_balance=(1.0 + warmth, 1.0, 1.0 - warmth),
        blur_px=float(rng.uniform(0.3, 0.6)),
        noise=0.008 if lamp_on else 0.014,
    )
    picture = develop_photo(
        np.asarray(scene * glow[..., None], dtype=np.float32), camera, rng, size_px=scene.shape[0] // SUPERSAMPLE
    )
    robot_code = dict(_ROBOTS)[record.farmbot_name]
    return _burn_tag(picture, f"{record.experiment_id}_{robot_code}_{record.plant_number}")


def _burn_tag(picture: ByteImage, text: str) -> ByteImage:
    """Write a tag into the lower left corner."""
    tagged = picture.copy()
    side = picture.shape[0]
    scale = 0.33 * side / 256
    (width, height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    top = side - height - max(4, side // 50)
    tagged[top:, : width + max(4, side // 40)] = (tagged[top:, : width + max(4, side // 40)] * 0.15 + 22).astype(
        np.uint8
    )
    place = (max(2, side // 90), side - max(2, side // 90) - 1)
    cv2.putText(tagged, text, place, cv2.FONT_HERSHEY_SIMPLEX, scale, (168, 168, 168), 1, cv2.LINE_AA)
    return tagged

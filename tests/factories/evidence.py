"""Small sets of plant pictures with a known shortcut, or none, as the probes of the inspection see them."""

from dataclasses import replace

import numpy as np
import pandas as pd
from PIL import Image

from phytoscope.audit.evidence import ProbeData, build_probe_data
from phytoscope.data.facts.image_facts import ImageFacts, read_image_facts
from phytoscope.schema.progress import SilentProgress
from phytoscope.schema.table import Task

SIZE_PX = 40


def draw_plant(rng, *, background=(150, 140, 145), radius=9.0, green=(60, 150, 50)):
    """Draw a green disc away from the border, shape (40, 40, 3), uint8."""
    rows, columns = np.mgrid[:SIZE_PX, :SIZE_PX]
    centre = SIZE_PX / 2 + rng.uniform(-2, 2, 2)
    disc = np.hypot(rows - centre[0], columns - centre[1]) < radius
    pixels = np.where(disc[..., None], green, background) + rng.normal(0, 4, (SIZE_PX, SIZE_PX, 3))
    return np.clip(pixels, 0, 255).astype(np.uint8)


def make_probe_data(folder, pictures, answers, groups, *, qualities=None, seed=0, **columns) -> ProbeData:
    """Write pictures as JPEG and look at them; texts as answers are classes, numbers are targets.

    Args:
        folder: Where to.
        pictures: Pixels of each picture.
        answers: Class or number of each picture.
        groups: Group of each picture.
        qualities: JPEG quality of each picture; 95 for all when None.
        seed: Seed of the draw when there are too many.
        columns: The user's other columns.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, pixels in enumerate(pictures):
        path = folder / f"{number:04}.jpg"
        Image.fromarray(pixels).save(path, quality=95 if qualities is None else int(qualities[number]))
        paths.append(str(path))
    is_class = isinstance(answers[0], str)
    manifest = pd.DataFrame(
        {
            "sample_id": [path.rpartition("/")[2] for path in paths],
            "path": paths,
            "label": list(answers) if is_class else None,
            "target": np.nan if is_class else np.asarray(answers, dtype=float),
            **{f"meta/{name}": list(values) for name, values in columns.items()},
        }
    )
    facts = read_image_facts(
        paths, folder.parent / f"{folder.name}-facts", max_megapixels=10, workers=1, progress=SilentProgress()
    )
    task = Task.classification if is_class else Task.regression
    return build_probe_data(manifest, groups, facts, task=task, max_images=None, seed=seed, target_name="weight")


def make_featured_data(features, answers, groups) -> ProbeData:
    """Images without files whose descriptors are given, for what reads nothing but descriptors."""
    names = [f"{number:05}.png" for number in range(len(features))]
    kept = np.asarray(features, dtype=np.float16)

    def read(column, positions):
        return [kept[at].tobytes() for at in positions]

    is_class = isinstance(answers[0], str)
    manifest = pd.DataFrame(
        {
            "sample_id": names,
            "path": names,
            "label": list(answers) if is_class else None,
            "target": np.nan if is_class else np.asarray(answers, dtype=float),
        }
    )
    facts = ImageFacts(pd.DataFrame({"path": names}), read)
    task = Task.classification if is_class else Task.regression
    return build_probe_data(manifest, groups, facts, task=task, max_images=None, seed=0)


def with_answers(data: ProbeData, answers) -> ProbeData:
    """The same images with other answers."""
    column = "label" if isinstance(answers[0], str) else "target"
    return replace(data, rows=data.rows.assign(**{column: list(answers)}))

"""What the evaluation step hands to its parts, made by hand from drawn leaves."""

from types import SimpleNamespace

import numpy as np
import pandas as pd

from factories.colour_net import draw_leaf
from phytoscope.configs import compose_config
from phytoscope.data.cache.pixel_cache import PixelCache
from phytoscope.schema.run_folder import RunFolder
from phytoscope.steps.context import RunContext
from phytoscope.steps.prepared import PreparedData


def make_prepared(place, predictor, n=12, words=()):
    """Leaves, every second one with a lesion: what parts of an evaluation take, and what they say."""
    pixels = np.stack([draw_leaf((22 + row, 28), 6 if row % 2 else 0, seed=row)[0] for row in range(n)])
    is_class = bool(predictor.description.class_names)
    names = [f"leaf-{row:02d}.png" for row in range(n)]
    rows = pd.DataFrame(
        {
            "sample_id": names,
            "path": names,
            "sha256": names,
            "width_px": 640,
            "height_px": 480,
            "green_px": 100,
            "group_id": [f"plant-{row // 4}-{row % 2}" for row in range(n)],
            "split": "test",
        }
    )
    answers = predictor.predict_pixels(pixels)
    table = rows[["sample_id", "path", "group_id", "split"]].copy()
    if is_class:
        truth = [predictor.description.class_names[row % 2] for row in range(n)]
        said = [predictor.description.class_names[each] for each in answers.argmax(axis=1)]
        rows["label"] = table["label"] = truth
        table = table.assign(prediction=said, probability=answers.max(axis=1))
    else:
        rows["target"] = table["target"] = answers[:, 0] + np.linspace(-0.1, 0.1, n)
        table["prediction"] = answers[:, 0]
    cache = PixelCache(pixels, {name: row for row, name in enumerate(names)}, frozenset(), 0)
    said = []
    config = compose_config(["data=folder", f"data.root={place}", *words])
    context = RunContext(config, RunFolder(place), say=said.append)
    prepared = PreparedData(rows, rows[["sample_id", "group_id", "split"]], "d", "s", "" if is_class else "mm")
    return SimpleNamespace(
        parts=(context, prepared, predictor, cache, table), said=said, pixels=pixels, table=table, predictor=predictor
    )

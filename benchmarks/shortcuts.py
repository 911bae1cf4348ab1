"""Shows what the small models of the inspection find on public photographs, and how they take planted faults.

Usage: python benchmarks/shortcuts.py DATA [OUTPUT]

DATA holds any of `plantvillage/` (class folders with leaf-map.json), `ibean/`, `apple_field/` (class folders) and the
tables `arabidopsis_leaf_area/`, `arabidopsis_age/` and `maize_leaf_count/` (labels.csv beside images/). OUTPUT (default
runs/shortcuts) keeps what is known of the images, so that a second run does not read them again.
"""

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from phytoscope.audit.evidence import ProbeData, Skipped, build_probe_data
from phytoscope.audit.explain import explain_target
from phytoscope.audit.label_noise import find_suspect_labels
from phytoscope.audit.optimism import measure_optimism
from phytoscope.audit.probes import run_probes
from phytoscope.configs import compose_config
from phytoscope.data.copies.groups import join_groups
from phytoscope.data.facts.image_facts import read_image_facts
from phytoscope.data.read import read_source
from phytoscope.data.validate import validate_source
from phytoscope.schema.progress import SilentProgress
from phytoscope.schema.table import LABEL, PATH, SAMPLE_ID, Task

FOLDS, SEED = 5, 0
PLANTED_SHARES = (0.03, 0.05)
TABLES = {
    "arabidopsis_leaf_area": ("projected_leaf_area_px", "px"),
    "arabidopsis_age": ("day", "d"),
    "maize_leaf_count": ("leaf_count", "leaves"),
}
NAMES = ("plantvillage", "ibean", "apple_field", *TABLES)


def settings_of(name: str, data: Path) -> list[str]:
    """Settings of one data set, as a user would type them."""
    folder = data / name
    if name not in TABLES:
        kind = "plantvillage" if name == "plantvillage" else "folder"
        return [f"data={kind}", f"data.root={folder}"]
    target, unit = TABLES[name]
    table = [f"data.table={folder / 'labels.csv'}", f"data.images={folder / 'images'}"]
    return ["data=table", *table, f"data.target={target}", f"data.unit={unit}", "data.group_by=[plant_id]"]


def read_data(name: str, data: Path, output: Path) -> ProbeData:
    """Reads, looks at and validates one data set."""
    config = compose_config(settings_of(name, data))
    source = read_source(config.data)
    limit = config.data.max_megapixels
    paths = list(source.rows[PATH])
    silent = SilentProgress()
    facts = read_image_facts(paths, output / "facts", max_megapixels=limit, workers=None, progress=silent)
    manifest = validate_source(source, config.data, facts, silent).manifest
    known: dict[str, Any] = {"target_name": source.target_name, "unit": config.data.unit}
    groups = join_groups(manifest)
    return build_probe_data(manifest, groups, facts, task=source.task, max_images=None, seed=SEED, **known)


def timed(title: str, check: Callable[..., Any], data: ProbeData) -> Any:
    """Runs one check and prints how long it took."""
    started = time.perf_counter()
    found = check(data, folds=FOLDS, seed=SEED, progress=SilentProgress())
    print(f"  {title}: {time.perf_counter() - started:.1f} s")
    if isinstance(found, Skipped):
        print(f"    skipped: {found.reason}")
        return None
    return found


def plant_swaps(data: ProbeData, share: float, seed: int) -> tuple[ProbeData, set[str]]:
    """Gives some images the label of another class; returns the images that were changed too."""
    rng = np.random.default_rng(seed)
    labels = data.rows[LABEL].astype(str).to_numpy(dtype=object)
    names = np.unique(labels.astype(str))
    chosen = rng.permutation(len(labels))[: round(share * len(labels))]
    changed = labels.copy()
    for at in chosen:
        changed[at] = rng.choice(names[names != labels[at]])
    rows = data.rows.assign(**{LABEL: changed})
    return replace(data, rows=rows), set(data.rows[SAMPLE_ID].iloc[chosen].astype(str))


def show_planted_swaps(data: ProbeData) -> None:
    """Prints how many planted label swaps are found, and how many of the suspects are planted."""
    before = {suspect.sample_id for suspect in _list_suspects(data)}
    print(f"    suspects as given: {len(before)} of {len(data)}")
    for share in PLANTED_SHARES:
        recalls, precisions, extra = [], [], []
        for seed in range(3):
            planted, key = plant_swaps(data, share, seed)
            found = [suspect.sample_id for suspect in _list_suspects(planted)]
            hits = len(key & set(found))
            recalls.append(hits / len(key))
            precisions.append(hits / max(len(found), 1))
            extra.append(len(key & set(found[: len(key)])) / len(key))
        print(
            f"    {share:.0%} planted swaps: recall {np.mean(recalls):.2f}, precision {np.mean(precisions):.2f}, "
            f"of the first as many as planted {np.mean(extra):.2f}"
        )


def _list_suspects(data: ProbeData) -> list[Any]:
    found = find_suspect_labels(data, folds=FOLDS, seed=SEED, progress=SilentProgress())
    return [] if isinstance(found, Skipped) else found


def show(name: str, data: ProbeData) -> None:
    """Prints all results of one data set."""
    n_groups = data.rows["group_id"].nunique()
    print(f"{name}: {len(data)} images, {n_groups} groups")
    for probe in timed("probes", run_probes, data):
        print(f"    {probe.severity.value:8} {probe.name:14} {probe.verdict}")
    gap = timed("optimism gap", measure_optimism, data)
    if gap is not None:
        print(f"    {gap.verdict}")
    suspects = timed("label noise", find_suspect_labels, data)
    for suspect in (suspects or [])[:5]:
        print(f"    {suspect.sample_id}: given {suspect.given}, like {suspect.suggested} ({suspect.confidence:.3f})")
    if suspects is not None and data.task is Task.classification:
        show_planted_swaps(data)
    for entry in timed("explained", explain_target, data):
        r2 = "-" if entry.r2 is None else f"{entry.r2:.2f}"
        print(f"    {entry.name:18} R2 {r2:>5}  {entry.verdict} [{entry.description}]")


def main() -> None:
    """Goes through all data sets that are there."""
    if len(sys.argv) not in (2, 3):
        raise SystemExit(__doc__)
    data = Path(sys.argv[1])
    output = Path(sys.argv[2]) if len(sys.argv) == 3 else Path("runs/shortcuts")
    for name in NAMES:
        if (data / name).is_dir():
            show(name, read_data(name, data, output))
        else:
            print(f"{name}: not in {data}")


if __name__ == "__main__":
    main()

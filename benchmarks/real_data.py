"""Runs both tasks the whole way on public photographs and prints the table of the README.

Usage: python benchmarks/real_data.py DATA WEIGHTS [OUTPUT] [KEY=VALUE ...]

DATA holds `plantvillage/` (class folders with leaf-map.json) and the tables `arabidopsis_leaf_area/`,
`arabidopsis_age/` and `maize_leaf_count/` (labels.csv beside images/); WEIGHTS is a file of pre-trained weights for
tf_mobilenetv3_small_100. OUTPUT (default runs/real_data) receives the runs and is resumable.
"""

import sys
import time
from pathlib import Path

from phytoscope.configs import compose_config
from phytoscope.schema.artifact import read_json
from phytoscope.schema.report import EvaluationReport, MetricValue
from phytoscope.schema.run_folder import STEPS, RunFolder
from phytoscope.steps import RunContext, choose_run_folder, run_all

BACKBONE = "tf_mobilenetv3_small_100"
TABLES = {
    "arabidopsis_leaf_area": ("projected_leaf_area_px", "px", "top_view"),
    "arabidopsis_age": ("day", "d", "top_view"),
    "maize_leaf_count": ("leaf_count", "leaves", "side_view"),
}


def settings_of(name: str, data: Path) -> list[str]:
    """Settings of one data set, as a user would type them."""
    if name == "plantvillage":
        return ["data=plantvillage", f"data.root={data / name}"]
    target, unit, view = TABLES[name]
    folder = data / name
    return [
        "data=table",
        f"data.table={folder / 'labels.csv'}",
        f"data.images={folder / 'images'}",
        f"data.target={target}",
        f"data.unit={unit}",
        "data.group_by=[plant_id]",
        f"data.augment={view}",
    ]


def run_one(name: str, data: Path, weights: Path, output: Path, more: list[str]) -> tuple[EvaluationReport, RunFolder]:
    """Runs one data set; finished steps are reused."""
    model = ["model=mobilenetv3_small", f"model.backbone={BACKBONE}", f"model.weights={weights}"]
    paths = [f"paths.run_dir={output / name}", f"paths.cache_dir={output / 'cache'}", f"name={name}"]
    config = compose_config([*settings_of(name, data), *model, *paths, *more])
    run = choose_run_folder(config)
    started = time.monotonic()
    report = run_all(RunContext(config, run, say=lambda text: print(f"  {text}", file=sys.stderr)))
    print(f"{name}: {time.monotonic() - started:.0f} s", file=sys.stderr)
    return report, run


def describe(name: str, report: EvaluationReport, run: RunFolder) -> str:
    """One row of the table."""
    part = report.splits["test"]
    wanted = "accuracy" if name == "plantvillage" else "r2"

    def pick(metrics: list[MetricValue]) -> str:
        value = next(metric.value for metric in metrics if metric.name == wanted)
        return "-" if value is None else f"{value:.3f}"

    baselines = {baseline.name: pick(baseline.metrics) for baseline in part.baselines}
    seconds = sum(read_json(run.record(step))["seconds"] for step in STEPS)
    cells = [name, wanted, f"{part.n} / {part.n_groups}", pick(part.metrics), baselines["constant"]]
    return f"| {' | '.join([*cells, baselines.get('green_pixels', '-'), f'{seconds:.0f} s'])} |"


def main(words: list[str]) -> None:
    """Runs all data sets and prints the table."""
    more = [word for word in words if "=" in word]
    data, weights, *rest = (Path(word) for word in words if "=" not in word)
    output = rest[0] if rest else Path("runs/real_data")
    rows = []
    for name in ("plantvillage", *TABLES):
        report, run = run_one(name, data, weights, output, more)
        rows.append(describe(name, report, run))
    print("| data | metric | test photos / groups | phytoscope | constant | green pixels | time |")
    print("|---|---|---|---|---|---|---|")
    print("\n".join(rows))


if __name__ == "__main__":
    main(sys.argv[1:])

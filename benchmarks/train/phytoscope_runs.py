"""phytoscope itself: settings as a user would type them, taken through the package's own steps."""

from pathlib import Path

import pandas as pd
from measuring import BACKBONE, SIZE_PX, Curve, Job

from phytoscope.configs import compose_config
from phytoscope.schema.artifact import read_json
from phytoscope.schema.config import RunConfig
from phytoscope.schema.table import LABEL, PREDICTION, SPLIT, Split
from phytoscope.steps import RunContext, choose_run_folder, run_step


def compose_run(job: Job, curve: Curve) -> RunConfig:
    """Settings of one method: the shared split as a column of a table, the shared weights, folders of its own."""
    words = [
        "data=table",
        f"data.table={job.table}",
        f"data.images={job.data}",
        "data.label=label",
        "data.image_column=image",
        "data.split.column=split",
        "data.split.calibration=0",
        "data.group_by=[leaf]",
        "data.resize=squash",
        "data.augment=leaf",
        "model=mobilenetv3_small",
        f"model.backbone={BACKBONE}",
        f"model.weights={job.weights}",
        f"model.input_size_px={SIZE_PX}",
        f"name={curve.method}",
        f"seed={job.seed}",
        f"paths.run_dir={job.folder / 'run'}",
        f"paths.cache_dir={job.folder / 'cache'}",
    ]
    config = compose_config([*words, *(option.replace("{work}", str(job.folder.parent)) for option in job.options)])
    cache = Path(str(config.paths.cache_dir))
    if cache.parent != job.folder and not cache.exists():
        message = f"{curve.method} goes on from {str(cache)!r}, which is not there: run that method first."
        raise SystemExit(message)
    return config


def run_phytoscope(job: Job, curve: Curve) -> None:
    """Prepares and trains on the clock; the clock stands while the package's own evaluation predicts the test part.

    Args:
        job: Data, split, weights, and the method's settings as options.
        curve: Receives one point, at the end; val's accuracy in between comes from the run's own history.
    """
    curve.libraries_imported()
    config = compose_run(job, curve)
    run = choose_run_folder(config)
    context = RunContext(config, run, say=lambda text: print(f"    {text}", flush=True))
    run_step(context, "prepare")
    prepared = curve.seconds
    run_step(context, "train")
    curve.facts |= {"settings": list(job.options), "prepared_after_seconds": prepared}
    curve.facts |= {f"{name}_seconds": read_json(run.record(name))["seconds"] for name in ("prepare", "train")}
    truth: list[str] = []
    with curve.looking("trained", truth) as answers:
        curve.facts["history"] = _read_history(run.history)
        run_step(context, "evaluate")
        table = pd.read_parquet(run.predictions)
        table = table[table[SPLIT] == str(Split.test)]
        truth.extend(table[LABEL])
        answers.extend(table[PREDICTION])


def _read_history(path: Path) -> list[dict[str, float]]:
    return [] if not path.exists() else pd.read_csv(path).astype(float).to_dict("records")

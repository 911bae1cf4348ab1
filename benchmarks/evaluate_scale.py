"""Evaluates a million answers: every metric with its interval by group, slices, calibration and sets, without torch.

Usage: python benchmarks/evaluate_scale.py [--rows 1000000] [--classes 38] [--groups 0] [--draws 1000]

Writes a table of predictions with drawn answers (`prob/<class>` float32) to a temporary folder, and then, in a fresh
process, reads it, evaluates it, and prints seconds and peak memory of each part. Groups of 0 means every image its own.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

_CHUNK = 100_000


def write_predictions(path: Path, *, rows: int, classes: int, groups: int, seed: int = 0) -> list[str]:
    """Writes a table of predictions whose accuracy is about 0.9; returns the names of the classes."""
    rng = np.random.default_rng(seed)
    names = [f"class_{index:02d}" for index in range(classes)]
    writer = None
    n_groups = rows if groups == 0 else groups
    offset = rng.normal(0.0, 1.0, n_groups)
    for start in range(0, rows, _CHUNK):
        n = min(_CHUNK, rows - start)
        number = np.arange(start, start + n)
        group = number if groups == 0 else rng.integers(0, groups, n)
        true = rng.integers(0, classes, n)
        logits = rng.normal(0.0, 1.0, (n, classes)).astype(np.float32)
        logits[np.arange(n), true] += 4.3 + offset[group]
        probs = np.exp(logits - logits.max(axis=1, keepdims=True))
        probs /= probs.sum(axis=1, keepdims=True)
        best = probs.argmax(axis=1)
        share = (group % 100) / 100.0
        split = np.where(share < 0.1, "val", np.where(share < 0.3, "calibration", "test"))
        table = pa.table(
            {
                "sample_id": [f"images/{i:07d}.jpg" for i in number],
                "path": [f"images/{i:07d}.jpg" for i in number],
                "group_id": [f"plant-{i:07d}" for i in group],
                "split": split.astype(str),
                "label": np.array(names)[true].astype(str),
                "prediction": np.array(names)[best].astype(str),
                "probability": probs[np.arange(n), best],
                **{f"prob/{name}": probs[:, i] for i, name in enumerate(names)},
                "novelty": rng.gamma(2.0, 1.0, n).astype(np.float32),
                **{
                    f"photo/{name}": rng.gamma(2.0, 50.0, n).astype(np.float32)
                    for name in ("brightness", "highlights", "sharpness", "side_px", "plant")
                },
                "meta/camera": np.array(["phone", "slr", "robot"])[rng.integers(0, 3, n)].astype(str),
                "meta/site": np.array([f"site {i}" for i in range(12)])[rng.integers(0, 12, n)].astype(str),
                "model_id": np.full(n, "model"),
            }
        )
        if writer is None:
            writer = pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()
    return names


@contextmanager
def timed(name: str, found: dict[str, float]) -> Iterator[None]:
    """Puts the seconds of a block under its name."""
    began = time.perf_counter()
    yield
    found[name] = round(time.perf_counter() - began, 2)


def evaluate(path: Path, classes: int, draws: int) -> dict[str, float]:
    """Reads and evaluates the table; returns seconds by part and peak memory in MB."""
    from phytoscope.evaluate.answers import judge_table, read_labelled
    from phytoscope.evaluate.report import ReportPlan, Subject, evaluate_predictions
    from phytoscope.evaluate.trust_report import measure_trust
    from phytoscope.schema.table import Task
    from phytoscope.trust.fit import TrustWishes, fit_trust

    seconds: dict[str, float] = {}
    names = [f"class_{index:02d}" for index in range(classes)]
    with timed("read", seconds):
        predictions = pd.read_parquet(path)
    with timed("evaluate", seconds):
        subject = Subject(Task.classification, names, "class", "", name="scale", data_hash="", split_hash="")
        plan = ReportPlan(bootstrap=draws)
        report = evaluate_predictions(predictions, pd.DataFrame({"label": names}), subject, plan)
    with timed("fit trust", seconds):
        wishes = TrustWishes()
        splits = predictions["split"].to_numpy()
        calibration, val = (
            read_labelled(predictions[splits == split], Task.classification, names) for split in ("calibration", "val")
        )
        trust = fit_trust(Task.classification, calibration, val, wishes)
        del calibration, val
    with timed("judge", seconds):
        answers = judge_table(predictions, trust, names)
    with timed("measure trust", seconds):
        is_test = splits == "test"
        judged = measure_trust(
            predictions[is_test],
            answers[is_test],
            trust,
            wishes,
            class_names=names,
            units={"class": ""},
            seed=0,
            draws=draws,
        )
    if "torch" in sys.modules:
        message = "torch was imported: evaluation must do without."
        raise SystemExit(message)
    test = report.splits["test"]
    print(f"{len(predictions):,} rows, {test.n_groups:,} groups and {len(test.slices)} slices in test")
    for metric in test.metrics:
        print(f"  {metric.name}: {metric.value:.4f} ({metric.low:.4f} to {metric.high:.4f})")
    print(f"  verdicts: {judged.verdicts.shares}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {**seconds, "total_s": round(sum(seconds.values()), 2), "peak_mb": round(peak)}


def main() -> None:
    """Writes the table, then measures in a fresh process, so that writing does not count as memory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--classes", type=int, default=38)
    parser.add_argument("--groups", type=int, default=0)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--table", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.table is not None:
        print(json.dumps(evaluate(given.table, given.classes, given.draws)))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "predictions.parquet"
        write_predictions(path, rows=given.rows, classes=given.classes, groups=given.groups)
        print(f"table: {path.stat().st_size / 1e6:.0f} MB", flush=True)
        words = ["--table", str(path), "--classes", str(given.classes), "--draws", str(given.draws)]
        subprocess.run([sys.executable, __file__, *words], check=True)  # noqa: S603 (our own file)


if __name__ == "__main__":
    main()

"""What the split and the report cost a row: both look at whole tables, in the process that asked."""

import importlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path

BENCHMARKS = Path(__file__).resolve().parent.parent
ROWS, DRAWS = 100_000, 1000
"""Enough rows that what does not grow with them hardly counts."""


def measure_tables(classes: int) -> dict[str, float]:
    """Milliseconds a row: processor time of all steps from the table to the split, and time of a whole evaluation."""
    sys.path.append(str(BENCHMARKS))
    scale, evaluate_scale = (importlib.import_module(name) for name in ("scale", "evaluate_scale"))
    stages = scale.run_size(ROWS)["stages"]
    split_s = sum(stage["cpu_seconds"] for stage in stages.values())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "predictions.parquet"
        evaluate_scale.write_predictions(path, rows=ROWS, classes=classes, groups=0)
        words = ["--table", str(path), "--classes", str(classes), "--draws", str(DRAWS)]
        # In a process of its own, as it does without torch.
        command = [sys.executable, evaluate_scale.__file__, *words]
        done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 (our own file)
    evaluated_s = json.loads(done.stdout.splitlines()[-1])["total_s"]
    return {"table to split": 1000 * split_s / ROWS, "evaluate": 1000 * evaluated_s / ROWS}

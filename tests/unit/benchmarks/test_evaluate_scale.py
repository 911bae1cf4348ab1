"""The benchmark of a million answers does at small size what it does at full size, without torch."""

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[3] / "benchmarks" / "evaluate_scale.py"


def test_small_table_is_evaluated_without_torch() -> None:
    """Seconds and memory of each part stand in the last line; the script itself fails when torch is imported."""
    words = [sys.executable, str(SCRIPT), "--rows", "3000", "--classes", "4", "--groups", "100", "--draws", "50"]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    found = json.loads(done.stdout.splitlines()[-1])
    assert {"read", "evaluate", "fit trust", "judge", "measure trust", "total_s", "peak_mb"} == set(found)
    assert "accuracy" in done.stdout

"""Two models side by side: reads what they answered, and writes the comparison for people and machines."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from phytoscope.errors import ArtifactError
from phytoscope.evaluate.bootstrap import BootstrapPlan
from phytoscope.evaluate.compare import Answers, compare_answers
from phytoscope.schema.artifact import read_json, write_atomic, write_json
from phytoscope.schema.comparison import Comparison
from phytoscope.schema.run_folder import RunFolder
from phytoscope.schema.table import PREDICTION, PROB_PREFIX, TARGET, Split, Task
from phytoscope.visualize.compare import draw_comparison
from phytoscope.visualize.compare_page import render_comparison
from phytoscope.visualize.style import save_figures

JSON_FILE, PAGE_FILE, TABLE_FILE = "comparison.json", "comparison.html", "disagreements.csv"


@dataclass(frozen=True)
class CompareRequest:
    """What to compare, and how.

    Attributes:
        first: Folder of a run, or a table of predictions.
        second: The other one.
        split: Which images.
        plan: How intervals are made.
        slices: Columns by which is asked who wins where.
        output: Folder for the files; None for none.
    """

    first: Path
    second: Path
    split: Split
    plan: BootstrapPlan
    slices: Sequence[str] = ()
    output: Path | None = None


def compare_runs(request: CompareRequest) -> Comparison:
    """Compares two models, and writes `comparison.json`, `comparison.html`, `disagreements.csv` and a figure.

    Raises:
        ArtifactError: A place holds no predictions, or the two cannot be compared.
        DataValidationError: The predictions cannot be trusted.
        ConfigError: A slice names no column.
        StorageError: The output cannot be written.
    """
    first, second = read_answers(request.first), read_answers(request.second)
    if first.name == second.name:
        first, second = _rename(first, request.first, "A"), _rename(second, request.second, "B")
    comparison, table = compare_answers(first, second, split=request.split, plan=request.plan, slices=request.slices)
    if request.output is not None:
        _write(comparison, table, request.output)
    return comparison


def read_answers(place: Path) -> Answers:
    """Reads what a model answered.

    Args:
        place: Folder of a run that is evaluated, or a table `predictions.parquet`.

    Raises:
        ArtifactError: There are no predictions, or they cannot be read.
    """
    path = RunFolder(place).predictions if place.is_dir() else place
    if not path.is_file():
        what = "it has no predictions.parquet" if place.is_dir() else "it does not exist"
        message = (
            f"{str(place)!r} is no run to compare: {what}. Name the folder of a run after `phytoscope evaluate`, or a "
            "table predictions.parquet."
        )
        raise ArtifactError(message)
    try:
        table = pd.read_parquet(path)
    except (OSError, pa.ArrowException) as error:
        message = f"{str(path)!r} cannot be read as a table ({error}): evaluate the run again."
        raise ArtifactError(message) from error
    report = RunFolder(path.parent).report
    about = _read_about(report) if report.is_file() else {}
    class_names = [name.removeprefix(PROB_PREFIX) for name in map(str, table.columns) if name.startswith(PROB_PREFIX)]
    if not class_names and not {TARGET, PREDICTION} <= set(table.columns):
        message = (
            f"{str(path)!r} is no table of predictions: it has neither columns {PROB_PREFIX}<class> nor {TARGET!r} and "
            f"{PREDICTION!r}."
        )
        raise ArtifactError(message)
    return Answers(
        name=place.name if place.is_dir() else place.stem,
        table=table,
        task=Task.classification if class_names else Task.regression,
        class_names=class_names,
        unit=about.get("unit"),
        target_name=about.get("target_name"),
        split_hash=about.get("split_hash"),
    )


def _read_about(path: Path) -> dict[str, Any]:
    content = read_json(path)
    return content if isinstance(content, dict) else {}


def _rename(answers: Answers, place: Path, letter: str) -> Answers:
    # Two runs of one name are told apart by their letter and, where it differs, by the folder around them.
    return Answers(**{**vars(answers), "name": f"{letter} ({place})"})


def _write(comparison: Comparison, table: pd.DataFrame, folder: Path) -> None:
    write_json(folder / JSON_FILE, comparison.to_dict())
    with write_atomic(folder / TABLE_FILE) as temporary:
        table.to_csv(temporary, index=False)
    figures = save_figures(draw_comparison(comparison), folder)
    with write_atomic(folder / PAGE_FILE) as temporary:
        temporary.write_text(render_comparison(comparison, figures), encoding="utf-8")

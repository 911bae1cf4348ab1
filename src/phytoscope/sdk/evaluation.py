"""How good a trained network is, on photographs that it never saw."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from phytoscope.schema.report import EvaluationReport
from phytoscope.sdk.notebook_view import draw_view
from phytoscope.sdk.training import TrainedRun, compose_of_run, take_steps
from phytoscope.steps import read_report

_COLUMNS = ("split", "model", "metric", "value", "low", "high", "unit", "higher_is_better")


@dataclass(frozen=True, repr=False)
class Evaluation(EvaluationReport):
    """The report of a run, which also shows itself in a notebook."""

    @property
    def table(self) -> pd.DataFrame:
        """Every metric of the network (`model` is `network`) and of the baselines: `split`, `model`, `metric`,
        `value`, `low` and `high` (ends of the interval), `unit`, `higher_is_better`.
        """
        rows = [
            (split, model, row.name, row.value, row.low, row.high, row.unit, row.higher_is_better)
            for split, part in self.splits.items()
            for model, metrics in (
                ("network", part.metrics),
                *((baseline.name, baseline.metrics) for baseline in part.baselines),
            )
            for row in metrics
        ]
        return pd.DataFrame(rows, columns=list(_COLUMNS))

    def __repr__(self) -> str:
        """One line."""
        facts = ", ".join(f"{name}: {value}" for name, value in self._list_facts().items())
        return f"Evaluation({self.name!r}, {facts})"

    def _repr_html_(self) -> str:
        table = self.table
        own = table[(table["split"] == self._shown) & (table["model"] == "network")]
        return draw_view(
            f"Evaluation of {self.name}", self._list_facts(), own[["metric", "value", "low", "high", "unit"]]
        )

    @property
    def _shown(self) -> str:
        return "test" if "test" in self.splits else next(iter(self.splits), "")

    def _list_facts(self) -> dict[str, str]:
        part = self.splits.get(self._shown)
        shown = [] if part is None else [row for row in part.metrics if row.value is not None][:3]
        words = {True: "yes", False: "no", None: "not compared"}
        return {f"{self._shown}/{row.name}": f"{row.value:.3g} {row.unit}".rstrip() for row in shown} | {
            "better than the baselines": words[self.beats_baseline],
            "warnings": f"{len(self.warnings)}",
        }


def evaluate(run: TrainedRun | str | Path, *, settings: Sequence[str] = (), progress: bool = False) -> Evaluation:
    """Lets the network answer for the photographs kept aside, judges the answers, and writes the report.

    The numbers to quote are those of `test`: of plants that training never saw. `run.report_page` is the report to
    read, `run.answers` the table of all answers.

    Args:
        run: What `train` gave, or the folder of a run.
        settings: Further words as the command line takes them, such as `evaluate.error_rate=0.02`; the run keeps them.
        progress: Whether to show how far it is.

    Raises:
        ConfigError: A setting is wrong, or there is no run in the folder.
        ArtifactError: The network is not trained, or with other settings.
        PhytoscopeError: Anything else that you can mend.

    Examples:
        >>> report = ph.evaluate(run)
        >>> sorted(report.splits)
        ['calibration', 'test', 'val']
        >>> 0.0 <= report.metric("test", "macro_f1") <= 1.0
        True
    """
    folder = take_steps(compose_of_run(run, settings), ("evaluate",), progress=progress)
    report = read_report(folder)
    return Evaluation(**{field.name: getattr(report, field.name) for field in dataclasses.fields(report)})

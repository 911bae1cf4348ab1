"""RobustnessReport: how a model's answers fare when its test pictures are spoiled."""

import dataclasses
from dataclasses import dataclass
from typing import Any, Final

from phytoscope.errors import ArtifactError
from phytoscope.schema.table import Task

CLEAN: Final = "clean"
"""Kind of the row of the pictures as they are; its severity is 0."""
LARGE_DROP: Final = 0.1
"""A loss of accuracy, or of R2, by more than this counts as breaking the model."""


@dataclass(frozen=True)
class RobustnessRow:
    """Answers for pictures that were spoiled in one way.

    Attributes:
        kind: Name of what was done, or `clean`.
        words: The same for readers.
        severity: 1 to 5; 0 for `clean`.
        n: Pictures; fewer than for `clean` where not every picture could be spoiled in this way.
        score: Accuracy 0-1, or R2; None where it is not defined.
        clean_score: The score of the same pictures as they are.
        mae: Mean absolute error in the unit of the target (regression).
        accept: Share of the answers with this verdict, 0-1; None where no verdict was given.
        review: The same for `review`.
        reject: The same for `reject`.
        accepted: Number of accepted answers; None where no verdict was given.
        error_accepted: Share of wrong answers among the accepted ones, 0-1, or their mean absolute error (regression);
            None where none was accepted, or no verdict was given.
    """

    kind: str
    words: str
    severity: int
    n: int
    score: float | None
    clean_score: float | None
    mae: float | None = None
    accept: float | None = None
    review: float | None = None
    reject: float | None = None
    accepted: int | None = None
    error_accepted: float | None = None

    @property
    def drop(self) -> float:
        """How much of the score is lost; 0 where it is not defined."""
        return 0.0 if self.score is None or self.clean_score is None else self.clean_score - self.score


@dataclass(frozen=True)
class RobustnessReport:
    """How a model's answers fare when its test pictures are spoiled.

    Attributes:
        task: Classification or regression.
        unit: Unit of the target; empty for classification.
        n: Pictures that were drawn from the test split.
        n_groups: Groups that they belong to.
        left_out: Kinds that were not tried, with the reason.
        rows: `clean` first, then one entry a kind and severity.
    """

    task: Task
    unit: str
    n: int
    n_groups: int
    rows: list[RobustnessRow]
    left_out: dict[str, str] = dataclasses.field(default_factory=dict)

    @property
    def metric(self) -> str:
        """Name of the score."""
        return "accuracy" if self.task is Task.classification else "R2"

    @property
    def clean(self) -> RobustnessRow:
        """The row of the pictures as they are."""
        return self.rows[0]

    @property
    def kinds(self) -> list[str]:
        """What was done, in the order of the rows."""
        return list(dict.fromkeys(row.kind for row in self.rows[1:]))

    def of(self, kind: str) -> list[RobustnessRow]:
        """The rows of one kind by rising severity."""
        return sorted((row for row in self.rows if row.kind == kind), key=lambda row: row.severity)

    def find_first_break(self) -> RobustnessRow | None:
        """The mildest change that costs more than `LARGE_DROP`; of several equally mild ones, that with most loss."""
        broken = [row for row in self.rows[1:] if row.drop > LARGE_DROP]
        return min(broken, key=lambda row: (row.severity, -row.drop)) if broken else None

    def describe(self) -> list[str]:
        """What a reader should know, in sentences."""
        said = [self._describe_break()]
        judged = [row for row in self.rows[1:] if row.accept is not None]
        if judged:
            said.append(_describe_verdicts(judged, self.task, self.unit))
        return said

    def _describe_break(self) -> str:
        def numbers(row: RobustnessRow) -> str:
            score, clean = (0.0 if value is None else value for value in (row.score, row.clean_score))
            return f"{row.words} ({self.metric} {clean:.2f} → {score:.2f} at severity {row.severity})"

        first = self.find_first_break()
        if first is not None:
            return f"What breaks it first: {numbers(first)}."
        worst = max(self.rows[1:], key=lambda row: row.drop, default=None)
        if worst is None or worst.drop <= 0:
            return f"Nothing that was tried lowers the {self.metric} ({self.n} pictures)."
        return (
            f"Nothing that was tried lowers the {self.metric} by more than {LARGE_DROP:g}; most harm does "
            f"{numbers(worst)}."
        )

    def to_dict(self) -> dict[str, Any]:
        """The report as plain dictionaries and lists, ready for JSON, its sentences included."""
        return {**dataclasses.asdict(self), "task": self.task.value, "sentences": self.describe()}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "RobustnessReport":
        """Rebuilds a report from `to_dict`'s result.

        Raises:
            ArtifactError: The content is not complete.
        """
        try:
            plain = {key: value for key, value in content.items() if key != "sentences"}
            rows = [RobustnessRow(**row) for row in plain["rows"]]
            return cls(**{**plain, "task": Task(plain["task"]), "rows": rows})
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            message = f"the robustness is not complete ({type(error).__name__}: {error}): evaluate the run again."
            raise ArtifactError(message) from error


def _describe_verdicts(judged: list[RobustnessRow], task: Task, unit: str) -> str:
    last = max(row.severity for row in judged)
    worst = [row for row in judged if row.severity == last]
    total = sum(row.n for row in worst)
    accepted = sum(row.accepted or 0 for row in worst)
    said = f"Of the {total} answers at severity {last}, {_percent(accepted, total)} are still accepted"
    if accepted == 0:
        return said + "."
    error = sum((row.accepted or 0) * (row.error_accepted or 0.0) for row in worst) / accepted
    if task is Task.classification:
        return said + f", and {100 * error:.0f} % of these are wrong."
    return said + f", with a mean absolute error of {error:.3g} {unit}".rstrip() + "."


def _percent(part: int, total: int) -> str:
    return f"{100 * part / max(1, total):.0f} %"

"""How often answers were right, by model and verdict, as far as somebody said what is true."""

import json
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import func, select

from phytoscope.api.records.database import Database
from phytoscope.api.records.reading import Judged, Wanted, choose_rows, iterate_records
from phytoscope.api.records.tables import PREDICTIONS

ALL: Final = "all"
NO_VERDICT: Final = "none"
_ORDER: Final = ("accept", "review", "reject", NO_VERDICT, ALL)
_Z: Final = 1.959964


@dataclass(frozen=True)
class Share:
    """A share of answers, with what chance alone lets it be.

    Attributes:
        hits: How many.
        total: Of how many.
    """

    hits: int
    total: int

    @property
    def value(self) -> float:
        """Between 0 and 1; NaN of none."""
        return self.hits / self.total if self.total else math.nan

    def range(self) -> tuple[float, float]:
        """Range that holds the true share 95 times of 100 (Wilson 1927, doi 10.1080/01621459.1927.10502953)."""
        n = self.total
        if n == 0:
            return 0.0, 1.0
        middle = (self.value + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
        half = _Z / (1 + _Z**2 / n) * math.sqrt(self.value * (1 - self.value) / n + _Z**2 / (4 * n**2))
        return max(0.0, middle - half), min(1.0, middle + half)


@dataclass
class StatRow:
    """What is known of one model's answers with one verdict.

    Attributes:
        model_name: The model.
        model_id: Hash of its weights.
        target: Which number; None for a class or the main number.
        unit: Its unit.
        verdict: `accept`, `review`, `reject`, `none` or `all`.
        answered: Answers of this kind.
        right: Answers whose class is the true one (classification).
        covered: Sets or intervals that hold the truth, of those that were given.
        errors: Size of each error in the unit (regression).
    """

    model_name: str
    model_id: str
    target: str | None
    unit: str
    verdict: str
    answered: int = 0
    right: Share = field(default_factory=lambda: Share(0, 0))
    covered: Share = field(default_factory=lambda: Share(0, 0))
    errors: list[float] = field(default_factory=list)

    @property
    def mae(self) -> float | None:
        """Mean absolute error in the unit; None where no number turned out to be true."""
        return math.fsum(self.errors) / len(self.errors) if self.errors else None

    @property
    def judged(self) -> int:
        """Answers of which the truth is known."""
        return self.right.total + len(self.errors)


def tell_stats(database: Database, wanted: Wanted) -> list[StatRow]:
    """Counts right and wrong answers by model, number and verdict; of several feedbacks the newest counts.

    Args:
        database: Where records are.
        wanted: Which answers.

    Raises:
        StorageError: The database cannot be read.
    """
    rows: dict[tuple[str, str | None, str], StatRow] = {}
    for entry in _count_answers(database, wanted):
        for verdict in (entry["verdict"] or NO_VERDICT, ALL):
            row = rows.setdefault(
                (entry["model_id"], None, verdict),
                StatRow(entry["model_name"], entry["model_id"], None, entry["unit"], verdict),
            )
            row.answered += entry["answered"]
    answered = {(model, verdict): row.answered for (model, _, verdict), row in rows.items()}
    for judged in iterate_records(database, Wanted(wanted.model, wanted.verdict, wanted.since, feedback_only=True)):
        found = judged.prediction
        for target, truth in judged.newest.items():
            for verdict in (found["verdict"] or NO_VERDICT, ALL):
                key = found["model_id"], target, verdict
                row = rows.setdefault(key, StatRow(found["model_name"], found["model_id"], target, "", verdict))
                row.answered = answered.get((found["model_id"], verdict), 0)
                _count_truth(row, judged, target, truth)
    return _sort(list(rows.values()))


def _count_answers(database: Database, wanted: Wanted) -> list[dict[str, Any]]:
    table = PREDICTIONS.c
    columns = table.model_name, table.model_id, table.unit, table.verdict
    counted = select(*columns, func.count().label("answered")).where(*choose_rows(wanted)).group_by(*columns)
    with database.reading() as connection:
        return [dict(row) for row in connection.execute(counted).mappings()]


def _count_truth(row: StatRow, judged: Judged, target: str | None, truth: dict[str, Any]) -> None:
    found, answer = judged.prediction, json.loads(judged.prediction["answer"])
    if truth["label"] is not None:
        row.right = _add(row.right, found["label"] == truth["label"])
        if answer.get("label_set"):
            row.covered = _add(row.covered, truth["label"] in answer["label_set"])
        return
    value, lower, upper = found["value"], found["lower"], found["upper"]
    if target is not None:
        value, lower, upper = (answer.get(key, {}).get(target) for key in ("values", "lowers", "uppers"))
        row.unit = answer.get("units", {}).get(target, "")
    if value is None:
        return
    row.errors.append(abs(value - truth["value"]))
    if lower is not None and upper is not None:
        row.covered = _add(row.covered, lower <= truth["value"] <= upper)


def _add(share: Share, is_hit: bool) -> Share:
    return Share(share.hits + is_hit, share.total + 1)


def _sort(rows: Sequence[StatRow]) -> list[StatRow]:
    kinds: dict[tuple[str, str, str], list[StatRow]] = defaultdict(list)
    for row in rows:
        kinds[row.model_name, row.model_id, row.target or ""].append(row)
    return [row for kind in sorted(kinds) for row in sorted(kinds[kind], key=lambda entry: _ORDER.index(entry.verdict))]

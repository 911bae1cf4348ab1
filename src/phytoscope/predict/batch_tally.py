"""What became of many images, counted as they are answered."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from phytoscope.schema.prediction import Prediction
from phytoscope.schema.verdict import Reason


@dataclass
class Tally:
    """What became of some images.

    Attributes:
        answered: Images that were answered.
        failed: Images that could not be read.
        first_error: What was wrong with the first of these, with its path; empty when there is none.
        verdicts: Verdict -> number of answers; empty where the model does not judge them.
        reasons: Reason -> number of answers for which it holds.
    """

    answered: int = 0
    failed: int = 0
    first_error: str = ""
    verdicts: Counter[str] = field(default_factory=Counter)
    reasons: Counter[Reason] = field(default_factory=Counter)

    def add(self, rows: Sequence[Prediction]) -> None:
        """Counts some answers."""
        failed = [row for row in rows if row.error]
        if failed and not self.first_error:
            self.first_error = f"{failed[0].path!r}: {failed[0].error}"
        self.failed += len(failed)
        self.answered += len(rows) - len(failed)
        self.verdicts.update(row.verdict for row in rows if row.verdict)
        for row in rows:
            self.reasons.update(row.reasons)

    def to_dict(self) -> dict[str, Any]:
        """The counts as plain values, ready for JSON."""
        return {
            "answered": self.answered,
            "failed": self.failed,
            "first_error": self.first_error,
            "verdicts": dict(self.verdicts),
            "reasons": {reason.value: count for reason, count in self.reasons.items()},
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "Tally":
        """Rebuilds the counts from `to_dict`'s result."""
        reasons = Counter({Reason(name): int(count) for name, count in content["reasons"].items()})
        verdicts = Counter({str(name): int(count) for name, count in content["verdicts"].items()})
        return cls(int(content["answered"]), int(content["failed"]), str(content["first_error"]), verdicts, reasons)

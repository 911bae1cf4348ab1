"""Trust: everything that turns a raw answer into one that says how far it can be believed."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from phytoscope.errors import ArtifactError
from phytoscope.schema.table import Task
from phytoscope.trust.calibration import Calibration
from phytoscope.trust.intervals import IntervalRule
from phytoscope.trust.observed import Judged, Observed
from phytoscope.trust.photo import PhotoLimits
from phytoscope.trust.sets import SetRule
from phytoscope.trust.verdict import VerdictLimits, decide, find_reasons

TRUST_FORMAT = 1


@dataclass(frozen=True)
class Trust:
    """What was learned on the calibration split, as plain numbers.

    Attributes:
        task: Classification or regression.
        calibration: From the network's probabilities to honest ones (classification).
        sets: How prediction sets are made; None where the calibration split was too small (classification).
        intervals: How the interval of each target is made, None where it could not be; in the order of the targets
            (regression).
        photo: From where on a photograph is not good enough.
        limits: From where on an answer is not accepted.
        remarks: What could not be fitted or promised, and why, in words.
    """

    task: Task
    calibration: Calibration = field(default_factory=Calibration)
    sets: SetRule | None = None
    intervals: tuple[IntervalRule | None, ...] = ()
    photo: PhotoLimits = field(default_factory=PhotoLimits)
    limits: VerdictLimits = field(default_factory=VerdictLimits)
    remarks: tuple[str, ...] = ()

    def judge(self, observed: Observed) -> Judged:
        """Calibrated answers with sets or intervals, verdicts and reasons.

        Args:
            observed: What is known of N images. Where one of its answers is NaN or infinite, all answers of an image
                become NaN, its set holds every class, and it is never accepted.
        """
        faults = self.photo.find_faults(observed.photo)
        broken = np.asarray(~np.isfinite(observed.answers).all(axis=1))
        if broken.any():
            # One number that is none makes the whole answer one.
            observed = replace(observed, answers=np.where(broken[:, None], np.nan, observed.answers))
        if self.task is Task.classification:
            probs = self.calibration.apply(observed.answers)
            reasons = find_reasons(
                self.limits,
                novelty=observed.novelty,
                photo_faults=faults,
                probability=probs.max(axis=1),
                width=None,
                broken=broken,
            )
            sets = None if self.sets is None else self.sets.choose(probs)
            return Judged(probs, sets, None, None, decide(reasons), reasons)
        lower, upper = np.full_like(observed.answers, np.nan), np.full_like(observed.answers, np.nan)
        for target, rule in enumerate(self.intervals):
            if rule is not None:
                lower[:, target], upper[:, target] = rule.bound(observed, target)
        width = upper[:, 0] - lower[:, 0]
        reasons = find_reasons(
            self.limits, novelty=observed.novelty, photo_faults=faults, probability=None, width=width, broken=broken
        )
        return Judged(observed.answers, None, lower, upper, decide(reasons), reasons)

    def to_dict(self) -> dict[str, Any]:
        """The trust as plain values, ready for JSON."""
        return {
            "format": TRUST_FORMAT,
            "task": self.task.value,
            "calibration": self.calibration.to_dict(),
            "sets": None if self.sets is None else self.sets.to_dict(),
            "intervals": [None if rule is None else rule.to_dict() for rule in self.intervals],
            "photo": self.photo.to_dict(),
            "limits": self.limits.to_dict(),
            "remarks": list(self.remarks),
        }

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "Trust":
        """Rebuilds a trust from `to_dict`'s result.

        Raises:
            ArtifactError: The content was written in another format or is not complete.
        """
        try:
            if content["format"] != TRUST_FORMAT:
                message = (
                    f"trust.json has format {content['format']!r}, this version reads {TRUST_FORMAT}: evaluate again."
                )
                raise ArtifactError(message)
            return cls(
                Task(content["task"]),
                Calibration.from_dict(content["calibration"]),
                None if content["sets"] is None else SetRule.from_dict(content["sets"]),
                tuple(None if rule is None else IntervalRule.from_dict(rule) for rule in content["intervals"]),
                PhotoLimits.from_dict(content["photo"]),
                VerdictLimits(**content["limits"]),
                tuple(content["remarks"]),
            )
        except (TypeError, KeyError, ValueError, AttributeError) as error:
            message = f"trust.json is not complete ({type(error).__name__}: {error}): evaluate the run again."
            raise ArtifactError(message) from error

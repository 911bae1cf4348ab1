"""Whether new images, what is said about them, and the errors made on them are still what they were."""

from phytoscope.evaluate.drift.compare import compare_batch
from phytoscope.evaluate.drift.side import DriftPlan, DriftSide, join_sides
from phytoscope.evaluate.drift.truth import ErrorSide, compare_errors

__all__ = ["DriftPlan", "DriftSide", "ErrorSide", "compare_batch", "compare_errors", "join_sides"]

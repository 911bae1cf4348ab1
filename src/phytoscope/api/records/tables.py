"""Tables of the records. `migrations/` brings older databases to this state."""

from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import Column, DateTime, Float, ForeignKey, Index, Integer, MetaData, String, Table, Text
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

VERSION_TABLE: Final = "phytoscope_records_version"
"""Holds the revision of the tables. All names begin alike, so that the records can share a database with others."""


class UtcTime(TypeDecorator[datetime]):
    """A time with a zone, kept in UTC also where the database knows no zones."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Turns any zone into UTC."""
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:
        """Gives the zone back."""
        if value is None:
            return None
        found: datetime = value
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


METADATA: Final = MetaData()
PREDICTIONS: Final = Table(
    "phytoscope_predictions",
    METADATA,
    Column("id", String(64), primary_key=True),
    Column("request_id", String(64), nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("model_id", String(64), nullable=False),
    Column("model_name", Text, nullable=False),
    Column("model_version", Text),
    Column("task", String(32), nullable=False),
    Column("label", Text),
    Column("probability", Float(53)),
    Column("value", Float(53)),
    Column("unit", Text, nullable=False),
    Column("lower", Float(53)),
    Column("upper", Float(53)),
    Column("verdict", String(16)),
    Column("reasons", Text, nullable=False),
    Column("novelty", Float(53)),
    Column("image_sha256", String(64), nullable=False),
    Column("width_px", Integer),
    Column("height_px", Integer),
    Column("took_ms", Float(53), nullable=False),
    Column("answer", Text, nullable=False),
    Index("ix_phytoscope_predictions_at", "at"),
    Index("ix_phytoscope_predictions_image", "image_sha256"),
)
"""One row an answer; `reasons` are codes with blanks between them."""
FEEDBACK: Final = Table(
    "phytoscope_feedback",
    METADATA,
    Column("id", String(64), primary_key=True),
    Column("prediction_id", String(64), ForeignKey("phytoscope_predictions.id", ondelete="CASCADE"), nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("label", Text),
    Column("value", Float(53)),
    Column("target", Text),
    Column("comment", Text),
    Index("ix_phytoscope_feedback_prediction", "prediction_id"),
)
"""One row for each time that somebody said what is true; the newest one counts."""

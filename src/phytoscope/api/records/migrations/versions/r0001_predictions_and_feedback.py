"""The first tables: answers, and what turned out to be true of them."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Makes both tables."""
    op.create_table(
        "phytoscope_predictions",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("request_id", sa.String(64), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("model_id", sa.String(64), nullable=False),
        sa.Column("model_name", sa.Text, nullable=False),
        sa.Column("model_version", sa.Text),
        sa.Column("task", sa.String(32), nullable=False),
        sa.Column("label", sa.Text),
        sa.Column("probability", sa.Float(53)),
        sa.Column("value", sa.Float(53)),
        sa.Column("unit", sa.Text, nullable=False),
        sa.Column("lower", sa.Float(53)),
        sa.Column("upper", sa.Float(53)),
        sa.Column("verdict", sa.String(16)),
        sa.Column("reasons", sa.Text, nullable=False),
        sa.Column("novelty", sa.Float(53)),
        sa.Column("image_sha256", sa.String(64), nullable=False),
        sa.Column("width_px", sa.Integer),
        sa.Column("height_px", sa.Integer),
        sa.Column("took_ms", sa.Float(53), nullable=False),
        sa.Column("answer", sa.Text, nullable=False),
    )
    op.create_index("ix_phytoscope_predictions_at", "phytoscope_predictions", ["at"])
    op.create_table(
        "phytoscope_feedback",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column(
            "prediction_id",
            sa.String(64),
            sa.ForeignKey("phytoscope_predictions.id", ondelete="CASCADE"),
            nullable=False,
        ),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("label", sa.Text),
        sa.Column("value", sa.Float(53)),
        sa.Column("target", sa.Text),
        sa.Column("comment", sa.Text),
    )
    op.create_index("ix_phytoscope_feedback_prediction", "phytoscope_feedback", ["prediction_id"])

"""An index, so that the photographs of deleted answers are found without reading the whole table."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Makes the index."""
    op.create_index("ix_phytoscope_predictions_image", "phytoscope_predictions", ["image_sha256"])

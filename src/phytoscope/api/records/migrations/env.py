"""What Alembic runs: the revisions, on the connection that is handed over."""

from alembic import context

from phytoscope.api.records.tables import METADATA, VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"], target_metadata=METADATA, version_table=VERSION_TABLE
)
context.run_migrations()

"""Brings the tables of a database to the state that this version needs."""

import threading
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from phytoscope.api.records.tables import VERSION_TABLE
from phytoscope.errors import ArtifactError

_FOLDER: Final = Path(__file__).parent / "migrations"
# Alembic keeps what it works on in globals.
_ONE_AT_A_TIME: Final = threading.Lock()


def upgrade_tables(connection: Connection, place: str, revision: str = "head") -> None:
    """Runs the revisions that a database lacks, in the transaction of the connection.

    Args:
        connection: A connection whose transaction keeps others from doing the same.
        place: What to call the database in an error.
        revision: The revision to stop at.

    Raises:
        ArtifactError: The database is of a newer version.
    """
    config = Config()
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    script = ScriptDirectory.from_config(config)
    found = read_revision(connection)
    if found is not None and found not in {each.revision for each in script.walk_revisions()}:
        message = (
            f"the records in {place!r} are of a newer version (revision {found!r}, this version of phytoscope knows "
            f"revisions up to {script.get_current_head()!r}): update phytoscope, or name another database."
        )
        raise ArtifactError(message)
    if found == script.get_current_head():
        return
    config.attributes["connection"] = connection
    with _ONE_AT_A_TIME:
        command.upgrade(config, revision)


def read_revision(connection: Connection) -> str | None:
    """Revision of the tables of a database; None where there are none yet."""
    return MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE}).get_current_revision()

"""Where records are kept: an address that a person may write, and what to call it without its password."""

import os
from pathlib import Path
from typing import Final

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from phytoscope.errors import ConfigError, require

_POSTGRES: Final = ("postgresql", "postgresql+psycopg", "postgres")
_FORMS: Final = "sqlite:///FILE or postgresql://USER@HOST/DATABASE"


def find_default_url() -> str:
    """Address of the user's own records: `phytoscope/records.db` in XDG_DATA_HOME, else in `~/.local/share`."""
    named = os.environ.get("XDG_DATA_HOME", "").strip()
    folder = Path(named) if named else Path.home() / ".local" / "share"
    return f"sqlite:///{(folder / 'phytoscope' / 'records.db').as_posix()}"


def read_url(text: str, key: str = "serve.records_url") -> URL:
    """Reads the address of a database.

    Args:
        text: `sqlite:///FILE` or `postgresql://USER@HOST/DATABASE`.
        key: What to call it in an error.

    Raises:
        ConfigError: It is no address of a database that records can be kept in.
        MissingDependencyError: PostgreSQL is named, and what talks to it is not installed.
    """
    try:
        url = make_url(text.strip())
    except (ArgumentError, ValueError) as error:
        # The text may hold a password, so it is not repeated.
        message = f"{key} is no address of a database: write {_FORMS}."
        raise ConfigError(message) from error
    if url.drivername == "sqlite":
        if url.database in (None, "", ":memory:"):
            message = f"{key}={text!r} names no file: write {_FORMS}."
            raise ConfigError(message)
        return url.set(database=str(Path(url.database or "").expanduser().absolute()), query={})
    if url.drivername in _POSTGRES:
        if not url.database:
            message = f"{key}={hide_password(url)!r} names no database: write {_FORMS}."
            raise ConfigError(message)
        require("psycopg")
        return url.set(drivername="postgresql+psycopg")
    message = f"{key}: records are not kept in {url.drivername!r}: write {_FORMS}."
    raise ConfigError(message)


def hide_password(url: URL) -> str:
    """The address as it may be shown and logged; of a file its path."""
    if url.drivername == "sqlite":
        return str(url.database)
    return url.set(query={}).render_as_string(hide_password=True)

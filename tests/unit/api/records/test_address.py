"""Addresses of databases are read, and shown without their passwords."""

import pytest

from phytoscope.api.records.address import hide_password, read_url
from phytoscope.errors import ConfigError


def test_file(tmp_path, monkeypatch):
    """A file may be named from here, and is meant from here for ever."""
    monkeypatch.chdir(tmp_path)
    url = read_url("sqlite:///a/records.db")
    assert url.database == str(tmp_path / "a" / "records.db")
    assert hide_password(url) == url.database


@pytest.mark.parametrize("start", ["postgresql", "postgres", "postgresql+psycopg"])
def test_server(start):
    """A server may be named as its own tools do; the password is never shown."""
    url = read_url(f"{start}://lab:secret@db.example.org:5433/plants?password=secret&sslmode=require")
    assert (url.drivername, url.query["sslmode"]) == ("postgresql+psycopg", "require")
    assert hide_password(url) == "postgresql+psycopg://lab:***@db.example.org:5433/plants"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("secret word", "is no address of a database: write sqlite:///FILE"),
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        ("postgresql://lab:secret@host", "names no database"),
        ("oracle://lab:secret@host/x", "records are not kept in 'oracle'"),
        ("postgresql://lab:secret@host:port/x", "is no address"),
    ],
)
def test_what_is_no_address(text, words):
    """What cannot be right is told, without the password."""
    with pytest.raises(ConfigError, match=words) as caught:
        read_url(text, "--url")
    assert "secret" not in str(caught.value)
    assert str(caught.value).startswith("--url")

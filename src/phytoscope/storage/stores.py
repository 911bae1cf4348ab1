"""One connection to each store and process, whatever number of threads ask it."""

import os
import threading
from typing import Any

from phytoscope.errors import ConfigError, MissingDependencyError, StorageError, require
from phytoscope.storage.patience import read_timeout_s
from phytoscope.storage.trouble import mask_secrets, troubles, word_trouble

_MODULES = {
    **dict.fromkeys(("s3", "s3a"), "s3fs"),
    **dict.fromkeys(("gs", "gcs"), "gcsfs"),
    **dict.fromkeys(("az", "abfs", "abfss", "adl"), "adlfs"),
}
_CONNECTIONS = 64
# By these the libraries find endpoints and credentials.
_SETTINGS = ("AWS_", "AZURE_", "GOOGLE_", "GCSFS_", "STORAGE_EMULATOR_HOST", "FSSPEC_")
_stores: dict[tuple[int, str, float, tuple[tuple[str, str], ...]], Any] = {}
_lock = threading.Lock()


def find_store(url: str) -> tuple[Any, str]:
    """The file system that knows an address, and the address as that file system spells it.

    Its own retries are off: `with_patience` does them, so that their number is known.

    Args:
        url: Address with both slashes.

    Raises:
        MissingDependencyError: The library of that store is not installed; the text names the extra.
        ConfigError: No library knows such addresses.
        StorageError: There are no credentials that could be tried.
    """
    scheme = url.partition("://")[0]
    # Containers of one scheme may need different accounts.
    chosen = tuple(sorted(item for item in os.environ.items() if item[0].startswith(_SETTINGS)))
    key = (os.getpid(), _account(url), read_timeout_s(), chosen)
    with _lock:
        if key not in _stores:
            _stores[key] = _open_store(scheme, url)
        store = _stores[key]
    return store, str(store._strip_protocol(url))  # noqa: SLF001 (the libraries' own way, without a public name)


def _account(url: str) -> str:
    scheme, _, rest = url.partition("://")
    container = rest.partition("/")[0]
    return f"{scheme}://{container}" if "@" in container else scheme


def _open_store(scheme: str, url: str) -> Any:
    fsspec = require("fsspec")
    if scheme in _MODULES:
        require(_MODULES[scheme])
    try:
        kind = fsspec.get_filesystem_class(scheme)
        given = kind._get_kwargs_from_urls(url)  # noqa: SLF001 (the libraries' own way, without a public name)
    except ImportError as error:
        message = f"addresses {scheme}:// need a package that is not installed ({error}): install it with pip."
        raise MissingDependencyError(message) from error
    except ValueError as error:
        message = (
            f"{mask_secrets(url)!r}: {scheme!r} is no known kind of address; use s3://, gs:// or az://, or a path on "
            "this computer."
        )
        raise ConfigError(message) from error
    try:
        store = fsspec.filesystem(scheme, skip_instance_cache=True, **given, **_options(scheme))
    except troubles() as error:
        trouble = word_trouble(error, url, 1, 0.0)
        if not isinstance(trouble, StorageError):
            trouble = StorageError(str(trouble))
        raise trouble from error
    if scheme in ("s3", "s3a"):
        store.retries = 1
    return store


def _options(scheme: str) -> dict[str, Any]:
    if scheme not in ("s3", "s3a"):
        return {"use_listings_cache": False} if scheme in _MODULES else {}
    wait_s = read_timeout_s()
    config = {
        "connect_timeout": wait_s,
        "read_timeout": wait_s,
        "retries": {"max_attempts": 0},
        "max_pool_connections": _CONNECTIONS,
    }
    # One question for each image: only what is read in parts is first asked for its size.
    return {"use_listings_cache": False, "max_concurrency": 1, "config_kwargs": config}

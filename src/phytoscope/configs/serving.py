"""Settings of the service, composed like all others but without the settings of a training."""

import re
from collections.abc import Sequence

from phytoscope.configs import compose_config
from phytoscope.errors import ConfigError
from phytoscope.schema.serve import ServeConfig

_GROUP = "serve"
_HOST = re.compile(r"[A-Za-z0-9.-]+")


def compose_serve(words: Sequence[str]) -> ServeConfig:
    """Composes the settings of the service.

    Args:
        words: Words such as `serve.port=8080`.

    Raises:
        ConfigError: A word is no setting of the service, or has a value that cannot be.
    """
    foreign = [word for word in words if not word.startswith((f"{_GROUP}.", f"{_GROUP}="))]
    if foreign:
        message = f"{foreign[0]!r} is no setting of the service: write serve.KEY=VALUE, for example serve.port=8080."
        raise ConfigError(message)
    # The schema asks for data, which the service has no use for.
    config = compose_config(["data=folder", *words]).serve
    if config.max_files > config.queue_size:
        message = (
            f"serve.max_files={config.max_files} must be at most serve.queue_size={config.queue_size}: a request that "
            "never fits would never be answered."
        )
        raise ConfigError(message)
    if config.max_mb > config.memory_mb:
        message = (
            f"serve.max_mb={config.max_mb:g} must be at most serve.memory_mb={config.memory_mb:g}: a request that "
            "never fits would be told to come back for ever."
        )
        raise ConfigError(message)
    odd = [host for host in config.allowed_hosts if not _HOST.fullmatch(host)]
    if odd:
        message = f"serve.allowed_hosts: {odd[0]!r} is no plain name; write it without http:// and port."
        raise ConfigError(message)
    if config.keep_images is not None and not config.records:
        message = "serve.keep_images is only read with serve.records=true: a photograph belongs to its record."
        raise ConfigError(message)
    return config

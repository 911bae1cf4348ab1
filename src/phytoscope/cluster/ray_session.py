"""A connection with a Ray cluster: one that somebody runs, or one that is started here for one command."""

import contextlib
import logging
import os
import socket
import warnings
from collections.abc import Callable, Iterator
from typing import Any, Final

from phytoscope.errors import ClusterError, require
from phytoscope.schema.engine import EngineConfig
from phytoscope.transforms.stream import count_cores

NAMESPACE: Final = "phytoscope"
_OBJECT_STORE_BYTES: Final = 200 << 20
"""Rows and results wait there; few of them are on their way at any time."""
_CONNECT_SECONDS: Final = 10.0
_START_HINT: Final = "start one with `ray start --head`, or leave engine.address out to start one on this machine"


@contextlib.contextmanager
def ray_session(config: EngineConfig, say: Callable[[str], None] = lambda _: None) -> Iterator[Any]:
    """Connects to a cluster, or starts one on this machine, and leaves or ends it afterwards.

    Inside a session that is open already this gives that session, and leaves it open.

    Side effects: reports of use to Ray's makers are switched off for this process and what it starts, and so are Ray's
    own messages.

    Args:
        config: Which cluster.
        say: Told where the work is done.

    Returns:
        The module `ray`, connected.

    Raises:
        ClusterError: The cluster cannot be reached, or it runs another version of Python or Ray.
        MissingDependencyError: Ray is not installed.
    """
    # Read when the library is imported; a person who set it otherwise has decided.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    ray = require("ray")
    if ray.is_initialized():
        yield ray
        return
    logger = logging.getLogger("ray")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        _connect(ray, config)
        say(_word_cluster(ray, config))
        yield ray
    finally:
        ray.shutdown()
        logger.setLevel(before)


def _connect(ray: Any, config: EngineConfig) -> None:
    quiet: dict[str, Any] = {
        "namespace": NAMESPACE,
        "logging_level": logging.CRITICAL,
        "log_to_driver": False,
        "configure_logging": False,
    }
    paths = os.environ.get("PYTHONPATH")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        if config.address is None:
            try:
                ray.init(
                    address="local",
                    num_cpus=count_cores(),
                    include_dashboard=False,
                    object_store_memory=_OBJECT_STORE_BYTES,
                    _node_ip_address="127.0.0.1",
                    **quiet,
                )
            except Exception as error:
                message = (
                    f"Ray cannot be started on this machine ({' '.join(str(error).split())}): look whether memory and "
                    "the disk under /tmp have room, or leave engine=ray out."
                )
                raise ClusterError(message) from error
            return
        if paths:
            # The machines of the cluster were started by somebody else, with other variables.
            quiet["runtime_env"] = {"env_vars": {"PYTHONPATH": paths}}
        _knock(config.address)
        try:
            ray.init(address=config.address, **quiet)
        except (ConnectionError, RuntimeError, OSError, ValueError, TimeoutError) as error:
            raise _word_failure(config.address, error) from error


def _knock(address: str) -> None:
    """Finds out in seconds that nobody is there, for which the library takes minutes."""
    place = address.removeprefix("ray://")
    host, _, port = place.rpartition(":")
    if not host or not port.isdigit():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_SECONDS).close()
    except OSError as error:
        message = (
            f"no Ray cluster answers at engine.address={address!r} ({error}): check the address and that its machine "
            f"can be reached from here, {_START_HINT}."
        )
        raise ClusterError(message) from error


def _word_failure(address: str, error: BaseException) -> ClusterError:
    text = " ".join(str(error).split())
    if "ersion" in text and "mismatch" in text.lower():
        message = (
            f"the Ray cluster at {address!r} runs other versions of Python or Ray than this computer: {text} Install "
            "the same versions on all machines."
        )
    else:
        message = f"the Ray cluster at engine.address={address!r} cannot be used ({text}): {_START_HINT}."
    return ClusterError(message)


def _word_cluster(ray: Any, config: EngineConfig) -> str:
    if config.address is None:
        return "a Ray cluster was started on this machine for this command"
    found = [node for node in ray.nodes() if node["Alive"]]
    cores = int(sum(node["Resources"].get("CPU", 0) for node in found))
    return f"connected to the Ray cluster at {config.address}: {len(found)} machines with {cores} cores"

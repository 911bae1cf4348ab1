"""One worker: the application behind a listening socket, with what signals mean to it."""

import asyncio
import contextlib
import dataclasses
import json
import signal
import socket
from collections.abc import Callable, Iterator
from enum import Enum
from typing import Any, Final

import uvicorn
from fastapi import FastAPI
from threadpoolctl import threadpool_limits

from phytoscope.api.app import build_app
from phytoscope.api.listening import BACKLOG
from phytoscope.api.logs import note, set_up_logs
from phytoscope.api.protocol import build_protocol
from phytoscope.api.service import Phase, Service
from phytoscope.errors import ConfigError, PhytoscopeError
from phytoscope.schema.choices import Precision, Runtime
from phytoscope.schema.serve import LogFormat, LogLevel, ServeConfig

_SPARE_FILES: Final = 256
_TICKS: Final = 10


def run_worker(
    source: str, config: ServeConfig, listener: socket.socket, beat: Callable[[], object] = lambda: None
) -> None:
    """Answers until told to stop.

    SIGTERM and SIGINT finish what was taken; SIGHUP looks for a newer package at once.

    Args:
        source: Path of the package, or its address.
        config: Settings.
        listener: The listening socket; it is closed in the end.
        beat: Called every second while the loop turns.

    Raises:
        PhytoscopeError: The service cannot start.
        ConfigError: It cannot start for a reason that only its log can tell.
    """
    set_up_logs(config.log_level, config.log_format)
    _allow_files(config.max_connections)
    # Numpy's products for a few photographs are small: more threads for them only take the cores from the network.
    threadpool_limits(limits=1, user_api="blas")
    failures: list[BaseException] = []

    def fail(error: BaseException) -> None:
        failures.append(error)
        worker.should_exit = True

    app = build_app(source, config, fail)
    worker = Worker(app, config, beat)
    worker.run([listener])
    for failure in failures:
        if isinstance(failure, PhytoscopeError):
            raise failure
        message = (
            "no process that decodes photographs has started in time; is this computer very busy?"
            if isinstance(failure, TimeoutError)
            else f"the service cannot start ({type(failure).__name__}); the lines above say why."
        )
        raise ConfigError(message) from failure


class Worker(uvicorn.Server):
    """A server that ends with exit code 0 when it was told to end, and announces that to load balancers first."""

    def __init__(self, app: FastAPI, config: ServeConfig, beat: Callable[[], object]) -> None:
        """Configures the server.

        Args:
            app: The application.
            config: Settings.
            beat: Called every second.
        """
        self._beat = beat
        self.settings = config
        self._app = app
        self._pending: asyncio.TimerHandle | None = None
        super().__init__(
            uvicorn.Config(
                app,
                http=build_protocol(config),
                ws="none",
                lifespan="on",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=max(1, round(config.keep_alive_s)),
                timeout_graceful_shutdown=max(1, round(config.stop_s)),
                backlog=BACKLOG,
            )
        )

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Takes the signals without giving them on in the end: being told to stop is no failure."""
        loop = asyncio.get_running_loop()
        handlers = {signal.SIGTERM: self.leave, signal.SIGINT: self.leave, signal.SIGHUP: self._look_for_package}
        for number, handler in handlers.items():
            loop.add_signal_handler(number, handler)
        try:
            yield
        finally:
            for number in handlers:
                loop.remove_signal_handler(number)

    async def on_tick(self, counter: int) -> bool:
        """Says that the loop turns."""
        if counter % _TICKS == 0:
            self._beat()
        return await super().on_tick(counter)

    def leave(self) -> None:
        """Ends: at once for load balancers, for everybody else after the time that the settings give; twice is now."""
        service = self._service
        if service is not None:
            service.phase = Phase.stopping if service.phase is not Phase.starting else service.phase
        if self._pending is not None or self.settings.drain_s == 0:
            self._stop()
            return
        note("told to stop; connections are still taken", seconds=self.settings.drain_s)
        self._pending = asyncio.get_running_loop().call_later(self.settings.drain_s, self._stop)

    def _stop(self) -> None:
        self.should_exit = True

    def _look_for_package(self) -> None:
        if self._service is not None:
            self._service.slot.look_now()

    @property
    def _service(self) -> Service | None:
        return getattr(self._app.state, "service", None)


def pack_config(config: ServeConfig) -> str:
    """Settings as text for another process.

    Args:
        config: Settings.
    """
    return json.dumps(
        {name: value.value if isinstance(value, Enum) else value for name, value in dataclasses.asdict(config).items()}
    )


def unpack_config(text: str) -> ServeConfig:
    """Settings from `pack_config`.

    Args:
        text: What it gave.
    """
    content: dict[str, Any] = json.loads(text)
    kinds = {"runtime": Runtime, "precision": Precision, "log_level": LogLevel, "log_format": LogFormat}
    return ServeConfig(**{**content, **{name: kind(content[name]) for name, kind in kinds.items()}})


def _allow_files(connections: int) -> None:
    # Each connection is an open file, and many systems allow few of them unless asked.
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = connections + _SPARE_FILES
        if soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted if hard < 0 else min(wanted, hard), hard))

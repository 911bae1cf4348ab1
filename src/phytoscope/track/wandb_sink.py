"""Weights & Biases as a receiver of events: local files that `wandb sync` sends, or a server."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from loguru import logger

from phytoscope.errors import PhytoscopeError, TrackingError, require
from phytoscope.schema.events import EndStatus, Event, EventKind
from phytoscope.track.sink import TrackedRun
from phytoscope.track.target import TrackTarget
from phytoscope.track.wandb_service import SERVICE
from phytoscope.track.wandb_session import WandbSession


class WandbSink:
    """Tells runs to Weights & Biases.

    Offline, each session writes a folder `offline-run-*` of its own, and nothing touches the network. An event stands
    in one of them only, so after `wandb sync` of all of them the server has each number once. Online, a run goes on
    where the server says that it stopped.

    `send` returns when the local service of wandb has everything. That service outlives a courier that is killed and
    brings to an end what it was told. When it is killed too, what was on its way is told again by the next courier that
    opens the run. An `end` is told only when everything has arrived.
    """

    def __init__(self, target: TrackTarget) -> None:
        """Takes the target; nothing is opened yet.

        Args:
            target: `place` is the folder for local files.
        """
        self._target = target
        self._place = Path(target.place)
        # wandb adds a folder `wandb` to the one it is given.
        self._root = self._place.parent if self._place.name == "wandb" else self._place
        self._sessions: dict[str, WandbSession] = {}
        self._service = 0
        self._holds = False

    def open(self, run: TrackedRun) -> str:
        """Makes the run known; see `Sink`. Weights & Biases hears of it with the first `send`.

        Args:
            run: Its key is its id in Weights & Biases.

        Raises:
            MissingDependencyError: The package wandb is not installed.
        """
        require("wandb")
        return run.key

    def send(self, run: TrackedRun, events: Sequence[Event]) -> dict[str, str]:
        """Tells some events; see `Sink`.

        Args:
            run: The run.
            events: Consecutive events of it.

        Returns:
            `url` online, `folder` offline.

        Raises:
            TrackingError: The server or the local service does not answer, there is no key for it, or the folder cannot
                be written.
            ArtifactError: A local file, or a file that an event names, is damaged.
            MissingDependencyError: The package wandb is not installed.
        """
        if not events:
            return {}
        with self._answered():
            session = self._find_session(run)
            session.tell([*session.find_missing(events[0].seq), *events])
            facts, last = session.facts, events[-1]
            if last.kind is EventKind.end:
                self._finish(run.key, EndStatus(last.content["status"]), str(last.content.get("reason", "")))
            return facts

    def close(self) -> None:
        """Ends all sessions and the local service. A run that did not end counts as failed until it goes on.

        When the last data of such a run do not arrive, the next courier that tells of it tells them again.
        """
        if not self._holds:
            return
        try:
            with self._answered():
                for key in list(self._find_open()):
                    self._finish(key, EndStatus.failed)
        except TrackingError as error:
            logger.warning(str(error))
        finally:
            self._holds = False
            SERVICE.release()

    def _find_open(self) -> dict[str, WandbSession]:
        """The sessions of the service that runs now."""
        if self._service != SERVICE.number:
            self._sessions.clear()
            self._service = SERVICE.number
        return self._sessions

    def _find_session(self, run: TrackedRun) -> WandbSession:
        if not self._holds:
            SERVICE.hold(self._place, self._target.wandb_mode)
            self._holds = True
        sessions = self._find_open()
        if run.key not in sessions:
            self._place.mkdir(parents=True, exist_ok=True)
            sessions[run.key] = WandbSession(self._target, run, self._root)
        return sessions[run.key]

    def _finish(self, key: str, status: EndStatus, reason: str = "") -> None:
        self._sessions.pop(key).finish(status, reason)

    @contextlib.contextmanager
    def _answered(self) -> Iterator[None]:
        """Words the failures of the network, of the local service and of the folder for people."""
        wandb = require("wandb")
        from wandb.sdk.mailbox import HandleAbandonedError, MailboxClosedError

        try:
            yield
        except PhytoscopeError:
            # Some of ours are OSErrors too, and say better what happened.
            raise
        except wandb.errors.UsageError as error:
            SERVICE.abandon()
            message = (
                f"Weights & Biases cannot be told ({_shorten(error)}): run `wandb login`, set WANDB_API_KEY, or write "
                "track.wandb_mode=offline. Nothing is lost; `phytoscope track sync` tells it later."
            )
            raise TrackingError(message) from error
        except (wandb.Error, HandleAbandonedError, MailboxClosedError, OSError) as error:
            # A service that failed once is not asked again: the next call starts a new one.
            SERVICE.abandon()
            message = (
                f"Weights & Biases does not take what it is told ({_shorten(error)}): nothing is lost; "
                "`phytoscope track sync` tells it later."
            )
            raise TrackingError(message) from error


def _shorten(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__

"""The process of wandb's own that all open runs of this process share: started with the first, ended with the last."""

import contextlib
import os
import threading
from collections.abc import Mapping
from pathlib import Path

from phytoscope.errors import require
from phytoscope.schema.choices import WandbMode


class WandbService:
    """Counts who needs wandb's local service, and ends it when nobody does any more.

    Attributes:
        number: Which service in a row it is; a run that was opened with an earlier one is not open any more.
    """

    def __init__(self) -> None:
        self.number = 0
        self._users = 0
        self._added: list[str] = []
        self._lock = threading.Lock()

    def hold(self, place: Path, mode: WandbMode) -> None:
        """Makes sure that the service works in our folder; one call of `release` belongs to each call.

        Args:
            place: Folder for its files.
            mode: Offline it sees no settings of the user.
        """
        with self._lock:
            self._users += 1
            if self._users > 1:
                return
            wanted = _name_surroundings(place, mode)
            self._added = [name for name in wanted if name not in os.environ]
            os.environ.update({name: wanted[name] for name in self._added})

    def release(self) -> None:
        """Says that one user does not need the service any more. What it was told must have arrived."""
        with self._lock:
            self._users -= 1
            if self._users > 0:
                return
            self._end()
            for name in self._added:
                os.environ.pop(name, None)

    def abandon(self) -> None:
        """Ends the service at once, with what it still wants to send.

        It would try for as long as the server is away, beside the next one that tells the same again.
        """
        with self._lock:
            # wandb itself knows no way to give up.
            process = getattr(getattr(require("wandb").setup().ensure_service(), "_proc", None), "_process", None)
            if process is not None:
                process.kill()
                process.wait()
            self._end()

    def _end(self) -> None:
        self.number += 1
        with contextlib.suppress(OSError):
            require("wandb").teardown()


SERVICE = WandbService()
"""That of this process: wandb knows only one."""


def _name_surroundings(place: Path, mode: WandbMode) -> Mapping[str, str]:
    """Environment variables that keep wandb's own files in our folder and its reports of errors at home."""
    hidden = {name: str(place / f".{name}") for name in ("cache", "data", "config")}
    names = {
        "WANDB_ERROR_REPORTING": "false",
        "WANDB_SILENT": "true",
        "WANDB_CACHE_DIR": hidden["cache"],
        "WANDB_DATA_DIR": hidden["data"],
        "WANDB_ARTIFACT_DIR": hidden["data"],
    }
    # Online, the user's own settings there name the server.
    return names | {"WANDB_CONFIG_DIR": hidden["config"]} if mode is WandbMode.offline else names

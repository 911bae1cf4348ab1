"""The model that answers now, and its exchange for a newer one while requests are under way."""

import asyncio
import contextlib
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from phytoscope.api.answers import describe_model
from phytoscope.api.batcher import Batcher, Observer
from phytoscope.api.decoders import Recipe
from phytoscope.api.errors import RequestError
from phytoscope.api.explaining import ExplainDesk
from phytoscope.api.logs import note, note_error
from phytoscope.predict.engines.equip import equip_predictor
from phytoscope.predict.package import load_files
from phytoscope.predict.package_files import DESCRIPTION_NAME, open_files
from phytoscope.predict.package_source import find_package
from phytoscope.predict.predictor import Predictor
from phytoscope.schema.serve import ServeConfig

_NUMBERED: Final = re.compile(r"models:/[^/@]+/(\d+)")
_Signature = tuple[tuple[str, int, int, int], ...]


@dataclass
class ServedModel:
    """A model that answers.

    Attributes:
        predictor: The model.
        batcher: Answers photographs with it.
        desk: Explains its answers; None when that is switched off.
        recipe: How photographs are prepared for it.
        about: Which model it is, see `wire.ModelName`.
        golden_difference: Largest difference to the answers kept in the package.
        users: Requests that are under way with it.
    """

    predictor: Predictor
    batcher: Batcher
    desk: ExplainDesk | None
    recipe: Recipe
    about: dict[str, Any]
    golden_difference: float
    users: int = 0

    @contextlib.contextmanager
    def hold(self) -> Iterator[None]:
        """Keeps it from being retired."""
        self.users += 1
        try:
            yield
        finally:
            self.users -= 1

    async def retire(self) -> None:
        """Finishes what it was asked and ends its threads."""
        await self.batcher.close()
        if self.desk is not None:
            self.desk.close()


@dataclass(frozen=True)
class _Loaded:
    predictor: Predictor
    golden_difference: float
    signature: _Signature
    version: str | None


class ModelSlot:
    """Holds the model, and looks for a newer package.

    Attributes:
        reload_error: Why the newest package was not taken; None when it was.
    """

    def __init__(
        self,
        source: str,
        config: ServeConfig,
        cores: int,
        *,
        on_change: Callable[[ServedModel, bool], None],
        on_refusal: Callable[[], None],
        observe: Observer,
    ) -> None:
        """Loads nothing yet.

        Args:
            source: Path of the package, or its address.
            config: Settings.
            cores: Processor cores to compute with.
            on_change: Told the new model, and whether it is the first; called before it answers.
            on_refusal: Called when a newer package was not taken.
            observe: Told size and seconds of each batch.
        """
        self.reload_error: str | None = None
        self._source, self._config, self._cores = source, config, cores
        self._on_change, self._on_refusal, self._observe = on_change, on_refusal, observe
        self._current: ServedModel | None = None
        self._signature: _Signature | None = None
        self._refused: _Signature | None = None
        self._wake = asyncio.Event()
        self._retiring: set[asyncio.Task[None]] = set()

    @property
    def current(self) -> ServedModel:
        """The model that answers.

        Raises:
            RequestError: None is loaded yet (503).
        """
        if self._current is None:
            message = "the model is being loaded; try again in a few seconds."
            raise RequestError(503, "not_ready", message, {"Retry-After": "2"})
        return self._current

    @property
    def is_loaded(self) -> bool:
        """Whether a model answers."""
        return self._current is not None

    async def load(self) -> None:
        """Loads the first model.

        Raises:
            PhytoscopeError: The package cannot be had, is damaged or does not reproduce its golden answers.
        """
        self._exchange(await asyncio.to_thread(self._fetch))

    def look_now(self) -> None:
        """Has `watch` look for a newer package at once, one that was refused before included."""
        self._refused = None
        self._wake.set()

    async def watch(self) -> None:
        """Looks for a newer package for ever. One that is not whole, or does not prove itself, is not taken."""
        while True:
            try:
                async with asyncio.timeout(self._config.reload_s):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()
            await self._reload()

    async def close(self) -> None:
        """Finishes what was asked and ends all threads."""
        if self._current is not None:
            await self._current.retire()
        await asyncio.gather(*self._retiring)

    async def _reload(self) -> None:
        try:
            loaded = await asyncio.to_thread(self._fetch_newer)
        except Exception as error:  # noqa: BLE001 (a border: whatever a newer package does, the older one goes on)
            # A registry that does not answer, or a folder that is being replaced, is looked at again next time.
            note_error("a newer package was refused; the model that answers stays", error)
            self.reload_error = "a newer package was refused, the log of the service says why"
            self._on_refusal()
            return
        if loaded is not None:
            self.reload_error = None
            self._exchange(loaded)

    def _fetch(self) -> _Loaded:
        path = find_package(self._source)
        return self._open(path, _sign(path))

    def _fetch_newer(self) -> _Loaded | None:
        path = find_package(self._source)
        signature = _sign(path)
        # In the middle of being replaced, or nothing new.
        if signature is None or signature in (self._signature, self._refused):
            return None
        return self._open(path, signature)

    def _open(self, path: Path, signature: _Signature | None) -> _Loaded:
        self._refused = signature
        files = open_files(path)
        predictor = load_files(files)
        config = self._config
        difference = equip_predictor(predictor, files, config.runtime, config.precision, cores=self._cores, say=note)
        self._refused = None
        return _Loaded(predictor, difference, signature or (), _find_version(self._source, path))

    def _exchange(self, loaded: _Loaded) -> None:
        config, old = self._config, self._current
        model = ServedModel(
            loaded.predictor,
            Batcher(loaded.predictor, self._observe),
            ExplainDesk(loaded.predictor, config.explain_queue) if config.explain else None,
            Recipe(loaded.predictor.preprocess, config.max_megapixels),
            describe_model(loaded.predictor, loaded.version),
            loaded.golden_difference,
        )
        self._on_change(model, old is None)
        # From here on new requests see the new model; those under way hold the old one until they are answered.
        self._current, self._signature = model, loaded.signature
        if old is not None:
            task = asyncio.get_running_loop().create_task(_retire_later(old))
            self._retiring.add(task)
            task.add_done_callback(self._retiring.discard)


async def _retire_later(model: ServedModel) -> None:
    # A request may hold the model and not have asked it yet: its photographs are still being decoded.
    while model.users > 0:
        await asyncio.sleep(0.05)
    await model.retire()


def _sign(path: Path) -> _Signature | None:
    """What changes when the package is another one; None where there is none."""
    try:
        # All parts count: they may come one after the other, and the description need not be the last.
        parts = [path] if path.is_file() else [path / DESCRIPTION_NAME, *sorted(path.rglob("*"))]
        return tuple((str(part), *_tell_state(part.stat())) for part in parts)
    except OSError:
        return None


def _tell_state(found: os.stat_result) -> tuple[int, int, int]:
    return found.st_mtime_ns, found.st_size, found.st_ino


def _find_version(source: str, path: Path) -> str | None:
    numbered = _NUMBERED.fullmatch(source)
    if numbered is not None:
        return numbered[1]
    # An alias was resolved to a folder that is named NAME-VERSION-STORE.
    parts = path.name.rsplit("-", 2)
    return parts[1] if source.startswith("models:") and len(parts) == 3 and parts[1].isdigit() else None

"""Client: photographs to a running service, answers back."""

import contextlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, overload

from phytoscope.client.answers import Answer, ServedModel, read_answer, read_served
from phytoscope.client.photos import Photograph, Sending, group_photos, list_photos
from phytoscope.client.transport import Transport
from phytoscope.errors import ConfigError, ServiceError

_LOOK_S: Final = 0.2
_LIMITS: Final = (16, 32.0)
_KINDS: Final = {
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
    ".bmp": "image/bmp",
    ".tif": "image/tiff",
    ".tiff": "image/tiff",
}


class Client:
    """A service, as seen from Python.

    It may be used from several threads, and as a context manager, which closes its connections.
    """

    def __init__(
        self,
        url: str,
        api_key: str | None = None,
        timeout_s: float = 30.0,
        retries: int = 3,
        connections: int = 4,
    ) -> None:
        """Asks nothing yet.

        Args:
            url: Address of the service, for example `http://127.0.0.1:8000`.
            api_key: Key to show; None where the service asks for none.
            timeout_s: Seconds to wait for a connection, and between two parts of an answer.
            retries: How often a request is sent again when the service is too busy or a connection breaks.
            connections: Requests at the same time, when there are more photographs than one request may hold.

        Raises:
            ConfigError: The address is none, or a number is out of range.
        """
        if connections < 1:
            message = f"connections={connections} must be at least 1."
            raise ConfigError(message)
        self._transport = Transport(url, api_key, timeout_s, retries)
        self._connections = connections
        self._limits: tuple[int, float] | None = None

    def __repr__(self) -> str:
        """One line, without the key."""
        return f"Client({self._transport.url!r})"

    # A text is a sequence of texts, too; it is one photograph here.
    @overload
    def predict(  # type: ignore[overload-overlap]
        self, photos: Photograph, *, explain: bool = False, covariates: Mapping[str, Any] | None = None
    ) -> Answer: ...

    @overload
    def predict(
        self,
        photos: Sequence[Photograph],
        *,
        explain: bool = False,
        covariates: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
    ) -> list[Answer]: ...

    def predict(
        self,
        photos: Photograph | Sequence[Photograph],
        *,
        explain: bool = False,
        covariates: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
    ) -> Answer | list[Answer]:
        """Answers for photographs.

        Files are sent as they are, under their names without folders. More than one request may hold go in
        several, some at the same time.

        Args:
            photos: Path or bytes of one photograph, or a list of them.
            explain: Whether to draw what each answer rests on.
            covariates: What is known beside the photographs: one dictionary for all, or a list with one each.

        Returns:
            One answer, or a list in the order of the photographs. One that cannot be read has its `error` set.

        Raises:
            ConfigError: Something given is no photograph, or there are not as many covariates.
            ImageReadError: A file does not exist.
            ServiceBusyError: The service was too busy or not ready at every try.
            ServiceRequestError: The service cannot do what was asked for, for example as the key is wrong.
            ServiceError: The service does not answer, or not as it should.
        """
        sendings = list_photos(photos, covariates)
        path = "/v1/predict?explain=true" if explain else "/v1/predict"
        groups = list(group_photos(sendings, *(self._find_limits() if len(sendings) > 1 else _LIMITS)))
        answers = self._ask_all(path, [[sendings[place] for place in group] for group in groups])
        return answers[0] if isinstance(photos, str | bytes | Path) else answers

    def explain(self, photo: Photograph, *, covariates: Mapping[str, Any] | None = None) -> Answer:
        """Answers for one photograph and draws what the answer rests on; see `predict`."""
        return self.predict(photo, explain=True, covariates=covariates)

    def models(self) -> list[ServedModel]:
        """The models that the service answers with.

        Raises:
            ServiceError: The service does not answer, or not as it should.
        """
        said = self._transport.ask("GET", "/v1/models")
        with self._understood():
            return [read_served(entry) for entry in said["models"]]

    def feedback(
        self,
        answer: Answer | str,
        *,
        label: str | None = None,
        value: float | None = None,
        target: str | None = None,
        comment: str | None = None,
    ) -> str:
        """Tells the service what turned out to be true.

        Args:
            answer: An answer, or its `id`.
            label: The true class (classification).
            value: The true number, in the model's unit (regression).
            target: Which number it is; the main one when None (regression).
            comment: Anything else.

        Returns:
            The feedback's name.

        Raises:
            ServiceBusyError: The service keeps no records now.
            ServiceRequestError: The answer is not known, or there is no such class.
            ServiceError: The service does not answer, or not as it should.
        """
        given = {"label": label, "value": value, "target": target, "comment": comment}
        body = {key: entry for key, entry in given.items() if entry is not None}
        body["id"] = answer if isinstance(answer, str) else answer.id
        said = self._transport.ask("POST", "/v1/feedback", json=body, accepted=(201,))
        with self._understood():
            return str(said["id"])

    def ready(self, wait_s: float = 0.0) -> bool:
        """Whether the service answers photographs.

        Args:
            wait_s: Seconds to wait for it at most.
        """
        end = time.monotonic() + wait_s
        while True:
            try:
                return self._transport.ask("GET", "/readyz", patience=False).get("status") == "ready"
            except ServiceError:
                left = end - time.monotonic()
                if left <= 0:
                    return False
                time.sleep(min(_LOOK_S, left))

    def close(self) -> None:
        """Closes the connections."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _find_limits(self) -> tuple[int, float]:
        if self._limits is None:
            models = self.models()
            self._limits = (models[0].max_files, models[0].max_mb) if models else _LIMITS
        return self._limits

    def _ask_all(self, path: str, groups: list[list[Sending]]) -> list[Answer]:
        if len(groups) <= 1:
            return [answer for group in groups for answer in self._ask(path, group)]
        pool = ThreadPoolExecutor(min(self._connections, len(groups)))
        try:
            found = pool.map(lambda group: self._ask(path, group), groups)
            return [answer for answers in found for answer in answers]
        finally:
            # After a fault nothing more is sent.
            pool.shutdown(cancel_futures=True)

    def _ask(self, path: str, group: list[Sending]) -> list[Answer]:
        files = [("files", (one.name, one.read(), _name_kind(one.name))) for one in group]
        known = [dict(one.covariates) for one in group]
        data = {"covariates": json.dumps(known)} if any(known) else None
        # When no photograph can be read, each of them still says why.
        said = self._transport.ask("POST", path, files=files, data=data, accepted=(200, 422))
        with self._understood():
            answers = [read_answer(entry, said["model"]) for entry in said["predictions"]]
        if len(answers) != len(group):
            raise self._transport.word_nonsense()
        return answers

    @contextlib.contextmanager
    def _understood(self) -> Iterator[None]:
        try:
            yield
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise self._transport.word_nonsense() from error


def _name_kind(name: str) -> str:
    return _KINDS.get(Path(name).suffix.lower(), "application/octet-stream")

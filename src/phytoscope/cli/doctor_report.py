"""What a check of `phytoscope doctor` finds."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Health(StrEnum):
    """How it stands: `ok`; `note`, worth knowing and no hindrance; `fault`, something will fail."""

    ok = "ok"
    note = "note"
    fault = "fault"


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: What it is, in a word or two.
        health: How it stands.
        found: What was found, in a sentence.
        remedy: What to do; empty when there is nothing to do.
        facts: The same for programs.
    """

    name: str
    health: Health
    found: str
    remedy: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)

"""What the Tab key offers for settings: groups, presets, keys and closed choices, with no library loaded for it."""

import os
import re
from enum import StrEnum
from typing import Any

from phytoscope.cli.settings_list import list_settings

_BASH = "_PHYTOSCOPE_COMPLETE", "complete_bash"
_SERVE = "serve."


def complete_settings(incomplete: str) -> list[str]:
    """Words that a setting may go on with.

    Args:
        incomplete: What is written of it, for example `tr`, `trainer.max`, `data=` or `trainer.mode=f`.

    Returns:
        Whole words: below a group its keys, behind `=` presets or choices. A key that is the only one left comes with
        its choices or its default, so that the shell does not take the word for finished.
    """
    key, equals, _ = incomplete.partition("=")
    if equals:
        words = _list_values(key)
    elif "." in incomplete:
        keys = [name for name in _list_keys(incomplete.partition(".")[0]) if name.startswith(incomplete)]
        words = [f"{name}=" for name in keys]
        if len(keys) == 1:
            words += _list_values(keys[0]) or _show_default(keys[0])
    else:
        groups = _list_groups()
        words = sorted(
            [*(f"{name}." for name in _list_prefixes()), *(f"{name}=" for name in [*groups, "name", "seed"])]
        )
    return [word for word in sorted(words) if word.startswith(incomplete)]


def complete_service(incomplete: str) -> list[str]:
    """The same for `phytoscope serve`, which reads the settings of the service only."""
    if not incomplete.startswith(_SERVE):
        return [_SERVE, f"{_SERVE}port="] if _SERVE.startswith(incomplete) else []
    return complete_settings(incomplete)


def complete_late_settings(incomplete: str) -> list[str]:
    """The same where a folder or a table may stand as well: nothing before the word is plainly a setting."""
    return complete_settings(incomplete) if re.match(r"[a-z_]+[.=]", incomplete) else []


def complete_in_bash() -> bool:
    """Answers bash where the word at the cursor holds `=`, at which bash cuts words in three.

    Returns:
        Whether it was asked and has printed the answer.
    """
    if os.environ.get(_BASH[0]) != _BASH[1]:
        return False
    text = os.environ.get("COMP_WORDS", "")
    words = text.split("\n") if "\n" in text else text.split()
    place = int(os.environ.get("COMP_CWORD", "0"))
    *_, key, before, word = ["", "", "", *words, ""][: place + 4]
    if word == "=":
        key, start = before, ""
    elif before == "=":
        start = word
    else:
        return False
    # Bash puts back what stands before the cut.
    print("\n".join(found.partition("=")[2] for found in complete_settings(f"{key}={start}")))
    return True


def _list_groups() -> dict[str, list[str]]:
    from phytoscope.configs import list_groups

    return list_groups()


def _list_prefixes() -> list[str]:
    from phytoscope.schema.config import SCHEMA_OF_GROUP

    return list(SCHEMA_OF_GROUP)


def _list_keys(group: str) -> list[str]:
    from phytoscope.configs.words import list_types

    return [key for key in list_types() if key.startswith(f"{group}.") and key != "data.split"]


def _list_values(key: str) -> list[str]:
    from phytoscope.configs.words import list_types

    groups = _list_groups()
    kind: Any = list_types().get(key)
    if key in groups:
        values = groups[key]
    elif kind is bool:
        values = ["true", "false"]
    elif isinstance(kind, type) and issubclass(kind, StrEnum):
        values = [choice.value for choice in kind]
    else:
        values = []
    return [f"{key}={value}" for value in values]


def _show_default(key: str) -> list[str]:
    from phytoscope.schema.data_config import SplitConfig

    group, _, name = key.rpartition(".")
    if group == "data.split":
        usual = getattr(SplitConfig, name)
        return [f"{key}={'null' if usual is None else usual}"]
    row = next((row for row in list_settings(group) if row.key == key), None)
    return [f"{key}={'...' if row is None or row.is_required else row.shown_default}"]

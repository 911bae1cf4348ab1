"""Whether a command line that some text shows would be understood: its commands, options and settings exist."""

import dataclasses
import shlex
from typing import Any

import typer

from phytoscope import cli
from phytoscope.cli.sweep_command import name_sweep_keys
from phytoscope.configs import list_groups
from phytoscope.schema.config import SCHEMA_OF_GROUP, RunConfig

ROOT = typer.main.get_command(cli.app)


def iterate_commands(command: Any = ROOT, words: tuple[str, ...] = ()) -> Any:
    """Every command that is shown in a help text, groups too: its words, and the command."""
    yield words, command
    for name, child in getattr(command, "commands", {}).items():
        if not child.hidden:
            yield from iterate_commands(child, (*words, name))


def find_fault(line: str) -> str:
    """What is wrong with a command line; empty when nothing is."""
    first, *words = shlex.split(line)
    if first != "phytoscope":
        return f"{line!r} is no call of phytoscope"
    try:
        context = ROOT.make_context("phytoscope", list(words))
        while hasattr(context.command, "commands"):
            rest = [*context._protected_args, *context.args]
            if not rest:
                break
            name, child, more = context.command.resolve_command(context, rest)
            context = child.make_context(name, more, parent=context)
    except Exception as error:  # noqa: BLE001 (whatever the parser says is the fault)
        return f"{line!r}: {type(error).__name__} {error}"
    settings = [word for word in name_sweep_keys(words) if "=" in word and not word.startswith("-")]
    return next((f"{line!r}: {word!r} is no setting" for word in settings if not _is_setting(word)), "")


def _is_setting(word: str) -> bool:
    key, _, value = word.partition("=")
    group, dot, name = key.lstrip("+~").partition(".")
    if dot:
        known = {field.name for field in dataclasses.fields(SCHEMA_OF_GROUP[group])} if group in SCHEMA_OF_GROUP else ()
        return name.split(".")[0] in known
    # An experiment may also be a file of the user's own.
    return value in list_groups().get(group, ()) or group in ("experiment", *_names_of_run())


def _names_of_run() -> set[str]:
    return {field.name for field in dataclasses.fields(RunConfig)} - set(list_groups())

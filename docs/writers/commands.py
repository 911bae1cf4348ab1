"""The page of all commands, from the command line's own tree."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

from writers.tables import quote_code, render_table, word_kind

_HEAD = """\
# Commands

What `phytoscope COMMAND --help` says, for all commands. Words such as `key=value` are [settings](settings.md).
[The command line](../guides/command_line.md) tells what all of them have in common: exit codes, `--json`, colours and
completion.

"""


def write_commands() -> str:
    """Writes the page."""
    commands = list(list_commands())
    rows = [
        [f"[`{' '.join(path)}`](#{'-'.join(path)})", _render_inline((command.help or "").split("\n\n")[0])]
        for path, command in commands
    ]
    return _HEAD + render_table(["command", "what it does"], rows) + "".join(_write_one(*entry) for entry in commands)


def list_commands() -> Iterator[tuple[list[str], Any]]:
    """Yields words and command of the tree's root, of each leaf, and of each family that is a command, too."""
    from typer.main import get_command

    from phytoscope.cli import app

    yield from _walk(get_command(app), ["phytoscope"])


def _walk(command: Any, path: list[str]) -> Iterator[tuple[list[str], Any]]:
    inner = getattr(command, "commands", None)
    if inner is None or command.invoke_without_command or len(path) == 1:
        yield path, command
    for name, child in (inner or {}).items():
        if not child.hidden:
            yield from _walk(child, [*path, name])


def _write_one(path: list[str], command: Any) -> str:
    context = command.context_class(command, info_name=" ".join(path))
    pieces = " ".join(command.collect_usage_pieces(context))
    parts = [f"\n## {' '.join(path)} {{#{'-'.join(path)}}}\n", f"```text\n{' '.join(path)} {pieces}\n```\n"]
    parts.append(_write_help(command.help or ""))
    # What a family does by itself is a hidden command of it.
    hidden = [child for child in getattr(command, "commands", {}).values() if child.hidden]
    params = [entry for one in (command, *hidden) for entry in one.params]
    rows = [row for entry in params if (row := _describe(entry)) is not None]
    if rows:
        parts.append(render_table(["word", "value", "if left out", "meaning"], rows))
    return "\n".join(parts)


def _describe(entry: Any) -> list[str] | None:
    if entry.hidden:
        return None
    is_option = entry.opts[0].startswith("-")
    is_flag = bool(getattr(entry, "is_flag", False))
    names = [*entry.opts, *entry.secondary_opts] if is_option else [entry.metavar or entry.name.upper()]
    return [
        ", ".join(quote_code(name) for name in names),
        "" if is_flag or (entry.metavar and not is_option) else _word_value(entry),
        _word_default(entry, is_flag=is_flag),
        _render_inline(entry.help or ""),
    ]


def _word_value(entry: Any) -> str:
    if entry.metavar:
        return quote_code(entry.metavar)
    kind = entry.type_descriptor.annotation
    inner = get_args(kind)[0] if get_origin(kind) in (list, tuple) else kind
    limits = [f"{word} {limit:g}" for word, limit in (("from", entry.min), ("to", entry.max)) if limit is not None]
    repeated = ["may be repeated"] if entry.multiple else []
    return ", ".join(["path" if inner is Path else word_kind(inner), *limits, *repeated])


def _word_default(entry: Any, *, is_flag: bool) -> str:
    if entry.required:
        return "must be given"
    default = entry.default
    if default is None or default == () or entry.show_default is False or (is_flag and default is False):
        return ""
    if isinstance(default, bool):
        return quote_code((entry.opts if default else entry.secondary_opts or entry.opts)[0])
    if isinstance(default, Path):
        return quote_code(default.as_posix())
    return quote_code(str(getattr(default, "value", default)))


def _write_help(text: str) -> str:
    """The text of a help as Markdown, its examples as code."""
    from phytoscope.cli.command import read_help

    page = read_help(text)
    parts = [_render_inline(page.prose)]
    if page.groups:
        links = ", ".join(f"[`{group}`](settings.md#{group})" for group in page.groups)
        parts.append(f"Settings: {links}")
    if page.examples:
        parts.append("```bash\n" + "\n".join(page.examples) + "\n```")
    return "\n\n".join(parts) + "\n"


def _render_inline(text: str) -> str:
    text = re.sub(r"\[bold\](.*?)\[/(?:bold)?\]", r"**\1**", text)
    # Signs that Markdown would take for something else, outside of code.
    parts = re.split(r"(`[^`]*`)", text.replace("\\[", "["))
    return "".join(part if part.startswith("`") else re.sub(r"([*_<\[])", r"\\\1", part) for part in parts).replace(
        "\\*\\*", "**"
    )

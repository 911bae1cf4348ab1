"""What every command has: help with examples and settings that fits a terminal, and a stdout that `--json` may keep."""

import contextlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from inspect import cleandoc
from typing import Any

import typer
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from rich.text import Text
from typer.core import TyperCommand, TyperGroup
from typer.models import CommandFunctionType

from phytoscope.cli.json_output import reserve_stdout
from phytoscope.cli.terminal import out

_WORD = re.compile(r"""(?:"[^"]*"|'[^']*'|[^\s"'])+""")
# An option and what stands behind it belong together.
_PART = re.compile(rf"--?[\w-]+ +(?!-){_WORD.pattern}|{_WORD.pattern}")
_EXAMPLES, _SETTINGS = "Examples:", "Settings:"
_INDENT = "  "


@dataclass(frozen=True)
class HelpPage:
    """The parts of a help text.

    Attributes:
        prose: Paragraphs, each on one line.
        examples: Command lines.
        groups: Groups of settings that the command takes.
    """

    prose: str
    examples: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()


def read_help(text: str) -> HelpPage:
    """Takes a help text apart: a paragraph `Examples:` has a command on each line, `Settings:` names groups."""
    prose, examples, groups = [], [], []
    for paragraph in cleandoc(text).split("\n\n"):
        lines = [line.strip() for line in paragraph.splitlines()]
        if lines and lines[0] == _EXAMPLES:
            examples += lines[1:]
        elif lines and lines[0].startswith(_SETTINGS):
            groups += re.findall(r"\w+", paragraph.removeprefix(_SETTINGS))
        else:
            prose.append(" ".join(lines))
    return HelpPage("\n\n".join(prose), tuple(examples), tuple(groups))


def fold_example(line: str, width: int) -> list[str]:
    """Breaks a command between its words so that it can be copied from a narrow terminal.

    Args:
        line: The command.
        width: Columns of the terminal.
    """
    folded = [""]
    for word in _PART.findall(line):
        start = folded[-1]
        if start.strip() and len(_INDENT) + len(start) + len(word) + len(" \\") >= width:
            folded[-1] = f"{start} \\"
            folded.append(f"{_INDENT}{word}")
        else:
            folded[-1] = f"{start} {word}" if start else word
    return folded


class Command(TyperCommand):
    """A command with examples in its help; with `--json` its stdout holds one document and nothing else."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Prints the help, and below it settings and examples."""
        _print_help(self, lambda: super(Command, self).format_help(ctx, formatter))

    def invoke(self, ctx: Any) -> Any:
        """Runs the command."""
        with reserve_stdout() if ctx.params.get("as_json") else contextlib.nullcontext():
            return super().invoke(ctx)


class Group(TyperGroup):
    """A group of commands with examples in its help."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Prints the help, and below it settings and examples."""
        _print_help(self, lambda: super(Group, self).format_help(ctx, formatter))


class CommandApp(typer.Typer):
    """Commands that all look alike."""

    def __init__(self, **options: Any) -> None:
        """Takes what `typer.Typer` takes."""
        usual: dict[str, Any] = {"cls": Group, "no_args_is_help": True, "rich_markup_mode": "rich"}
        super().__init__(**(usual | {"pretty_exceptions_enable": False} | options))

    def command(self, name: str | None = None, **options: Any) -> Callable[[CommandFunctionType], CommandFunctionType]:
        """Takes what the method of `typer.Typer` takes."""
        return super().command(name, **({"cls": Command} | options))


def _print_help(command: Command | Group, print_usual: Callable[[], None]) -> None:
    raw = command.help
    page = read_help(raw or "")
    # Nobody writes markup in a help text, but brackets as in `phytoscope[serve]`.
    command.help = escape(page.prose)
    try:
        print_usual()
    finally:
        command.help = raw
    for group in page.groups:
        out.print(_tabulate_settings(group), soft_wrap=False)
    if page.examples:
        _print_examples(page.examples)


def _tabulate_settings(group: str) -> Panel:
    from phytoscope.cli.settings_list import list_settings
    from phytoscope.configs import list_groups

    table = Table(box=None, show_header=False, pad_edge=False, expand=True)
    table.add_column(style="bold cyan", no_wrap=True)
    table.add_column(max_width=14, overflow="fold")
    table.add_column(style="dim", ratio=1)
    presets = list_groups().get(group, [])
    if len(presets) > 1:
        table.add_row(f"{group}=PRESET", "", f"One of {', '.join(presets)}.")
    for row in list_settings(group):
        table.add_row(*map(escape, (row.key, row.shown_default, row.short)))
    title = f"Settings of {group}, with their defaults"
    return Panel(table, title=title, title_align="left", border_style="dim")


def _print_examples(examples: Sequence[str]) -> None:
    out.print(f"[bold]{_EXAMPLES}[/]")
    for example in examples:
        for line in fold_example(example, out.width):
            out.print(Text(f"{_INDENT}{line}"))
    out.print()

"""`phytoscope settings`: every setting, its default and what it does."""

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from phytoscope.cli.json_output import AsJson, print_json
from phytoscope.cli.settings_list import list_settings
from phytoscope.cli.terminal import out
from phytoscope.errors import ConfigError

if TYPE_CHECKING:
    from phytoscope.cli.settings_list import SettingRow

_COLUMN = 30


def settings(
    group: Annotated[
        str | None,
        typer.Argument(help="One group, to read what each of its settings does; all when left out.", metavar="GROUP"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the groups of settings with their presets, and every setting with its default.

    Examples:
        phytoscope settings
        phytoscope settings trainer
        phytoscope settings serve --json
    """
    from phytoscope.configs import list_groups
    from phytoscope.schema.config import SCHEMA_OF_GROUP

    presets = list_groups()
    if group is not None and group not in {*presets, *SCHEMA_OF_GROUP}:
        from phytoscope.errors import suggest

        message = f"{group!r} is no group of settings: {suggest(group, sorted({*presets, *SCHEMA_OF_GROUP}))}"
        raise ConfigError(message)
    names = [None, *SCHEMA_OF_GROUP] if group is None else [group]
    # Some groups of presets set keys of other groups and have none of their own.
    rows = [row for name in names if name is None or name in SCHEMA_OF_GROUP for row in list_settings(name)]
    shown = {name: found for name, found in presets.items() if group in (None, name)}
    if as_json:
        print_json({"presets": shown, "settings": [_describe(row) for row in rows]})
        return
    out.print("[bold]Presets[/] (group=preset)")
    for name, found in shown.items():
        out.print(f"  {name:<11}{', '.join(found)}")
    if group is not None:
        _print_group(rows)
        return
    out.print("\n[bold]Settings[/] (key=value; a preset may set another default, null is chosen from the data)")
    for row in rows:
        out.print(escape(f"  {row.key:<{_COLUMN}}{row.shown_default}"))
    out.print("\nphytoscope settings GROUP says what each one does.")


def _describe(row: "SettingRow") -> dict[str, Any]:
    return {"key": row.key, "default": row.value, "is_required": row.is_required, "meaning": row.meaning}


def _print_group(rows: "list[SettingRow]") -> None:
    if not rows:
        return
    table = Table(box=None, pad_edge=False)
    for title in ("setting", "default", "what it does"):
        table.add_column(title, overflow="fold")
    for row in rows:
        table.add_row(*map(escape, (row.key, row.shown_default, row.meaning)))
    out.print()
    out.print(table, soft_wrap=False)

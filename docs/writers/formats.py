"""The page of file formats: the folder of a run, what a package says about itself, and both reports."""

import dataclasses
import typing
from pathlib import Path
from typing import Any, Final

from writers.tables import quote_code, read_attributes, read_summary, render_table, word_kind

_HEAD: Final = """\
# File formats

What phytoscope writes is plain: Parquet and CSV for tables, JSON for what is said about them, safetensors for weights.
Numbers in tables are in the user's unit; fractions run from 0 to 1. JSON files of later versions may have further
fields, so a program should pass over those it does not know.

## The folder of a run

`phytoscope run` writes one folder, `runs/TIME-NAME` or the one that `paths.run_dir` names.

"""
_PACKAGE: Final = """
## A package

`package/` in the folder of a run, or one file with the ending `.phyto`, which is a zip archive of the same files.
[Packages](../guides/packages.md) says what each of its files is. `package.json` has `format` (the number of the
structure), `sha256` (name of each file and its SHA-256), `variants` (further forms of the network), `content_sha256`
(the hash of all that), and `model`:

"""


def write_formats() -> str:
    """Writes the page."""
    from phytoscope.schema.audit import AuditReport
    from phytoscope.schema.package import ModelDescription
    from phytoscope.schema.report import EvaluationReport

    parts = [_HEAD, _write_run_folder(), _PACKAGE, _write_fields(ModelDescription)]
    parts.append("\n## report.json {#report-json}\n\nWhat `report.html` shows, for programs.\n")
    parts.append(_write_tree(EvaluationReport, set()))
    parts.append("\n## inspect.json {#inspect-json}\n\nWhat `inspect.html` shows, for programs.\n")
    parts.append(_write_tree(AuditReport, set(_list_tree(EvaluationReport))))
    parts.append(
        "\n## Answers\n\nThe columns of the tables that `phytoscope predict` writes are told in "
        "[Predict](../guides/predict.md), those of the service in [HTTP API](http.md).\n"
    )
    return "\n".join(parts)


def _write_run_folder() -> str:
    from phytoscope.schema.run_folder import RunFolder

    folder = RunFolder(Path("RUN"))
    rows = [
        [quote_code(getattr(folder, name).relative_to("RUN").as_posix()), read_summary(entry)]
        for name, entry in vars(RunFolder).items()
        if isinstance(entry, property)
    ]
    return render_table(["file or folder", "what it holds"], rows)


def _write_tree(kind: type[Any], known: set[type[Any]]) -> str:
    return "\n".join(
        f"### {part.__name__}\n\n{read_summary(part)}\n\n{_write_fields(part)}"
        for part in _list_tree(kind)
        if part not in known
    )


def _list_tree(kind: type[Any]) -> list[type[Any]]:
    found = [kind]
    for part in found:
        for hint in typing.get_type_hints(part).values():
            found += [inner for inner in _list_classes(hint) if inner not in found]
    return found


def _list_classes(hint: Any) -> list[type[Any]]:
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return [hint]
    return [inner for argument in typing.get_args(hint) for inner in _list_classes(argument)]


def _write_fields(kind: type[Any]) -> str:
    meanings, kinds = read_attributes(kind), typing.get_type_hints(kind)
    rows = [
        [f"`{entry.name}`", word_kind(kinds[entry.name]), meanings.get(entry.name, "")]
        for entry in dataclasses.fields(kind)
    ]
    return render_table(["field", "value", "meaning"], rows)

"""`phytoscope package`: makes the package of a run, shows and checks packages, and makes one file of them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.markup import escape
from rich.table import Table

from phytoscope.cli.command import CommandApp, Group
from phytoscope.cli.compose import Settings
from phytoscope.cli.json_output import AsJson, print_json
from phytoscope.cli.options import Overwrite, write_to
from phytoscope.cli.run_commands import start_run
from phytoscope.cli.run_summary import list_run_files
from phytoscope.cli.terminal import err, out
from phytoscope.schema.choices import Precision, Runtime

if TYPE_CHECKING:
    from phytoscope.predict.package_files import PackageFiles
    from phytoscope.predict.package_golden import GoldenDifference
    from phytoscope.predict.predictor import Predictor

_MAKE: Final = "make"
_PACKAGE: Final = typer.Argument(
    help="Package: a folder, a .phyto file, or models:/NAME@champion.", metavar="PACKAGE", show_default=False
)
_Package = Annotated[str, _PACKAGE]


class StepGroup(Group):
    """A group of commands whose first word may also be a setting: then the step itself is meant."""

    def parse_args(self, ctx: Any, args: list[str]) -> Any:
        """Takes the words; `--json` before a setting is the step's."""
        return super().parse_args(ctx, [_MAKE, *args] if args[:1] == ["--json"] else args)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Finds the command that the first word names; a setting (`key=value`, `~key`) is handed to the step."""
        is_setting = args[0] not in self.commands and ("=" in args[0] or args[0].startswith("~"))
        return super().resolve_command(ctx, [_MAKE, *args] if is_setting else args)


package_app = CommandApp(
    cls=StepGroup,
    invoke_without_command=True,
    no_args_is_help=False,
    subcommand_metavar="[KEY=VALUE]... | COMMAND [ARGS]...",
)


@package_app.callback()
def package(context: typer.Context) -> None:
    """Pack the trained model into one folder that can be handed on (paths.run_dir=DIR names the run).

    Settings: package

    Examples:
        phytoscope package paths.run_dir=DIR
        phytoscope package show runs/TIME-NAME/package
    """
    if context.invoked_subcommand is None:
        make(None)


@package_app.command(_MAKE, hidden=True)
def make(settings: Settings = None, as_json: AsJson = False) -> None:
    """Pack the trained model into one folder that can be handed on (paths.run_dir=DIR names the run).

    Examples:
        phytoscope package paths.run_dir=DIR
    """
    folder = start_run(settings, step="package")
    if as_json:
        print_json({"run_dir": folder.root, "files": list_run_files(folder)})
        return
    out.print(f"Package: {escape(str(folder.package))}")


@package_app.command("show")
def show(package: _Package, as_json: AsJson = False) -> None:
    """Say what a package is: what it answers, how good it is, what it promises, and what lies in it.

    Examples:
        phytoscope package show runs/TIME-NAME/package
        phytoscope package show models:/leaf-diseases@champion --json
    """
    from phytoscope.predict.package_words import describe_package, word_package

    files = _open(package)
    if as_json:
        print_json(describe_package(files))
        return
    for heading, lines in word_package(files):
        out.print(f"[bold]{escape(heading)}[/]")
        for line in lines:
            out.print(escape(f"  {line}"))


@package_app.command("verify")
def verify(
    package: _Package,
    runtime: Annotated[
        list[Runtime] | None,
        typer.Option(
            "--runtime",
            help="What shall compute it; may be given several times.",
            show_default="torch; openvino for int8",
        ),
    ] = None,
    precision: Annotated[
        Precision, typer.Option("--precision", help="Numbers to compute with; int8 where the package has it.")
    ] = Precision.float32,
    as_json: AsJson = False,
) -> None:
    """Check every part of a package against its hash, and let it answer its golden images again.

    The exit code is 2 when the package is damaged or answers otherwise than when it was made.

    Examples:
        phytoscope package verify model.phyto
        phytoscope package verify model.phyto --runtime torch --runtime onnxruntime
    """
    with err.status("Checking"):
        from phytoscope.predict.package import load_files, refuse_difference
        from phytoscope.predict.package_golden import compare_golden, find_worst

        files = _open(package)
        predictor = load_files(files)
    out.print(escape(f"{len(files.names)} parts are what they were"))
    strangers = files.list_strangers()
    if strangers:
        err.print(f"[yellow]Note:[/] {escape(_word_strangers(strangers))}; no part names them, and they are never read")
    checked = []
    for each in runtime or [Runtime.torch if precision is Precision.float32 else Runtime.openvino]:
        if each is Runtime.torch and precision is Precision.float32:
            found = compare_golden(predictor, files)
            _print_differences(each.value, found)
            worst = find_worst(found)
            refuse_difference(worst, files.path)
            checked.append({"runtime": each.value, "precision": precision.value, "largest_difference": worst})
        else:
            checked.append(_verify_engine(files, each, precision))
    if as_json:
        print_json({"path": files.path, "parts": len(files.names), "not_part": strangers, "runtimes": checked})


def _verify_engine(files: "PackageFiles", runtime: Runtime, precision: Precision) -> dict[str, Any]:
    from phytoscope.predict.engines.equip import equip_predictor
    from phytoscope.predict.package import load_files

    # Each runtime has the model anew, because 8 bits bring thresholds of their own.
    predictor: Predictor = load_files(files)
    difference = equip_predictor(predictor, files, runtime, precision)
    engine = predictor.engine
    out.print(
        escape(
            f"{engine.runtime.value} ({engine.precision.value}): golden answers, largest difference {difference:.1g}"
        )
    )
    about = {"runtime": engine.runtime.value, "precision": engine.precision.value}
    return about | {"largest_difference": difference}


def _print_differences(name: str, found: "list[GoldenDifference]") -> None:
    table = Table(title=f"{name}: difference to the golden answers", title_justify="left")
    table.add_column("image")
    for heading in ("answer", "calibrated", "novelty"):
        table.add_column(heading, justify="right")
    for one in found:
        cells = ("-" if value is None else f"{value:.1g}" for value in (one.answer, one.judged, one.novelty))
        table.add_row(escape(one.image), *cells)
    out.print(table)


def _word_strangers(names: list[str]) -> str:
    first = ", ".join(repr(name) for name in names[:_SHOWN_STRANGERS])
    return f"{len(names)} more file{'s' if len(names) > 1 else ''} ({first}{', ...' * (len(names) > _SHOWN_STRANGERS)})"


_SHOWN_STRANGERS: Final = 3


@package_app.command("pack")
def pack(
    package: _Package,
    output: Annotated[Path, write_to("File to write: NAME.phyto.", "FILE")],
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Make one file of a package, to hand it on; it can be used as it is, without unpacking.

    The same package gives the same bytes every time.

    Examples:
        phytoscope package pack runs/TIME-NAME/package --output leaves.phyto
    """
    from phytoscope.predict.package_archive import pack_package
    from phytoscope.predict.package_source import find_package
    from phytoscope.predict.package_words import format_bytes

    left_out = pack_package(find_package(package), output, overwrite=overwrite)
    if as_json:
        print_json({"output": output, "size_bytes": output.stat().st_size, "left_out": left_out})
        return
    _report_left_out(left_out)
    out.print(escape(f"{output} ({format_bytes(output.stat().st_size)})"))


@package_app.command("unpack")
def unpack(
    package: _Package,
    output: Annotated[Path, write_to("Folder to write.", "DIR")],
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Make a folder of a .phyto file.

    Examples:
        phytoscope package unpack leaves.phyto --output leaves
    """
    from phytoscope.predict.package_archive import unpack_package
    from phytoscope.predict.package_source import find_package

    left_out = unpack_package(find_package(package), output, overwrite=overwrite)
    if as_json:
        print_json({"output": output, "left_out": left_out})
        return
    _report_left_out(left_out)
    out.print(escape(str(output)))


def _report_left_out(names: list[str]) -> None:
    if names:
        err.print(f"[yellow]Note:[/] {escape(_word_strangers(names))}; no part names them, and they are left out")


def _open(package: str) -> "PackageFiles":
    from phytoscope.predict.package_files import open_files
    from phytoscope.predict.package_source import find_package

    return open_files(find_package(package))

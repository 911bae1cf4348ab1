"""`phytoscope export`: further forms of a network, for this program and for others."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from phytoscope.cli.compose import Settings
from phytoscope.cli.json_output import AsJson, list_files, print_json
from phytoscope.cli.options import write_to
from phytoscope.cli.run_commands import start_run
from phytoscope.cli.run_summary import list_run_files
from phytoscope.cli.terminal import err, out
from phytoscope.errors import ConfigError
from phytoscope.storage.place import is_url

_WISHES = ("package.onnx=auto", "package.int8=auto", "package.certificate=true")


class BareForm(StrEnum):
    """Forms that other programs read."""

    onnx = "onnx"
    openvino = "openvino"


def export(
    source: Annotated[
        str,
        typer.Argument(help="Folder of a run; with --to a run, a package or models:/NAME@champion.", metavar="SOURCE"),
    ],
    settings: Settings = None,
    to: Annotated[
        BareForm | None, typer.Option("--to", help="Write only the bare network, for another program.")
    ] = None,
    output: Annotated[Path | None, write_to("Folder for it.", "DIR")] = None,
    as_json: AsJson = False,
) -> None:
    """Add a certificate and 8 bits to the package of a run, or hand the bare network to another program.

    The certificate (CERTIFICATE.md in the package) compares torch, ONNX Runtime, OpenVINO and 8 bits on the test
    images: answers, metrics, verdicts and speed. 8 bits that lose more than package.max_loss are not put into the
    package, and the certificate says why. They need the extra: pip install "phytoscope[int8]".

    Settings: package

    Examples:
        phytoscope export runs/TIME-NAME
        phytoscope export runs/TIME-NAME package.int8=always package.max_loss=0.01 package.openvino=always
        phytoscope export runs/TIME-NAME/package --to onnx --output bare
    """
    if (to is None) != (output is None):
        message = "--to and --output belong together: --to onnx --output DIR."
        raise ConfigError(message)
    if to is not None and output is not None:
        written = _hand_out(source, settings, to, output)
        if as_json:
            print_json({"written": written})
            return
        for path in written:
            out.print(escape(str(path)))
        return
    if not is_url(source) and not Path(source, "config.yaml").is_file():
        message = (
            f"{source!r} is not the folder of a run, whose test images the forms are compared on: name a run, or write "
            "the bare network of a package with --to onnx --output DIR."
        )
        raise ConfigError(message)
    folder = start_run([f"paths.run_dir={source}", *_WISHES, *(settings or [])], step="package")
    if as_json:
        files = list_run_files(folder) | list_files(certificate=folder.package / "CERTIFICATE.md")
        print_json({"run_dir": folder.root, "files": files})
        return
    out.print(f"Package:     {escape(str(folder.package))}")
    out.print(f"Certificate: {escape(str(folder.package / 'CERTIFICATE.md'))}")


def _hand_out(source: str, settings: list[str] | None, to: BareForm, output: Path) -> list[Path]:
    if settings:
        message = f"{settings[0]!r}: settings have no part in --to, which writes the network of a package as it is."
        raise ConfigError(message)
    with err.status("Writing"):
        from phytoscope.predict.export.bare import write_bare
        from phytoscope.predict.package_source import find_package

        place = find_package(source)
        inside = place / "package"
        return write_bare(inside if inside.is_dir() else place, output, openvino=to is BareForm.openvino)

"""`phytoscope serve`: the HTTP service, and `phytoscope serve-keys`, who may ask it."""

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from phytoscope.cli.addresses import keep_here
from phytoscope.cli.command import CommandApp
from phytoscope.cli.completion import complete_service
from phytoscope.cli.json_output import AsJson, print_json
from phytoscope.cli.terminal import err, out
from phytoscope.errors import ConfigError, require

_KEYS_HELP = """Make and remove the API keys of a service.

Examples:
    phytoscope serve-keys add greenhouse-3
    phytoscope serve-keys list
"""
keys_app = CommandApp(help=_KEYS_HELP)
_KeyFile = Annotated[
    Path,
    typer.Option(
        "--file",
        callback=keep_here,
        help="File of keys; the same as serve.keys.",
        metavar="FILE",
        show_default=True,
    ),
]
_DEFAULT_KEYS = Path("phytoscope-keys.json")


def serve(
    model: Annotated[
        str,
        typer.Argument(help="Package (folder or .phyto file), or models:/NAME@champion.", metavar="PACKAGE"),
    ],
    settings: Annotated[
        list[str] | None,
        typer.Argument(
            help="Settings as serve.KEY=VALUE; `phytoscope settings` lists them.",
            metavar="KEY=VALUE",
            autocompletion=complete_service,
        ),
    ] = None,
) -> None:
    """Answer for photographs over HTTP, with a web page at the same address.

    Ctrl-C (or SIGTERM) finishes what was taken and ends. SIGHUP looks for a newer package at once; otherwise it is
    looked for every serve.reload_s seconds. Needs the extra: pip install "phytoscope[serve]".

    Settings: serve

    Examples:
        phytoscope serve runs/TIME-NAME/package serve.port=8080
        phytoscope serve leaf.phyto serve.host=0.0.0.0 serve.keys=keys.json
        curl --data-binary @leaf.jpg -H 'Content-Type: image/jpeg' http://127.0.0.1:8000/v1/predict
    """
    from phytoscope.configs.serving import compose_serve

    config = compose_serve(settings or [])
    for module in ("fastapi", "uvicorn", "httptools", "prometheus_client", "python_multipart"):
        require(module)
    from phytoscope.api.listening import name_address, open_socket

    if config.threads is not None:
        os.environ["OMP_NUM_THREADS"] = str(config.threads)
    if config.host not in ("127.0.0.1", "localhost", "::1") and config.keys is None:
        err.print(
            "Anybody who reaches this computer may ask: give serve.keys=FILE (see `phytoscope serve-keys`), or keep "
            "serve.host=127.0.0.1."
        )
    with open_socket(config) as listener:
        err.print(escape(f"Loading {model} ..."))
        from phytoscope.predict.package_files import open_files
        from phytoscope.predict.package_source import find_package

        # What is no package is said at once, and not by a process that is started for it.
        open_files(find_package(model))
        from phytoscope.api.server import run_worker
        from phytoscope.api.supervisor import run_workers

        out.print(escape(f"Listening on {name_address(listener)}"))
        out.file.flush()
        if config.workers > 1:
            run_workers(model, config, listener)
        else:
            run_worker(model, config, listener)


@keys_app.command("add")
def add(
    name: Annotated[str, typer.Argument(help="Whose key it is, for example a person or a program.", metavar="NAME")],
    file: _KeyFile = _DEFAULT_KEYS,
    as_json: AsJson = False,
) -> None:
    """Make a key. It is shown once; the file keeps only its hash.

    Examples:
        phytoscope serve-keys add greenhouse-3
        phytoscope serve-keys add anna --file keys.json
    """
    from phytoscope.api.keys import add_key

    key = add_key(file, name)
    if as_json:
        print_json({"name": name, "key": key, "file": file})
        return
    err.print(escape(f"The key of {name}; it cannot be shown again. {file} keeps its hash."))
    out.print(escape(key))


@keys_app.command("list")
def list_keys(file: _KeyFile = _DEFAULT_KEYS, as_json: AsJson = False) -> None:
    """List whose keys there are.

    Examples:
        phytoscope serve-keys list
        phytoscope serve-keys list --file keys.json --json
    """
    from phytoscope.api.keys import read_keys

    entries = read_keys(file)
    if as_json:
        print_json({"file": file, "keys": [{"name": each.name, "created_at": each.created_at} for each in entries]})
        return
    for entry in entries:
        out.print(escape(f"{entry.name}  {entry.created_at}"))


@keys_app.command("remove")
def remove(
    name: Annotated[str, typer.Argument(help="Whose key.", metavar="NAME")],
    file: _KeyFile = _DEFAULT_KEYS,
    as_json: AsJson = False,
) -> None:
    """Remove a key; a running service refuses it within seconds.

    Examples:
        phytoscope serve-keys remove greenhouse-3
    """
    from phytoscope.api.keys import remove_key

    if not name.strip():
        message = "name the key to remove; `phytoscope serve-keys list` shows them."
        raise ConfigError(message)
    remove_key(file, name)
    if as_json:
        print_json({"name": name, "file": file})
        return
    out.print(escape(f"Removed the key of {name}."))

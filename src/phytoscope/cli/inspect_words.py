"""From a folder or a table named on the command line to the settings that describe it."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from phytoscope.errors import ConfigError, suggest
from phytoscope.schema.address import as_url
from phytoscope.schema.artifact import resolve_path

_TABLE_SUFFIXES = (".csv", ".tsv", ".txt", ".xlsx", ".parquet")
_FARMBOT_MARK = "digital_biomass_labels"
_LEAF_MAP = "leaf-map.json"
_NAMES_DATA = ("data=", "paths.run_dir=", "experiment=")
_USUAL_TABLES = ("labels", "metadata", "annotations", "table", "data")


def translate_words(
    words: Sequence[str],
    *,
    images: str | None = None,
    target: str | None = None,
    label: str | None = None,
    group_by: str | None = None,
) -> list[str]:
    """Turns a path among the words, and the options that describe it, into settings.

    Args:
        words: Settings as key=value, and at most one folder or table.
        images: Folder of the images that the table names.
        target: Column with the number.
        label: Column with the class.
        group_by: Columns that name the plant, with commas between.

    Returns:
        Settings as key=value; those the user wrote stand last and win.

    Raises:
        ConfigError: Nothing, or more than one path is named, or the options do not fit what is named.
    """
    paths = [word for word in words if "=" not in word or Path(word).exists()]
    settings = [word for word in words if word not in paths]
    options = {"images": images, "target": target, "label": label}
    # Where the images of a table lie is said with the table.
    more = [
        f"data.{key}={value}" for key, value in options.items() if value is not None and not (paths and key == "images")
    ]
    more += [] if group_by is None else [f"data.group_by=[{group_by.strip('[]')}]"]
    if len(paths) > 1:
        message = f"{len(paths)} paths are named ({', '.join(map(repr, paths))}): inspect one data set at a time."
        raise ConfigError(message)
    if not paths:
        if not any(word.startswith(_NAMES_DATA) for word in settings):
            message = (
                "name what to inspect: phytoscope inspect DIR, or phytoscope inspect TABLE.csv --images DIR "
                "--target COLUMN."
            )
            raise ConfigError(message)
        return [*more, *settings]
    if any(word.startswith("data=") for word in settings):
        message = (
            f"{paths[0]!r} and data=... are both given: name the folder or table alone, or give all of it as settings "
            "(data=folder data.root=DIR)."
        )
        raise ConfigError(message)
    return [*_describe_path(paths[0], options), *more, *settings]


def _describe_address(url: str, options: dict[str, str | None]) -> list[str]:
    from phytoscope.storage.listing import list_names

    url = url.rstrip("/")
    folder, _, name = url.rpartition("/")
    if PurePosixPath(name).suffix.lower() in _TABLE_SUFFIXES:
        return ["data=table", f"data.table={url}", f"data.images={options['images'] or folder}"]
    names = list_names(url)
    if any(_FARMBOT_MARK in name for name in names) and options["target"] is None and options["label"] is None:
        return ["data=farmbot_biomass", f"data.root={url}"]
    if any(value is not None for value in options.values()):
        message = f"{url!r} is no table: name the table itself, such as {url}/labels.csv, with --images and its column."
        raise ConfigError(message)
    is_plantvillage = _LEAF_MAP in names or any("___" in name for name in names)
    return [f"data={'plantvillage' if is_plantvillage else 'folder'}", f"data.root={url}"]


def _describe_path(word: str, options: dict[str, str | None]) -> list[str]:
    url = as_url(word)
    if url is not None:
        return _describe_address(url, options)
    path = resolve_path(word, "the data")
    if path.suffix.lower() in _TABLE_SUFFIXES and not path.is_dir():
        return _describe_table(path, None if options["images"] is None else Path(str(options["images"])))
    if path.is_file():
        message = (
            f"{str(path)!r} is neither a folder nor a table ({', '.join(_TABLE_SUFFIXES)}): name the folder with the "
            "images, or the table with --images DIR --target COLUMN."
        )
        raise ConfigError(message)
    if not path.is_dir():
        # The reader says what there is instead.
        return ["data=folder", f"data.root={path}"]
    entries = sorted(entry for entry in path.iterdir() if not entry.name.startswith("."))
    folders = [entry for entry in entries if entry.is_dir()]
    tables = [entry for entry in entries if entry.is_file() and entry.suffix.lower() in _TABLE_SUFFIXES]
    asked = options["target"] is not None or options["label"] is not None
    if any(_FARMBOT_MARK in table.name for table in tables) and not asked:
        return ["data=farmbot_biomass", f"data.root={path}"]
    if tables and (asked or len(folders) <= 1):
        table = _choose_table(tables, path)
        if not asked:
            _ask_for_column(table)
        chosen = options["images"]
        return _describe_table(table, Path(chosen) if chosen is not None else _find_images(path, folders))
    if options["images"] is not None or asked:
        message = (
            f"{str(path)!r} holds class folders and no table, so --images, --target and --label mean nothing: name the "
            "table, or leave them out."
        )
        raise ConfigError(message)
    is_plantvillage = (path / _LEAF_MAP).is_file() or any("___" in folder.name for folder in folders)
    return [f"data={'plantvillage' if is_plantvillage else 'folder'}", f"data.root={path}"]


def _describe_table(table: Path, images: Path | None) -> list[str]:
    if images is None:
        folders = [entry for entry in sorted(table.parent.iterdir()) if entry.is_dir()] if table.parent.is_dir() else []
        images = _find_images(table.parent, folders)
    return ["data=table", f"data.table={table}", f"data.images={images}"]


def _find_images(root: Path, folders: list[Path]) -> Path:
    shown = [folder for folder in folders if not folder.name.startswith(".")]
    named = [folder for folder in shown if folder.name.lower().startswith(("image", "img", "photo", "bild"))]
    # Names in a table may start with the folder, so several folders mean the one above them.
    return named[0] if len(named) == 1 else shown[0] if len(shown) == 1 else root


def _choose_table(tables: list[Path], root: Path) -> Path:
    usual = [table for name in _USUAL_TABLES for table in tables if table.stem.lower() == name]
    if usual or len(tables) == 1:
        return [*usual, *tables][0]
    names = [table.name for table in tables]
    message = f"{str(root)!r} holds {len(tables)} tables: name one of them; {suggest('labels.csv', names)}"
    raise ConfigError(message)


def _ask_for_column(table: Path) -> None:
    from phytoscope.data.readers.read_table import read_table

    columns = ", ".join(map(str, read_table(table).columns))
    message = (
        f"which column of {str(table)!r} is the answer? Add --target COLUMN for a number or --label COLUMN for a "
        f"class. Columns: {columns}."
    )
    raise ConfigError(message)

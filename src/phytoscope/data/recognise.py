"""Which layout a folder or a table has that somebody names without a word about it."""

from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import NoReturn

from phytoscope.errors import ConfigError, suggest
from phytoscope.schema.address import as_url
from phytoscope.schema.artifact import resolve_path

Spell = Callable[..., str]
"""Name of an option, and perhaps an example of its value -> how both are written."""

_TABLE_SUFFIXES = (".csv", ".tsv", ".txt", ".xlsx", ".parquet")
_FARMBOT_MARK = "digital_biomass_labels"
_LEAF_MAP = "leaf-map.json"
_USUAL_TABLES = ("labels", "metadata", "annotations", "table", "data")


def describe_data(place: str, options: Mapping[str, str | None], spell: Spell) -> list[str]:
    """Looks at a folder or a table and says which settings describe it.

    Args:
        place: Folder, table, or address of one.
        options: What is known beside it: `images` (folder of the images that a table names), `target` (column with the
            number), `label` (column with the class); each a text or None.
        spell: How an option and an example of its value are written where the user stands, for errors.

    Returns:
        Words `data=...` and what belongs to them; target and label are left to the caller.

    Raises:
        ConfigError: It is no data, or what is known beside it does not fit.
        DataValidationError: A table cannot be read.
    """
    url = as_url(place)
    if url is not None:
        return _describe_address(url, options, spell)
    path = resolve_path(place, "the data")
    if path.suffix.lower() in _TABLE_SUFFIXES and not path.is_dir():
        return _describe_table(path, None if options["images"] is None else Path(str(options["images"])))
    if path.is_file():
        message = (
            f"{str(path)!r} is neither a folder nor a table ({', '.join(_TABLE_SUFFIXES)}): name the folder with the "
            f"images, or the table with {spell('images', 'DIR')} {spell('target', 'COLUMN')}."
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
            ask_for_column(table, spell)
        chosen = options["images"]
        return _describe_table(table, Path(chosen) if chosen is not None else _find_images(path, folders))
    if options["images"] is not None or asked:
        message = (
            f"{str(path)!r} holds class folders and no table, so {spell('images')}, {spell('target')} and "
            f"{spell('label')} mean nothing: name the table, or leave them out."
        )
        raise ConfigError(message)
    is_plantvillage = (path / _LEAF_MAP).is_file() or any("___" in folder.name for folder in folders)
    return [f"data={'plantvillage' if is_plantvillage else 'folder'}", f"data.root={path}"]


def ask_for_column(table: Path, spell: Spell) -> NoReturn:
    """Says which columns a table has, when nobody said which of them is the answer.

    Raises:
        ConfigError: Always.
        DataValidationError: The table cannot be read.
    """
    from phytoscope.data.readers.read_table import read_table

    columns = ", ".join(map(str, read_table(table).columns))
    message = (
        f"which column of {str(table)!r} is the answer? Add {spell('target', 'COLUMN')} for a number or "
        f"{spell('label', 'COLUMN')} for a class. Columns: {columns}."
    )
    raise ConfigError(message)


def _describe_address(url: str, options: Mapping[str, str | None], spell: Spell) -> list[str]:
    from phytoscope.storage.listing import list_names

    url = url.rstrip("/")
    folder, _, name = url.rpartition("/")
    if PurePosixPath(name).suffix.lower() in _TABLE_SUFFIXES:
        return ["data=table", f"data.table={url}", f"data.images={options['images'] or folder}"]
    names = list_names(url)
    if any(_FARMBOT_MARK in name for name in names) and options["target"] is None and options["label"] is None:
        return ["data=farmbot_biomass", f"data.root={url}"]
    if any(value is not None for value in options.values()):
        message = (
            f"{url!r} is no table: name the table itself, such as {url}/labels.csv, with {spell('images')} and its "
            "column."
        )
        raise ConfigError(message)
    is_plantvillage = _LEAF_MAP in names or any("___" in name for name in names)
    return [f"data={'plantvillage' if is_plantvillage else 'folder'}", f"data.root={url}"]


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

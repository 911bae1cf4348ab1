"""A package as one `.phyto` file: a zip archive of its parts as they are, the same bytes whenever it is packed."""

import zipfile
from pathlib import Path
from typing import Final

from phytoscope.errors import ConfigError, PackageError
from phytoscope.predict.package_entries import MOST_BYTES, PHYTO_SUFFIX
from phytoscope.predict.package_files import DESCRIPTION_NAME, open_files
from phytoscope.schema.artifact import write_atomic, write_folder_atomic

# The first moment that a zip archive can name: when it was packed is nobody's business, and would change the bytes.
_TIME: Final = (1980, 1, 1, 0, 0, 0)
_UNIX: Final = 3
_PLAIN_FILE: Final = 0o100644 << 16


def pack_package(source: Path, target: Path, *, overwrite: bool = False) -> list[str]:
    """Writes a package as one file: its parts and nothing else, stored as they are, in the order of their names.

    The same package gives the same bytes on every machine.

    Args:
        source: The package, a folder or another `.phyto` file.
        target: File to write; its name ends in `.phyto`.
        overwrite: Whether an older file may be replaced.

    Returns:
        Files beside the parts that were left out.

    Raises:
        ConfigError: The name ends otherwise, or the file exists.
        PackageError: It is not a package, a part is damaged, or it is too large for one file.
        StorageError: The place cannot be written.
    """
    if target.suffix != PHYTO_SUFFIX:
        message = f"the output {str(target)!r} must end in {PHYTO_SUFFIX}, for example {target.stem + PHYTO_SUFFIX!r}."
        raise ConfigError(message)
    _refuse_existing(target, overwrite=overwrite)
    files = open_files(source)
    total = sum(files.size(name) for name in files.names)
    if total > MOST_BYTES // 2:
        message = (
            f"the package {str(source)!r} has {total / 1e9:.1f} GB, more than the {MOST_BYTES / 2e9:.1f} GB that one "
            "file may have: hand the folder on as it is."
        )
        raise PackageError(message)
    with (
        write_atomic(target) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED, allowZip64=False) as archive,
    ):
        archive.writestr(_describe(DESCRIPTION_NAME), files.description)
        for name in sorted(files.names):
            archive.writestr(_describe(name), files.read(name))
    return files.list_strangers()


def unpack_package(source: Path, target: Path, *, overwrite: bool = False) -> list[str]:
    """Writes the parts of a package into a folder, each checked against its hash; nothing else is written.

    Args:
        source: The package, a `.phyto` file or another folder.
        target: Folder to write; it appears when it is whole.
        overwrite: Whether an older package there may be replaced; any other folder is left alone.

    Returns:
        Files beside the parts that were left out.

    Raises:
        ConfigError: The folder exists.
        PackageError: It is not a package, or a part is damaged.
        StorageError: The place cannot be written.
    """
    _refuse_existing(target, overwrite=overwrite)
    if target.exists() and not (target / DESCRIPTION_NAME).is_file():
        message = f"the output {str(target)!r} exists and is no package: choose another name."
        raise ConfigError(message)
    files = open_files(source)
    with write_folder_atomic(target) as temporary:
        for name in files.names:
            place = temporary / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(files.read(name))
        (temporary / DESCRIPTION_NAME).write_bytes(files.description)
    return files.list_strangers()


def _refuse_existing(target: Path, *, overwrite: bool) -> None:
    if target.exists() and not overwrite:
        message = f"the output {str(target)!r} exists: choose another name, or add --overwrite to replace it."
        raise ConfigError(message)


def _describe(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _TIME)
    entry.create_system = _UNIX
    entry.external_attr = _PLAIN_FILE
    return entry

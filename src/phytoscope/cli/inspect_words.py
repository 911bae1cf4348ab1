"""From a folder or a table named on the command line to the settings that describe it."""

from collections.abc import Sequence
from pathlib import Path

from phytoscope.data.recognise import describe_data
from phytoscope.errors import ConfigError

_NAMES_DATA = ("data=", "paths.run_dir=", "experiment=")


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
    return [*describe_data(paths[0], options, _spell_option), *more, *settings]


def _spell_option(name: str, value: str = "") -> str:
    return f"--{name} {value}".rstrip()

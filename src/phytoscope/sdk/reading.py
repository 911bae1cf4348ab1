"""From the user's folder or table to a Dataset."""

from collections.abc import Sequence
from pathlib import Path

from phytoscope.configs.places import resolve_places
from phytoscope.configs.run_words import compose_here
from phytoscope.configs.words import quote_text
from phytoscope.data.recognise import ask_for_column, describe_data
from phytoscope.data.source import find_file
from phytoscope.errors import ConfigError
from phytoscope.schema.run_folder import RunFolder
from phytoscope.schema.table import Task
from phytoscope.sdk.dataset import Dataset
from phytoscope.sdk.shown_progress import telling
from phytoscope.steps.context import RunContext
from phytoscope.steps.look import check_outside_data, find_cache_folder, look_at_data
from phytoscope.steps.row_engine import with_engine
from phytoscope.storage.place import is_url


def read(
    source: str | Path,
    *,
    images: str | Path | None = None,
    target: str | None = None,
    label: str | None = None,
    unit: str | None = None,
    group_by: str | Sequence[str] | None = None,
    settings: Sequence[str] = (),
    progress: bool = False,
) -> Dataset:
    """Reads photographs and what is known of them, opens every image once, and finds every fault.

    What is learned about each image is kept in the folder of `paths.cache_dir` (`runs/cache` when not set), so a second
    reading opens only new or changed images. Nothing else is written, and the data are never changed.

    Args:
        source: A folder with one folder a class, or a table (CSV, TSV, XLSX, Parquet), or an address of one.
        images: Folder of the images that the table names; found beside the table when None.
        target: Column of the table with the number to predict.
        label: Column of the table with the class to predict.
        unit: Unit of the number, for example `g`.
        group_by: Column or columns that together name the plant or plot: all its images stay in one split.
        settings: Further words as the command line takes them, such as `data.split.test=0.3` or `seed=1`; they go with
            the data into every later step.
        progress: Whether to show how far it is.

    Returns:
        The data; images that cannot be used stand in `rejected` with the reason.

    Raises:
        ConfigError: A name or a setting is wrong; the text names the nearest that exists.
        DataNotFoundError: There is no such folder or table, or nothing is in it.
        DataValidationError: The table cannot be read.
        StorageError: The cache cannot be written.

    Examples:
        >>> import phytoscope as ph
        >>> data = ph.read("leaves")
        >>> len(data), data.classes[0]
        (89, 'Drawn___healthy')
        >>> data.rejected["reason"].tolist()[0]
        "unknown image extension '.txt'"
    """
    words = _describe(_check_source(source), images, target, label, settings)
    words += [] if unit is None else [f"data.unit={quote_text(unit)}"]
    names = [group_by] if isinstance(group_by, str) else list(group_by or [])
    words += [f"data.group_by=[{','.join(map(quote_text, names))}]"] if names else []
    words = resolve_places([*words, *check_settings(settings)], Path.cwd())
    config = compose_here(words)
    if unit is not None and config.data.task is Task.classification:
        message = f"unit={unit!r} is for numbers, but classes are learned here: leave it out, or name the target."
        raise ConfigError(message)
    with telling(progress) as told:
        context = RunContext(config, RunFolder(Path()), told.progress, told.say)
        check_outside_data(config, [find_cache_folder(context)], "what is found out about the images")
        with with_engine(context) as working:
            looked = look_at_data(working)
    found = looked.validated
    return Dataset(
        table=found.manifest,
        unlabelled=found.unlabelled,
        rejected=found.rejected,
        warnings=found.warnings,
        task=looked.source.task,
        target_name=looked.source.target_name,
        unit="" if looked.source.task is Task.classification else config.data.unit or looked.source.unit,
        settings=tuple(words),
    )


def _check_source(source: object) -> str:
    if isinstance(source, str | Path):
        return str(source)
    message = (
        f"expected the name of a folder or of a table, received {type(source).__name__}: a table in memory is written "
        'first, table.to_csv("plants.csv", index=False).'
    )
    raise ConfigError(message)


def check_settings(settings: Sequence[str]) -> list[str]:
    """Makes sure that settings are a list of words.

    Raises:
        ConfigError: They are one text, whose letters would be taken for words.
    """
    if isinstance(settings, str):
        message = f"settings={settings!r} is one text, expected a list of texts: settings=[{settings!r}]."
        raise ConfigError(message)
    return [str(word) for word in settings]


def _describe(
    source: str, images: str | Path | None, target: str | None, label: str | None, settings: Sequence[str]
) -> list[str]:
    options = {"images": None if images is None else str(images), "target": target, "label": label}
    if any(word.startswith("data=") for word in settings):
        # A layout that was named stands for the guess, with the place where its readers look for it.
        key = "data.table" if "data=table" in settings else "data.root"
        words = [f"{key}={source}", *([] if images is None else [f"data.images={images}"])]
    else:
        words = describe_data(source, options, _spell_argument)
        is_asked = any(word.startswith(("data.target=", "data.label=")) for word in settings)
        if words[0] == "data=table" and target is None and label is None and not is_asked and not is_url(source):
            ask_for_column(find_file(source, "source"), _spell_argument)
    return words + [
        f"data.{key}={quote_text(str(options[key]))}" for key in ("target", "label") if options[key] is not None
    ]


def _spell_argument(name: str, value: str = "") -> str:
    return f'{name}="{value}"' if value else name

"""Which image is for learning and which for judging, with no plant in two places."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from phytoscope.configs.run_words import compose_here
from phytoscope.data.split import find_leaks, summarise_split
from phytoscope.data.split.leaks import Leak
from phytoscope.schema.artifact import hash_content
from phytoscope.schema.config import RunConfig
from phytoscope.schema.run_folder import RunFolder
from phytoscope.schema.table import GROUP_ID, SPLIT
from phytoscope.sdk.dataset import Dataset, check_dataset
from phytoscope.sdk.notebook_view import draw_view
from phytoscope.sdk.reading import check_settings
from phytoscope.sdk.shown_progress import telling
from phytoscope.steps import RunContext, choose_run_folder, run_step
from phytoscope.steps.context import plain_settings
from phytoscope.steps.look import find_cache_folder


@dataclass(frozen=True, eq=False, repr=False)
class Split:
    """A split as it was drawn and written.

    Attributes:
        table: One row an image: `sample_id`, `group_id` (leaf, plant or plot; joined where they share a picture),
            `split` (train, val, calibration, test) and `fold` (for cross-validation; -1 in test).
        summary: Images and groups of each class, or of each quarter of the number, in each split: `stratum`, `split`,
            `images`, `groups`.
        leaks: What stands on both sides, one row a pair: `kind`, `name`, `first_sample`, `first_split`,
            `second_sample`, `second_split`, `images`; empty as it should be.
        folder: Where it was written.
    """

    table: pd.DataFrame
    summary: pd.DataFrame
    leaks: pd.DataFrame
    folder: Path

    def __repr__(self) -> str:
        """One line."""
        return f"Split({', '.join(f'{name}: {value}' for name, value in self._list_facts().items())})"

    def _repr_html_(self) -> str:
        wide = self.summary.pivot_table(index="stratum", columns=SPLIT, values="images", sort=False)
        return draw_view("Split", self._list_facts(), wide.astype(int).reset_index())

    def _list_facts(self) -> dict[str, str]:
        images = self.table[SPLIT].value_counts()
        groups = self.table.groupby(SPLIT)[GROUP_ID].nunique()
        parts = [name for name in ("train", "val", "calibration", "test") if name in images]
        return {name: f"{images[name]:,} images of {groups[name]:,} groups" for name in parts} | {
            "leaks": f"{len(self.leaks):,}"
        }


def split(
    data: Dataset, *, settings: Sequence[str] = (), run_dir: str | Path | None = None, progress: bool = False
) -> Split:
    """Draws train, val, calibration and test by group, so that no plant and no copy of a picture stands in two of them.

    The same data, settings and seed always give the same split, also inside `train`. It is written to the folder of a
    run when one is named, which `train` then goes on with; else to a folder of its own in `runs/cache/splits`.

    Args:
        data: What `read` gave.
        settings: Further words as the command line takes them, such as `data.split.test=0.3` or `seed=1`. Words that
            `train` shall follow too are better given to `read`.
        run_dir: Folder of a run.
        progress: Whether to show how far it is.

    Raises:
        ConfigError: A setting is wrong.
        DataValidationError: Nothing can be learned from the data, for example for want of a second class.
        SplitError: There are too few plants, or an official split has leaks.
        PhytoscopeError: The data cannot be read any more, or the place cannot be written.

    Examples:
        >>> split = ph.split(ph.read("leaves"))
        >>> split.leaks.empty
        True
        >>> int(split.table.groupby("group_id")["split"].nunique().max())
        1
    """
    words = [*check_dataset(data).settings, *check_settings(settings)]
    words += [] if run_dir is None else [f"paths.run_dir={Path(run_dir)}"]
    config = compose_here(words)
    with telling(progress) as told:
        context = RunContext(config, _choose_folder(config), told.progress, told.say)
        run_step(context, "prepare")
    run = context.run
    manifest, table = pd.read_parquet(run.manifest), pd.read_parquet(run.split)
    leaks = find_leaks(manifest, table)
    names = [field.name for field in dataclasses.fields(Leak)]
    return Split(
        table=table,
        summary=summarise_split(manifest, table, config.data.task),
        leaks=pd.DataFrame([dataclasses.asdict(leak) for leak in leaks], columns=names),
        folder=run.root,
    )


def _choose_folder(config: RunConfig) -> RunFolder:
    if config.paths.run_dir is not None:
        return choose_run_folder(config)
    settings = plain_settings(config)
    name = hash_content([settings["data"], settings["seed"]])[:16]
    return RunFolder(find_cache_folder(RunContext(config, RunFolder(Path()))) / "splits" / name)

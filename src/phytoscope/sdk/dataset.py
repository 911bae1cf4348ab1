"""Dataset: the user's data after every image was looked at, and the settings that they are read with again."""

from dataclasses import dataclass

import pandas as pd

from phytoscope.errors import ConfigError
from phytoscope.schema.table import GROUP_ID, LABEL, Task
from phytoscope.sdk.notebook_view import count, draw_view


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Photographs and what is known of them, as `read` found them.

    Attributes:
        table: One row an image that can be learned from: `sample_id`, `path`, `width_px`, `height_px`, `green_px`
            (pixels), `label` (a class) or `target` (a number in `unit`), `group_id` (leaf, plant or plot), `source_row`
            (line of the table) and the user's other columns as `meta/<name>`.
        unlabelled: One row a good image without an answer.
        rejected: One row a fault for which an image was left out: `source_row`, `path`, `column`, `value`, `reason`,
            `remedy`.
        warnings: One row a fault in spite of which the image was kept; the same columns.
        task: Classification or regression.
        target_name: The user's own name of the column with the answer, or `class`.
        unit: Unit of the numbers; empty for classes, and where nobody named one.
        settings: The words that describe the data, as the command line takes them.
    """

    table: pd.DataFrame
    unlabelled: pd.DataFrame
    rejected: pd.DataFrame
    warnings: pd.DataFrame
    task: Task
    target_name: str
    unit: str
    settings: tuple[str, ...]

    @property
    def classes(self) -> list[str]:
        """Names of the classes, sorted; empty where the answer is a number."""
        if self.task is not Task.classification:
            return []
        return sorted(str(name) for name in self.table[LABEL].unique())

    def __len__(self) -> int:
        """Number of images that can be learned from."""
        return len(self.table)

    def __repr__(self) -> str:
        """One line."""
        return f"Dataset({', '.join(f'{name}: {value}' for name, value in self._list_facts().items())})"

    def _repr_html_(self) -> str:
        shown = [name for name in ("sample_id", "label", "target", "group_id") if name in self.table]
        table = self.table[shown].dropna(axis="columns", how="all")
        return draw_view("Dataset", self._list_facts(), table)

    def _list_facts(self) -> dict[str, str]:
        unit = f" ({self.unit})" if self.unit else ""
        is_class = self.task is Task.classification
        answer = count(len(self.classes), "class", "classes") if is_class else f"{self.target_name}{unit}"
        return {
            "images": f"{len(self.table):,}",
            "answer": answer,
            "groups": count(int(self.table[GROUP_ID].nunique()), "leaf or plant", "leaves or plants"),
            "rejected": f"{self.rejected['path'].nunique():,}",
        }


def check_dataset(data: object) -> Dataset:
    """Makes sure that somebody handed over data as `read` gives them.

    Raises:
        ConfigError: It is something else, such as the name of a folder.
    """
    if isinstance(data, Dataset):
        return data
    message = (
        f"expected a Dataset, received {data!r:.80} ({type(data).__name__}): read the data first, "
        'data = phytoscope.read("FOLDER").'
    )
    raise ConfigError(message)

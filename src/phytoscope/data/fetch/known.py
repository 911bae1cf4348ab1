"""Public data sets that can be fetched by name: where they are, under which licence, and what must arrive."""

from dataclasses import dataclass
from typing import Final

from phytoscope.errors import ConfigError, suggest
from phytoscope.schema.table import Task


@dataclass(frozen=True)
class KnownDataset:
    """One public data set.

    Attributes:
        name: What to type.
        title: What it is, in a few words.
        task: What its labels allow.
        sources: Addresses of archives, or one of `kaggle:OWNER/NAME` and `hf:OWNER/NAME`.
        images: How many images must arrive; None where nobody counted.
        classes: How many classes must arrive.
        size_gb: About how much is fetched.
        licence: As its owners state it.
        doi: Of the paper to cite.
        keep: Folder in the archive -> folder on the disk (both with forward slashes, `` for the root); files elsewhere
            are left out. Empty keeps all.
        note: What a user should know before believing numbers from it.
    """

    name: str
    title: str
    task: Task
    sources: tuple[str, ...]
    images: int | None
    classes: int | None
    size_gb: float
    licence: str
    doi: str
    keep: tuple[tuple[str, str], ...] = ()
    note: str = ""


_BEANS = "https://storage.googleapis.com/ibeans"
KNOWN: Final = (
    KnownDataset(
        name="plantvillage",
        title="54,306 leaves of 14 crops on grey paper, 38 classes, with the map of leaves",
        task=Task.classification,
        sources=("https://github.com/spMohanty/PlantVillage-Dataset/archive/refs/heads/master.zip",),
        images=54306,
        classes=38,
        size_gb=2.2,
        licence="CC BY-SA 3.0",
        doi="10.3389/fpls.2016.01419",
        keep=(("raw/color", ""), ("leaf-map.json", "leaf-map.json")),
        note="several photographs show the same leaf, and the background gives the class away: inspect it first",
    ),
    KnownDataset(
        name="plantvillage_kaggle",
        title="PlantVillage's colour photographs as a Kaggle data set, without the map of leaves",
        task=Task.classification,
        sources=("kaggle:abdallahalidev/plantvillage-dataset",),
        images=None,
        classes=38,
        size_gb=2.2,
        licence="CC BY-NC-SA 4.0",
        doi="10.3389/fpls.2016.01419",
        keep=(("plantvillage dataset/color", ""),),
        note="without leaf-map.json leaves are found by photo number only",
    ),
    KnownDataset(
        name="plantdoc",
        title="about 2,600 leaves photographed in the field, official train and test folders",
        task=Task.classification,
        sources=("https://github.com/pratikkayal/PlantDoc-Dataset/archive/refs/heads/master.zip",),
        images=None,
        classes=None,
        size_gb=1.0,
        licence="CC BY 4.0",
        doi="10.1145/3371158.3371196",
        keep=(("train", "train"), ("test", "test")),
        note="collected from web pages: copies and wrong labels occur",
    ),
    KnownDataset(
        name="beans",
        title="1,295 bean leaves photographed with phones in the field, 3 classes, official split",
        task=Task.classification,
        sources=(f"{_BEANS}/train.zip", f"{_BEANS}/validation.zip", f"{_BEANS}/test.zip"),
        images=1295,
        classes=3,
        size_gb=0.2,
        licence="MIT",
        doi="",
    ),
)


def find_known(name: str) -> KnownDataset:
    """Looks a data set up by its name.

    Raises:
        ConfigError: Nobody of this name is known; the text names the nearest, and the other ways to name a source.
    """
    found = next((known for known in KNOWN if known.name == name.strip().lower()), None)
    if found is None:
        message = (
            f"no data set is known as {name!r}; {suggest(name, [known.name for known in KNOWN])} "
            "Or name the source: https://..., kaggle:OWNER/NAME or hf:OWNER/NAME."
        )
        raise ConfigError(message)
    return found

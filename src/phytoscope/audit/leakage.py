"""A split that was given: what stands on both sides of it, and how much of the data it speaks of."""

import pandas as pd

from phytoscope.audit.evidence import Skipped
from phytoscope.data.copies.duplicates import add_duplicate_ids
from phytoscope.data.facts.image_facts import ImageFacts
from phytoscope.data.source import Source
from phytoscope.data.split.leaks import find_leaks
from phytoscope.data.split.official_split import GivenSplit
from phytoscope.schema.audit import SplitCoverage
from phytoscope.schema.image_facts import REASON
from phytoscope.schema.progress import Progress
from phytoscope.schema.table import DUPLICATE_ID, GROUP_ID, PATH, SAMPLE_ID, SHA256, SPLIT

_EXAMPLES = 10


def list_readable(
    source: Source, facts: ImageFacts, pictures: pd.DataFrame, *, near: bool, progress: Progress
) -> pd.DataFrame:
    """Every image that can be read, with its copies, whatever is wrong with its row.

    A file in train and in test with two answers is no row of the manifest, because nobody knows which answer is right;
    a split that holds both leaks all the same.

    Args:
        source: The user's rows.
        facts: What is known of their images, in the same order.
        pictures: Images among which copies were looked for, with `sample_id` and `duplicate_id`.
        near: Whether pictures that look the same count as copies.
        progress: Told how far the search for copies is.

    Returns:
        Columns `sample_id` (each once), `path`, `group_id` (None where none is declared), `sha256`, `duplicate_id`.
    """
    rows = source.rows[[SAMPLE_ID, PATH, GROUP_ID]].reset_index(drop=True)
    rows = rows.assign(**{SHA256: facts.table[SHA256].to_numpy(dtype=object)})
    readable = (facts.table[REASON].astype(object) == "").to_numpy(dtype=bool)
    rows = rows[readable].drop_duplicates(SAMPLE_ID, ignore_index=True)
    known = pictures.set_index(SAMPLE_ID)[DUPLICATE_ID]
    if rows[SAMPLE_ID].isin(known.index).all():
        return rows.assign(**{DUPLICATE_ID: rows[SAMPLE_ID].map(known).astype(object)})
    return add_duplicate_ids(rows, facts, near=near, progress=progress)


def check_given_split(rows: pd.DataFrame, split: pd.DataFrame) -> list[str] | Skipped:
    """Says of every group, file and picture that stands on both sides of a split where two of its images are.

    Args:
        rows: One row an image with `sample_id`, `sha256`, `group_id` and `duplicate_id`, as `list_readable` gives them.
        split: Columns `sample_id` and `split`; images that it does not name are left out.

    Returns:
        One sentence a leak: images that stand in two splits first, then copies; `Skipped` when the split names no image
        of these rows.
    """
    named = split[split[SAMPLE_ID].isin(rows[SAMPLE_ID])].drop_duplicates([SAMPLE_ID, SPLIT])
    if named.empty:
        return Skipped("the split names no image of these data")
    twice = named[named[SAMPLE_ID].duplicated(keep=False)]
    torn = [
        f"{str(name)!r} stands in {' and in '.join(sorted(part))} at once"
        for name, part in twice.groupby(SAMPLE_ID, sort=True)[SPLIT]
    ]
    return torn + [leak.text for leak in find_leaks(rows, named.drop_duplicates(SAMPLE_ID))]


def measure_coverage(manifest: pd.DataFrame, given: GivenSplit) -> SplitCoverage:
    """Counts the images with an answer that a split names, and the names in it that are no image's.

    Args:
        manifest: One row an image with an answer.
        given: The split.
    """
    named = int(manifest[SAMPLE_ID].isin(given.table[SAMPLE_ID]).sum())
    return SplitCoverage(len(manifest), named, len(given.unknown), given.unknown[:_EXAMPLES])

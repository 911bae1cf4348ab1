"""The split: drawn once, by group, checked and read everywhere."""

from phytoscope.data.split.content_hash import hash_manifest, hash_split
from phytoscope.data.split.drawing import (
    NO_FOLD,
    ThinStratum,
    find_thin_strata,
    split_by_group,
    summarise_split,
)
from phytoscope.data.split.leaks import Leak, LeakKind, check_split, find_leaks, summarise_leaks
from phytoscope.data.split.official_split import read_split

__all__ = [
    "NO_FOLD",
    "Leak",
    "LeakKind",
    "ThinStratum",
    "check_split",
    "find_leaks",
    "find_thin_strata",
    "hash_manifest",
    "hash_split",
    "read_split",
    "split_by_group",
    "summarise_leaks",
    "summarise_split",
]

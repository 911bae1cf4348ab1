"""Content hashes: the version of the data and of a split, the same on every machine and for every order of the rows."""

import hashlib
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from phytoscope.schema.artifact import hash_content
from phytoscope.schema.table import FOLD, GROUP_ID, LABEL, META_PREFIX, SAMPLE_ID, SHA256, SPLIT, TARGET

_COLUMNS = (SAMPLE_ID, SHA256, LABEL, TARGET, GROUP_ID)
_EXACT = 2**53


def hash_split(split: pd.DataFrame) -> str:
    """Content hash of a split: which image stands where, whatever the order of the rows."""
    return hash_content(sorted(zip(split[SAMPLE_ID], split[SPLIT], split[FOLD].astype(int).tolist(), strict=True)))


def hash_manifest(manifest: pd.DataFrame) -> str:
    """Content hash of a manifest, the data's version.

    It knows names, pictures, answers, groups and the user's own columns with their names; neither the order of rows and
    columns, nor places and sizes of files, nor how a number is stored (3 is 3.0) make a difference.

    Args:
        manifest: One row an image.

    Returns:
        SHA-256 as 64 hexadecimal digits: of the names in their order, then of each column.
    """
    names = _to_arrow(manifest[SAMPLE_ID])
    order = pc.sort_indices(names)
    digest = hashlib.sha256()
    own = sorted(str(name) for name in manifest.columns if str(name).startswith(META_PREFIX))
    for column in (*_COLUMNS, *own):
        for content in (column.encode(), *_encode(_to_arrow(manifest[column]).take(order))):
            digest.update(len(content).to_bytes(8, "little"))
            digest.update(content)
    return digest.hexdigest()


def _to_arrow(column: pd.Series) -> pa.Array:
    try:
        values = pa.chunked_array([pa.array(column, from_pandas=True)])
        if pa.types.is_dictionary(values.type):
            values = values.cast(values.type.value_type)
        is_plain = not pa.types.is_nested(values.type)
    except (pa.ArrowInvalid, pa.ArrowTypeError, UnicodeEncodeError):
        is_plain = False
    if not is_plain:
        # Texts and numbers in one column, or names that are no Unicode.
        known = zip(column.astype(object), column.notna(), strict=True)
        return pa.array([_spell(value) if is_known else None for value, is_known in known], pa.large_binary())
    # Texts of many rows together can be longer than the ordinary type allows.
    return (values.cast(pa.large_string()) if pa.types.is_string(values.type) else values).combine_chunks()


def _spell(value: Any) -> bytes:
    text = value if isinstance(value, str) else f"{type(value).__name__} {value!r}"
    return text.encode("utf-8", "surrogatepass")


def _encode(values: pa.Array) -> tuple[bytes | memoryview, ...]:
    """Bytes that are the same for the same values: their kind, which of them are known, and what they are."""
    kind, known = values.type, np.asarray(values.is_valid()).tobytes()
    if values.null_count == len(values):
        return (b"missing",)
    if pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return b"number", known, _encode_numbers(values)
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        moments = pc.fill_null(values.cast(pa.timestamp("us"), safe=False).cast(pa.int64()), 0)
        return b"time", known, _to_bytes(moments, "<i8")
    is_binary = pa.types.is_large_binary(kind)
    texts = pc.fill_null(values if is_binary else values.cast(pa.large_string()), b"" if is_binary else "")
    ends = np.frombuffer(texts.buffers()[1], np.int64)[texts.offset : texts.offset + len(texts) + 1]
    # The lengths too, so that no text can run into the next.
    content = memoryview(texts.buffers()[2] or b"")[ends[0] : ends[-1]]
    return b"text", known, np.diff(ends).astype("<i8").tobytes(), content


def _encode_numbers(values: pa.Array) -> bytes:
    if pa.types.is_integer(values.type) and pc.max(pc.abs(values.cast(pa.float64(), safe=False))).as_py() > _EXACT:
        return _to_bytes(pc.fill_null(values, 0), "<u8" if pa.types.is_uint64(values.type) else "<i8")
    if pa.types.is_boolean(values.type):
        values = values.cast(pa.int8())
    numbers = pc.fill_null(values.cast(pa.float64(), safe=False), 0.0)
    # Adding zero turns -0.0 into 0.0.
    return _to_bytes(pc.add(numbers, 0.0), "<f8")


def _to_bytes(values: pa.Array, layout: str) -> bytes:
    return np.asarray(values.to_numpy(zero_copy_only=False)).astype(layout, copy=False).tobytes()

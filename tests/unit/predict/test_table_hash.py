"""Tests of the hash of a table's rows."""

import pandas as pd
import pytest

from phytoscope.predict.table_hash import hash_answers

ROWS = [("a.png", 0.25, ""), ("b.png", 0.5, "it is empty"), ("c.png", 0.75, "")]


def write(path, rows):
    """Writes a table."""
    table = pd.DataFrame(rows, columns=["path", "value", "error"])
    if path.suffix == ".csv":
        table.to_csv(path, index=False)
    elif path.suffix == ".jsonl":
        table.to_json(path, orient="records", lines=True)
    else:
        table.to_parquet(path)
    return path


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
class TestHashAnswers:
    """Tests of `hash_answers`."""

    def test_order(self, tmp_path, suffix):
        """The order of the rows does not matter."""
        one, other = write(tmp_path / f"one{suffix}", ROWS), write(tmp_path / f"other{suffix}", ROWS[::-1])
        assert hash_answers(one) == hash_answers(other)

    @pytest.mark.parametrize(
        "rows",
        [ROWS[:2], [*ROWS, ROWS[0]], [*ROWS, ROWS[0], ROWS[0]], [("a.png", 0.2500001, ""), *ROWS[1:]]],
        ids=["missing", "twice", "three times", "one digit"],
    )
    def test_difference(self, tmp_path, suffix, rows):
        """Any other content has another hash."""
        one, other = write(tmp_path / f"one{suffix}", ROWS), write(tmp_path / f"other{suffix}", rows)
        assert hash_answers(one) != hash_answers(other)


def test_parts(tmp_path):
    """Rows that are divided over files in another way are the same rows."""
    (tmp_path / "parts").mkdir()
    write(tmp_path / "parts" / "1.parquet", ROWS[1:])
    write(tmp_path / "parts" / "2.parquet", ROWS[:1])
    assert hash_answers(tmp_path / "parts") == hash_answers(write(tmp_path / "one.parquet", ROWS))

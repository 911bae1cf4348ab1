"""Helping processes give what this process would have found, and may die without loss."""

import itertools
import math
import os
import signal
import subprocess
import sys
import textwrap

import pytest

from factories.images import write_image
from phytoscope.data.facts import side_by_side
from phytoscope.data.facts.look import look_at_file
from phytoscope.data.facts.side_by_side import count_helpers, look_side_by_side
from phytoscope.schema.table import PATH, SHA256


@pytest.fixture
def files(tmp_path) -> list[str]:
    """Good and broken images."""
    paths = [str(write_image(tmp_path / f"{number}.png", seed=number)) for number in range(30)]
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    return [*paths, str(tmp_path / "broken.jpg"), str(tmp_path / "missing.png")]


def tasks_of(files):
    """Tasks of four files, named by their number."""
    return iter([(number, files[start : start + 4]) for number, start in enumerate(range(0, len(files), 4))])


def same(first, second):
    """Equal rows; not-a-number equals itself."""
    return first.keys() == second.keys() and all(
        first[key] == second[key] or (isinstance(first[key], float) and math.isnan(first[key])) for key in first
    )


@pytest.mark.parametrize("helpers", [0, 1, 2])
def test_same_results(files, helpers) -> None:
    """However many help, every file is looked at once and its facts are the same."""
    found = dict(look_side_by_side(tasks_of(files), 10, helpers))
    assert sorted(found) == list(range(8))
    rows = [row for number in sorted(found) for row, _ in found[number]]
    assert [row[PATH] for row in rows] == files
    assert all(same(row, look_at_file(path, 10)[0]) for row, path in zip(rows, files, strict=True))


def test_helper_that_dies(files, monkeypatch) -> None:
    """What a killed helper had in hand is done here."""
    ask = side_by_side._Helper._ask

    def kill_and_ask(self, process, paths):
        os.kill(process.pid, signal.SIGKILL)
        return ask(self, process, paths)

    monkeypatch.setattr(side_by_side._Helper, "_ask", kill_and_ask)
    found = dict(look_side_by_side(tasks_of(files), 10, 2))
    assert sum(len(rows) for rows in found.values()) == len(files)


def test_helper_that_does_not_start(files, monkeypatch) -> None:
    """Without helpers the work is done all the same."""
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    assert len(dict(look_side_by_side(tasks_of(files), 10, 2))) == 8


def test_stopped_in_the_middle(files) -> None:
    """Who wants no more results leaves no process behind, and the endless tasks are not read on."""
    taken = itertools.count()
    endless = ((next(taken), files[:2]) for _ in itertools.repeat(None))
    looked = look_side_by_side(endless, 10, 2)
    for _ in range(5):
        next(looked)
    looked.close()
    before = next(taken)
    assert next(taken) == before + 1


def test_script_without_a_guard(tmp_path, files) -> None:
    """A user's script is not run a second time by the helpers, and what it prints stays its own."""
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(f"""
        from phytoscope.data.facts.side_by_side import look_side_by_side
        print("once")
        print(len(dict(look_side_by_side(iter([(0, {files[:2]!r}), (1, {files[2:4]!r})]), 10, 1))))
        """)
    )
    result = subprocess.run([sys.executable, str(script)], check=True, capture_output=True, text=True, timeout=60)
    assert result.stdout == "once\n2\n"


def test_helpers_only_where_they_are_worth_it() -> None:
    """A few files are looked at before a helper has started; the number that was asked for is not exceeded."""
    assert count_helpers(10, None) == 0
    assert count_helpers(10**6, 1) == 0
    assert count_helpers(10**6, 3) == 2
    assert count_helpers(250, 8) == 1


def test_rows_have_a_hash(files) -> None:
    """A row of a good image names its content, one of a missing file does not."""
    (_, found), *_ = look_side_by_side(iter([(0, [files[0], files[-1]])]), 10, 0)
    assert [SHA256 in row for row, _ in found] == [True, False]

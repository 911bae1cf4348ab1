"""Tests of blocks of rows, and of what a worker does with them."""

from pathlib import Path

import pytest

from phytoscope.cluster.ray_pool import count_room
from phytoscope.cluster.row_blocks import Block, BlockWorker, WorkFault, cut_blocks, tell_version, unpack
from phytoscope.errors import ClusterError, DataNotFoundError, ImageReadError
from phytoscope.schema.engine import EngineConfig


class Doubling:
    """Doubles numbers, and stumbles where it is told to."""

    def __init__(self, fault=None):
        self.fault = fault

    def open(self, cores):
        """Gives the function."""

        def work(rows):
            for row in rows:
                if self.fault is not None and row == 3:
                    raise self.fault
                yield row * 2

        return work


def start(work, version=None):
    """A worker in this process."""
    return BlockWorker((work, 1, tell_version() if version is None else version, str(Path.cwd())))


class TestCutBlocks:
    """Tests of `cut_blocks`."""

    def test_order(self):
        """Rows stay in order, and the last block holds what is left."""
        blocks = list(cut_blocks(lambda: range(10), 4))
        assert [block.content for block in blocks] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
        assert [block.number for block in blocks] == [0, 1, 2]

    def test_lazy(self):
        """No more rows are looked for than a block holds."""
        seen = []
        blocks = cut_blocks(lambda: (seen.append(number) for number in range(100)), 5)
        next(blocks)
        assert len(seen) == 5

    def test_fault(self):
        """What goes wrong among the rows comes behind those that were found."""

        def rows():
            yield 1
            message = "no such folder"
            raise DataNotFoundError(message)

        *whole, last = cut_blocks(rows, 1)
        assert [block.content for block in whole] == [[1]]
        with pytest.raises(DataNotFoundError, match="no such folder"):
            unpack(last)


class TestBlockWorker:
    """Tests of `BlockWorker`."""

    def test_results(self):
        """Results are in the order of the rows."""
        assert unpack(start(Doubling()).work(Block(0, 3, [5, 3, 4]))) == [10, 6, 8]

    def test_error_of_ours(self):
        """An error of ours arrives as what it is, with its attributes."""
        answer = start(Doubling(ImageReadError("a.png", "it is empty"))).work(Block(0, 1, [3]))
        with pytest.raises(ImageReadError) as caught:
            unpack(answer)
        assert caught.value.reason == "it is empty"

    def test_other_fault(self):
        """A fault of the program says where it was."""
        with pytest.raises(WorkFault, match=r"KeyError.*\n(.*\n)*.*test_row_blocks"):
            unpack(start(Doubling(KeyError("x"))).work(Block(0, 1, [3])))

    def test_other_version(self):
        """A worker of another version does nothing, and says what to do."""
        with pytest.raises(ClusterError, match=r"phytoscope 0\.0\.0.*install the same versions"):
            unpack(start(Doubling(), "phytoscope 0.0.0 on Python 3.1").work(Block(0, 1, [1])))


def make_node(cores, gpus=0.0, *, alive=True):
    """A machine, as Ray tells of it."""
    return {"Alive": alive, "Resources": {"CPU": cores, "GPU": gpus}}


class TestCountRoom:
    """Tests of `count_room`."""

    @pytest.mark.parametrize(
        ("config", "room"),
        [
            (EngineConfig(), 6),
            (EngineConfig(cores=2), 3),
            (EngineConfig(cores=4), 1),
            (EngineConfig(workers=5), 5),
            (EngineConfig(gpus=0.5), 2),
        ],
    )
    def test_room(self, config, room):
        """A worker needs all its cores and GPUs on one machine that is alive."""
        assert count_room(config, [make_node(4, 1.0), make_node(2), make_node(8, alive=False)]) == room

    def test_too_large(self):
        """Work that fits nowhere is refused instead of waiting for ever."""
        with pytest.raises(ClusterError, match=r"engine\.cores=5 .* 4 cores"):
            count_room(EngineConfig(cores=5), [make_node(4), make_node(2)])

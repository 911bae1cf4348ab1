"""Tests of a Ray cluster of several node processes on this machine: rows, answers, and machines that die."""

import time
import zipfile

import pytest
import torch

from factories.packages import draw_photo, make_package

pytest.importorskip("ray")

from factories.ray_clusters import ray_cluster
from factories.ray_works import Numbers, Tripling, Unloadable
from phytoscope.cluster import open_engine
from phytoscope.errors import ClusterError, ImageReadError
from phytoscope.predict.batch import BatchPlan, predict_sources
from phytoscope.predict.table_hash import hash_answers
from phytoscope.schema.engine import EngineConfig, EngineKind
from phytoscope.schema.progress import SilentProgress

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::ResourceWarning")]


@pytest.fixture(scope="module")
def cluster():
    """Three node processes with a core each."""
    with ray_cluster(3, 1) as started:
        yield started


@pytest.fixture(scope="module")
def engine(cluster):
    """An engine that hands out 10 rows at a time."""
    config = EngineConfig(kind=EngineKind.ray, address=cluster.address, rows_per_task=10, retries=2)
    with open_engine(config) as opened:
        yield opened


class TestMap:
    """Tests of `RayEngine.map`."""

    def test_order(self, engine):
        """Results are those of the rows, in their order."""
        assert list(engine.map(Tripling(), Numbers(205), title="test")) == [number * 3 for number in range(205)]

    def test_no_rows(self, engine):
        """Of no rows nothing comes, and nothing hangs."""
        assert list(engine.map(Tripling(), Numbers(0), title="test")) == []

    def test_error(self, engine):
        """An error of ours arrives as what it is, behind the results before it."""
        results = engine.map(Tripling(error=25), Numbers(100), title="test")
        assert [next(results) for _ in range(20)] == [number * 3 for number in range(20)]
        with pytest.raises(ImageReadError, match="it is empty"):
            next(results)

    def test_poison(self, engine):
        """Rows that kill each worker end the work, and the message names them."""
        with pytest.raises(ClusterError, match="rows '20' to '29' lost their worker 3 times"):
            list(engine.map(Tripling(poison=25), Numbers(100), title="test"))

    def test_cannot_start(self, engine):
        """Work that no worker can load ends with a reason, and not never."""
        with pytest.raises(ClusterError, match="ended 3 times before they had begun"):
            list(engine.map(Unloadable(), Numbers(10), title="test"))

    def test_back_pressure(self, engine):
        """Reading stops when nobody takes the results."""
        log = []
        results = engine.map(Tripling(), Numbers(100_000, log), title="test")
        next(results)
        time.sleep(1)
        before = len(log)
        time.sleep(1)
        assert len(log) == before < 1000
        results.close()

    def test_too_large(self, cluster):
        """Work that fits on no machine is refused."""
        with (
            open_engine(EngineConfig(kind=EngineKind.ray, address=cluster.address, cores=64)) as opened,
            pytest.raises(ClusterError, match=r"engine\.cores=64"),
        ):
            list(opened.map(Tripling(), Numbers(1), title="test"))


class TestPredict:
    """Tests of `predict_sources` on a cluster."""

    @pytest.mark.parametrize("threads", [1, 2])
    def test_same_answers(self, engine, tmp_path, threads):
        """The same rows as here, bit for bit, whatever the number of threads, with an archive and a broken image."""
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        predictor = make_package(tmp_path / "package")
        photos = [draw_photo(tmp_path / "images" / f"{number:03d}.png", number) for number in range(60)]
        photos[7].write_bytes(b"broken")
        with zipfile.ZipFile(tmp_path / "more.zip", "w") as archive:
            for photo in photos[:20]:
                archive.write(photo, f"zipped-{photo.name}")
        sources = [tmp_path / "images", tmp_path / "more.zip"]
        hashes = []
        for place in (None, engine):
            output = tmp_path / f"answers-{place is None}.csv"
            plan = BatchPlan(True, 8, engine=place, package=str(tmp_path / "package"), task_rows=20)
            tally = predict_sources(predictor, sources, output, plan, progress=SilentProgress())
            assert (tally.answered, tally.failed) == (78, 2)
            hashes.append(hash_answers(output))
        torch.set_num_threads(before)
        assert hashes[0] == hashes[1]

    def test_killed_machine(self, cluster, engine, tmp_path):
        """A machine that dies in the middle changes nothing in the answers."""

        class Killing(SilentProgress):
            """Kills a machine after some rows."""

            done = 0

            def advance(self, count=1, note=""):
                self.done, before = self.done + count, self.done
                if before < 40 <= self.done:
                    cluster.kill_node(2)

        predictor = make_package(tmp_path / "package")
        for number in range(200):
            draw_photo(tmp_path / "images" / f"{number:03d}.png", number)
        hashes = []
        for place, progress in ((None, SilentProgress()), (engine, Killing())):
            output = tmp_path / f"answers-{place is None}.csv"
            plan = BatchPlan(False, 8, engine=place, package=str(tmp_path / "package"), task_rows=8)
            predict_sources(predictor, [tmp_path / "images"], output, plan, progress=progress)
            assert len(output.read_text(encoding="utf-8").splitlines()) == 201
            hashes.append(hash_answers(output))
        assert hashes[0] == hashes[1]

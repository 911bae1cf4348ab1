"""A cluster is started when there is work for it, and not before."""

import contextlib

from phytoscope.cluster import lazy_engine
from phytoscope.cluster.lazy_engine import open_lazily
from phytoscope.cluster.local_engine import LocalEngine
from phytoscope.schema.engine import EngineConfig, EngineKind


class Doubling:
    def open(self, cores):
        return lambda rows: (2 * row for row in rows)


def test_opened_once_at_the_first_work_and_left_at_the_end(monkeypatch):
    """Nothing happens without work; two pieces of work share one engine; the end leaves it."""
    events = []

    @contextlib.contextmanager
    def watched(config, say):
        events.append("opened")
        yield LocalEngine()
        events.append("left")

    monkeypatch.setattr(lazy_engine, "open_engine", watched)
    with open_lazily(EngineConfig(EngineKind.ray)) as engine:
        assert not engine.is_local
    assert events == []
    with open_lazily(EngineConfig(EngineKind.ray)) as engine:
        assert list(engine.map(Doubling(), lambda: range(3), title="first")) == [0, 2, 4]
        assert list(engine.map(Doubling(), lambda: range(2), title="second")) == [0, 2]
        assert events == ["opened"]
    assert events == ["opened", "left"]


def test_local_is_local():
    """The default is this process, and says so."""
    with open_lazily(EngineConfig()) as engine:
        assert engine.is_local
        assert list(engine.map(Doubling(), lambda: range(2), title="work")) == [0, 2]

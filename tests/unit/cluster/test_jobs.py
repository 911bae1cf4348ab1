"""Jobs in this process, and errors of ours on their way between processes."""

import multiprocessing

import pytest

from phytoscope.cluster.error_parcels import pack_error, unpack_error
from phytoscope.cluster.jobs import open_jobs
from phytoscope.errors import ConfigError, ImageReadError, ServiceError
from phytoscope.schema.engine import EngineConfig


def test_local_jobs_ask_for_the_next_item_after_each_result():
    """What is taken may depend on what was found before; messages are answered in between."""
    found: list[int] = []

    def take() -> int | None:
        return len(found) if len(found) < 3 else None

    with open_jobs(EngineConfig()) as jobs:
        assert jobs.is_local
        for item, result in jobs.run(
            lambda item, ask: ask(f"twice {item}"), take, answer=lambda item, message: f"{message} is {2 * item}"
        ):
            found.append(item)
            assert result == f"twice {item} is {2 * item}"
    assert found == [0, 1, 2]


@pytest.mark.parametrize(
    "error", [ConfigError("no"), ImageReadError("leaf.png", "cut off"), ServiceError("away", status=503, code="busy")]
)
def test_errors_of_ours_arrive_as_they_were(error):
    """Class, text and attributes survive, also of errors that take several arguments."""
    there, here = multiprocessing.Pipe()
    with there, here:
        there.send(pack_error(error))
        arrived = unpack_error(here.recv())
    assert type(arrived) is type(error)
    assert str(arrived) == str(error)
    assert vars(arrived) == vars(error)

"""What happens to requests when processes are killed, told to stop, or have more to do than they can."""

import asyncio
import dataclasses
import itertools
import os
import signal
import time

import psutil
import pytest
import requests
import torch

from factories.hostile_files import draw_png, encode_photo
from factories.packages import draw_photo, make_package
from factories.process_trees import wait_until
from factories.raw_http import Line, ask_once, crowd, get, post
from factories.service_load import under_load
from factories.services import running_service
from phytoscope.predict.package import save_package
from phytoscope.predict.predictor import Predictor
from phytoscope.schema.choices import OnnxExport

_DECODER = "phytoscope.api.decoder_process"
_BROKEN = -1
"""Status of a connection that could not be made."""


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """A package and the predictor that it was made from."""
    folder = tmp_path_factory.mktemp("faults") / "package"
    return folder, make_package(folder)


def _find_decoders(process):
    found = psutil.Process(process.pid).children(recursive=True)
    return [child for child in found if child.is_running() and _DECODER in _read_words(child)]


def _read_words(process):
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _find_workers(process):
    """The processes that answer: those that have decoders."""
    found = []
    for decoder in _find_decoders(process):
        try:
            found.append(decoder.parent())
        except psutil.Error:
            continue
    return {worker.pid: worker for worker in found if worker is not None}


def _check_right(load, predictor, per_form=1):
    """Every answer with a prediction is the model's own answer for the photograph that was sent."""
    known = [predictor.predict(photo).probabilities for photo in load.photos]
    for one in load.good():
        for step, prediction in enumerate(one.content["predictions"]):
            if prediction["error"] is None:
                wanted = known[(one.number + step) % len(known)]
                assert prediction["probabilities"] == pytest.approx(wanted, abs=1e-4)


def test_a_killed_decoder_costs_at_most_the_photograph_that_it_held(package):
    """Decoders killed under load are replaced; each request is answered, all but the photographs they held rightly."""
    folder, predictor = package
    with running_service(folder, "serve.runtime=torch", "serve.decoders=2") as service:
        with under_load(service.url, clients=6) as load:
            for _ in range(3):
                victim = wait_until(lambda: _find_decoders(service.process))[0]
                victim.kill()
                load.wait_for_more(20)
                wait_until(lambda gone=victim.pid: {one.pid for one in _find_decoders(service.process)} - {gone})
        lost = [one for one in load.said if one.status != 200]
        assert len(lost) <= 3
        assert {one.status for one in lost} <= {422}
        assert {one.content["predictions"][0]["error"]["code"] for one in lost} <= {"decoder_failed"}
        _check_right(load, predictor)
        wait_until(lambda: len(_find_decoders(service.process)) == 2)
        assert service.process.poll() is None


@pytest.mark.slow
def test_a_killed_worker_is_replaced_and_the_other_one_goes_on(package):
    """kill -9 of one of two workers under load: its connections end, all others are answered; then there are two."""
    folder, predictor = package
    with running_service(folder, "serve.runtime=torch", "serve.workers=2", "serve.decoders=1") as service:
        wait_until(lambda: len(_find_workers(service.process)) == 2)
        with under_load(service.url, clients=6, keep_alive=False) as load:
            load.wait_for_more(30)
            victim = next(iter(_find_workers(service.process).values()))
            orphans = victim.children(recursive=True)
            victim.kill()
            load.wait_for_more(30)
            wait_until(
                lambda: len(workers := _find_workers(service.process)) == 2 and victim.pid not in workers, seconds=90
            )
            wait_until(lambda: not any(orphan.is_running() for orphan in orphans))
            load.wait_for_more(30)
        lost = [one.status for one in load.said if one.status != 200]
        assert set(lost) <= {0, _BROKEN}
        assert len(lost) <= 6
        _check_right(load, predictor)


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_what_was_taken_is_answered_before_the_service_ends(package, number):
    """Told to stop while 24 requests wait for large pictures, it answers all of them and ends with code 0."""
    folder, _ = package
    slow = post(draw_png(4000, 4000), "image/png")
    with running_service(folder, "serve.runtime=torch", "serve.decoders=1", "serve.stop_s=60") as service:
        taken = asyncio.Event()

        async def ask_all():
            lines = [await Line.open(service.url) for _ in range(24)]
            asked = [asyncio.ensure_future(line.ask(slow)) for line in lines]
            # The first answer shows that the requests before and after it were taken, too.
            await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
            taken.set()
            os.kill(service.process.pid, number)
            answers = await asyncio.gather(*asked)
            for line in lines:
                await line.close()
            return answers

        answers = asyncio.run(ask_all())
        assert [answer.status for answer in answers] == [200] * 24
        assert service.process.wait(60) == 0


@pytest.mark.slow
def test_nobody_is_left_behind(package):
    """When the service has ended, whichever way, so have all its processes."""
    folder, _ = package
    for number in (signal.SIGTERM, signal.SIGKILL):
        with running_service(folder, "serve.runtime=torch", "serve.decoders=2") as service:
            wait_until(lambda service=service: len(_find_decoders(service.process)) == 2)
            children = psutil.Process(service.process.pid).children(recursive=True)
            os.kill(service.process.pid, number)
            service.process.wait(60)
            wait_until(lambda children=children: not any(child.is_running() for child in children))


def _ask_at_rate(url, requests_of, per_second, seconds):
    """Begins requests at a steady rate, whether or not earlier ones were answered."""

    async def ask_all():
        clock = asyncio.get_running_loop()
        begun, asked = clock.time(), []
        for number in range(int(per_second * seconds)):
            await asyncio.sleep(begun + number / per_second - clock.time())
            asked.append(asyncio.ensure_future(ask_once(url, requests_of[number % len(requests_of)])))
        return await asyncio.gather(*asked)

    return asyncio.run(ask_all())


@pytest.mark.slow
def test_overload_is_refused_politely_and_what_is_taken_stays_fast(package):
    """At twice what it can do: the rest is told when to come back, and no answer waits longer than the queue is."""
    folder, _ = package
    # So slow to decode that the clients are not what is measured.
    heavy = [post(draw_png(1200 + step, 1200), "image/png") for step in range(4)]
    room = 16
    with running_service(folder, "serve.runtime=torch", "serve.decoders=1", f"serve.queue_size={room}") as service:

        async def ask_some(_):
            for number in range(10):
                assert (await ask_once(service.url, heavy[number % 4])).status == 200

        asyncio.run(crowd(4, ask_some))
        begun = time.monotonic()
        asyncio.run(crowd(4, ask_some))
        capacity = 40 / (time.monotonic() - begun)
        answers = _ask_at_rate(service.url, heavy, 2 * capacity, 4.0)
    taken = [answer for answer in answers if answer.status == 200]
    refused = [answer for answer in answers if answer.status == 429]
    assert len(taken) + len(refused) == len(answers)
    assert len(refused) > 0.2 * len(answers)
    assert len(taken) > 0.25 * len(answers)
    assert all(1 <= int(answer.headers["retry-after"]) <= 60 for answer in refused)
    assert all(answer.json()["error"]["code"] == "too_busy" for answer in refused)
    longest = sorted(answer.took_s for answer in taken)[int(0.95 * len(taken))]
    assert longest < 3 * (room + 4) / capacity + 0.5
    assert sorted(answer.took_s for answer in refused)[len(refused) // 2] < 0.5


def _change_model(predictor, folder, key):
    """Writes a package of the same kind with other weights in the place of an older one."""
    state = {name: value.clone() for name, value in predictor.network.state_dict().items()}
    state["head.weight"] = torch.flip(state["head.weight"], dims=(0,)) + 0.05
    description = dataclasses.replace(predictor.description, model_id=key)
    other = Predictor(description, state, trust=predictor.trust, novelty=predictor.novelty)
    photos = [draw_photo(folder.parent / "photos" / name, seed) for seed, name in enumerate(("one.png", "two.jpg"))]
    save_package(other, photos, folder, onnx=OnnxExport.never, limitations=[])
    return other


def test_a_newer_model_takes_over_without_a_lost_request(tmp_path):
    """Packages replaced under load, three times: every request is answered, each by one model alone, in their order."""
    folder = tmp_path / "package"
    models = [make_package(folder)]
    settings = ("serve.runtime=torch", "serve.reload_s=0.2")
    with running_service(folder, *settings) as service, under_load(service.url, clients=4, per_form=3) as load:
        for number in range(3):
            load.wait_for_more(10)
            models.append(_change_model(models[-1], folder, f"{number + 1:016x}"))
            wanted = models[-1].description.model_id
            wait_until(
                lambda wanted=wanted: load.good()[-1].content["model"]["model_id"] == wanted,
                seconds=60,
            )
    assert load.statuses() == {200}
    known = {model.description.model_id: [model.predict(photo) for photo in load.photos] for model in models}
    for one in load.good():
        wanted = known[one.content["model"]["model_id"]]
        for step, prediction in enumerate(one.content["predictions"]):
            right = wanted[(one.number + step) % len(wanted)].probabilities
            assert prediction["probabilities"] == pytest.approx(right, abs=1e-4)
    seen = [one.content["model"]["model_id"] for one in sorted(load.good(), key=lambda one: one.begun_s)]
    assert len(set(seen)) == 4
    # Once the new one answers, the old one is heard at most in requests that had begun before.
    order = [model.description.model_id for model in models]
    changes = [key for key, _ in itertools.groupby(seen)]
    assert changes[0] == order[0]
    assert changes[-1] == order[-1]


@pytest.mark.slow
def test_a_broken_newer_package_is_refused(tmp_path):
    """Half a package in the place of the model: the old one goes on answering, and readyz says why."""
    folder = tmp_path / "package"
    predictor = make_package(folder)
    settings = ("serve.runtime=torch", "serve.reload_s=0.2")
    with running_service(folder, *settings) as service, under_load(service.url, clients=2) as load:
        load.wait_for_more(5)
        weights = folder / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:-100])
        description = folder / "package.json"
        description.write_bytes(description.read_bytes() + b" ")
        told = wait_until(lambda: requests.get(f"{service.url}/readyz", timeout=30).json().get("reload_error"))
        load.wait_for_more(10)
        assert requests.get(f"{service.url}/readyz", timeout=30).status_code == 200
    assert "refused" in told
    assert "model.safetensors" in service.log()
    assert load.statuses() == {200}
    _check_right(load, predictor)


@pytest.mark.slow
def test_slow_clients_do_not_keep_others_waiting(package):
    """200 clients that send a byte now and then: others are answered as before, and the slow ones are sent away."""
    folder, _ = package
    settings = ("serve.runtime=torch", "serve.header_timeout_s=1.5", "serve.body_timeout_s=1.5")
    photo = encode_photo(0)
    request = post(photo)

    with running_service(folder, *settings) as service:

        async def dribble(number):
            cut = 3 if number % 2 else request.index(b"\r\n\r\n") + 10
            pieces = [request[:cut], *(request[cut + step : cut + step + 1] for step in range(30))]
            return await ask_once(service.url, *pieces, pause_s=0.2)

        async def ask_good():
            await asyncio.sleep(0.5)
            return [await ask_once(service.url, request) for _ in range(10)]

        async def both():
            return await asyncio.gather(crowd(200, dribble), ask_good())

        slow, good = asyncio.run(both())
        assert {answer.status for answer in good} == {200}
        assert {answer.status for answer in slow} <= {0, 408}
        assert max(answer.took_s for answer in slow) < 6.0
        assert asyncio.run(ask_once(service.url, get("/healthz"))).status == 200

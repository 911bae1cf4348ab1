"""A storm: every kind of request that a service meets, good and bad, and what it may answer."""

import asyncio
import collections
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from factories.hostile_files import draw_greedy_files, draw_hostile_files, encode_photo
from factories.raw_http import FORM, Line, as_json, ask_once, chunked, form, get, head, post, send_half

SETTINGS = (
    "serve.max_mb=1",
    "serve.max_files=4",
    "serve.max_megapixels=20",
    "serve.header_timeout_s=2",
    "serve.body_timeout_s=2",
    "serve.keep_alive_s=5",
    "serve.queue_size=1000",
    "serve.deadline_s=60",
)
"""Limits that the storm goes beyond."""
TOO_LONG = 1_500_000
CUT_OFF = 0


@dataclass
class Kind:
    """One kind of request.

    Attributes:
        name: What it is.
        ask: Asynchronous function of the service's address and a number, gives the answer.
        allowed: Statuses that may come; 0 for a connection that ends without an answer.
        weight: How often it comes, beside the others.
        good: Numbers of the photographs that must be answered rightly.
    """

    name: str
    ask: Callable
    allowed: set[int]
    weight: int = 1
    good: Callable = field(default=lambda _number: ())


def _whole(make):
    async def ask(url, number):
        return await ask_once(url, make(number))

    return ask


def _half(make):
    async def ask(url, number):
        return await send_half(url, make(number), (number % 9 + 1) / 10)

    return ask


def _slow(make, pieces, pause_s):
    async def ask(url, number):
        request = make(number)
        size = max(1, len(request) // pieces)
        cut = [request[first : first + size] for first in range(0, len(request), size)]
        return await ask_once(url, *cut, pause_s=pause_s)

    return ask


async def _pipeline(url, number):
    """Two requests at once on one connection; the second one's answer counts."""
    line = await Line.open(url)
    try:
        first = await line.ask(get("/healthz") + get("/v1/models"))
        return await line.ask() if first.status == 200 else first
    finally:
        await line.close()


class Storm:
    """All kinds of requests with photographs of known answers."""

    def __init__(self, photos=8):
        """Draws photographs and hostile files."""
        self.photos = [encode_photo(seed, kind=("JPEG", "PNG", "WEBP")[seed % 3]) for seed in range(photos)]
        self.kinds = [*self._good(), *self._bad_files(), *self._bad_bodies(), *self._bad_http()]

    def plan(self, count, seed=0):
        """So many requests in a random order: (kind, number); each kind comes at least once."""
        drawn = random.Random(seed)
        kinds = self.kinds + drawn.choices(self.kinds, [kind.weight for kind in self.kinds], k=count)
        kinds = kinds[:count]
        drawn.shuffle(kinds)
        return [(kind, drawn.randrange(1_000_000)) for kind in kinds]

    def _named(self, *numbers):
        return [(f"{number % len(self.photos)}.img", self.photos[number % len(self.photos)]) for number in numbers]

    def _place(self, *further):
        return lambda number: tuple((number + step) % len(self.photos) for step in (0, *further))

    def _good(self):
        def one(number):
            name, content = self._named(number)[0]
            kind = {b"\xff\xd8": "jpeg", b"\x89P": "png", b"RI": "webp"}[content[:2]]
            return post(content, f"image/{kind}", f"/v1/predict?name={name}")

        def many(number):
            return post(form(self._named(number, number + 1, number + 2)), FORM)

        def text(number):
            return post(as_json(self._named(number)), "application/json")

        def pieces(number):
            return chunked(self._named(number)[0][1], size=500)

        return [
            Kind("photograph", _whole(one), {200}, 40, self._place()),
            Kind("form of three", _whole(many), {200}, 10, self._place(1, 2)),
            Kind("JSON", _whole(text), {200}, 10, self._place()),
            Kind("photograph in chunks", _whole(pieces), {200}, 5, self._place()),
            Kind("photograph, a little slow", _slow(one, 4, 0.02), {200}, 5, self._place()),
            Kind("health", _whole(lambda _: get("/healthz")), {200}, 3),
            Kind("models", _whole(lambda _: get("/v1/models")), {200}, 3),
            Kind("metrics", _whole(lambda _: get("/metrics")), {200}, 1),
            Kind("page", _whole(lambda _: get("/")), {200}, 1),
            Kind("two at once", _pipeline, {200}, 2),
        ]

    def _bad_files(self):
        hostile, greedy = draw_hostile_files(), draw_greedy_files()
        bad = list(hostile.values())

        def among_good(number):
            return post(form([*self._named(number), ("bad.jpg", bad[number % len(bad)])]), FORM)

        kinds = [
            Kind(name, _whole(lambda _, content=content: post(content)), {422}, 1) for name, content in hostile.items()
        ]
        kinds += [
            Kind(name, _whole(lambda _, content=content: post(content, "image/png")), {200, 422}, 1)
            for name, content in greedy.items()
        ]
        return [*kinds, Kind("bad one among good ones", _whole(among_good), {200}, 5, self._place())]

    def _bad_bodies(self):
        photo, long = self.photos[0], bytes(TOO_LONG)
        five = [(f"{number}.jpg", photo) for number in range(5)]
        many = form([], [("covariates", "{}")] * 2000)
        no_end = form(self._named(0))[:-10]
        deep = b"[" * 200_000
        images = as_json([("a", photo)] * 200)
        json_of = {
            "no JSON": (b"{oops", {400}),
            "deep JSON": (deep, {400, 413, 422}),
            "deep JSON in its place": (b'{"images":' + deep, {400, 413, 422}),
            "JSON of another shape": (b'{"pictures": []}', {422}),
            "JSON with no image": (b'{"images": []}', {422}),
            "JSON with null": (b"null", {422}),
            "JSON in UTF-16": ('{"images": []}'.encode("utf-16"), {400, 422}),
            "bad base64": (b'{"images": [{"name": "a", "data": "%%%%"}]}', {422}),
            "base64 of nothing": (b'{"images": [{"name": "a", "data": ""}]}', {422}),
            "huge number in JSON": (b'{"images": [], "explain": ' + b"9" * 100_000 + b"}", {400, 422}),
            "too many in JSON": (images, {413, 422}),
        }
        kinds = [
            Kind(name, _whole(lambda _, body=body: post(body, "application/json")), allowed)
            for name, (body, allowed) in json_of.items()
        ]
        forms = {
            "form without an end": (post(no_end, FORM), {400}),
            "form without a boundary": (post(form(self._named(0)), "multipart/form-data"), {400}),
            "form of 2,000 parts": (post(many, FORM), {400, 413}),
            "form of five files": (post(form(five), FORM), {413}),
            "form with another field": (post(form([], [("file", "x")]), FORM), {422}),
            "form with covariates that are none": (post(form(self._named(0), [("covariates", "[1")]), FORM), {422}),
            "form with unknown covariates": (
                post(form(self._named(0), [("covariates", '{"x": 1}')]), FORM),
                {422},
            ),
            "empty body": (post(b""), {400, 422}),
            "no body at all": (head(length=None), {400, 411, 422}),
            "another kind of body": (post(photo, "text/plain"), {415}),
            "no kind of body": (head(length=len(photo), kind=None) + photo, {415}),
            "packed body": (post(photo, Content_Encoding="gzip"), {415, 422, 200}),
            "body that is too long": (post(long), {413, CUT_OFF}),
            "chunks that are too long": (chunked(long), {413, CUT_OFF}),
            "feedback on nothing": (post(b'{"id": "' + b"0" * 32 + b'"}', "application/json", "/v1/feedback"), None),
        }
        kinds += [
            Kind(name, _whole(lambda _, request=request: request), allowed or {404, 422})
            for name, (request, allowed) in forms.items()
        ]
        waits = head(length=10_000_000, Expect="100-continue")
        return [*kinds, Kind("asks before it sends too much", _whole(lambda _: waits), {413, 417})]

    def _bad_http(self):
        photo = self.photos[0]
        good = post(photo)
        wrong = {
            "unknown route": (get("/v2/predict"), {404}),
            "way up": (get("/page/../../../../etc/passwd"), {404}),
            "way up, written otherwise": (get("/page/%2e%2e/%2e%2e/%2e%2e/etc/passwd"), {404}),
            "wrong method": (get("/v1/predict"), {405}),
            "strange method": (b"BREW /v1/predict HTTP/1.1\r\nHost: a\r\n\r\n", {400, 405}),
            "noise for HTTP": (bytes(range(256)) + b"\r\n\r\n", {400, CUT_OFF}),
            "another version": (b"GET / HTTP/9.9\r\nHost: a\r\n\r\n", {400, 505, CUT_OFF}),
            "long header": (get("/healthz", X_Long="a" * 200_000), {400, 431, 200, CUT_OFF}),
            "two lengths": (
                head(length=len(photo), Content_length="5") + photo,
                {400, 413, CUT_OFF},
            ),
            "length below nothing": (head(length=-1) + photo, {400, CUT_OFF}),
            "chunk of no size": (head(Transfer_Encoding="chunked") + b"zz\r\n", {400, CUT_OFF}),
            "shorter than it is": (head(length=len(photo) // 2) + photo, {400, 422, CUT_OFF}),
        }
        kinds = [Kind(name, _whole(lambda _, it=request: it), allowed) for name, (request, allowed) in wrong.items()]

        async def promise(url, number):
            return await ask_once(url, head(length=900_000) + photo)

        async def dribble_head(url, number):
            return await ask_once(url, *(good[place : place + 1] for place in range(20)), pause_s=0.4)

        async def dribble_body(url, number):
            cut = good.index(b"\r\n\r\n") + 4
            rest = (good[place : place + 1] for place in range(cut, cut + 20))
            return await ask_once(url, good[:cut], *rest, pause_s=0.4)

        async def be_silent(url, number):
            return await ask_once(url)

        slow = {408, CUT_OFF}
        return [
            *kinds,
            Kind("cut off", _half(lambda _: good), {CUT_OFF}, 10),
            Kind("cut off in a form", _half(lambda number: post(form(self._named(number)), FORM)), {CUT_OFF}, 5),
            Kind("longer than it is", promise, slow),
            Kind("a byte of the head now and then", dribble_head, slow),
            Kind("a byte of the body now and then", dribble_body, slow),
            Kind("silent", be_silent, slow),
        ]


@dataclass
class Outcome:
    """What came of a storm: kind -> statuses and how often, and what was wrong, in words."""

    statuses: dict[str, collections.Counter] = field(
        default_factory=lambda: collections.defaultdict(collections.Counter)
    )
    faults: list[str] = field(default_factory=list)


async def rage(url, plan, check, clients=32):
    """Lets so many clients send the requests of a plan.

    Args:
        url: The service.
        plan: As `Storm.plan` gives it.
        check: Function of a kind, a number and an answer that gives what is wrong with it, in words; or nothing.
        clients: How many at once.
    """
    left, outcome = list(plan), Outcome()

    async def work():
        while left:
            kind, number = left.pop()
            try:
                answer = await kind.ask(url, number)
            except (OSError, TimeoutError) as error:
                outcome.faults.append(f"{kind.name}: {error!r}")
                continue
            outcome.statuses[kind.name][answer.status] += 1
            if answer.status not in kind.allowed:
                outcome.faults.append(f"{kind.name}: {answer.status}, allowed {kind.allowed}: {answer.body[:300]}")
            elif (fault := check(kind, number, answer)) is not None:
                outcome.faults.append(f"{kind.name}: {fault}")

    await asyncio.gather(*(work() for _ in range(clients)))
    return outcome

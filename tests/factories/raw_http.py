"""HTTP as bytes on a socket, so that it can be cut, dragged out and wrong; and a crowd of clients that speak it."""

import asyncio
import base64
import json
from dataclasses import dataclass, field
from urllib.parse import urlsplit

BOUNDARY = "a7b8c9d0e1"
FORM = f"multipart/form-data; boundary={BOUNDARY}"


@dataclass
class Answer:
    """What came back; status 0 where the connection ended without an answer."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    took_s: float = 0.0

    def json(self):
        """The body, read as JSON."""
        return json.loads(self.body)


def head(method="POST", route="/v1/predict", length=None, kind="image/jpeg", **further):
    """The head of a request; underscores in the names of further headers stand for dashes."""
    lines = [f"{method} {route} HTTP/1.1", "Host: 127.0.0.1"]
    lines += [f"Content-Type: {kind}"] if kind is not None else []
    lines += [f"Content-Length: {length}"] if length is not None else []
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in further.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def post(body, kind="image/jpeg", route="/v1/predict", **further):
    """A whole request that sends a body."""
    return head("POST", route, len(body), kind, **further) + body


def get(route, **further):
    """A whole request that sends nothing."""
    return head("GET", route, None, None, **further)


def chunked(body, kind="image/jpeg", route="/v1/predict", size=16384):
    """The same body in chunks, without saying before how long it is."""
    parts = [body[first : first + size] for first in range(0, len(body), size)]
    sent = b"".join(f"{len(part):x}\r\n".encode() + part + b"\r\n" for part in parts)
    return head("POST", route, None, kind, Transfer_Encoding="chunked") + sent + b"0\r\n\r\n"


def form(files, texts=()):
    """A form: (name, content) of its files, (field, text) of its texts."""
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'.encode() + content
        for name, content in files
    ]
    parts += [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{text}'.encode() for name, text in texts
    ]
    return b"\r\n".join([*parts, f"--{BOUNDARY}--\r\n".encode()])


def as_json(files, **further):
    """The JSON body with (name, content) of photographs."""
    images = [{"name": name, "data": base64.b64encode(content).decode()} for name, content in files]
    return json.dumps({"images": images, **further}).encode()


class Line:
    """One connection."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer

    @classmethod
    async def open(cls, url):
        """Connects."""
        place = urlsplit(url)
        return cls(*await asyncio.open_connection(place.hostname, place.port))

    async def ask(self, *pieces, pause_s=0.0, within_s=60.0):
        """Sends pieces of a request with pauses between them and reads the answer, which may come before the end.

        Raises:
            TimeoutError: Neither an answer nor an end came in time.
        """
        clock = asyncio.get_running_loop()
        begun = clock.time()
        sending = asyncio.ensure_future(self._send(pieces, pause_s))
        try:
            answer = await asyncio.wait_for(self._read(), within_s)
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
        answer.took_s = clock.time() - begun
        return answer

    async def _send(self, pieces, pause_s):
        try:
            for piece in pieces:
                self.writer.write(piece)
                await self.writer.drain()
                await asyncio.sleep(pause_s)
        except OSError:
            # The other side may end a request that it does not like; its answer tells.
            return

    async def _read(self):
        try:
            lines = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        except (OSError, asyncio.IncompleteReadError):
            return Answer(0)
        headers = {
            name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:] if line)
        }
        status = int(lines[0].split(" ")[1])
        if status == 100:
            return await self._read()
        try:
            body = await self._read_body(headers)
        except (OSError, asyncio.IncompleteReadError):
            return Answer(0, headers)
        return Answer(status, headers, body)

    async def _read_body(self, headers):
        if headers.get("transfer-encoding") != "chunked":
            return await self.reader.readexactly(int(headers.get("content-length", "0")))
        parts = []
        while size := int(await self.reader.readline(), 16):
            parts.append(await self.reader.readexactly(size))
            await self.reader.readexactly(2)
        await self.reader.readline()
        return b"".join(parts)

    async def close(self):
        """Ends the connection."""
        self.writer.close()
        try:
            await self.writer.wait_closed()
        except OSError:
            return


async def ask_once(url, *pieces, pause_s=0.0, within_s=60.0):
    """One request on a connection of its own."""
    line = await Line.open(url)
    try:
        return await line.ask(*pieces, pause_s=pause_s, within_s=within_s)
    finally:
        await line.close()


async def send_half(url, request, share):
    """Sends the first part of a request and goes away."""
    line = await Line.open(url)
    await line._send([request[: int(share * len(request))]], 0.0)
    await line.close()
    return Answer(0)


async def crowd(count, work):
    """Runs an asynchronous function of the number of the client in so many clients at once; gives all results."""
    return await asyncio.gather(*(work(number) for number in range(count)))

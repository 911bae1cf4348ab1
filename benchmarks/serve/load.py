"""The load: wrk, or a small generator of our own where wrk is not installed."""

import asyncio
import json
import resource
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from bodies import Bodies

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Load:
    """What came of one run.

    Attributes:
        requests: Answers that arrived.
        seconds: How long it took.
        p50_ms: Half of the answers took less.
        p95_ms: 95 of 100 took less.
        p99_ms: 99 of 100 took less.
        max_ms: The slowest.
        failed: Answers with a status of 400 or more, broken connections and timeouts.
        cpu_s: Seconds that the generator itself computed.
    """

    requests: int
    seconds: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float
    failed: int
    cpu_s: float

    @property
    def per_second(self) -> float:
        """Good answers a second."""
        return max(0, self.requests - self.failed) / self.seconds


def find_generator() -> str:
    """Which generator will be used."""
    return "wrk" if shutil.which("wrk") is not None else "python"


def send(url: str, bodies: Bodies, connections: int, seconds: float) -> Load:
    """Sends images over so many connections, each with one request at a time."""
    if find_generator() == "wrk":
        words = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "30s"]
        words += ["-s", str(HERE / "send.lua"), url, "--", str(bodies.folder), bodies.content_type]
    else:
        words = [sys.executable, __file__, url, str(bodies.folder), bodies.content_type, str(connections), str(seconds)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(words, check=True, capture_output=True, text=True)  # noqa: S603
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    failed = found.pop("bad_statuses") + found.pop("broken") + found.pop("timeouts")
    return Load(failed=failed, cpu_s=cpu_s, **found)


async def _send_all(url: str, bodies: Bodies, connections: int, seconds: float) -> dict[str, Any]:
    place, contents = urlsplit(url), bodies.read()
    head = f"POST {place.path} HTTP/1.1\r\nHost: {place.netloc}\r\nContent-Type: {bodies.content_type}\r\n"
    requests = [f"{head}Content-Length: {len(one)}\r\n\r\n".encode() + one for one in contents]
    took: list[float] = []
    counts = {"bad_statuses": 0, "broken": 0, "timeouts": 0}
    begun = time.perf_counter()

    async def talk(first: int) -> None:
        reader, writer = await asyncio.open_connection(place.hostname, place.port)
        at = first
        while (sent := time.perf_counter()) - begun < seconds:
            writer.write(requests[at % len(requests)])
            at += connections
            status = await _read_answer(reader)
            took.append(time.perf_counter() - sent)
            counts["bad_statuses"] += status >= 400
        writer.close()

    ended = await asyncio.gather(*(talk(first) for first in range(connections)), return_exceptions=True)
    counts["broken"] = sum(one is not None for one in ended)
    p50, p95, p99, most = np.percentile(np.array(took) * 1000, (50, 95, 99, 100)).tolist()
    found = {"requests": len(took), "seconds": time.perf_counter() - begun, "p50_ms": p50, "p95_ms": p95}
    return found | {"p99_ms": p99, "max_ms": most} | counts


async def _read_answer(reader: asyncio.StreamReader) -> int:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
    await reader.readexactly(length)
    return int(head.split(b" ", 2)[1])


if __name__ == "__main__":
    address, folder, content_type, count, duration = sys.argv[1:]
    print(json.dumps(asyncio.run(_send_all(address, Bodies(Path(folder), content_type), int(count), float(duration)))))

"""A small server that speaks as much of Weights & Biases' protocol as a run needs, and keeps what it was told."""

import gzip
import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class FakeRun:
    """One run as the server knows it."""

    history: dict[int, dict[str, Any]] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    exits: list[int] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    artifacts: list[dict[str, Any]] = field(default_factory=list)

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Rows of the history in the order of the file that the server keeps."""
        return [self.history[number] for number in sorted(self.history)]


@dataclass
class FakeServer:
    """What was told, by the key of the run."""

    url: str = ""
    runs: dict[str, FakeRun] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    uploads: dict[str, bytes] = field(default_factory=dict)
    broken: bool = False

    def answer(self, operation: str, values: dict[str, Any]) -> dict[str, Any]:
        """Answer of one GraphQL call."""
        match operation:
            case "RunResumeStatus":
                return {
                    "model": {"id": "m", "name": values["project"], "entity": _ENTITY, "bucket": self._tail(values)}
                }
            case "UpsertBucket":
                return {"upsertBucket": self._upsert(values)}
            case "CreateRunFiles":
                files = [
                    {"name": name, "uploadUrl": f"{self.url}/put/{values['run']}/{name}"} for name in values["files"]
                ]
                return {"createRunFiles": {"runID": values["run"], "uploadHeaders": [], "files": files}}
            case "Viewer":
                return {"viewer": {"id": "v", "entity": "lab", "username": "ann", "email": "a@b", "admin": False}}
        return self._answer_on_artifacts(operation, values)

    def _answer_on_artifacts(self, operation: str, values: dict[str, Any]) -> dict[str, Any]:
        told = values.get("input", values)
        match operation:
            case "CreateArtifact":
                self.runs[told["runName"]].artifacts.append(told)
                return {"createArtifact": {"artifact": _ARTIFACT}}
            case "CreateArtifactManifest" | "UpdateArtifactManifest":
                file = {
                    "id": "f",
                    "name": "m",
                    "displayName": "m",
                    "uploadUrl": f"{self.url}/put/manifest/m",
                    "uploadHeaders": [],
                }
                manifest = {"id": "n", "file": file}
                return {operation[0].lower() + operation[1:]: {"artifactManifest": manifest}}
            case "CreateArtifactFiles":
                edges = [
                    {
                        "node": {
                            **file,
                            "id": "f",
                            "displayName": file["name"],
                            "artifact": {"id": "a"},
                            "storagePath": "s",
                            "uploadUrl": f"{self.url}/put/artifact/{file['name']}",
                            "uploadHeaders": [],
                            "uploadMultipartUrls": None,
                        }
                    }
                    for file in told["artifactFiles"]
                ]
                return {"createArtifactFiles": {"files": {"edges": edges}}}
            case "CommitArtifact":
                return {"commitArtifact": {"artifact": {"id": "a", "digest": "d"}}}
            case _ if "query ArtifactType(" in operation:
                return {"project": None}
        return {}

    def find_folder(self, key: str) -> dict[str, bytes]:
        """Files of a run, or of all artefacts together."""
        return self.runs[key].files if key in self.runs else self.uploads

    def stream(self, key: str, content: dict[str, Any]) -> None:
        """Keeps one part of the stream of a run."""
        run = self.runs[key]
        for name, part in (content.get("files") or {}).items():
            if name == "wandb-history.jsonl":
                for number, line in enumerate(part["content"]):
                    run.history[part["offset"] + number] = json.loads(line)
            elif name == "wandb-summary.json":
                run.summary = json.loads(part["content"][-1])
        if content.get("complete"):
            run.exits.append(int(content.get("exitcode", 0)))

    def _tail(self, values: dict[str, Any]) -> dict[str, Any] | None:
        run = self.runs.get(values["name"])
        if run is None:
            return None
        tail = [json.dumps(run.lines[-1])] if run.lines else []
        return {
            "id": values["name"],
            "name": values["name"],
            "summaryMetrics": json.dumps(run.summary),
            "displayName": run.facts.get("displayName"),
            "logLineCount": 0,
            "historyLineCount": len(run.history),
            "eventsLineCount": 0,
            "historyTail": json.dumps(tail),
            "eventsTail": "[]",
            "config": json.dumps(run.config),
            "tags": [],
            "notes": None,
            "wandbConfig": '{"t": 1}',
        }

    def _upsert(self, values: dict[str, Any]) -> dict[str, Any]:
        is_new = values["name"] not in self.runs
        run = self.runs.setdefault(values["name"], FakeRun())
        run.facts |= {name: value for name, value in values.items() if value is not None}
        if values.get("config"):
            run.config = json.loads(values["config"])
        bucket = {
            "id": values["name"],
            "name": values["name"],
            "displayName": run.facts.get("displayName"),
            "config": json.dumps(run.config),
            "project": {"id": "p", "name": values["project"], "entity": _ENTITY},
            "historyLineCount": len(run.history),
        }
        return {"bucket": bucket, "inserted": is_new}


_ENTITY = {"id": "e", "name": "lab"}
_ARTIFACT = {"id": "a", "state": "PENDING", "aliases": [], "artifactSequence": {"id": "q", "latestArtifact": None}}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: FakeServer

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Says nothing."""

    def do_POST(self) -> None:
        body = self._read()
        if self.state.broken:
            self._send({"error": "away"}, 503)
        elif self.path == "/graphql":
            request = json.loads(body)
            operation, values = request.get("operationName") or request["query"], request.get("variables") or {}
            self.state.requests.append(f"{operation} {json.dumps(values)}")
            self._send({"data": self.state.answer(operation, values)})
        elif self.path.endswith("/file_stream"):
            self.state.stream(self.path.split("/")[-2], json.loads(body))
            self._send({})
        else:
            self.state.requests.append(f"POST {self.path}")
            self._send({})

    def do_PUT(self) -> None:
        _, _, key, name = self.path.split("/", 3)
        self.state.find_folder(key)[name] = self._read()
        self._send({})

    def do_GET(self) -> None:
        self.state.requests.append(f"GET {self.path}")
        self._send({})

    def _read(self) -> bytes:
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        return gzip.decompress(data) if self.headers.get("Content-Encoding") == "gzip" else data

    def _send(self, content: dict[str, Any], code: int = 200) -> None:
        data = json.dumps(content).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Says nothing of clients that hang up."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


@contextmanager
def serve_wandb() -> Iterator[FakeServer]:
    """Run the server on this computer for as long as the block lasts."""
    state = FakeServer()
    handler = type("Handler", (_Handler,), {"state": state})
    with _Server(("127.0.0.1", 0), handler) as server:
        state.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield state
        finally:
            server.shutdown()
            thread.join()

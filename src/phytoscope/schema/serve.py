"""Settings of the service, `phytoscope serve PACKAGE serve.KEY=VALUE`."""

from dataclasses import dataclass, field
from enum import StrEnum

from phytoscope.schema.choices import Precision, Runtime


class LogLevel(StrEnum):
    """From which gravity on the service writes lines."""

    debug = "debug"
    info = "info"
    warning = "warning"
    error = "error"


class LogFormat(StrEnum):
    """How a line of the log looks: words for a person, or one JSON object a line for a machine."""

    text = "text"
    json = "json"


@dataclass
class ServeConfig:
    """How photographs are answered over HTTP.

    Attributes:
        host: Address that is listened on; `0.0.0.0` for all of this computer's.
        port: Port that is listened on; 0 for any free one.
        workers: Processes that answer, each with a model of its own.
        runtime: What computes the network; `auto` measures which one is fastest here.
        precision: With which numbers the network is computed.
        threads: Processor cores that one worker uses; its share of all cores when None.
        decoders: Processes of one worker that decode photographs; one a core when None.
        max_files: Photographs in one request.
        max_mb: Megabytes of one request, all its photographs together.
        max_megapixels: Larger photographs are refused before they are decoded; the package's own limit when None.
        memory_mb: Megabytes that the requests of one worker may hold at once before new ones are told to wait.
        decoder_memory_mb: Megabytes that the decoding of one photograph may need.
        decoder_timeout_s: Seconds that the decoding of one photograph may take.
        queue_size: Photographs that one worker takes before it answers the first; more are told to come back later.
        deadline_s: Seconds after which a request is answered with an error instead.
        header_timeout_s: Seconds that a client may take to send the head of a request.
        body_timeout_s: Seconds that a client may take to send the rest.
        keep_alive_s: Seconds that a connection stays open without a request.
        max_connections: Connections that one worker holds at once.
        explain: Whether heat maps are drawn on request.
        explain_queue: Photographs that may wait for a heat map; more are told to come back later.
        keys: File with the hashes of the API keys, see `phytoscope serve-keys`; anybody may ask when None.
        cors_origins: Addresses of other web pages that may ask, for example `https://lab.example.org`.
        allowed_hosts: Names by which the service may be asked, beside its addresses and `localhost`. Without any, all
            names are allowed, but not by a service on `127.0.0.1` without keys: pages that a browser has open could
            give it a name of theirs.
        records: Whether answers and feedback are kept.
        records_url: Database that keeps them (`sqlite:///FILE` or `postgresql://...`); a file in the user's data folder
            when None.
        keep_images: Folder in which photographs are kept under their hash; none are kept when None.
        retention_days: Days after which records and photographs are deleted; never when None.
        records_buffer: Answers that may wait to be written before further ones are counted as lost.
        reload_s: Seconds between two looks for a newer package; it is not looked for when None.
        drain_s: Seconds between being told to stop and taking no more connections, so that a load balancer notices.
        stop_s: Seconds in which what was taken is finished after that.
        page: Whether the web page is served at `/`.
        log_level: From which gravity on lines are written.
        log_format: How a line looks.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 1
    runtime: Runtime = Runtime.auto
    precision: Precision = Precision.float32
    threads: int | None = None
    decoders: int | None = None
    max_files: int = 16
    max_mb: float = 32.0
    max_megapixels: float | None = None
    memory_mb: float = 512.0
    decoder_memory_mb: float = 2048.0
    decoder_timeout_s: float = 10.0
    queue_size: int = 256
    deadline_s: float = 30.0
    header_timeout_s: float = 10.0
    body_timeout_s: float = 60.0
    keep_alive_s: float = 30.0
    max_connections: int = 512
    explain: bool = True
    explain_queue: int = 16
    keys: str | None = None
    cors_origins: list[str] = field(default_factory=list)
    allowed_hosts: list[str] = field(default_factory=list)
    records: bool = True
    records_url: str | None = None
    keep_images: str | None = None
    retention_days: float | None = None
    records_buffer: int = 10_000
    reload_s: float | None = 10.0
    drain_s: float = 0.0
    stop_s: float = 30.0
    page: bool = True
    log_level: LogLevel = LogLevel.info
    log_format: LogFormat = LogFormat.text

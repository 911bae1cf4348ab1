"""The application: routes, what stands before them, and what lives as long as they do."""

import contextlib
from collections.abc import AsyncIterator, Callable

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse

from phytoscope.api.errors import CODE_OF_STATUS, RequestError
from phytoscope.api.gate import REQUEST_ID, Gate, word_error
from phytoscope.api.logs import note_error
from phytoscope.api.metrics import Metrics
from phytoscope.api.openapi import describe_app
from phytoscope.api.routes import add_routes
from phytoscope.api.security import Door
from phytoscope.api.service import Service
from phytoscope.schema.serve import ServeConfig

_WORDS = {404: "there is nothing at this address.", 405: "this address is not asked in this way."}


def build_app(
    source: str, config: ServeConfig | None = None, on_failure: Callable[[BaseException], None] | None = None
) -> FastAPI:
    """Builds the service for one package; the model is loaded when the application starts.

    Args:
        source: Path of the package, or its address.
        config: Settings.
        on_failure: Told why the service cannot start; without it, it stays alive and not ready.

    Raises:
        ConfigError: The file of keys cannot be read.
    """
    settings = config if config is not None else ServeConfig()
    metrics = Metrics()
    door = Door(settings)

    def tell(error: BaseException) -> None:
        note_error("the service cannot start", error)
        if on_failure is not None:
            on_failure(error)

    @contextlib.asynccontextmanager
    async def live(app: FastAPI) -> AsyncIterator[None]:
        service = Service(source, settings, metrics, tell)
        app.state.service = service
        service.start()
        if settings.workers > 1:
            # One that takes connections before it can answer would refuse what its brothers could answer.
            await service.wait_started()
        try:
            yield
        finally:
            await service.stop()

    # The pages that show a description fetch scripts from elsewhere; the description itself is served.
    app = FastAPI(title="phytoscope", lifespan=live, docs_url=None, redoc_url=None)
    app.add_exception_handler(HTTPException, _word_missing)
    app.add_middleware(Gate, metrics=metrics, door=door, send_seconds=settings.body_timeout_s)
    if settings.cors_origins:
        _add_origins(app, settings.cors_origins)
    add_routes(app)
    if settings.page:
        from phytoscope.api.page.routes import add_page

        add_page(app)
    describe_app(app)
    return app


def _add_origins(app: FastAPI, origins: list[str]) -> None:
    # Outside of the gate, so that a page from elsewhere can read its refusals, too.
    app.add_middleware(
        CORSMiddleware,
        # Browsers name a page without a slash at the end.
        allow_origins=[origin.rstrip("/") for origin in origins],
        allow_methods=["GET", "POST"],
        allow_headers=["Authorization", "Content-Type", "X-API-Key", "X-Request-ID"],
        expose_headers=["X-Request-ID", "Retry-After"],
    )


async def _word_missing(request: Request, error: Exception) -> JSONResponse:
    status = error.status_code if isinstance(error, HTTPException) else 500
    headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
    fault = RequestError(status, CODE_OF_STATUS.get(status, "bad_request"), _WORDS.get(status, "this cannot be done."))
    return JSONResponse(word_error(fault, request.scope[REQUEST_ID]), status, headers)

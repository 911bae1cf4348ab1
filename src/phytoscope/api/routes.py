"""What each address does."""

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from phytoscope.api import openapi
from phytoscope.api.body import LOST, read_body
from phytoscope.api.gate import BEGAN, REQUEST_ID, ROUTE
from phytoscope.api.listing import list_model
from phytoscope.api.metrics import MEDIA_TYPE
from phytoscope.api.service import Phase, Service
from phytoscope.api.uploads import Order, read_order
from phytoscope.api.wire import HealthAnswer, ModelsAnswer, ReadyAnswer
from phytoscope.api.work import Asked

router = APIRouter()


def get_service(request: Request) -> Service:
    """The service that answers a request."""
    request.scope[ROUTE] = request.scope["route"].path
    service: Service = request.app.state.service
    return service


@router.post("/v1/predict", tags=["answers"], **openapi.describe_upload("Answer for photographs"))
async def predict(request: Request) -> Response:
    """Class or number, verdict, reasons, and set or interval for each photograph."""
    return await _answer(request, explain=False)


@router.post("/v1/explain", tags=["answers"], **openapi.describe_upload("Answer and explain", with_explain=False))
async def explain(request: Request) -> Response:
    """The same, with a heat map of what each answer rests on."""
    return await _answer(request, explain=True)


@router.get("/v1/models", tags=["model"], **openapi.describe_read(ModelsAnswer, "What answers here"))
async def show_models(request: Request) -> Response:
    """The model, its classes or numbers, its measured quality and the limits of a request."""
    service = get_service(request)
    return JSONResponse({"models": [list_model(service.slot.current, service.config)]})


@router.get("/healthz", tags=["operation"], **openapi.describe_read(HealthAnswer, "Whether the process lives"))
async def show_health(request: Request) -> Response:
    """For a supervisor: no answer is a reason to start it again."""
    get_service(request)
    return JSONResponse({"status": "alive"})


@router.get("/readyz", tags=["operation"], **openapi.describe_ready(ReadyAnswer))
async def show_readiness(request: Request) -> Response:
    """For a load balancer: ready once the model has reproduced the answers that are kept in its package."""
    service = get_service(request)
    model = service.slot.current if service.slot.is_loaded else None
    content = {
        "status": service.phase.value,
        "model_id": None if model is None else model.about["model_id"],
        "runtime": None if model is None else model.predictor.engine.runtime.value,
        "golden_difference": None if model is None else model.golden_difference,
        "reload_error": service.slot.reload_error,
        "records": _describe_records(service),
    }
    return JSONResponse(content, 200 if service.phase is Phase.ready else 503)


@router.get("/metrics", tags=["operation"], **openapi.describe_metrics())
async def show_metrics(request: Request) -> Response:
    """Counts and times, as Prometheus reads them."""
    return Response(get_service(request).metrics.render(), media_type=MEDIA_TYPE)


def add_routes(app: FastAPI) -> None:
    """Adds all routes but those of the web page.

    Args:
        app: The service.
    """
    from phytoscope.api.feedback import router as feedback_router

    app.include_router(router)
    app.include_router(feedback_router)


async def _answer(request: Request, *, explain: bool) -> Response:
    service = get_service(request)
    config = service.config
    # Asked before the body is read: who has to come back anyway need not send it.
    service.check_open()
    with service.admission.hold() as holding:
        body = await read_body(request, service.most_bytes, config.body_timeout_s, holding)
        order = read_order(request.headers.get("content-type", ""), body, request.query_params, config.max_files)
        asked = Asked(request.scope[REQUEST_ID], request.scope[BEGAN], _find_listener(request))
        status, answer = await service.answer(asked, Order(order.uploads, explain or order.explain))
    return Response(answer, status, media_type="application/json")


def _find_listener(request: Request) -> Callable[[Callable[[], None]], None]:
    listeners: list[Callable[[], None]] = request.scope.setdefault(LOST, [])
    return listeners.append


def _describe_records(service: Service) -> dict[str, Any]:
    if service.recorder is None:
        return {"kept": False}
    status = service.recorder.status()
    return {
        "kept": True,
        "written": status.written,
        "lost": status.lost,
        "waiting": status.waiting,
        "works": status.error is None,
    }

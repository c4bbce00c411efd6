"""Puts the routes together."""

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from asrwatch.sandbox.control import ControlRoutes
from asrwatch.sandbox.gate import Gate
from asrwatch.sandbox.paid_routes import PaidRoutes
from asrwatch.sandbox.refusals import OssRefusal, Refusal, refused
from asrwatch.sandbox.results import RESULT_ROOT
from asrwatch.sandbox.service import Service
from asrwatch.sandbox.task_routes import TaskRoutes
from asrwatch.sandbox.tasks import Tasks
from asrwatch.sandbox.upload_routes import UPLOAD_PATH, UploadRoutes
from asrwatch.sandbox.wire import Connections, drain, request_id_of

__all__ = ["build_app"]


def build_app(service: Service, connections: Connections) -> ASGIApp:
    """The whole sandbox as one ASGI application."""
    tasks = Tasks(service=service)
    paid = PaidRoutes(service=service, tasks=tasks)
    about = TaskRoutes(service=service, tasks=tasks)
    files = UploadRoutes(service=service)
    control = ControlRoutes(service=service)
    generation = "/api/v1/services/aigc/multimodal-generation/generation"
    transcription = "/api/v1/services/audio/asr/transcription"
    app = Starlette(
        routes=[
            Route("/compatible-mode/v1/chat/completions", paid.chat, methods=["POST"]),
            Route(generation, paid.generation, methods=["POST"]),
            Route(transcription, paid.transcription, methods=["POST"]),
            Route("/api/v1/tasks", about.list, methods=["GET"]),
            Route("/api/v1/tasks/", about.list, methods=["GET"]),
            Route("/api/v1/tasks/{task_id}", about.poll, methods=["GET"]),
            Route("/api/v1/tasks/{task_id}/cancel", about.cancel, methods=["POST"]),
            Route("/api/v1/uploads", files.policy, methods=["GET"]),
            Route("/api/v1/tokens", files.token, methods=["POST"]),
            Route(UPLOAD_PATH, files.upload, methods=["POST"]),
            Route(RESULT_ROOT + "{key:path}", files.result, methods=["GET"]),
            Route("/sandbox/bill", control.bill, methods=["GET"]),
            Route("/sandbox/requests", control.requests, methods=["GET"]),
            Route("/sandbox/knobs", control.show_knobs, methods=["GET"]),
            Route("/sandbox/knobs", control.turn_knobs, methods=["PATCH"]),
            Route("/sandbox/faults", control.show_faults, methods=["GET"]),
            Route("/sandbox/faults", control.add_fault, methods=["POST"]),
            Route("/sandbox/faults", control.clear_faults, methods=["DELETE"]),
        ],
    )
    app.router.redirect_slashes = False
    gate = Gate(app=app, service=service, connections=connections)

    async def on_refusal(request: Request, error: Exception) -> Response:
        assert isinstance(error, Refusal)  # noqa: S101 - registered for it below
        return refused(error, gate.envelope(request.url.path), request_id_of(request))

    async def on_oss_refusal(request: Request, error: Exception) -> Response:
        assert isinstance(error, OssRefusal)  # noqa: S101 - registered for it below
        return error.response(request_id_of(request), request.url.netloc)

    async def on_no_route(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101 - registered for it below
        await drain(request.scope, request.receive)
        refusal = Refusal(
            "NotFound", f"{request.url.path}: {error.detail}", status=error.status_code
        )
        return refused(refusal, gate.envelope(request.url.path), request_id_of(request))

    app.add_exception_handler(Refusal, on_refusal)
    app.add_exception_handler(OssRefusal, on_oss_refusal)
    app.add_exception_handler(HTTPException, on_no_route)
    return gate

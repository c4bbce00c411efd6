"""The three paid routes: chat, generation, transcription, with the checks of contract 12 in their order."""

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from asrwatch.sandbox.audio_family import read_audio_family, sentence_answer
from asrwatch.sandbox.bodies import JsonObject, header_enabled, read_json
from asrwatch.sandbox.compatible import completion, read_chat, stream_chunks
from asrwatch.sandbox.failures import invalid_url
from asrwatch.sandbox.filetrans import Order, read_order
from asrwatch.sandbox.media import Unreachable
from asrwatch.sandbox.models import Family, Model, Region, find_model
from asrwatch.sandbox.native import generation, generation_pieces, read_generation
from asrwatch.sandbox.refusals import Refusal
from asrwatch.sandbox.service import Caller, Service, caller_of
from asrwatch.sandbox.sync import Answer, recognise
from asrwatch.sandbox.task_views import submitted
from asrwatch.sandbox.tasks import Tasks
from asrwatch.sandbox.wire import hang_up, request_id_of

__all__ = ["PaidRoutes"]

_URL_ERROR = "url error, please check url！"  # noqa: RUF001 - the vendor's full-width mark


@dataclass(frozen=True, kw_only=True)
class PaidRoutes:
    """What costs money."""

    service: Service
    tasks: Tasks

    async def chat(self, request: Request) -> Response:
        """`POST /compatible-mode/v1/chat/completions` (contract 2.1)."""
        service = self.service
        caller = self._payer(request)
        body = await read_json(request)
        model = self._model(body)
        if model.family is not Family.QWEN3_SYNC or service.knobs.region is Region.US:
            raise Refusal(
                "model_not_supported",
                f"Unsupported model {model.name} for OpenAI compatibility mode.",
            )
        ask = read_chat(
            body,
            model,
            resolve=header_enabled(request, "X-DashScope-OssResourceResolve"),
            wait_timeout=request.headers.get("X-DashScope-Wait-Timeout"),
        )
        answer = await recognise(service, ask, caller, request_id_of(request))
        if not ask.stream:
            return JSONResponse(completion(answer))
        events = stream_chunks(answer, include_usage=ask.include_usage)
        return self._stream(request, events)

    async def generation(self, request: Request) -> Response:
        """`POST /api/v1/services/aigc/multimodal-generation/generation` (contract 2.2, 2.3, 2.6)."""
        service = self.service
        caller = self._payer(request)
        body = await read_json(request)
        model = self._model(body)
        if model.family.asynchronous:
            raise Refusal("InvalidParameter", _URL_ERROR)
        if header_enabled(request, "X-DashScope-Async"):
            raise Refusal("AccessDenied", "current user api does not support asynchronous calls.")
        read = read_audio_family if model.family is Family.AUDIO_SYNC else read_generation
        ask = read(
            body,
            model,
            stream=header_enabled(request, "X-DashScope-SSE"),
            resolve=header_enabled(request, "X-DashScope-OssResourceResolve"),
            wait_timeout=request.headers.get("X-DashScope-Wait-Timeout"),
        )
        try:
            answer = await recognise(service, ask, caller, request_id_of(request))
        except Refusal as refusal:
            if ask.stream and service.knobs.errors_in_stream:
                return _error_event(refusal, request_id_of(request))
            raise
        bodies = self._generated(model, answer, stream=ask.stream, incremental=ask.incremental)
        if not ask.stream:
            return JSONResponse(next(bodies))
        return self._stream(request, _native_events(bodies))

    async def transcription(self, request: Request) -> Response:
        """`POST /api/v1/services/audio/asr/transcription` (contract 4.1, 4.4)."""
        service = self.service
        caller = self._payer(request)
        body = await read_json(request)
        model = self._model(body)
        asynchronous = header_enabled(request, "X-DashScope-Async")
        if not model.family.asynchronous:
            if asynchronous:
                raise Refusal(
                    "AccessDenied", "current user api does not support asynchronous calls."
                )
            raise Refusal("InvalidParameter", _URL_ERROR)
        if not asynchronous:
            raise Refusal("AccessDenied", "current user api does not support synchronous calls.")
        order = read_order(
            body,
            model,
            resolve=header_enabled(request, "X-DashScope-OssResourceResolve"),
            may_doom=service.knobs.drop_parameters_fails,
        )
        await service.limit(caller, model, request.headers.get("X-DashScope-Wait-Timeout"))
        self._check_url(order, caller)
        task = self.tasks.submit(order, caller, request_id_of(request))
        return JSONResponse(submitted(task))

    def _payer(self, request: Request) -> Caller:
        """The caller, unless the account is in trouble (contract 7.2)."""
        caller = caller_of(request)
        code = self.service.knobs.key_errors.get(caller.key)
        if code is not None:
            raise Refusal(code)
        return caller

    def _model(self, body: JsonObject) -> Model:
        name = body.get("model")
        if not isinstance(name, str) or not name:
            raise Refusal("BadRequest.EmptyModel", 'Required parameter "model" is missing.')
        model = find_model(name, self.service.knobs.region)
        if model is None:
            raise Refusal(
                "ModelNotFound",
                f"The model `{name}` does not exist or you do not have access to it.",
            )
        return model

    def _check_url(self, order: Order, caller: Caller) -> None:
        """URLs only; `oss://` with the header, the model, the account, in time (contract 4.1, 6.1)."""
        scheme = order.url[:8].lower()
        if scheme.startswith(("http://", "https://")):
            return
        if not scheme.startswith("oss://") or not order.resolve:
            raise invalid_url(compatible=False)
        try:
            self.service.media.stored(order.url, model=order.model.name, account=caller.account)
        except Unreachable as problem:
            raise Refusal("InvalidParameter.DataInspection") from problem

    def _generated(
        self, model: Model, answer: Answer, *, stream: bool, incremental: bool
    ) -> Iterator[JsonObject]:
        knobs = self.service.knobs
        if model.family is Family.AUDIO_SYNC:
            return iter([sentence_answer(answer, knobs.layout)])
        if stream:
            return generation_pieces(answer, knobs.silent_sync, incremental=incremental)
        return iter([generation(answer, knobs.silent_sync)])

    def _stream(self, request: Request, events: Iterator[bytes]) -> Response:
        """The events one by one; with `cut_stream` the connection closes in their middle."""

        async def sent() -> AsyncIterator[bytes]:
            whole = list(events)
            for number, event in enumerate(whole):
                if self.service.knobs.cut_stream and number >= max(1, len(whole) // 2):
                    await hang_up(request)
                    return
                yield event

        return StreamingResponse(sent(), media_type="text/event-stream")


def _native_events(bodies: Iterator[JsonObject]) -> Iterator[bytes]:
    """Contract 2.2: `id`, `event`, a status comment and the data, without a closing mark."""
    for number, body in enumerate(bodies, start=1):
        data = json.dumps(body, ensure_ascii=False)
        yield f"id:{number}\nevent:result\n:HTTP_STATUS/200\ndata:{data}\n\n".encode()


def _error_event(refusal: Refusal, request_id: str) -> Response:
    """Contract 7.1: an error inside a stream that began as a success."""
    data = json.dumps({"code": refusal.code, "message": refusal.message, "request_id": request_id})
    event = f"id:1\nevent:error\n:HTTP_STATUS/{refusal.status}\ndata:{data}\n\n"
    return Response(event, media_type="text/event-stream")

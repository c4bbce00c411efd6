"""A synchronous recognition from its limits to its bill, the same for every dialect."""

import math
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus

from asrwatch.sandbox.bill import Outcome
from asrwatch.sandbox.failures import (
    forced,
    invalid_url,
    sync_too_long,
    sync_unreachable,
    sync_unreadable,
)
from asrwatch.sandbox.knobs import SilentSync
from asrwatch.sandbox.media import Unreachable
from asrwatch.sandbox.models import Family, Model
from asrwatch.sandbox.recogniser import Listening, Sound, TooLong, Unreadable
from asrwatch.sandbox.refusals import Refusal
from asrwatch.sandbox.service import Caller, Service

__all__ = ["Answer", "Ask", "recognise"]


@dataclass(frozen=True, kw_only=True)
class Ask:
    """One synchronous request, its body already found well-formed.

    Args:
        model: which one.
        source: URL, `oss://` URL or data URI.
        language: the code asked for, which the answer echoes.
        stream: whether the answer comes in pieces.
        include_usage: whether a stream ends with the usage.
        incremental: whether pieces are increments (else each repeats what came before).
        resolve: whether `oss://` is allowed.
        compatible: whether this came by the OpenAI path.
        wait_timeout: `X-DashScope-Wait-Timeout`.
    """

    model: Model
    source: str
    language: str | None = None
    stream: bool = False
    include_usage: bool = False
    incremental: bool = False
    resolve: bool = False
    compatible: bool = False
    wait_timeout: str | None = None


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What was heard, ready to be put into a dialect.

    Args:
        request_id: of the request.
        model: the model's name as asked for.
        text: all of it; cut where the knobs say that the tokens ran out.
        silent: whether nothing was heard.
        language, emotion: of the audio.
        seconds: billed.
        finish_reason: `stop` or what the knobs say.
        listening: the details, for the dialect that has them.
    """

    request_id: str
    model: str
    text: str
    silent: bool
    language: str
    emotion: str
    seconds: int
    finish_reason: str
    listening: Listening


async def recognise(service: Service, ask: Ask, caller: Caller, request_id: str) -> Answer:
    """Check what is left to check, in the order of contract 12, listen, write the bill, then wait `latency`.

    Raises:
        Refusal: a check failed or the recording cannot be recognised; that is no billed work.
    """
    await service.limit(caller, ask.model, ask.wait_timeout)
    _check_source(service, ask, caller)
    sha256 = ""
    try:
        async with service.media.opened(
            ask.source,
            model=ask.model.name,
            account=caller.account,
            largest=ask.model.largest_file,
        ) as sound:
            sha256 = sound.sha256
            _check_forced(service, sound, ask.source)
            listening = await service.listen(sound, channels=None, longest=ask.model.longest)
        _check_heard(service, ask, listening)
    except Refusal as refusal:
        _bill_attempt(service, ask, caller, request_id, sha256, refusal)
        raise
    except (Unreachable, TooLong, Unreadable) as problem:
        worded = _refusal_for(ask, problem)
        _bill_attempt(service, ask, caller, request_id, sha256, worded)
        raise worded from problem
    seconds = billed_seconds(listening.duration)
    service.bill.write(
        model=ask.model.name,
        account=caller.account,
        key=caller.key,
        at=service.now(),
        request_id=request_id,
        source=shown_source(ask.source),
        sha256=sha256,
        seconds=seconds,
        outcome=Outcome.BILLED,
    )
    await service.wait("latency")
    return _answer(service, ask, listening, request_id, seconds)


def billed_seconds(duration: timedelta) -> int:
    """Whole seconds of audio, at least one (contract 2.1: `usage.seconds` is an integer)."""
    return max(1, math.ceil(duration.total_seconds()))


def shown_source(source: str) -> str:
    """A source as the bill and task list keep it: nobody needs megabytes of Base64."""
    return "data:" if source[:5].lower() == "data:" else source


def _check_source(service: Service, ask: Ask, caller: Caller) -> None:
    """Contract 12: data URI <= 10 MB encoded; `oss://` only with the header, the model, the account, in time."""
    scheme = ask.source[:8].lower()
    if scheme.startswith("data:"):
        if len(ask.source) > ask.model.largest_data_uri:
            raise Refusal(
                "BadRequest.TooLarge",
                f"Exceeded limit on max bytes per data-uri item : {ask.model.largest_data_uri}",
            )
    elif scheme.startswith("oss://"):
        if not ask.resolve:
            raise invalid_url(compatible=ask.compatible)
        try:
            service.media.stored(ask.source, model=ask.model.name, account=caller.account)
        except Unreachable as problem:
            raise sync_unreachable(problem.why, compatible=ask.compatible) from problem
    elif not scheme.startswith(("http://", "https://")):
        raise invalid_url(compatible=ask.compatible)


def _check_forced(service: Service, sound: Sound, source: str) -> None:
    """Refuse what the knobs say is to be refused."""
    code = forced(service.knobs.sync_failures, sound.name, sound.sha256, source)
    if code is not None:
        raise Refusal(code)
    if service.knobs.body_code:
        raise Refusal(service.knobs.body_code, status=HTTPStatus.OK)


def _check_heard(service: Service, ask: Ask, listening: Listening) -> None:
    """Refuse empty audio always, and silence where the model or the knobs do (contract 2.5)."""
    if not listening.duration:
        raise Refusal("InvalidParameter", "The audio is empty")
    if listening.text:
        return
    silent = service.knobs.silent_sync
    if ask.model.family is Family.AUDIO_SYNC or silent is SilentSync.NO_WORDS:
        raise Refusal("ASR_RESPONSE_HAVE_NO_WORDS")
    if silent is SilentSync.AUDIO_IS_EMPTY:
        raise Refusal("InvalidParameter", "The audio is empty")


def _refusal_for(ask: Ask, problem: Unreachable | TooLong | Unreadable) -> Refusal:
    match problem:
        case Unreachable():
            return sync_unreachable(problem.why, compatible=ask.compatible)
        case TooLong():
            return sync_too_long(ask.model, problem)
        case Unreadable():
            return sync_unreadable()


def _bill_attempt(  # noqa: PLR0917 - a line of the bill has that many columns
    service: Service, ask: Ask, caller: Caller, request_id: str, sha256: str, refusal: Refusal
) -> None:
    service.bill.write(
        model=ask.model.name,
        account=caller.account,
        key=caller.key,
        at=service.now(),
        request_id=request_id,
        source=shown_source(ask.source),
        sha256=sha256,
        outcome=Outcome.FAILED,
        code=refusal.code,
    )


def _answer(
    service: Service, ask: Ask, listening: Listening, request_id: str, seconds: int
) -> Answer:
    knobs = service.knobs
    text = listening.text
    if knobs.finish_reason == "length":
        text = text[: len(text) // 2]
    return Answer(
        request_id=request_id,
        model=ask.model.name,
        text=text,
        silent=not listening.text,
        language=ask.language or listening.language,
        emotion=listening.emotion,
        seconds=seconds,
        finish_reason=knobs.finish_reason,
        listening=listening,
    )

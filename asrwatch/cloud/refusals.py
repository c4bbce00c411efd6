"""Turn a refusing answer into the exception that says what the daemon does about it."""

import math
import re
from collections.abc import Mapping
from datetime import timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import assert_never

from asrwatch.cloud import loose
from asrwatch.cloud.codes import Rule, Verdict, verdict
from asrwatch.cloud.envelopes import Refused, refused_in
from asrwatch.errors import (
    AnswerLost,
    AsrwatchError,
    BillUnknown,
    DoesNotFit,
    EngineError,
    EngineTrouble,
    RecordingError,
    TemporaryError,
    TicketLost,
    UrlExpired,
)
from asrwatch.values import Secret, printable

__all__ = ["NoSpeech", "Where", "refusal", "task_refusal"]

_LONGEST_MESSAGE = 300
_LONGEST_WAIT = timedelta(days=1)
_MINUTE = timedelta(minutes=1)
_GATEWAYS = frozenset({502, 504})
"""Statuses that speak of a server behind the one that answers, which may have accepted the request."""
_KEY_LIKE = re.compile(r"\b(?:sk|st)-[A-Za-z0-9_.*-]{4,}")


class Where(StrEnum):
    """What was asked: it decides what an answer without the provider's own words means."""

    ASK = "ask"
    FREE = "free"
    UPLOAD = "upload"


class NoSpeech(RecordingError):
    """The cloud says that nothing was said: an empty transcript, not a failure."""


def refusal(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    where: Where,
    secret: Secret | None = None,
) -> AsrwatchError:
    """What a refusing answer means. Pure.

    Args:
        status: of the HTTP answer (3xx to 5xx), or of the event inside a stream.
        headers: of the answer, looked up without regard to case.
        body: as it came: JSON in either envelope, an event stream, XML, HTML, nothing.
        where: what was asked.
        secret: the key; should the answer repeat it, it is struck out.

    Returns:
        The exception to raise: `code` is the provider's where there is one.
    """
    refused = refused_in(body)
    if refused is None:
        return _wordless(status, headers, body, where=where)
    clean = Refused(
        code=_clean(refused.code, secret, limit=80) or f"http-{status}",
        message=_clean(refused.message, secret),
        request_id=refused.request_id or _header(headers, "x-request-id"),
    )
    return _judged(status, headers, clean, where=where)


def task_refusal(code: str, message: str) -> AsrwatchError:
    """What a finished task's own code means (contract section 7.4); unknown codes are permanent.

    A task that ended for a reason of the account's is over like any other: the next request will meet
    that reason itself, so it is no `EngineError` here.
    """
    clean = Refused(code=_clean(code, None, limit=80) or "FAILED", message=_clean(message, None))
    error = _judged(400, {}, clean, where=Where.ASK)
    if isinstance(error, EngineError):
        return TemporaryError(
            error.message, code=error.code, advice=error.advice, retry_after=error.retry_after
        )
    return error


def _judged(
    status: int, headers: Mapping[str, str], refused: Refused, *, where: Where
) -> AsrwatchError:
    rule = verdict(status, refused.code, refused.message) or _by_status(status, where)
    message = f"{rule.what} ({_quoted(refused)})."
    code = refused.code
    wait = _retry_after(headers)
    match rule.verdict:
        case Verdict.KEY | Verdict.MONEY | Verdict.FORBIDDEN | Verdict.THROTTLED:
            trouble = EngineTrouble(rule.verdict.value)
            return EngineError(
                message, code=code, trouble=trouble, advice=rule.advice, retry_after=wait
            )
        case Verdict.QUOTA_MINUTE:
            return EngineError(
                message,
                code=code,
                trouble=EngineTrouble.THROTTLED,
                advice=rule.advice,
                retry_after=wait or _MINUTE,
            )
        case Verdict.RECORDING:
            return RecordingError(message, code=code, advice=rule.advice)
        case Verdict.MISFIT:
            return DoesNotFit(message, code=code, advice=rule.advice)
        case Verdict.FETCH:
            return UrlExpired(message, code=code, advice=rule.advice, retry_after=wait)
        case Verdict.PASSING if where is Where.ASK and status in _GATEWAYS:
            return AnswerLost(message, code=code, advice="Whether it was accepted is unknown.")
        case Verdict.PASSING if where is Where.ASK and status >= 500:  # noqa: PLR2004 - an HTTP status
            return BillUnknown(message, code=code, advice=rule.advice, retry_after=wait)
        case Verdict.PASSING:
            return TemporaryError(message, code=code, advice=rule.advice, retry_after=wait)
        case Verdict.SILENT:
            return NoSpeech(message, code=code)
        case Verdict.GONE:
            return TicketLost(message, code=code, advice=rule.advice)
    assert_never(rule.verdict)


def _by_status(status: int, where: Where) -> Rule:
    """The provider spoke, but with a code the contract does not know: the status decides."""
    if status == 401:  # noqa: PLR2004 - an HTTP status says more than a name for it
        return Rule(verdict=Verdict.KEY, what="The cloud does not accept the API key")
    if status == 429:  # noqa: PLR2004 - an HTTP status
        return Rule(verdict=Verdict.THROTTLED, what="The cloud asks for fewer requests")
    if status >= 500 or status == 408 or where is Where.UPLOAD:  # noqa: PLR2004 - HTTP statuses
        return Rule(
            verdict=Verdict.PASSING,
            what="The cloud had an error of its own",
            advice="asrwatch tries again later.",
        )
    return Rule(
        verdict=Verdict.RECORDING,
        what="The cloud refused the request",
        advice="asrwatch does not know this code; the cloud's own words say why.",
    )


def _wordless(
    status: int, headers: Mapping[str, str], body: bytes, *, where: Where
) -> AsrwatchError:
    """An answer without the provider's words: a proxy, a gateway or another server spoke."""
    code = f"http-{status}"
    shape = "an HTML page" if body.lstrip()[:1] == b"<" else "no words of the provider"
    said = f"The answer was HTTP {status} with {shape}"
    wait = _retry_after(headers)
    match status:
        case _ if status < 400:  # noqa: PLR2004 - redirects are not followed
            target = _clean(_header(headers, "location") or "elsewhere", None, limit=120)
            return EngineError(
                f"The cloud's address redirects to {target}; asrwatch does not follow.",
                code="redirected",
                trouble=EngineTrouble.DOWN,
                advice="Check cloud.base_url and whether a login page stands in between.",
            )
        case 401:
            trouble, advice = EngineTrouble.KEY, "Check the key and cloud.base_url."
        case 403:
            trouble, advice = EngineTrouble.FORBIDDEN, "Check cloud.base_url and firewalls."
        case 404 | 405 | 407:
            trouble, advice = EngineTrouble.DOWN, "Check cloud.base_url and cloud.proxy."
        case 429:
            trouble, advice = EngineTrouble.THROTTLED, "asrwatch waits."
        case 413 if where is Where.ASK:
            return DoesNotFit(f"{said}: the request is too large.", code=code)
        case _ if status >= 500 and where is Where.ASK:  # noqa: PLR2004 - see reliability 2 rule 4
            return AnswerLost(
                f"{said}.", code=code, advice="Whether the request was accepted is unknown."
            )
        case _:
            return TemporaryError(
                f"{said}.", code=code, advice="asrwatch tries again later.", retry_after=wait
            )
    if where is Where.UPLOAD:
        return TemporaryError(f"{said}.", code=code, advice=advice, retry_after=wait)
    return EngineError(f"{said}.", code=code, trouble=trouble, advice=advice, retry_after=wait)


def _quoted(refused: Refused) -> str:
    said = [refused.code]
    if refused.message and refused.message != refused.code:
        said.append(refused.message.rstrip("."))
    quoted = ": ".join(said)
    return f"{quoted}; request {printable(refused.request_id)}" if refused.request_id else quoted


def _clean(text: str, secret: Secret | None, *, limit: int = _LONGEST_MESSAGE) -> str:
    if secret is not None and secret.reveal():
        text = text.replace(secret.reveal(), "***")
    shown = printable(_KEY_LIKE.sub("***", text.strip()))
    return shown if len(shown) <= limit else f"{shown[: limit - 3]}..."


def _retry_after(headers: Mapping[str, str]) -> timedelta | None:
    """How long to wait, from `retry-after-ms` or `retry-after`: seconds, or a date beside the answer's own."""
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        asked = loose.number(_header(headers, name))
        if asked is not None and asked >= 0:
            return timedelta(
                seconds=min(math.ceil(asked * unit * 1000) / 1000, _LONGEST_WAIT.total_seconds())
            )
    try:
        until = parsedate_to_datetime(_header(headers, "retry-after") or "")
        wait = until - parsedate_to_datetime(_header(headers, "date") or "")
    except (ValueError, TypeError):  # no dates, or one with a zone and one without
        return None
    return min(wait, _LONGEST_WAIT) if wait >= timedelta(0) else None


def _header(headers: Mapping[str, str], name: str) -> str | None:
    return next((value for key, value in headers.items() if key.lower() == name), None)

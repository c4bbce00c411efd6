"""The task interface, without its sending: what is asked, and what the answers say (contract sections 4 and 5)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, urlencode

from pydantic import JsonValue

from asrwatch.cloud import loose
from asrwatch.cloud.refusals import task_refusal
from asrwatch.errors import AsrwatchError, RecordingError, TicketLost
from asrwatch.values import printable

__all__ = [
    "SUBMIT_PATH",
    "Listed",
    "Page",
    "Poll",
    "cancel_path",
    "ended_badly",
    "list_path",
    "query_path",
    "read_page",
    "read_poll",
    "read_ticket",
    "submit_document",
]

SUBMIT_PATH = "/api/v1/services/audio/asr/transcription"
_TASKS_PATH = "/api/v1/tasks/"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True, slots=True)
class Poll:
    """What a query says of one task.

    `code` and `message` are the subtask's where it has any, else the task's: a task may call itself
    SUCCEEDED although its only subtask failed (contract section 4.4).
    """

    status: str
    code: str
    message: str
    result_url: str | None
    source_url: str | None
    billed: timedelta | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Listed:
    """One line of the task list; `model` as the cloud calls it, which may be another name than was asked by."""

    ticket: str
    status: str
    created: datetime | None
    model: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """One page of the task list, how many pages there are, and when it was made by the cloud's clock."""

    listed: tuple[Listed, ...]
    pages: int
    made: datetime | None = None


def submit_document(
    *, model: str, url: str, parameters: Mapping[str, JsonValue]
) -> Mapping[str, JsonValue]:
    """The request for a task; `parameters` are always sent, as newer hosts want them."""
    return {"model": model, "input": {"file_url": url}, "parameters": dict(parameters)}


def read_ticket(body: bytes) -> str | None:
    """The id of the accepted task; None where the answer does not tell it."""
    document = loose.parse(body)
    ticket = loose.text(loose.field(document, "output", "task_id"))
    ticket = ticket or loose.text(loose.field(document, "task_id"))
    return ticket.strip() or None if ticket else None


def query_path(ticket: str) -> str:
    """Where to ask about one task."""
    return _TASKS_PATH + quote(ticket, safe="")


def cancel_path(ticket: str) -> str:
    """Where to cancel one task."""
    return f"{query_path(ticket)}/cancel"


def list_path(
    *, model: str | None, status: str | None = None, page: int = 1, page_size: int | None = None
) -> str:
    """Where to list the tasks of the last 24 hours: no dates are sent, since their zone is not documented."""
    query: dict[str, str | int | None] = {
        "model_name": model,
        "status": status,
        "page_no": page,
        "page_size": page_size,
    }
    return f"{_TASKS_PATH}?{urlencode({key: value for key, value in query.items() if value})}"


def read_poll(document: JsonValue) -> Poll | None:
    """What a query's answer says; None where it is not one."""
    output = loose.mapping(loose.field(document, "output"))
    status = loose.text(output.get("task_status")) or loose.text(output.get("status"))
    if not status:
        return None
    parts = [part for part in _parts(output) if part]
    good = [part for part in parts if loose.text(part.get("transcription_url"))]
    chosen = (good or parts or [{}])[0]
    part_code = loose.text(chosen.get("code")) or ""
    code = "" if good else part_code or loose.text(output.get("code")) or ""
    message = loose.text(chosen.get("message")) or loose.text(output.get("message")) or ""
    usage = loose.field(document, "usage")
    return Poll(
        status=status.upper(),
        code=code,
        message=message,
        result_url=loose.text(chosen.get("transcription_url")),
        source_url=loose.text(chosen.get("file_url")),
        billed=loose.seconds(loose.field(usage, "seconds"))
        or loose.seconds(loose.field(usage, "duration")),
    )


def _parts(output: Mapping[str, JsonValue]) -> Sequence[Mapping[str, JsonValue]]:
    """Both dialects: one `result`, or `results`."""
    both = (output.get("result"), output.get("results"))
    found: list[Mapping[str, JsonValue]] = []
    for value in both:
        found += [loose.mapping(item) for item in loose.items(value)] or [loose.mapping(value)]
    return found


def ended_badly(ticket: str, poll: Poll) -> AsrwatchError | None:
    """What the end of a task without a result means; None while it goes on or has a result."""
    match poll.status:
        case "UNKNOWN":
            return TicketLost(
                f"The cloud no longer knows task {printable(ticket)}.",
                code="UNKNOWN",
                advice="It may have been paid for; `asrwatch retry` asks and pays again.",
            )
        case "CANCELED" | "CANCELLED":
            return RecordingError(
                f"Somebody cancelled task {printable(ticket)} in the cloud.",
                code="CANCELED",
                advice="`asrwatch retry` asks again.",
            )
        case "FAILED":
            return task_refusal(poll.code, poll.message)
        case "SUCCEEDED" if poll.result_url is None and poll.code:
            return task_refusal(poll.code, poll.message)
        case "SUCCEEDED" if poll.result_url is None:
            return RecordingError(
                f"Task {printable(ticket)} succeeded, but the cloud names no result.",
                code="no-result",
                advice="It may have been paid for; `asrwatch retry` asks and pays again.",
            )
        case _:
            return None


def read_page(document: JsonValue) -> Page | None:
    """One page of the task list; None where the answer is not one."""
    top = loose.mapping(document)
    holder = next(
        (
            held
            for held in (top, loose.mapping(top.get("output")))
            if isinstance(held.get("data"), list) or isinstance(held.get("tasks"), list)
        ),
        None,
    )
    if holder is None:
        return None
    rows = loose.items(holder.get("data")) or loose.items(holder.get("tasks"))
    listed = tuple(line for row in rows if (line := _listed(loose.mapping(row))) is not None)
    return Page(listed=listed, pages=_pages(holder, len(rows)))


def _listed(row: Mapping[str, JsonValue]) -> Listed | None:
    ticket = loose.text(row.get("task_id"))
    status = loose.text(row.get("status")) or loose.text(row.get("task_status"))
    if not ticket or not status:
        return None
    created = loose.milliseconds(row.get("gmt_create"))
    return Listed(
        ticket=ticket,
        status=status.upper(),
        created=_EPOCH + created if created is not None else None,
        model=loose.text(row.get("model_name")) or None,
    )


def _pages(holder: Mapping[str, JsonValue], rows: int) -> int:
    told = loose.whole_number(holder.get("total_page"))
    if told is not None:
        return told
    total = loose.whole_number(holder.get("total")) or rows
    size = loose.whole_number(holder.get("page_size")) or rows or 1
    return -(-total // max(size, 1))

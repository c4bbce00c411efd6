"""Ask about tasks: every question is free, may be repeated, and keeps the account's query limit."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta

from asrwatch.cloud import loose
from asrwatch.cloud.clocks import date_of
from asrwatch.cloud.envelopes import refused_in
from asrwatch.cloud.hosts import Hosts
from asrwatch.cloud.pacer import Pacer
from asrwatch.cloud.refusals import Where
from asrwatch.cloud.tasks import (
    Page,
    Poll,
    cancel_path,
    list_path,
    query_path,
    read_page,
    read_poll,
)
from asrwatch.cloud.wire import Line, Reply, Request, Wire
from asrwatch.crash import crash_point
from asrwatch.errors import AsrwatchError, EngineError, EngineTrouble, TemporaryError

__all__ = ["QUERIES_PER_SECOND", "Answered", "TaskDesk", "Visit"]

QUERIES_PER_SECOND = 10.0
"""Half of what the account has (contract section 5.1): sub-accounts and other hosts use it, too."""

_PAUSES = (0.2, 1.0)
"""Seconds before a free question is asked again; after the last of them the trouble is reported."""

_LARGEST_RESULT = 128 * 1024 * 1024
"""Bytes: twelve hours of words with their times are some tens of megabytes."""

_STAYS_SO = frozenset({"answer-too-large", "foreign-host"})
"""Codes of trouble that is the same a second later."""

_NOT_FOUND = frozenset({"notfound", "tasknotfound", "task_not_found"})
"""The contract documents a 200 with UNKNOWN; any of these says the same."""

Judge = Callable[[Reply, Where], AsrwatchError | None]
"""Says what is wrong with an answer, if anything is."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answered:
    """A query's answer: what it says, and its bytes as they came."""

    poll: Poll
    raw: bytes


class TaskDesk:
    """Where tasks are asked about. One per process: it keeps the pace of all threads together.

    Args:
        wire: to send with.
        root: of the cloud's URLs.
        headers: of every request, made anew each time, since the key may have changed.
        judge: what an answer means.
        hosts: where results may lie.
        pacer: the pace of queries, lists and cancels.
    """

    def __init__(
        self,
        *,
        wire: Wire,
        root: str,
        headers: Callable[[], Mapping[str, str]],
        judge: Judge,
        hosts: Hosts,
        pacer: Pacer,
    ) -> None:
        self._wire = wire
        self._root = root
        self._headers = headers
        self._judge = judge
        self._hosts = hosts
        self._pacer = pacer

    @contextmanager
    def visit(self) -> Iterator["Visit"]:
        """Ask several questions over one connection, from one thread."""
        with self._wire.open() as line:
            yield Visit(
                line=line,
                root=self._root,
                headers=self._headers,
                judge=self._judge,
                hosts=self._hosts,
                pacer=self._pacer,
            )

    def cancel(self, ticket: str) -> None:
        """Cancel a task that is still waiting.

        Raises:
            RecordingError: it is not waiting any more.
            TemporaryError: the cloud could not be asked.
            EngineError: the key is at fault.
        """
        with self.visit() as visit:
            visit.cancel(ticket)


class Visit:
    """Questions about tasks over one line; see `TaskDesk`."""

    def __init__(
        self,
        *,
        line: Line,
        root: str,
        headers: Callable[[], Mapping[str, str]],
        judge: Judge,
        hosts: Hosts,
        pacer: Pacer,
    ) -> None:
        self._line = line
        self._root = root
        self._headers = headers
        self._judge = judge
        self._hosts = hosts
        self._pacer = pacer

    def query(self, ticket: str) -> Answered:
        """How far one task is. A cloud that says "not found" no longer knows it, as with `UNKNOWN`.

        Raises:
            RecordingError: the cloud does not take this question.
            TicketLost: the cloud says that the task expired.
            TemporaryError: the cloud could not be asked, or wants fewer questions.
            EngineError: the key is at fault.
        """
        try:
            reply = self._ask("GET", query_path(ticket))
        except EngineError as error:
            if error.code.lower() not in _NOT_FOUND:
                raise
            raw = json.dumps({"output": {"task_id": ticket, "task_status": "UNKNOWN"}}).encode()
            reply = Reply(status=200, headers={}, body=raw)
        poll = read_poll(loose.parse(reply.body))
        if poll is None:
            raise _unreadable("a task")
        crash_point("queried")
        return Answered(poll=poll, raw=reply.body)

    def list(
        self, model: str | None, *, status: str | None, page: int, page_size: int | None
    ) -> Page:
        """One page of the last 24 hours' tasks.

        Raises:
            RecordingError: the cloud does not take this question (such as the page size).
            TemporaryError: the cloud could not be asked, or wants fewer questions.
            EngineError: the key is at fault.
        """
        path = list_path(model=model, status=status, page=page, page_size=page_size)
        reply = self._ask("GET", path)
        found = read_page(loose.parse(reply.body))
        if found is None:
            raise _unreadable("the task list")
        crash_point("listed")
        return replace(found, made=date_of(reply.headers))

    def cancel(self, ticket: str) -> None:
        """See `TaskDesk.cancel`."""
        self._ask("POST", cancel_path(ticket), {"Content-Length": "0"})

    def result(self, url: str) -> bytes:
        """A result file, which is JSON. No key is sent: the URL is signed, and may be plain http.

        Raises:
            TemporaryError: it could not be fetched, or is not JSON; a new query gives a new URL. Or it
                lies at a host that is not the cloud's (`foreign-host`).
        """
        self._hosts.check(url, what="the result")
        request = Request(
            method="GET",
            url=url,
            read_timeout=timedelta(seconds=60),
            largest_answer=_LARGEST_RESULT,
        )
        reply = self._repeated(lambda: self._fetched(request))
        if not isinstance(loose.parse(reply.body), dict):
            raise TemporaryError("The result file is not JSON.", code="bad-result")
        crash_point("result-fetched")
        return reply.body

    def _fetched(self, request: Request) -> Reply:
        reply = self._line.send(request)
        if reply.status != 200:  # noqa: PLR2004 - a plain file comes with 200 or not at all
            refused = refused_in(reply.body)
            code = refused.code if refused else ""
            raise TemporaryError(
                f"The result file was refused: HTTP {reply.status} {code}".rstrip() + ".",
                code=f"result-{reply.status}",
            )
        if not reply.whole:
            raise TemporaryError("The result file came only in part.", code="result-cut")
        return reply

    def _ask(self, method: str, path: str, headers: Mapping[str, str] | None = None) -> Reply:
        return self._repeated(lambda: self._asked(method, path, headers or {}))

    def _asked(self, method: str, path: str, headers: Mapping[str, str]) -> Reply:
        self._pacer.wait()
        request = Request(
            method=method,
            url=self._root + path,
            headers={**self._headers(), **headers},
        )
        reply = self._line.send(request)
        error = self._judge(reply, Where.FREE)
        if isinstance(error, EngineError) and error.trouble is EngineTrouble.THROTTLED:
            # the limit of questions is none of the engine's: paid requests need not wait for it
            raise TemporaryError(
                error.message, code=error.code, advice=error.advice, retry_after=error.retry_after
            )
        if error is not None:
            raise error
        if not reply.whole and not isinstance(loose.parse(reply.body), dict):
            raise _unreadable("tasks")
        return reply

    def _repeated(self, ask: Callable[[], Reply]) -> Reply:
        """Ask again after a short pause, unless the cloud itself said when to come back."""
        for pause in _PAUSES:
            try:
                return ask()
            except TemporaryError as error:
                if error.retry_after is not None or error.code in _STAYS_SO:
                    raise
                self._pacer.pause(pause)
        return ask()


def _unreadable(what: str) -> TemporaryError:
    return TemporaryError(
        f"The cloud's answer about {what} cannot be read.",
        code="unreadable-answer",
        advice="If this stays, check cloud.base_url.",
    )

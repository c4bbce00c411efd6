"""The unpaid task routes: poll, list, cancel (contract 4.2, 5)."""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from asrwatch.sandbox.clock import parse_list_time
from asrwatch.sandbox.refusals import Refusal
from asrwatch.sandbox.service import Service, caller_of
from asrwatch.sandbox.task_views import listed, polled, unknown
from asrwatch.sandbox.tasks import Task, Tasks, TaskState
from asrwatch.sandbox.wire import request_id_of

__all__ = ["TaskRoutes"]

_DAY: Final = timedelta(hours=24)
_PAGE_SIZE: Final = 10


@dataclass(frozen=True, kw_only=True)
class TaskRoutes:
    """What can be asked about tasks."""

    service: Service
    tasks: Tasks

    async def poll(self, request: Request) -> Response:
        """`GET /api/v1/tasks/{id}`."""
        caller = caller_of(request)
        self.service.limit_queries(caller, "query", self.service.knobs.queries_per_second)
        task_id = request.path_params["task_id"]
        task = self.tasks.find(task_id, caller.account)
        request_id = request_id_of(request)
        if task is None:
            return JSONResponse(unknown(task_id, request_id))
        succeeds = self.service.knobs.failed_subtask_succeeds
        return JSONResponse(polled(task, request_id, failed_subtask_succeeds=succeeds))

    async def list(self, request: Request) -> Response:
        """`GET /api/v1/tasks` and `/api/v1/tasks/`, newest first."""
        caller = caller_of(request)
        knobs = self.service.knobs
        self.service.limit_queries(caller, "list", knobs.queries_per_second)
        query = request.query_params
        page = _number(query, "page_no", 1)
        size = _number(query, "page_size", _PAGE_SIZE)
        if size > knobs.page_size_max:
            raise Refusal("InvalidParameter", f"page_size must be at most {knobs.page_size_max}.")
        wanted = _Filter.read(query, self.service.now())
        tasks = [task for task in self.tasks.of_account(caller.account) if wanted.takes(task)]
        shown = tasks[(page - 1) * size : page * size]
        return JSONResponse(
            {
                "request_id": request_id_of(request),
                "data": [listed(task, knobs.region) for task in shown],
                "page_no": page,
                "page_size": size,
                "total_page": math.ceil(len(tasks) / size),
                "total": len(tasks),
            }
        )

    async def cancel(self, request: Request) -> Response:
        """`POST /api/v1/tasks/{id}/cancel`: only while PENDING."""
        caller = caller_of(request)
        self.service.limit_queries(caller, "cancel", self.service.knobs.queries_per_second)
        task = self.tasks.find(request.path_params["task_id"], caller.account)
        if task is None or not self.tasks.cancel(task):
            raise Refusal(
                "UnsupportedOperation",
                "Failed to cancel the task, please confirm if the task is in PENDING status.",
            )
        return JSONResponse({"request_id": request_id_of(request)})


@dataclass(frozen=True, kw_only=True)
class _Filter:
    """Which tasks a list is asked for."""

    start: datetime
    end: datetime
    task_id: str | None
    model: str | None
    state: TaskState | None

    @classmethod
    def read(cls, query: QueryParams, now: datetime) -> "_Filter":
        """Contract 5.2: a missing end of the span is 24 h from the other, both missing the last 24 h.

        Raises:
            Refusal: a value is not of its form, or the span is longer than 24 h.
        """
        start, end = _moment(query, "start_time"), _moment(query, "end_time")
        if start is None and end is None:
            # Dates in a query have no fractions; what was submitted this very second is in.
            end = now + timedelta(seconds=1)
        end = end if end is not None else (start or now) + _DAY
        start = start if start is not None else end - _DAY
        if not timedelta(0) <= end - start <= _DAY:
            raise Refusal(
                "InvalidParameter", "The span from start_time to end_time must be within 24 hours."
            )
        status = query.get("status")
        if status is not None and status not in set(TaskState):
            raise Refusal("InvalidParameter", f"status must be one of: {', '.join(TaskState)}.")
        return cls(
            start=start,
            end=end,
            task_id=query.get("task_id"),
            model=query.get("model_name"),
            state=TaskState(status) if status is not None else None,
        )

    def takes(self, task: Task) -> bool:
        """Whether a task is wanted."""
        return (
            self.start <= task.submitted.replace(microsecond=0)
            and task.submitted.replace(microsecond=0) <= self.end
            and (self.task_id is None or task.task_id == self.task_id)
            and (self.model is None or task.order.model.name == self.model)
            and (self.state is None or task.state is self.state)
        )


def _number(query: QueryParams, name: str, default: int) -> int:
    written = query.get(name)
    if written is None:
        return default
    if not written.isdecimal() or int(written) < 1:
        raise Refusal("InvalidParameter", f"{name} must be a positive number.")
    return int(written)


def _moment(query: QueryParams, name: str) -> datetime | None:
    written = query.get(name)
    if written is None:
        return None
    try:
        return parse_list_time(written)
    except ValueError as error:
        raise Refusal("InvalidParameter", f"{name} must be of the form YYYYMMDDhhmmss.") from error

"""Tasks from their submit to their end: queued, worked on, ended, forgotten."""

import math
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

from asrwatch.sandbox.bill import Outcome, Work
from asrwatch.sandbox.failures import DOWNLOAD_CODES, forced
from asrwatch.sandbox.filetrans import Order, audio_result, qwen_result, speech_milliseconds
from asrwatch.sandbox.knobs import SilentTask
from asrwatch.sandbox.media import Unreachable, source_name
from asrwatch.sandbox.recogniser import Listening, TooLong, Unreadable
from asrwatch.sandbox.service import Caller, Service
from asrwatch.sandbox.sync import billed_seconds

__all__ = ["Task", "TaskState", "Tasks"]

_MILLISECONDS: Final = 1000


class TaskState(StrEnum):
    """The documented states (contract 4.2)."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELED = "CANCELED"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, kw_only=True)
class Task:
    """One task.

    Args:
        task_id, request_id: as answered to the submit.
        caller: who submitted it.
        order: what was asked.
        work: its line of the bill.
        submitted, scheduled, ended: when; None until then.
        state: the state now.
        code: why it failed.
        result_url: of the result file, whole.
        seconds: billed.
    """

    task_id: str
    request_id: str
    caller: Caller
    order: Order
    work: Work
    submitted: datetime
    scheduled: datetime | None = None
    ended: datetime | None = None
    state: TaskState = TaskState.PENDING
    code: str = ""
    result_url: str = ""
    seconds: int = 0


class _Failed(Exception):
    """The task cannot end well."""

    def __init__(self, code: str, sha256: str = "") -> None:
        super().__init__(code)
        self.code = code
        self.sha256 = sha256


@dataclass(kw_only=True)
class Tasks:
    """All tasks of one service."""

    service: Service
    _tasks: dict[str, Task] = field(default_factory=dict)

    def submit(self, order: Order, caller: Caller, request_id: str) -> Task:
        """Accept an order: from here on it is billed work."""
        service = self.service
        task_id = str(uuid.uuid4())
        now = service.now()
        work = service.bill.write(
            model=order.model.name,
            account=caller.account,
            key=caller.key,
            at=now,
            request_id=request_id,
            source=order.url,
            sha256=service.media.known_sha256(order.url),
            task_id=task_id,
        )
        task = Task(
            task_id=task_id,
            request_id=request_id,
            caller=caller,
            order=order,
            work=work,
            submitted=now,
        )
        self._tasks[task_id] = task
        service.spawn(self._run(task_id))
        return task

    def find(self, task_id: str, account: str) -> Task | None:
        """A task of this account that is not forgotten yet (contract 4.2: else it is UNKNOWN)."""
        task = self._tasks.get(task_id)
        if task is None or task.caller.account != account or self._forgotten(task):
            return None
        return task

    def of_account(self, account: str) -> Iterable[Task]:
        """All tasks of an account that are not forgotten, newest first."""
        return [
            task
            for task in reversed(self._tasks.values())
            if task.caller.account == account and not self._forgotten(task)
        ]

    def cancel(self, task: Task) -> bool:
        """Cancel a task if it is still PENDING (contract 5.3)."""
        if task.state is not TaskState.PENDING:
            return False
        self._tasks[task.task_id] = replace(
            task, state=TaskState.CANCELED, ended=self.service.now()
        )
        self.service.bill.settle(task.work, Outcome.CANCELED)
        return True

    def _forgotten(self, task: Task) -> bool:
        return (
            task.ended is not None
            and self.service.now() >= task.ended + self.service.knobs.forget_after
        )

    async def _run(self, task_id: str) -> None:
        service = self.service
        await service.wait("queue_time")
        task = self._tasks[task_id]
        if task.state is not TaskState.PENDING:
            return
        task = replace(task, state=TaskState.RUNNING, scheduled=service.now())
        self._tasks[task_id] = task
        try:
            sha256, listening = await self._listen(task)
        except _Failed as failure:
            await service.wait("work_time")
            self._fail(task, failure)
        else:
            await service.wait("work_time")
            self._succeed(task, sha256, listening)

    async def _listen(self, task: Task) -> tuple[str, Listening]:
        service = self.service
        order = task.order
        code = forced(service.knobs.task_failures, source_name(order.url), order.url)
        if code is not None:
            raise _Failed(code)
        if order.doomed:
            raise _Failed("InvalidParameter")
        sha256 = ""
        try:
            async with service.media.opened(
                order.url,
                model=order.model.name,
                account=task.caller.account,
                largest=order.model.largest_file,
            ) as sound:
                sha256 = sound.sha256
                code = forced(service.knobs.task_failures, sha256)
                if code is not None:
                    raise _Failed(code, sha256)
                listening = await service.listen(
                    sound, channels=order.channels, longest=order.model.longest
                )
        except Unreachable as problem:
            raise _Failed(DOWNLOAD_CODES[problem.why], sha256) from problem
        except TooLong as problem:
            raise _Failed("AUDIO_DURATION_TOO_LONG", sha256) from problem
        except Unreadable as problem:
            raise _Failed("DECODE_ERROR", sha256) from problem
        if not listening.text and service.knobs.silent_task is not SilentTask.EMPTY_RESULT:
            raise _Failed(service.knobs.silent_task.value, sha256)
        return sha256, listening

    def _succeed(self, task: Task, sha256: str, listening: Listening) -> None:
        service = self.service
        many = task.order.many
        result = (audio_result if many else qwen_result)(task.order, listening)
        now = service.now()
        link = service.results.publish(result, now=now, life=service.knobs.result_life)
        seconds = _billed(task.order, listening)
        self._tasks[task.task_id] = replace(
            task,
            state=TaskState.SUCCEEDED,
            ended=now,
            result_url=f"{service.url}{link}",
            seconds=seconds,
        )
        service.bill.settle(task.work, Outcome.BILLED, seconds=seconds, sha256=sha256)

    def _fail(self, task: Task, failure: _Failed) -> None:
        self._tasks[task.task_id] = replace(
            task, state=TaskState.FAILED, ended=self.service.now(), code=failure.code
        )
        self.service.bill.settle(
            task.work, Outcome.FAILED, sha256=failure.sha256, code=failure.code
        )


def _billed(order: Order, listening: Listening) -> int:
    """Qwen3 bills all audio of each channel, the other family only the speech (contract 3, 4.1)."""
    if order.many:
        speech = sum(speech_milliseconds(track) for track in listening.tracks)
        return math.ceil(speech / _MILLISECONDS)
    return billed_seconds(listening.duration) * len(order.channels)

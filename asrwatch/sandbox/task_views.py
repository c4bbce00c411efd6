"""Tasks as the service shows them: the poll's answer and the list's rows (contract 4.2, 4.4, 5.2)."""

from typing import Final

from asrwatch.sandbox.bodies import JsonObject
from asrwatch.sandbox.clock import epoch_ms, poll_time
from asrwatch.sandbox.knobs import SilentTask
from asrwatch.sandbox.models import REGION_IDS, Region
from asrwatch.sandbox.tasks import Task, TaskState

__all__ = ["listed", "polled", "submitted", "unknown"]

_API_KEY_ID: Final = "100001"
# Contract 4.4: for silence the task itself is FAILED.
_SILENT: Final = frozenset({SilentTask.NO_VALID_FRAGMENT, SilentTask.NO_WORDS})


def submitted(task: Task) -> JsonObject:
    """The answer to a submit."""
    return {
        "request_id": task.request_id,
        "output": {"task_id": task.task_id, "task_status": TaskState.PENDING.value},
    }


def unknown(task_id: str, request_id: str) -> JsonObject:
    """A task that does not exist, is forgotten or belongs to somebody else: HTTP 200."""
    return {
        "request_id": request_id,
        "output": {"task_id": task_id, "task_status": TaskState.UNKNOWN.value},
    }


def polled(task: Task, request_id: str, *, failed_subtask_succeeds: bool) -> JsonObject:
    """The answer to a poll."""
    output: JsonObject = {"task_id": task.task_id, "task_status": task.state.value}
    output["submit_time"] = poll_time(task.submitted)
    if task.scheduled is not None:
        output["scheduled_time"] = poll_time(task.scheduled)
    if task.ended is not None:
        output["end_time"] = poll_time(task.ended)
    answer: JsonObject = {"request_id": request_id, "output": output}
    if task.order.many:
        _show_results(task, answer, failed_subtask_succeeds=failed_subtask_succeeds)
    else:
        _show_result(task, answer)
    return answer


def _show_result(task: Task, answer: JsonObject) -> None:
    """Contract 4.2: metrics only while it runs, usage only when it succeeded."""
    output = answer["output"]
    match task.state:
        case TaskState.PENDING | TaskState.RUNNING:
            output["task_metrics"] = {"TOTAL": 1, "SUCCEEDED": 0, "FAILED": 0}
        case TaskState.SUCCEEDED:
            output["result"] = {"transcription_url": task.result_url}
            answer["usage"] = {"seconds": task.seconds}
        case TaskState.FAILED:
            output["code"] = task.code
            output["message"] = task.code
        case TaskState.CANCELED | TaskState.UNKNOWN:
            pass


def _show_results(task: Task, answer: JsonObject, *, failed_subtask_succeeds: bool) -> None:
    """Contract 4.4: one item per file, whose own status and code count."""
    output = answer["output"]
    succeeded = int(task.state is TaskState.SUCCEEDED)
    failed = int(task.state is TaskState.FAILED)
    output["task_metrics"] = {"TOTAL": 1, "SUCCEEDED": succeeded, "FAILED": failed}
    item: JsonObject = {"file_url": task.order.url, "subtask_status": task.state.value}
    if succeeded:
        item["transcription_url"] = task.result_url
        answer["usage"] = {"duration": task.seconds}
    elif failed:
        item["code"] = task.code
        item["message"] = task.code
        if failed_subtask_succeeds and not task.order.doomed and task.code not in _SILENT:
            output["task_status"] = TaskState.SUCCEEDED.value
            answer["usage"] = {"duration": 0}
        else:
            output["code"] = task.code
            output["message"] = task.code
    if succeeded or failed:
        output["results"] = [item]


def listed(task: Task, region: Region) -> JsonObject:
    """One row of the list: epoch milliseconds, no result URL."""
    row: JsonObject = {
        "task_id": task.task_id,
        "request_id": task.request_id,
        "status": task.state.value,
        "model_name": task.order.model.name,
        "region": REGION_IDS[region],
        "api_key_id": _API_KEY_ID,
        "caller_parent_id": task.caller.account,
        "caller_uid": task.caller.account,
        "gmt_create": epoch_ms(task.submitted),
        "user_api_unique_key": f"apikey:v1:audio:asr:transcription:{task.order.model.name}",
    }
    if task.scheduled is not None:
        row["start_time"] = epoch_ms(task.scheduled)
    if task.ended is not None:
        row["end_time"] = epoch_ms(task.ended)
    return row

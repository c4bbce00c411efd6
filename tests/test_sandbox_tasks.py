import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sandbox_helpers import (
    FILETRANS,
    RESOLVE,
    URL,
    Customer,
    customer,
    many_body,
    order_body,
    sandbox,
)

from asrwatch.sandbox import Knobs, Said, Sandbox, Scripted, SilentTask

__all__ = ["customer", "sandbox"]

HOUR = timedelta(hours=1)
MOMENT = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}"


@pytest.fixture
def waiting() -> Iterator[Customer]:
    """Somebody whose tasks stay PENDING until the knob is turned."""
    with Sandbox(recogniser=Scripted(), knobs=Knobs(rate_limits=False, queue_time=HOUR)) as running:
        yield Customer(sandbox=running)


def go_on(customer: Customer) -> None:
    """Let tasks pass the queue."""
    customer.sandbox.knobs = replace(customer.sandbox.knobs, queue_time=timedelta(0))


def age(customer: Customer, span: timedelta) -> None:
    """Let that much time pass."""
    knobs = customer.sandbox.knobs
    customer.sandbox.knobs = replace(knobs, clock_offset=knobs.clock_offset + span)


def test_a_task_from_submit_to_result(waiting: Customer) -> None:
    """A task is PENDING, RUNNING, SUCCEEDED, each shown as documented, and its result is a plain GET away."""
    waiting.sandbox.knobs = replace(waiting.sandbox.knobs, work_time=HOUR)
    answer = waiting.submit().json()
    task_id = answer["output"]["task_id"]
    assert answer["output"] == {"task_id": task_id, "task_status": "PENDING"}

    pending = waiting.poll(task_id)["output"]
    assert set(pending) == {"task_id", "task_status", "submit_time", "task_metrics"}
    go_on(waiting)
    running = waiting.until(task_id, {"RUNNING"})
    assert running["output"]["task_metrics"] == {"TOTAL": 1, "SUCCEEDED": 0, "FAILED": 0}
    assert re.fullmatch(MOMENT, running["output"]["scheduled_time"])
    assert "usage" not in running
    waiting.sandbox.knobs = replace(waiting.sandbox.knobs, work_time=timedelta(0))
    done = waiting.finished(task_id)
    output = done["output"]
    assert set(output) == {
        *("task_id", "task_status", "submit_time", "scheduled_time", "end_time", "result"),
    }
    assert done["usage"] == {"seconds": 3}
    url = output["result"]["transcription_url"]
    assert url.startswith("http://127.0.0.1:")
    assert "%3A" in url
    assert waiting.result(done) == {
        "file_url": URL,
        "audio_info": {"format": "wav", "sample_rate": 16000},
        "transcripts": [
            {
                "channel_id": 0,
                "text": "Hello world.",
                "sentences": [
                    {
                        "sentence_id": 0,
                        "begin_time": 0,
                        "end_time": 3000,
                        "language": "en",
                        "emotion": "neutral",
                        "text": "Hello world.",
                    }
                ],
            }
        ],
    }


def test_times_are_china_time(customer: Customer) -> None:
    """The times of a poll are eight hours ahead of UTC."""
    output = customer.finished(customer.submitted())["output"]
    shown = datetime.fromisoformat(output["submit_time"]).replace(tzinfo=UTC) - 8 * HOUR
    assert abs(datetime.now(UTC) - shown) < timedelta(seconds=30)


def test_words_only_if_asked_for(customer: Customer) -> None:
    """Words come with enable_words, in their sentence and in order."""
    body = order_body(parameters={"enable_words": True, "language": "de"})
    sentence = customer.result(customer.finished(customer.submitted(body)))["transcripts"][0][
        "sentences"
    ][0]
    assert [word["text"] for word in sentence["words"]] == ["Hello", " world"]
    assert [word["punctuation"] for word in sentence["words"]] == ["", "."]
    assert sentence["language"] == "de"


def test_each_channel_is_transcribed_and_billed() -> None:
    """Every channel asked for has a transcript and is paid for; one that is not there fails the task."""
    with Sandbox(
        recogniser=Scripted(otherwise=Said(text="Hi.", seconds=4, channels=2)),
        knobs=Knobs(rate_limits=False),
    ) as running:
        customer = Customer(sandbox=running)
        poll = customer.finished(customer.submitted(order_body(parameters={"channel_id": [0, 1]})))
        result = customer.result(poll)
        assert [track["channel_id"] for track in result["transcripts"]] == [0, 1]
        assert poll["usage"]["seconds"] == running.bill.seconds == 8
        poll = customer.finished(customer.submitted(order_body(parameters={"channel_id": [2]})))
        assert poll["output"]["task_status"] == "FAILED"


def test_the_other_dialect(customer: Customer) -> None:
    """The results[] dialect shows one item per file, numbers sentences from 1 and bills speech alone."""
    poll = customer.finished(customer.submitted(many_body()))
    (item,) = poll["output"]["results"]
    assert (item["file_url"], item["subtask_status"]) == (URL, "SUCCEEDED")
    assert poll["output"]["task_metrics"] == {"TOTAL": 1, "SUCCEEDED": 1, "FAILED": 0}
    assert poll["usage"] == {"duration": 3}
    result = customer.result(poll)
    assert result["properties"]["original_duration_in_milliseconds"] == 3000
    sentence = result["transcripts"][0]["sentences"][0]
    assert sentence["sentence_id"] == 1
    assert [word["text"] for word in sentence["words"]] == ["Hello", "world"]


@pytest.mark.parametrize("succeeds", [True, False])
def test_failed_subtask(customer: Customer, succeeds: bool) -> None:
    """A task whose only file failed may read SUCCEEDED; the item tells the truth."""
    customer.sandbox.knobs = replace(
        customer.sandbox.knobs,
        failed_subtask_succeeds=succeeds,
        task_failures={"welcome.mp3": "InvalidFile.DownloadFailed"},
    )
    output = customer.finished(customer.submitted(many_body()))["output"]
    assert output["task_status"] == ("SUCCEEDED" if succeeds else "FAILED")
    (item,) = output["results"]
    assert item["subtask_status"] == "FAILED"
    assert item["code"] == "InvalidFile.DownloadFailed"
    assert "transcription_url" not in item
    assert not customer.sandbox.bill.paid


@pytest.mark.parametrize("later", [True, False])
def test_missing_parameters_of_the_other_dialect(customer: Customer, later: bool) -> None:
    """Without parameters that dialect accepts the task and fails it, or refuses it at once."""
    customer.sandbox.knobs = replace(customer.sandbox.knobs, drop_parameters_fails=later)
    body = {name: value for name, value in many_body().items() if name != "parameters"}
    answer = customer.submit(body)
    if later:
        output = customer.finished(answer.json()["output"]["task_id"])["output"]
        assert output["task_status"] == "FAILED"
    else:
        assert answer.json()["code"] == "BadRequest.EmptyParameters"


def test_forced_failure_shows_its_code(customer: Customer) -> None:
    """A failed task is HTTP 200 with code and message in its output, and neither result nor usage."""
    customer.sandbox.knobs = replace(
        customer.sandbox.knobs, task_failures={"*.mp3": "FILE_403_FORBIDDEN"}
    )
    poll = customer.finished(customer.submitted())
    assert poll["output"]["code"] == poll["output"]["message"] == "FILE_403_FORBIDDEN"
    assert "result" not in poll["output"]
    assert "usage" not in poll


@pytest.mark.parametrize("how", list(SilentTask))
def test_silence(how: SilentTask) -> None:
    """Silence ends a task as the knob says: with one of two codes, or with an empty result."""
    with Sandbox(
        recogniser=Scripted(otherwise=""), knobs=Knobs(rate_limits=False, silent_task=how)
    ) as running:
        customer = Customer(sandbox=running)
        poll = customer.finished(customer.submitted())
        if how is SilentTask.EMPTY_RESULT:
            assert customer.result(poll)["transcripts"] == [
                {"channel_id": 0, "text": "", "sentences": []}
            ]
        else:
            assert poll["output"]["code"] == how.value
            other = customer.finished(customer.submitted(many_body()))["output"]
            assert other["task_status"] == "FAILED"
            assert other["results"][0]["code"] == how.value


def test_unknown_task(customer: Customer) -> None:
    """An id that never was, and one of another account, are UNKNOWN with HTTP 200."""
    assert customer.poll("no-such-task")["output"] == {
        "task_id": "no-such-task",
        "task_status": "UNKNOWN",
    }
    task_id = customer.submitted()
    keys = {customer.sandbox.key: "1", "sk-other": "2"}
    customer.sandbox.knobs = replace(customer.sandbox.knobs, keys=keys)
    other = Customer(sandbox=customer.sandbox, key="sk-other")
    assert other.poll(task_id)["output"]["task_status"] == "UNKNOWN"
    assert other.send("GET", "/api/v1/tasks/").json()["total"] == 0


def test_forgotten_after_a_day(waiting: Customer) -> None:
    """A task is UNKNOWN 24 h after it ended, its link dead; while it waits, it is not forgotten."""
    task_id = waiting.submitted()
    age(waiting, 30 * HOUR)
    assert waiting.poll(task_id)["output"]["task_status"] == "PENDING"
    go_on(waiting)
    url = waiting.finished(task_id)["output"]["result"]["transcription_url"]
    age(waiting, 23 * HOUR)
    assert waiting.poll(task_id)["output"]["task_status"] == "SUCCEEDED"
    assert waiting.send("GET", url, key="").status_code == 200
    age(waiting, HOUR)
    assert waiting.poll(task_id)["output"]["task_status"] == "UNKNOWN"
    answer = waiting.send("GET", url, key="")
    assert answer.status_code == 403
    assert "<Message>Request has expired.</Message>" in answer.text


def test_result_link_and_the_key(customer: Customer) -> None:
    """A result link needs no key, is broken by one, and by any change to it."""
    poll = customer.finished(customer.submitted())
    url = poll["output"]["result"]["transcription_url"]
    for broken in (
        customer.send("GET", url),
        customer.send("GET", url.replace("Expires=", "Expires=9"), key=""),
        customer.send("GET", url.replace("-1.json", "-2.json"), key=""),
    ):
        assert broken.status_code == 403
        assert "<Code>SignatureDoesNotMatch</Code>" in broken.text
    assert customer.send("GET", url.partition("?")[0], key="").status_code == 403
    assert customer.result(poll)["file_url"] == URL


def test_cancel(waiting: Customer) -> None:
    """A PENDING task can be cancelled and costs nothing; any other cannot."""
    task_id = waiting.submitted()
    answer = waiting.send("POST", f"/api/v1/tasks/{task_id}/cancel")
    assert (answer.status_code, set(answer.json())) == (200, {"request_id"})
    assert waiting.poll(task_id)["output"]["task_status"] == "CANCELED"
    assert not waiting.sandbox.bill.paid
    go_on(waiting)
    for other in (task_id, waiting.submitted(), "no-such-task"):
        waiting.finished(other)
        answer = waiting.send("POST", f"/api/v1/tasks/{other}/cancel")
        assert answer.status_code == 400
        assert answer.json()["code"] == "UnsupportedOperation"
    assert len(waiting.sandbox.bill.paid) == 1


def listed(customer: Customer, **query: str) -> dict[str, Any]:
    """One page of the list."""
    answer = customer.send("GET", "/api/v1/tasks/", params=query)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def test_list_pages(waiting: Customer) -> None:
    """Pages together hold every task once, newest first, with totals."""
    ids = [waiting.submitted() for _ in range(12)]
    first = listed(waiting)
    assert [first[name] for name in ("page_no", "page_size", "total", "total_page")] == [
        1,
        10,
        12,
        2,
    ]
    second = listed(waiting, page_no="2")
    rows = first["data"] + second["data"]
    assert [row["task_id"] for row in rows] == ids[::-1]
    assert listed(waiting, page_no="3")["data"] == []
    assert len(listed(waiting, page_size="100")["data"]) == 12
    assert waiting.send("GET", "/api/v1/tasks").json()["total"] == 12


def test_list_row(waiting: Customer) -> None:
    """A row holds epoch milliseconds and no result; the end is absent while the task is not over."""
    task_id = waiting.submitted()
    (row,) = listed(waiting)["data"]
    shown = [row[name] for name in ("status", "model_name", "region")]
    assert shown == ["PENDING", FILETRANS, "cn-beijing"]
    assert abs(row["gmt_create"] / 1000 - datetime.now(UTC).timestamp()) < 30
    assert "end_time" not in row
    go_on(waiting)
    waiting.finished(task_id)
    (row,) = listed(waiting)["data"]
    assert row["end_time"] >= row["start_time"] >= row["gmt_create"]
    assert "transcription_url" not in str(row)


def test_list_filters(waiting: Customer) -> None:
    """Tasks can be listed by id, model, status and span of at most 24 h."""
    old = waiting.submitted()
    age(waiting, 2 * HOUR)
    new = waiting.submitted(many_body())
    assert [row["task_id"] for row in listed(waiting, task_id=old)["data"]] == [old]
    assert [row["task_id"] for row in listed(waiting, model_name=FILETRANS)["data"]] == [old]
    assert listed(waiting, status="SUCCEEDED")["total"] == 0
    assert listed(waiting, status="PENDING")["total"] == 2
    hour_ago = datetime.now(UTC) + 9 * HOUR
    since = {"start_time": f"{hour_ago:%Y%m%d%H%M%S}"}
    assert [row["task_id"] for row in listed(waiting, **since)["data"]] == [new]
    until = {"end_time": f"{hour_ago:%Y%m%d%H%M%S}"}
    assert [row["task_id"] for row in listed(waiting, **until)["data"]] == [old]
    age(waiting, 23 * HOUR)
    assert [row["task_id"] for row in listed(waiting)["data"]] == [new]


@pytest.mark.parametrize(
    "query",
    [
        {"page_no": "0"},
        {"page_size": "x"},
        {"page_size": "101"},
        {"status": "DONE"},
        {"start_time": "2026-11-22"},
        {"start_time": "20261121000000", "end_time": "20261122000001"},
        {"start_time": "20261122000000", "end_time": "20261121000000"},
    ],
)
def test_list_refuses(customer: Customer, query: dict[str, str]) -> None:
    """A value that is not of its form, a page too large and a span too long are 400."""
    answer = customer.send("GET", "/api/v1/tasks/", params=query)
    assert (answer.status_code, answer.json()["code"]) == (400, "InvalidParameter")


def test_uploaded_file(customer: Customer) -> None:
    """A task takes an uploaded object by its oss:// URL, which comes back in the result."""
    url = customer.upload(b"audio", FILETRANS)
    poll = customer.finished(customer.submitted(order_body(url), headers=RESOLVE))
    assert customer.result(poll)["file_url"] == url

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
import requests
from sandbox_helpers import (
    FILETRANS,
    RESOLVE,
    SYNC,
    URL,
    Customer,
    chat_body,
    customer,
    data_uri,
    order_body,
    sandbox,
    sha256,
)

from asrwatch.sandbox import Knobs, Outcome, Said, Sandbox, Scripted

__all__ = ["customer", "sandbox"]


@pytest.fixture
def speaker() -> Iterator[Customer]:
    """Somebody with a recording of 90.2 s and one that cannot be read."""
    script = {
        sha256(b"talk"): Said(text="Talk.", seconds=90.2),
        sha256(b"bad"): Said(unreadable=True),
    }
    with Sandbox(recogniser=Scripted(script), knobs=Knobs(rate_limits=False)) as running:
        yield Customer(sandbox=running)


def test_sync_line(speaker: Customer) -> None:
    """A synchronous answer is one line: model, account, content, seconds, request."""
    answer = speaker.generate(
        {
            "model": SYNC,
            "input": {"messages": [{"role": "user", "content": [{"audio": data_uri(b"talk")}]}]},
        }
    )
    (line,) = speaker.sandbox.bill
    assert (line.model, line.source, line.sha256) == (SYNC, "data:", sha256(b"talk"))
    assert (line.seconds, line.outcome, line.task_id) == (91, Outcome.BILLED, "")
    assert line.request_id == answer.json()["request_id"]
    assert line.key == speaker.sandbox.key
    assert line.account == speaker.sandbox.knobs.keys[line.key]


def test_task_line_from_submit_on(speaker: Customer) -> None:
    """A task is on the bill from its submit, its content known where it was uploaded, its seconds at its end."""
    sandbox = speaker.sandbox
    sandbox.knobs = replace(sandbox.knobs, queue_time=timedelta(hours=1))
    url = speaker.upload(b"talk", FILETRANS)
    task_id = speaker.submitted(order_body(url), headers=RESOLVE)
    (line,) = sandbox.bill.paid
    assert (line.task_id, line.source, line.sha256) == (task_id, url, sha256(b"talk"))
    assert (line.outcome, line.seconds) == (Outcome.ACCEPTED, 0)
    sandbox.knobs = replace(sandbox.knobs, queue_time=timedelta(0))
    speaker.finished(task_id)
    (line,) = sandbox.bill
    assert (line.outcome, line.seconds) == (Outcome.BILLED, 91)


def test_paid_twice(speaker: Customer) -> None:
    """The same audio twice is two lines, however it came, and the bill says so."""
    bill = speaker.sandbox.bill
    speaker.chat(chat_body(data_uri(b"talk")))
    assert not bill.paid_twice
    speaker.finished(
        speaker.submitted(order_body(speaker.upload(b"talk", FILETRANS)), headers=RESOLVE)
    )
    assert bill.paid_twice == (sha256(b"talk"),)
    assert bill.times_paid(sha256(b"talk")) == 2
    assert bill.seconds == 182


def test_what_fails_is_an_attempt(speaker: Customer) -> None:
    """Recordings that cannot be recognised are attempts and cost nothing."""
    bill = speaker.sandbox.bill
    speaker.chat(chat_body(data_uri(b"bad")))
    url = speaker.upload(b"bad", FILETRANS)
    speaker.finished(speaker.submitted(order_body(url), headers=RESOLVE))
    assert bill.paid == ()
    assert bill.seconds == 0
    assert [(line.sha256, line.code) for line in bill.attempts] == [
        (sha256(b"bad"), "InvalidParameter"),
        (sha256(b"bad"), "DECODE_ERROR"),
    ]


def test_what_is_refused_is_not_there(speaker: Customer) -> None:
    """Requests that are refused before any work are not on the bill at all."""
    speaker.chat(key="sk-wrong")
    speaker.chat({"model": "none"})
    speaker.chat(chat_body(stream_options={}))
    speaker.submit({"model": FILETRANS, "input": {}})
    speaker.send("POST", "/nowhere")
    assert len(speaker.sandbox.bill) == 0
    assert len(speaker.sandbox.requests) == 5


def test_client_that_gives_up_has_paid(speaker: Customer) -> None:
    """Who hangs up while waiting for the answer has paid for it."""
    sandbox = speaker.sandbox
    sandbox.knobs = replace(sandbox.knobs, latency=timedelta(hours=1))
    with pytest.raises(requests.exceptions.ReadTimeout):
        requests.post(
            f"{sandbox.url}/compatible-mode/v1/chat/completions",
            json=chat_body(data_uri(b"talk")),
            headers={"Authorization": f"Bearer {sandbox.key}"},
            timeout=0.5,
        )
    assert [line.outcome for line in sandbox.bill] == [Outcome.BILLED]


def test_parallel_requests_are_all_there(sandbox: Sandbox, customer: Customer) -> None:
    """Requests at the same time are each one line, numbered without a gap."""
    threads = [
        threading.Thread(target=customer.chat, args=(chat_body(data_uri(bytes([number]))),))
        for number in range(24)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [line.number for line in sandbox.bill] == list(range(1, 25))
    assert {line.sha256 for line in sandbox.bill} == {sha256(bytes([n])) for n in range(24)}


def test_bill_over_http(sandbox: Sandbox, customer: Customer) -> None:
    """The bill can be read without a key by whoever is on this machine, and does not show one."""
    customer.chat()
    answer = customer.send("GET", "/sandbox/bill", key="")
    body = answer.json()
    assert (body["paid"], body["seconds"], body["paid_twice"]) == (1, 3, [])
    assert body["lines"][0]["source"] == URL
    assert sandbox.key not in answer.text


def test_requests_are_logged_without_the_key(sandbox: Sandbox, customer: Customer) -> None:
    """Every request is written down, its body's size and its answer's status with it, never the key."""
    customer.chat(headers={"X-Thing": "1"})
    customer.send("GET", "/api/v1/tasks/?page_no=0", key="sk-wrong")
    first, second = sandbox.requests
    assert (first.method, first.path, first.route) == (
        *("POST", "/compatible-mode/v1/chat/completions", "chat"),
    )
    assert first.headers["x-thing"] == "1"
    assert first.headers["authorization"] == "***"
    assert first.size == int(first.headers["content-length"])
    assert (first.status, first.account) == (200, sandbox.knobs.keys[sandbox.key])
    assert (second.status, second.account, second.query) == (401, "", "page_no=0")
    assert sandbox.key not in customer.send("GET", "/sandbox/requests", key="").text
    assert sandbox.key not in repr(sandbox.requests)

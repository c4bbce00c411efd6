from datetime import timedelta
from itertools import islice

import pytest
import requests
from sandbox_helpers import Customer, customer, order_body, post_form, sandbox

from asrwatch.sandbox import Fault, Route, Sandbox, Wire

__all__ = ["customer", "sandbox"]


@pytest.mark.parametrize("after_work", [False, True])
@pytest.mark.parametrize("route", [Route.CHAT, Route.TRANSCRIPTION])
def test_hang_up(sandbox: Sandbox, customer: Customer, route: Route, after_work: bool) -> None:
    """The connection closes without an answer, before or after the work is on the bill."""
    sandbox.fault(Fault(what=Wire.HANG_UP, route=route, after_work=after_work))
    with pytest.raises(requests.exceptions.ConnectionError):
        customer.chat() if route is Route.CHAT else customer.submit()
    assert len(sandbox.bill.paid) == after_work
    assert (sandbox.requests[-1].status, sandbox.requests[-1].fault) == (None, Wire.HANG_UP)
    assert sandbox.requests[-1].size > 0


def test_by_count_and_by_route(sandbox: Sandbox, customer: Customer) -> None:
    """A fault strikes as often as it says, on its route only, and can be cleared."""
    sandbox.fault(Fault(what=Wire.BAD_GATEWAY, route=Route.TRANSCRIPTION, times=2))
    assert customer.chat().status_code == 200
    assert [customer.submit().status_code for _ in range(3)] == [502, 502, 200]
    assert len(sandbox.bill) == 2
    sandbox.fault(Fault(what=Wire.BAD_GATEWAY, times=None))
    assert [customer.chat().status_code for _ in range(3)] == [502, 502, 502]
    assert sandbox.faults.armed
    sandbox.faults.clear()
    assert customer.chat().status_code == 200


def test_reset(sandbox: Sandbox, customer: Customer) -> None:
    """The connection can break as soon as the headers are there, in the middle of a large body."""
    sandbox.fault(Fault(what=Wire.RESET, route=Route.CHAT))
    with pytest.raises(requests.exceptions.ConnectionError):
        customer.chat({"model": "x", "fill": "x" * 8_000_000})
    assert sandbox.requests[-1].fault is Wire.RESET
    assert not sandbox.bill.lines


@pytest.mark.parametrize("after_work", [False, True])
def test_html(sandbox: Sandbox, customer: Customer, after_work: bool) -> None:
    """A proxy can answer in HTML: a 502, or a 200 that is a log-in page."""
    sandbox.fault(Fault(what=Wire.BAD_GATEWAY, after_work=after_work))
    sandbox.fault(Fault(what=Wire.NOT_JSON, after_work=after_work))
    for status in (502, 200):
        answer = customer.chat()
        assert answer.status_code == status
        assert answer.text.startswith("<html>")
    assert len(sandbox.bill.paid) == 2 * after_work


def test_redirect(sandbox: Sandbox, customer: Customer) -> None:
    """A 307 points to the same place, so that who follows it asks twice."""
    sandbox.fault(Fault(what=Wire.REDIRECT, after_work=True))
    answer = customer.chat()
    assert answer.status_code == 307
    assert answer.headers["location"] == "/compatible-mode/v1/chat/completions"
    customer.post(answer.headers["location"], answer.request.body and {"model": "x"})
    assert [seen.status for seen in sandbox.requests] == [307, 404]


def test_endless_and_huge(sandbox: Sandbox, customer: Customer) -> None:
    """An answer can be as long as one likes, or never end; who stops reading is let go."""
    sandbox.fault(Fault(what=Wire.HUGE, size=3_000_000))
    sandbox.fault(Fault(what=Wire.ENDLESS))
    headers = {"Authorization": f"Bearer {sandbox.key}"}
    url = f"{sandbox.url}/api/v1/tasks/x"
    assert len(requests.get(url, headers=headers, timeout=20).content) == 3_000_000
    with requests.get(url, headers=headers, timeout=20, stream=True) as answer:
        read = sum(len(chunk) for chunk in islice(answer.iter_content(65536), 200))
    assert read > 5_000_000
    assert customer.poll("x")["output"]["task_status"] == "UNKNOWN"


def test_slow_and_trickling(sandbox: Sandbox, customer: Customer) -> None:
    """The real answer can come late, or a byte at a time."""
    sandbox.fault(Fault(what=Wire.SLOW, span=timedelta(milliseconds=200)))
    sandbox.fault(Fault(what=Wire.TRICKLE, span=timedelta(milliseconds=1)))
    answer = customer.chat()
    assert answer.elapsed > timedelta(milliseconds=200)
    assert customer.chat().json()["choices"] == answer.json()["choices"]
    assert len(sandbox.bill.paid) == 2


def test_truncated(sandbox: Sandbox, customer: Customer) -> None:
    """The connection can close in the middle of the real answer, which is then paid for."""
    sandbox.fault(Fault(what=Wire.TRUNCATED))
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        customer.chat()
    assert len(sandbox.bill.paid) == 1


def test_refusal(sandbox: Sandbox, customer: Customer) -> None:
    """Any documented error can be answered, in the path's envelope."""
    sandbox.fault(Fault(what=Wire.REFUSE, code="ModelServingError", times=2))
    assert customer.chat().json()["error"]["code"] == "ModelServingError"
    answer = customer.submit()
    assert (answer.status_code, answer.json()["code"]) == (503, "ModelServingError")
    sandbox.fault(Fault(what=Wire.REFUSE, code="Odd", status=418, message="teapot"))
    answer = customer.submit()
    assert (answer.status_code, answer.json()["message"]) == (418, "teapot")


def test_object_store_and_results_fail_too(sandbox: Sandbox, customer: Customer) -> None:
    """Faults also strike uploads and result files."""
    sandbox.fault(Fault(what=Wire.HANG_UP, route=Route.OSS_UPLOAD))
    with pytest.raises(requests.exceptions.ConnectionError):
        post_form(customer.policy(), b"audio")
    sandbox.fault(Fault(what=Wire.BAD_GATEWAY, route=Route.RESULT))
    poll = customer.finished(customer.submitted(order_body()))
    url = poll["output"]["result"]["transcription_url"]
    assert customer.send("GET", url, key="").status_code == 502
    assert customer.result(poll)["transcripts"]


def test_faults_and_knobs_over_http(sandbox: Sandbox, customer: Customer) -> None:
    """Another process arms faults and turns knobs without a key; what is malformed is refused."""
    armed = {"what": "refuse", "route": "tasks", "times": 1, "code": "SystemError"}
    answer = customer.post("/sandbox/faults", armed, key="")
    assert answer.json()[0]["code"] == "SystemError"
    assert customer.send("GET", "/api/v1/tasks").status_code == 500
    assert customer.send("GET", "/sandbox/faults", key="").json() == []
    customer.post("/sandbox/faults", armed, key="")
    assert customer.send("DELETE", "/sandbox/faults", key="").json() == []
    answer = customer.send("PATCH", "/sandbox/knobs", json={"queue_time": "90s"}, key="")
    assert answer.status_code == 200
    assert sandbox.knobs.queue_time == timedelta(seconds=90)
    assert sandbox.knobs.rate_limits is False
    assert customer.post("/sandbox/faults", {"what": "flood"}, key="").status_code == 400
    answer = customer.send("PATCH", "/sandbox/knobs", json={"queue_tim": "1s"}, key="")
    assert answer.status_code == 400
    shown = customer.send("GET", "/sandbox/knobs", key="")
    assert shown.json()["queue_time"] == "90s"
    assert sandbox.key not in shown.text

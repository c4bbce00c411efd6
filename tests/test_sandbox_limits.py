import time
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sandbox_helpers import SYNC, Customer, chat_body, customer, native_body, order_body, sandbox

from asrwatch.sandbox import Knobs, Sandbox
from asrwatch.sandbox.limits import Limit, Pace, per_second_of

__all__ = ["customer", "sandbox"]


def admitted(pace: Pace, moments: list[float], **limits: int) -> list[Limit | None]:
    """What becomes of requests at these moments."""
    return [pace.admit("key", moment, **limits) for moment in moments]


@given(st.lists(st.floats(0, 200), max_size=60), st.integers(1, 8), st.integers(1, 4))
def test_no_window_holds_more(moments: list[float], per_minute: int, per_second: int) -> None:
    """No minute and no second ever holds more requests than allowed, however they arrive."""
    pace = Pace()
    passed = [
        moment
        for moment in sorted(moments)
        if pace.admit("key", moment, per_minute=per_minute, per_second=per_second) is None
    ]
    for moment in passed:
        assert sum(moment <= other < moment + 59.9 for other in passed) <= per_minute
        assert sum(moment <= other < moment + 0.9 for other in passed) <= per_second


def test_steady_pace_is_never_refused() -> None:
    """A client that keeps the documented distance of 0.6 s is never refused."""
    moments = [number * 0.6 for number in range(500)]
    limits = {"per_minute": 100, "per_second": per_second_of(100)}
    assert set(admitted(Pace(), moments, **limits)) == {None}


def test_per_minute() -> None:
    """The request after the last one of the minute is refused, until the first one is a minute old."""
    pace = Pace()
    assert admitted(pace, [0, 1, 2], per_minute=2) == [None, None, Limit.RATE]
    assert admitted(pace, [59, 60.1, 60.2], per_minute=2) == [Limit.RATE, None, Limit.RATE]


def test_burst_may_double() -> None:
    """From idle only so many a second; then twice as many as in the second before."""
    pace = Pace()
    assert admitted(pace, [0, 0.1, 0.2], burst=2) == [None, None, Limit.BURST]
    assert admitted(pace, [1.1 + n / 100 for n in range(5)], burst=2) == [None] * 4 + [Limit.BURST]


def test_keys_are_counted_apart() -> None:
    """Each account and model has its own count."""
    pace = Pace()
    assert pace.admit("a", 0, per_second=1) is None
    assert pace.admit("b", 0, per_second=1) is None
    assert pace.admit("a", 0, per_second=1) is Limit.RATE


@pytest.fixture
def limited(sandbox: Sandbox) -> Sandbox:
    """A sandbox with three requests a minute."""
    sandbox.knobs = Knobs(requests_per_minute={SYNC: 3}, per_second=False)
    return sandbox


def test_429_in_both_dialects(limited: Sandbox, customer: Customer) -> None:
    """Over the limit both dialects answer 429 in their words, without Retry-After, and bill nothing."""
    for _ in range(3):
        assert customer.chat().status_code == 200
    chat, native = customer.chat(), customer.generate()
    assert (chat.status_code, native.status_code) == (429, 429)
    error = chat.json()["error"]
    assert error["type"] == error["code"] == "limit_requests"
    assert native.json()["code"] == "Throttling.RateQuota"
    assert "retry-after" not in chat.headers
    assert len(limited.bill) == 3


def test_retry_after_if_wanted(limited: Sandbox, customer: Customer) -> None:
    """Retry-After can be switched on."""
    limited.knobs = replace(limited.knobs, retry_after=timedelta(seconds=7))
    answers = [customer.chat() for _ in range(4)]
    assert answers[-1].headers["retry-after"] == "7"


@pytest.mark.usefixtures("limited")
def test_limit_comes_after_shape_and_before_size(customer: Customer) -> None:
    """A malformed body does not count; over the limit, even what is too large is 429."""
    for _ in range(5):
        assert customer.chat(chat_body(asr_options=1)).status_code == 400
    for _ in range(3):
        assert customer.chat().status_code == 200
    assert customer.chat(chat_body("data:audio/wav;base64," + "A" * 10_485_760)).status_code == 429


def test_limit_is_the_accounts(limited: Sandbox, customer: Customer) -> None:
    """All keys of an account count together, other accounts and models apart."""
    limited.knobs = replace(limited.knobs, keys={"sk-a": "1", "sk-b": "1", "sk-c": "2"})
    for key in ("sk-a", "sk-b", "sk-a"):
        assert customer.chat(key=key).status_code == 200
    assert customer.chat(key="sk-b").status_code == 429
    assert customer.chat(key="sk-c").status_code == 200
    assert customer.submit(order_body(), key="sk-b").status_code == 200


def test_per_second_by_default(sandbox: Sandbox, customer: Customer) -> None:
    """With the documented limits, of a handful of requests at once two get through."""
    sandbox.knobs = Knobs()
    statuses = [customer.chat().status_code for _ in range(4)]
    assert statuses == [200, 200, 429, 429]


def test_burst_is_queued_if_asked(sandbox: Sandbox, customer: Customer) -> None:
    """A burst is 429 BurstRate, or waits as long as X-DashScope-Wait-Timeout allows."""
    sandbox.knobs = Knobs(burst=1, per_second=False)
    assert customer.generate().status_code == 200
    answer = customer.generate()
    assert (answer.status_code, answer.json()["code"]) == (429, "Throttling.BurstRate")
    started = time.monotonic()
    answer = customer.generate(native_body(), headers={"X-DashScope-Wait-Timeout": "5"})
    assert answer.status_code == 200
    assert time.monotonic() - started > 0.5


@pytest.mark.parametrize("path", ["/api/v1/tasks/x", "/api/v1/tasks/", "/api/v1/tasks/x/cancel"])
def test_queries_per_second(sandbox: Sandbox, customer: Customer, path: str) -> None:
    """Query, list and cancel have their own limit of 20 a second each."""
    sandbox.knobs = Knobs(queries_per_second=5)
    method = "POST" if path.endswith("cancel") else "GET"
    answers = [customer.send(method, path) for _ in range(6)]
    assert [answer.status_code == 429 for answer in answers] == [False] * 5 + [True]
    assert answers[-1].json()["code"] == "Throttling.RateQuota"
    assert Knobs().queries_per_second == 20


def test_uploads_per_second(sandbox: Sandbox, customer: Customer) -> None:
    """Upload policies are limited per model."""
    sandbox.knobs = Knobs(uploads_per_second=1)
    customer.policy()
    answer = customer.send("GET", f"/api/v1/uploads?action=getPolicy&model={SYNC}")
    assert (answer.status_code, answer.json()["code"]) == (429, "Throttling.RateQuota")
    customer.policy("fun-asr")

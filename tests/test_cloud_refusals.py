"""Answers that refuse, in every shape they come in."""

import json
from datetime import timedelta

import pytest
from cloud_helpers import KEY
from hypothesis import given
from hypothesis import strategies as st

from asrwatch.cloud.envelopes import refused_in
from asrwatch.cloud.refusals import Where, refusal
from asrwatch.errors import (
    AnswerLost,
    AsrwatchError,
    BillUnknown,
    DoesNotFit,
    EngineError,
    EngineTrouble,
    RecordingError,
    TemporaryError,
)
from asrwatch.values import Secret

PAGE = b"<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"


def refused(status: int, body: bytes, where: Where = Where.ASK, **headers: str) -> AsrwatchError:
    """What such an answer means."""
    return refusal(status, headers, body, where=where)


def words(code: str, message: str = "") -> bytes:
    """A native envelope."""
    return json.dumps({"code": code, "message": message}).encode()


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_paid_request_may_have_been_accepted_behind_a_broken_gateway(status: int) -> None:
    """A 5xx without the provider's words leaves a paid request unknown, and a free one to be repeated."""
    for body in (PAGE, b"", b"upstream timed out", b"[]", b"null"):
        assert type(refused(status, body)) is AnswerLost
        assert type(refused(status, body, Where.FREE)) is TemporaryError


@pytest.mark.parametrize(
    ("status", "trouble"),
    [
        (401, EngineTrouble.KEY),
        (403, EngineTrouble.FORBIDDEN),
        (404, EngineTrouble.DOWN),
        (407, EngineTrouble.DOWN),
        (429, EngineTrouble.THROTTLED),
        (302, EngineTrouble.DOWN),
        (307, EngineTrouble.DOWN),
    ],
)
def test_a_page_that_concerns_everybody_holds_the_engine(
    status: int, trouble: EngineTrouble
) -> None:
    """A page with such a status is certainly no acceptance, and no other request would fare better [A01]."""
    error = refused(status, PAGE)
    assert isinstance(error, EngineError)
    assert error.trouble is trouble


def test_a_page_says_too_large() -> None:
    """A gateway's 413 is about this recording's size."""
    assert type(refused(413, PAGE)) is DoesNotFit


def test_other_pages_are_tried_again() -> None:
    """A 4xx without the provider's words was no acceptance; patience decides how often to try [A01]."""
    assert type(refused(400, PAGE)) is TemporaryError


@pytest.mark.parametrize("status", [500, 503])
def test_an_error_of_the_clouds_own_may_be_billed(status: int) -> None:
    """With the provider's words a 500 or 503 is no acceptance, but nobody says that it costs nothing [A10]."""
    assert type(refused(status, words("InternalError"), Where.ASK)) is BillUnknown
    assert type(refused(status, words("InternalError"), Where.FREE)) is TemporaryError


@pytest.mark.parametrize("status", [502, 504])
def test_a_gateways_words_prove_nothing(status: int) -> None:
    """A gateway that gave up may have handed the request on, whatever JSON it writes [A02]."""
    assert type(refused(status, words("GatewayTimeout"), Where.ASK)) is AnswerLost
    assert type(refused(status, words("Arrearage"), Where.ASK)) is EngineError


def test_unknown_codes_stay_visible() -> None:
    """Codes that the contract does not know: 4xx fails the recording with the words, 5xx passes."""
    error = refused(400, words("BrandNewCode", "Something else."))
    assert type(error) is RecordingError
    assert error.code == "BrandNewCode"
    assert "Something else" in error.message
    assert type(refused(500, words("BrandNewCode"))) is BillUnknown


def test_an_unknown_code_in_a_401_or_429_is_still_about_key_or_pace() -> None:
    """Where the code is unknown, the status decides."""
    for status, trouble in ((401, EngineTrouble.KEY), (429, EngineTrouble.THROTTLED)):
        error = refused(status, words("BrandNewCode"))
        assert isinstance(error, EngineError)
        assert error.trouble is trouble


@pytest.mark.parametrize(
    "body",
    [
        b'{"error": "just a sentence"}',
        b'{"error": {"message": "m", "type": "server_error", "code": null}}',
        b'{"error": {"code": 500, "message": "m"}}',
        b'{"code": "X", "message": null}',
        b"id:1\nevent:error\n:HTTP_STATUS/400\ndata:" + words("X", "m") + b"\n\n",
        b"<Error><Code>X</Code></Error>",
        b'\xef\xbb\xbf{"code": "X", "message": "m"}',
    ],
)
def test_odd_envelopes_are_words_too(body: bytes) -> None:
    """Every envelope seen in the field is taken as the provider's words."""
    assert refused_in(body) is not None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b'"x"',
        b"{",
        PAGE,
        b"\xff\xfe",
        b'{"output": {"text": "hi"}}',
        b"[" * 9000,
    ],
)
def test_other_bodies_are_no_words(body: bytes) -> None:
    """Nothing is read into bodies that hold no envelope."""
    assert refused_in(body) is None


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"Retry-After": "7"}, timedelta(seconds=7)),
        ({"retry-after-ms": "1500", "retry-after": "9"}, timedelta(seconds=1.5)),
        ({"Retry-After": "1000000000"}, timedelta(days=1)),
        ({"Retry-After": "inf"}, None),
        ({"Retry-After": "-3"}, None),
        ({"Retry-After": "soon"}, None),
        (
            {
                "Date": "Sun, 22 Nov 2026 10:00:00 GMT",
                "Retry-After": "Sun, 22 Nov 2026 10:00:30 GMT",
            },
            timedelta(seconds=30),
        ),
        ({"Retry-After": "Sun, 22 Nov 2026 10:00:30 GMT"}, None),
        (
            {
                "Date": "Sun, 22 Nov 2026 10:00:00 -0000",
                "Retry-After": "Sun, 22 Nov 2099 10:00:00 GMT",
            },
            None,
        ),
        ({}, None),
    ],
)
def test_retry_after_is_read_within_reason(headers: dict[str, str], wait: timedelta | None) -> None:
    """The wait the cloud asks for is kept, nonsense is not [A04]."""
    error = refusal(429, headers, words("Throttling.RateQuota"), where=Where.ASK)
    assert isinstance(error, EngineError)
    assert error.retry_after == wait


def test_a_minute_quota_waits_a_minute() -> None:
    """Where the quota is per minute and nothing else is said, a minute is waited."""
    error = refused(429, words("Throttling.AllocationQuota", "Allocated quota exceeded."))
    assert isinstance(error, EngineError)
    assert error.retry_after == timedelta(minutes=1)


def test_the_key_is_struck_out_of_the_clouds_words() -> None:
    """An answer that repeats the key does not bring it into an error."""
    key = "my own odd key 77"
    body = words("InvalidApiKey", f"Incorrect API key provided: {key} or {KEY}")
    error = refusal(401, {}, body, where=Where.ASK, secret=Secret(key))
    for shown in (str(error), repr(error), error.message, error.code):
        assert key not in shown
        assert KEY not in shown


@given(st.text(max_size=2000), st.text(max_size=200))
def test_the_clouds_words_are_harmless(message: str, code: str) -> None:
    """Whatever the cloud says, what people see is one short printable line."""
    body = json.dumps({"code": code, "message": message}).encode()
    error = refusal(400, {}, body, where=Where.ASK)
    assert error.message.isprintable()
    assert error.code.isprintable()
    assert len(error.message) < 800


@given(st.integers(300, 599), st.binary(max_size=300), st.sampled_from(list(Where)))
def test_any_answer_means_something(status: int, body: bytes, where: Where) -> None:
    """No body makes the mapping stumble."""
    assert isinstance(refusal(status, {}, body, where=where), AsrwatchError)

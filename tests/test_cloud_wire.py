"""What a request that went wrong means, judged by what was sent; and what never steers a request."""

import io
import os
import queue
import socket
import struct
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from cloud_helpers import (
    KEY,
    Answer,
    Asked,
    Server,
    cloud_at,
    http,
    json_answer,
    raw_server,
    read_request,
)

from asrwatch.cloud.bodies import FileBody, PlainBody
from asrwatch.cloud.wire import Reply
from asrwatch.errors import (
    AnswerLost,
    AsrwatchError,
    EngineError,
    EngineTrouble,
    SourceChanged,
    TemporaryError,
)

BIG = 6_000_000
"""More than the buffers between two sockets hold."""


def ask(
    url: str, *, size: int = 1000, read_timeout: float = 5, content: bytes | None = None
) -> Reply:
    """Make a paid request with a body of this size."""
    body = FileBody(
        before=b"{",
        stream=io.BytesIO(bytes(size) if content is None else content),
        size=size,
        after=b"}",
        as_base64=False,
    )
    return cloud_at(url).ask(
        "/api/v1/x", body, ask_id="ask-1", read_timeout=timedelta(seconds=read_timeout)
    )


def reset(connection: socket.socket) -> None:
    """Close with a reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


@contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """A server that reads the whole request and says this."""

    def serve(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(answer)

    with raw_server(serve) as server:
        yield server.url


def free_port() -> int:
    """A port where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def test_nobody_listens_is_not_sent() -> None:
    """A refused connection handed out no byte of the body: it may simply be asked again [A01]."""
    with pytest.raises(TemporaryError) as raised:
        ask(f"http://127.0.0.1:{free_port()}")
    assert raised.value.code == "not-sent"
    assert "Connection refused" in raised.value.message


def test_a_name_that_does_not_resolve_is_not_sent() -> None:
    """DNS failures are before the first byte [A01]."""
    with pytest.raises(TemporaryError) as raised:
        ask("http://nobody.invalid")
    assert raised.value.code == "not-sent"


def test_failing_tls_is_not_sent() -> None:
    """A server that does not speak TLS never saw the body [A01]."""

    def serve(connection: socket.socket) -> None:
        connection.recv(1000)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with raw_server(serve) as server, pytest.raises(TemporaryError) as raised:
        ask(server.url.replace("http://", "https://"))
    assert raised.value.code == "not-sent"


@pytest.mark.parametrize("finish", [reset, socket.socket.close])
@pytest.mark.parametrize("size", [1000, BIG])
def test_a_connection_that_ends_after_the_body_began_is_lost(
    finish: Callable[[socket.socket], None], size: int
) -> None:
    """Once body bytes left, a reset or an end without an answer leaves acceptance unknown [A02]."""

    def serve(connection: socket.socket) -> None:
        connection.recv(2000)
        time.sleep(0.05)
        finish(connection)

    with raw_server(serve) as server:
        with pytest.raises(AnswerLost) as raised:
            ask(server.url, size=size)
        assert server.connections == 1, "a paid request is never repeated"
    assert raised.value.code == "no-answer"


def test_a_read_time_out_is_lost() -> None:
    """No answer within the read time-out leaves acceptance unknown [A02]."""

    def serve(connection: socket.socket) -> None:
        read_request(connection)
        connection.recv(1)

    with raw_server(serve) as server, pytest.raises(AnswerLost, match="took too long"):
        ask(server.url, read_timeout=0.2)


@pytest.mark.parametrize("where", ["head", "body"])
def test_a_trickling_answer_meets_the_deadline(where: str) -> None:
    """One byte now and then keeps every socket's time-out happy, but not the deadline. [A05]."""

    def serve(connection: socket.socket) -> None:
        read_request(connection)
        head = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n"
        connection.sendall(head if where == "head" else head + b"\r\n")
        while True:
            connection.sendall(b"X")
            time.sleep(0.05)

    begun = time.monotonic()
    with raw_server(serve) as server:
        cloud = cloud_at(server.url, connect_timeout=timedelta(seconds=0.5))
        ask_it = partial(
            cloud.ask, "/x", PlainBody(b"{}"), ask_id="a", read_timeout=timedelta(seconds=0.25)
        )
        if where == "head":
            with pytest.raises(AnswerLost, match="longer than"):
                ask_it()
        else:
            assert not ask_it().whole
    assert time.monotonic() - begun < 5


def test_a_stalled_upload_meets_the_time_out() -> None:
    """A server that stops reading in the middle of the body does not hold the request for ever."""

    def serve(connection: socket.socket) -> None:
        connection.recv(1000)
        time.sleep(1.5)

    with raw_server(serve) as server, pytest.raises(AnswerLost):
        ask(server.url, size=BIG * 4, read_timeout=0.3)


@pytest.mark.parametrize(
    "answer",
    [
        http("502 Bad Gateway", b"<html>bad</html>"),
        http("504 Gateway Timeout", b""),
        http("500 Internal Server Error", b"oops"),
    ],
)
def test_a_gateways_page_is_lost(answer: bytes) -> None:
    """A 5xx in a gateway's words does not say what happened behind it [A02]."""
    with answering(answer) as url, pytest.raises(AnswerLost):
        ask(url)


def test_a_truncated_answer_says_so() -> None:
    """Half an answer comes back marked as such: the dialect decides what it is worth [A02]."""
    with answering(http("200 OK", b'{"output": {', length=500)) as url:
        reply = ask(url)
    assert not reply.whole
    assert reply.body == b'{"output": {'


def test_an_answer_that_is_no_http_is_lost() -> None:
    """Garbage in place of HTTP leaves acceptance unknown."""
    with answering(b"SSH-2.0-OpenSSH_9.2\r\n") as url, pytest.raises(AnswerLost):
        ask(url)


def test_an_endless_answer_is_cut() -> None:
    """An answer has a largest size, and more is not read; of a paid one the beginning is kept [A05]."""

    def serve(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        while True:
            connection.sendall(bytes(1_000_000))

    with raw_server(serve) as server:
        reply = ask(server.url)
    assert reply.oversized
    assert not reply.whole
    assert len(reply.body) == 2**20


def test_a_redirect_is_not_followed() -> None:
    """A 307 would send the recording to a stranger: the engine is held instead [A06]."""
    with Server(lambda _: json_answer({})) as stranger:
        location = f"Location: {stranger.url}/elsewhere"
        with answering(http("307 Temporary Redirect", b"", location)) as url:
            with pytest.raises(EngineError) as raised:
                ask(url)
            assert raised.value.trouble is EngineTrouble.DOWN
            assert stranger.url in raised.value.message
        assert stranger.asked == []


def test_a_refusal_before_the_end_of_the_body_is_heard() -> None:
    """A server that refuses early and closes is understood, not taken for a lost answer."""

    def serve(connection: socket.socket) -> None:
        connection.recv(2000)
        body = b'{"code": "InvalidApiKey", "message": "Invalid API-key provided."}'
        connection.sendall(http("401 Unauthorized", body))
        time.sleep(0.1)

    with raw_server(serve) as server, pytest.raises(EngineError) as raised:
        ask(server.url, size=BIG)
    assert raised.value.trouble is EngineTrouble.KEY


def test_a_file_that_shrinks_breaks_the_request_off() -> None:
    """The server is left with a request that is not whole, so nothing can have been accepted."""
    received: queue.Queue[bytes] = queue.Queue()

    def serve(connection: socket.socket) -> None:
        received.put(read_request(connection))

    with raw_server(serve) as server:
        with pytest.raises(SourceChanged):
            ask(server.url, size=500_000, content=bytes(300_000))
        head, _, body = received.get(timeout=5).partition(b"\r\n\r\n")
    assert b"Content-Length: 500002" in head
    assert len(body) < 500_002


def test_nothing_of_the_environment_steers_a_request(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """~/.netrc, proxy and certificate variables are not looked at [A14]."""
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login nobody password wrong\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", os.devnull)
    with Server(lambda _: json_answer({"output": {}})) as server:
        ask(server.url)
    assert server.asked[0].headers["authorization"] == f"Bearer {KEY}"


def test_a_paid_request_says_who_it_is() -> None:
    """One fresh connection, closed after; bearer, agent, ask id, exact length; no cookie comes back."""
    answer = json_answer({"output": {}}, Set_Cookie="a=b")
    with Server(lambda _: answer) as server:
        cloud = cloud_at(server.url + "/api/v1/", workspace="ws-1")
        for _ in range(2):
            cloud.ask(
                "/api/v1/x",
                PlainBody(b'{"a": 1}'),
                ask_id="ask-7",
                read_timeout=timedelta(seconds=5),
                headers={"X-DashScope-Async": "enable"},
            )
    headers = server.asked[1].headers
    assert headers["connection"] == "close"
    assert headers["idempotency-key"] == "ask-7"
    assert headers["user-agent"].startswith("asrwatch/")
    assert headers["x-dashscope-async"] == "enable"
    assert headers["x-dashscope-workspace"] == "ws-1"
    assert headers["content-type"] == "application/json"
    assert headers["content-length"] == "8"
    assert "cookie" not in headers
    assert "transfer-encoding" not in headers


def test_a_proxy_of_the_config_is_used() -> None:
    """With a proxy configured, the request goes there with its whole address."""
    seen: list[str] = []

    def answer(asked: Asked) -> Answer:
        seen.append(asked.headers["host"])
        return json_answer({"output": {}})

    with Server(answer) as proxy:
        cloud_at("http://cloud.invalid", proxy=proxy.url).ask(
            "/api/v1/x", PlainBody(b"{}"), ask_id="a", read_timeout=timedelta(seconds=5)
        )
    assert seen == ["cloud.invalid"]


def test_a_success_that_complains_is_a_refusal() -> None:
    """HTTP 200 with nothing but a code in it is an error."""
    body = {"code": "Arrearage", "message": "x", "request_id": "r", "output": None}
    with Server(lambda _: json_answer(body)) as server, pytest.raises(EngineError) as raised:
        ask(server.url)
    assert raised.value.trouble is EngineTrouble.MONEY


@pytest.mark.parametrize("code", ["", None, "Success", "200"])
def test_a_success_with_an_answer_is_one(code: str | None) -> None:
    """A code beside an answer spoils nothing that was paid for."""
    body = {"code": code, "message": "", "output": {"task_id": "t"}}
    with Server(lambda _: json_answer(body)) as server:
        assert ask(server.url).status == 200


def everything_shown(error: BaseException) -> str:
    """A traceback with the locals of every frame, of the error and all behind it."""
    shown = traceback.TracebackException.from_exception(error, capture_locals=True)
    return "".join(shown.format())


@pytest.mark.parametrize("failing", ["refused", "reset", "bad key", "not http"])
def test_the_key_is_in_no_traceback(failing: str) -> None:
    """Not even a traceback that prints the locals of the foreign frames shows the key."""

    def serve(connection: socket.socket) -> None:
        connection.recv(100)
        if failing == "bad key":
            read_request(connection)
            connection.sendall(http("401 Unauthorized", b'{"code": "InvalidApiKey"}'))
        if failing == "not http":
            connection.sendall(b"what?\r\n")
        if failing == "reset":
            reset(connection)

    with raw_server(serve) as server:
        url = f"http://127.0.0.1:{free_port()}" if failing == "refused" else server.url
        cloud = cloud_at(url)
        with pytest.raises(AsrwatchError) as raised:
            cloud.ask("/x", PlainBody(b"{}"), ask_id="a", read_timeout=timedelta(seconds=2))
    shown = everything_shown(raised.value)
    chain: BaseException | None = raised.value
    while chain is not None:
        shown += repr(chain) + str(chain) + repr(vars(chain))
        chain = chain.__cause__
    assert KEY not in shown
    assert KEY not in repr(cloud)

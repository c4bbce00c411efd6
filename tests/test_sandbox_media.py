import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from sandbox_helpers import Customer, chat_body, customer, native_body, order_body, sandbox, sha256

from asrwatch.sandbox import LONG_SAMPLE, SHORT_SAMPLE

__all__ = ["customer", "sandbox"]

Reply = Callable[[BaseHTTPRequestHandler], None]


def plain(status: int, content: bytes, length: int | None = -1) -> Reply:
    """A reply; `length` is what is announced: None for nothing, -1 for the truth."""

    def reply(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        if length is not None:
            announced = len(content) if length < 0 else length
            handler.send_header("Content-Length", str(announced))
        handler.end_headers()
        handler.wfile.write(content)

    return reply


@contextmanager
def file_server(reply: Reply) -> Iterator[str]:
    """Somebody's own web server on loopback."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            reply(self)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = False
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/talk%20one.wav"
        finally:
            server.shutdown()
            thread.join()


def test_url_on_this_machine(customer: Customer) -> None:
    """A URL of this machine is fetched, for sync and for tasks."""
    with file_server(plain(200, b"audio")) as url:
        assert customer.chat(chat_body(url)).status_code == 200
        customer.finished(customer.submitted(order_body(url)))
    assert [line.sha256 for line in customer.sandbox.bill.paid] == [sha256(b"audio")] * 2
    assert [line.source for line in customer.sandbox.bill.paid] == [url, url]


@pytest.mark.parametrize(
    ("reply", "task_code", "sync"),
    [
        (plain(403, b"no"), "FILE_403_FORBIDDEN", (400, "InvalidParameter.DataInspection")),
        (plain(404, b"no"), "FILE_404_NOT_FOUND", (400, "InvalidParameter.DataInspection")),
        (plain(503, b"no"), "FILE_SERVER_ERROR", (400, "InvalidParameter.DataInspection")),
        (plain(302, b""), "FILE_DOWNLOAD_FAILED", (400, "InvalidParameter.DataInspection")),
        (plain(200, b"audio", None), "CONTENT_LENGTH_CHECK_FAILED", (500, "InternalError.Algo")),
        (
            plain(200, b"audio", 9),
            "CONTENT_LENGTH_CHECK_FAILED",
            (400, "InvalidParameter.DataInspection"),
        ),
    ],
)
def test_file_server_in_trouble(
    customer: Customer, reply: Reply, task_code: str, sync: tuple[int, str]
) -> None:
    """Whatever a file's server does wrong has its code, at once or in the task."""
    with file_server(reply) as url:
        answer = customer.generate(native_body(url))
        assert (answer.status_code, answer.json()["code"]) == sync
        output = customer.finished(customer.submitted(order_body(url)))["output"]
    assert output["code"] == task_code
    assert not customer.sandbox.bill.paid


def test_nobody_listens(customer: Customer) -> None:
    """A port without a server is a download that failed."""
    with file_server(plain(200, b"")) as url:
        pass
    output = customer.finished(customer.submitted(order_body(url)))["output"]
    assert output["code"] == "FILE_DOWNLOAD_FAILED"


def test_sync_file_limit(customer: Customer) -> None:
    """A file over 10 MB is refused synchronously, before it is downloaded; a task takes it."""
    with file_server(plain(200, b"x" * 10_485_761)) as url:
        answer = customer.generate(native_body(url))
        assert (answer.status_code, answer.json()["code"]) == (400, "InvalidURL")
        output = customer.finished(customer.submitted(order_body(url)))["output"]
        assert output["task_status"] == "SUCCEEDED"


def test_outside_world(customer: Customer) -> None:
    """There is no network: an outside URL named like a sample is that sample, any other cannot be had."""
    for sample in (SHORT_SAMPLE, LONG_SAMPLE):
        assert customer.chat(chat_body(f"https://h.example/a/{sample.path.stem}.mp3")).ok
        content = sample.path.read_bytes()
        assert customer.sandbox.bill.lines[-1].sha256 == sha256(content)
    answer = customer.generate(native_body("https://example.org/other.mp3"))
    assert answer.json()["code"] == "InvalidParameter.DataInspection"
    poll = customer.finished(customer.submitted(order_body("https://example.org/other.mp3")))
    assert poll["output"]["code"] == "FILE_DOWNLOAD_FAILED"


def test_fixtures(customer: Customer, tmp_path: Path) -> None:
    """A folder can stand for the outside world, by host and path, and nothing outside of it."""
    (tmp_path / "world" / "example.org" / "a b").mkdir(parents=True)
    (tmp_path / "world" / "example.org" / "a b" / "c.ogg").write_bytes(b"audio")
    (tmp_path / "secret.ogg").write_bytes(b"secret")
    knobs = customer.sandbox.knobs
    customer.sandbox.knobs = replace(knobs, fixtures=tmp_path / "world")
    assert customer.chat(chat_body("https://example.org/a%20b/c.ogg?sig=1")).ok
    assert customer.sandbox.bill.paid[0].sha256 == sha256(b"audio")
    for escape in ("https://example.org/../../secret.ogg", "https://../secret.ogg"):
        assert customer.chat(chat_body(escape)).status_code == 400


@pytest.mark.parametrize("url", ["http://", "https:///a.wav", "http://[::1/a.wav", "http://a b/c"])
def test_malformed_url(customer: Customer, url: str) -> None:
    """A malformed URL is refused synchronously and fails a task with its own code."""
    assert customer.generate(native_body(url)).json()["code"] == "InvalidParameter"
    output = customer.finished(customer.submitted(order_body(url)))["output"]
    assert output["code"] == "REQUEST_INVALID_FILE_URL_VALUE"


def test_nothing_is_left_on_disk(customer: Customer) -> None:
    """What was sent or fetched is removed once it was heard, or refused."""
    with file_server(plain(200, b"audio")) as url:
        customer.chat(chat_body(url))
    with file_server(plain(200, b"audio", 9)) as url:
        customer.chat(chat_body(url))
    customer.chat(chat_body("data:audio/wav;base64,QUJD"))
    assert not list((customer.sandbox._service.folder / "audio").iterdir())

"""Answers made to harm: none fills the memory, leads elsewhere, or makes the daemon pay twice."""

import gzip
import io
import json
import socket
import ssl
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cloud_helpers import (
    KEY,
    Answer,
    Asked,
    RawServer,
    Server,
    cloud_at,
    engine_named,
    http,
    json_answer,
    raw_server,
    read_request,
)
from hypothesis import given
from hypothesis import strategies as st
from journey_helpers import a_recording

import asrwatch
from asrwatch import logs
from asrwatch.cloud.bodies import PlainBody
from asrwatch.cloud.hosts import Hosts, check_hosts
from asrwatch.cloud.uploads import read_policy, upload_form
from asrwatch.engines import Ask, Heard, LocalAudio, StillOut
from asrwatch.errors import ConfigError, RecordingError, TaskOutstanding, TemporaryError
from asrwatch.journey.gate import Gate
from asrwatch.journey.keeper import Keeper
from asrwatch.journey.plan import Wishes
from asrwatch.journey.poller import TaskNews
from asrwatch.journey.recording import Recording, State
from asrwatch.journey.store import Store

FILETRANS = "qwen3-asr-flash-filetrans"
MEBIBYTE = 2**20
AUDIO = b"RIFF"


def ask_of(content: bytes = AUDIO) -> Ask:
    """A request for a short recording."""
    audio = LocalAudio(stream=io.BytesIO(content), size=len(content), mime="audio/wav")
    return Ask(id="ask-1", audio=audio, wishes=Wishes())


def bomb(size: int) -> bytes:
    """So many zero bytes, packed, as one archive after the other."""
    return gzip.compress(bytes(MEBIBYTE), 9) * (size // MEBIBYTE)


@contextmanager
def peak_below(limit: int) -> Iterator[None]:
    """Fails if more memory than this is taken at once."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < limit
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("coding", ["gzip", "gzip, gzip"])
def test_a_bomb_for_an_answer_is_not_unpacked(coding: str) -> None:
    """A paid answer that unpacks to 300 MB takes a tenth of that, is kept in part, and asked for once [A05]."""
    packed = bomb(300 * MEBIBYTE)
    body = gzip.compress(packed, 1) if coding != "gzip" else packed
    answer = Answer(body=body, headers={"Content-Encoding": coding})
    with Server(lambda _: answer) as server, peak_below(48 * MEBIBYTE):
        heard = engine_named("qwen3-asr-flash", cloud_at(server.url)).start(ask_of())
        assert len(server.asked) == 1
    assert isinstance(heard, Heard)
    assert len(heard.answer.raw) == MEBIBYTE
    with pytest.raises(RecordingError) as raised:
        engine_named("qwen3-asr-flash", cloud_at(None)).read(heard.answer)
    assert raised.value.code == "unreadable-answer"


def test_a_coding_nobody_knows_is_kept_as_it_came() -> None:
    """An answer packed in a way nobody asked for is a spoilt answer, not an error of ours [A05]."""
    answer = Answer(body=b"\xff\xfe packed", headers={"Content-Encoding": "secret"})
    with Server(lambda _: answer) as server:
        heard = engine_named("qwen3-asr-flash", cloud_at(server.url)).start(ask_of())
        assert len(server.asked) == 1
    assert isinstance(heard, Heard)
    assert heard.answer.raw == b"\xff\xfe packed"


class Elsewhere:
    """A cloud whose finished task has its result wherever the test says."""

    def __init__(self) -> None:
        self.url = ""
        self.server: Server

    def answer(self, asked: Asked) -> Answer:
        """One finished task, and nothing else."""
        if asked.path.rstrip("/") == "/api/v1/tasks":
            return json_answer({"data": [], "total": 0})
        output = {
            "task_id": "t1",
            "task_status": "SUCCEEDED",
            "result": {"transcription_url": self.url},
        }
        return json_answer({"request_id": "r", "output": output, "usage": {"seconds": 3}})

    def news(self, **settings: Any) -> Heard | StillOut | Exception:
        """What the engine says of the task."""
        engine = engine_named(FILETRANS, cloud_at(self.server.url, **settings))
        return dict(engine.check(["t1"]))["t1"]


@pytest.fixture
def elsewhere() -> Iterator[Elsewhere]:
    """Such a cloud."""
    made = Elsewhere()
    with Server(made.answer) as server:
        made.server = server
        yield made


RESULT = {"file_url": "https://x/a.wav", "transcripts": [{"channel_id": 0, "text": "Hello."}]}


def test_a_result_elsewhere_is_left_there(elsewhere: Elsewhere) -> None:
    """A result at a host that is not the cloud's is not fetched; named as trusted, it is [A08]."""
    with Server(lambda _: json_answer(RESULT)) as stranger:
        elsewhere.url = stranger.url.replace("127.0.0.1", "localhost") + "/r.json?Signature=x"
        news = elsewhere.news()
        assert isinstance(news, StillOut)
        assert news.trouble is not None
        assert news.trouble.code == "foreign-host"
        assert "localhost" in news.trouble.message
        assert "Signature" not in str(news.trouble)
        assert "cloud.trusted_hosts" in news.trouble.advice
        assert stranger.asked == []
        heard = elsewhere.news(trusted_hosts=("http://localhost",))
        assert isinstance(heard, Heard)
        assert "authorization" not in stranger.asked[0].headers


def test_collecting_a_task_does_not_wait_for_a_strangers_host(
    elsewhere: Elsewhere, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who collects a task is told at once that its result lies elsewhere, and keeps the task's id. [A08]."""
    elsewhere.url = "https://evil.example/r.json"
    config = tmp_path / "asrwatch.yaml"
    config.write_text(json.dumps({"cloud": {"base_url": elsewhere.server.url}}))
    monkeypatch.setenv("DASHSCOPE_API_KEY", KEY)
    with pytest.raises(TaskOutstanding, match=r"evil\.example") as raised:
        asrwatch.collect("t1", config=config)
    assert raised.value.task_id == "t1"
    assert raised.value.code == "foreign-host"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_result_that_moved_is_not_followed(elsewhere: Elsewhere, status: int) -> None:
    """A redirect from the result's host leads nowhere, not to an address inside the own network either [A06]."""
    with Server(lambda _: json_answer(RESULT)) as inside:
        moved = Answer(status=status, headers={"Location": f"{inside.url}/latest/meta-data"})
        with Server(lambda _: moved) as host:
            elsewhere.url = f"{host.url}/r.json"
            news = elsewhere.news()
        assert inside.asked == []
    assert isinstance(news, StillOut)
    assert news.trouble is not None
    assert news.trouble.code == f"result-{status}"


@pytest.mark.parametrize("coding", [None, "gzip"])
def test_a_result_larger_than_any_is_given_up(elsewhere: Elsewhere, coding: str | None) -> None:
    """A result without end, or unpacked too large, is neither read on nor asked again at once [A05]."""
    packed = bomb(140 * MEBIBYTE)

    def serve(connection: socket.socket) -> None:
        read_request(connection)
        if coding:
            connection.sendall(http("200 OK", packed, f"Content-Encoding: {coding}"))
            return
        connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        while True:
            connection.sendall(bytes(MEBIBYTE))

    with raw_server(serve) as host:
        elsewhere.url = f"{host.url}/r.json"
        with peak_below(200 * MEBIBYTE):
            news = elsewhere.news()
        assert host.connections == 1
    assert isinstance(news, StillOut)
    assert news.trouble is not None
    assert news.trouble.code == "answer-too-large"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"{}x",
        b"[]",
        b'"text"',
        b"\xff\xfe{}",
        b'{"transcripts": "\xff"}',
        b"[" * 10**5,
    ],
)
def test_a_result_that_is_none_leaves_the_task(elsewhere: Elsewhere, body: bytes) -> None:
    """Whatever lies at the result's address, the task stays what it is: done, paid, its answer not here yet [A05]."""
    with Server(lambda _: Answer(body=body)) as host:
        elsewhere.url = f"{host.url}/r.json"
        news = elsewhere.news()
    assert isinstance(news, StillOut)
    assert news.trouble is not None
    assert news.trouble.code == "bad-result"


def test_a_paid_answer_that_is_kept_away_stays_submitted(
    elsewhere: Elsewhere, store: Store, now: datetime
) -> None:
    """The recording waits with the reason in sight, told once, and is delivered when the way is free [A08]."""
    elsewhere.url = "https://evil.example/r.json"
    log = io.StringIO()
    logs.configure("info", stream=log, terminal=False)
    gate = Gate({"some-engine": 100}, (), chance=lambda: 0.5)
    keeper = Keeper(store=store, routes={}, gate=gate, key_digest=lambda: None, chance=lambda: 0.5)
    made = a_recording(State.SUBMITTED, now, ticket="t1")
    added = store.add(
        Recording.found(inbox=made.inbox, path=made.path, fingerprint=made.fingerprint, now=now)
    )
    submitted = store.save(added, replace(made, id=added.id))
    for minutes in range(3):
        news = elsewhere.news()
        assert isinstance(news, StillOut)
        keeper.news(TaskNews(recording=submitted, news=news), now=now + timedelta(minutes=minutes))
    logs.configure("warning")
    waiting = store.get(submitted.id)
    assert waiting is not None
    assert waiting.state is State.SUBMITTED
    assert waiting.trouble is not None
    assert waiting.trouble.count == 3
    assert "evil.example" in waiting.trouble.last.message
    told = [json.loads(line) for line in log.getvalue().splitlines()]
    assert [(line["event"], line["level"]) for line in told] == [("result-kept-away", "error")]
    with Server(lambda _: json_answer(RESULT)) as host:
        elsewhere.url = f"{host.url}/r.json"
        heard = elsewhere.news()
    assert isinstance(heard, Heard)
    keeper.news(TaskNews(recording=waiting, news=heard), now=now + timedelta(minutes=4))
    done = store.get(submitted.id)
    assert done is not None
    assert done.state is State.TRANSCRIBED
    assert elsewhere.server.posts() == []


def test_uploads_go_to_the_clouds_hosts_only() -> None:
    """A permission that names another host is not used: the recording stays here [A08]."""
    policy = read_policy(
        {
            "data": {
                "upload_host": "https://evil.example",
                "upload_dir": "d",
                "policy": "p",
                "signature": "s",
                "oss_access_key_id": "i",
                "x_oss_object_acl": "private",
                "x_oss_forbid_overwrite": "true",
            }
        }
    )
    assert policy is not None
    form = upload_form(
        policy, name="a.wav", stream=io.BytesIO(AUDIO), size=4, mime="audio/wav", boundary="b"
    )
    with pytest.raises(TemporaryError, match="none of its own hosts") as raised:
        cloud_at(None).upload(form)
    assert raised.value.code == "foreign-host"


OWN = "https://dashscope.aliyuncs.com"
ALLOWED = [
    (OWN, "http://dashscope-result-bj.oss-cn-beijing.aliyuncs.com/a.json?Expires=1&Signature=%2B"),
    (OWN, "https://dashscope-file-x.oss-cn-beijing.aliyuncs.com"),
    (OWN, "https://DashScope-X.OSS-cn-beijing.AliyunCS.com:443/a"),
    (OWN, "https://dashscope-x.oss-cn-beijing.aliyuncs.com./a"),
    ("https://gateway.example/qwen", "https://gateway.example/r/1.json"),
    ("http://127.0.0.1:8000", "http://127.0.0.1:9000/r"),
    ("http://[::1]:8000", "http://[::1]:8000/r"),
    (OWN, "https://files.trusted.example/r"),
    (OWN, "https://deep.down.trusted.example/r"),
    (OWN, "https://exact.example/r"),
    (OWN, "http://10.0.0.5/r"),
]
REFUSED = [
    (OWN, "https://evil.example/r"),
    (OWN, "https://a-customers-bucket.oss-cn-beijing.aliyuncs.com/r"),
    (OWN, "http://evil.dashscope-x.oss-cn-beijing.aliyuncs.com/r"),
    (OWN, "https://oss-cn-beijing.aliyuncs.com/dashscope-result-bj/r"),
    (OWN, "https://ecs-1-2-3-4.cn-beijing.aliyuncs.com/r"),
    (OWN, "https://aliyuncs.com.evil.example/r"),
    (OWN, "https://evilaliyuncs.com/r"),
    (OWN, "https://dashscope-x.oss-cn-beijing.aliyuncs.com@evil.example/r"),
    (OWN, "https://evil.example\\@dashscope-x.oss-cn-beijing.aliyuncs.com/r"),
    (OWN, "https://evil.example#@dashscope-x.oss-cn-beijing.aliyuncs.com/r"),
    (OWN, "https://evil.example?.aliyuncs.com"),
    (OWN, "https://evil.example/.aliyuncs.com"),
    (OWN, "https://user:pw@dashscope-x.oss-cn-beijing.aliyuncs.com/r"),
    (OWN, "https://dashscope-x.oss-cn-beijing.aliyuncs.com\t.evil.example/r"),
    (OWN, "https://dashscope-x.oss-cn-beijing.aliyuncs.com\r\nHost: evil.example"),
    (OWN, "https://dashscope-х.oss-cn-beijing.aliyuncs.com/r"),  # noqa: RUF001 - a Cyrillic letter
    (OWN, "https://127.0.0.1/r"),
    (OWN, "https://2130706433/r"),
    (OWN, "https://0x7f.1/r"),
    (OWN, "https://169.254.169.254/latest/meta-data"),
    (OWN, "https://[::ffff:127.0.0.1]/r"),
    (OWN, "https://[fe80::1%25eth0]/r"),
    (OWN, "https://localhost/r"),
    (OWN, "http://exact.example/r"),
    (OWN, "https://below.exact.example/r"),
    (OWN, "https://trusted.example/r"),
    (OWN, "ftp://dashscope-x.oss-cn-beijing.aliyuncs.com/r"),
    (OWN, "file:///etc/shadow"),
    (OWN, "//dashscope-x.oss-cn-beijing.aliyuncs.com/r"),
    (OWN, "https:///r"),
    (OWN, "https://dashscope-x.oss-cn-beijing.aliyuncs.com:port/r"),
    (OWN, "https://[dashscope-x.oss-cn-beijing.aliyuncs.com/r"),
    (OWN, ""),
    ("https://gateway.example/qwen", "http://gateway.example/r"),
]
TRUSTED = (".trusted.example", "exact.example", "http://10.0.0.5")


@pytest.mark.parametrize(("base_url", "url"), ALLOWED)
def test_hosts_that_are_the_clouds(base_url: str, url: str) -> None:
    """The vendor's storage, the configured host and those that are trusted by name are fetched from [A08]."""
    Hosts(base_url, TRUSTED).check(url, what="the result")


@pytest.mark.parametrize(("base_url", "url"), REFUSED)
def test_hosts_that_are_not(base_url: str, url: str) -> None:
    """Other names, addresses in every disguise, other schemes and plain http are refused before any look-up [A08]."""
    with pytest.raises(TemporaryError) as raised:
        Hosts(base_url, TRUSTED).check(url, what="the result")
    assert raised.value.code == "foreign-host"
    assert str(raised.value).isprintable()


@given(st.text(max_size=60), st.sampled_from(["", "https://", "http://", "https://x.aliyuncs.com"]))
def test_no_text_is_too_odd_for_the_list(text: str, before: str) -> None:
    """Whatever the cloud calls an address, the answer is yes or no."""
    with suppress(TemporaryError):
        Hosts(OWN).check(before + text, what="the result")


@pytest.mark.parametrize("entry", ["", "*", "*.example.org", "ftp://x", "x/y", "x:80", "a b", "."])
def test_trusted_hosts_are_hosts(entry: str) -> None:
    """What names no host is told when the configuration is read."""
    with pytest.raises(ConfigError, match="is no host"):
        check_hosts([entry])


CERTIFICATE = """\
-----BEGIN CERTIFICATE-----
MIIBjzCCATagAwIBAgIUao00odp6Ayvwe1zzS1rCj5HjjWEwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJMTI3LjAuMC4xMCAXDTI2MTEyMjEwMTM0MFoYDzIxMjYxMDI5
MTAxMzQwWjAUMRIwEAYDVQQDDAkxMjcuMC4wLjEwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAASxMHv+Qm5UUa43n+xeBg81nhhaAqvw0KgasqvaG3Yy2Z6KZi0rt2LN
pUNIbFUwVWiKYENHgOarpjO7vCImbuvBo2QwYjAdBgNVHQ4EFgQULUCNL5pUKW9i
SLmoNE6q50wBRV0wHwYDVR0jBBgwFoAULUCNL5pUKW9iSLmoNE6q50wBRV0wDwYD
VR0TAQH/BAUwAwEB/zAPBgNVHREECDAGhwR/AAABMAoGCCqGSM49BAMCA0cAMEQC
IEZENxjw5RT1JDaIW6iEB8fjwn45mL2hF0o+/mrYMclDAiBNZ+0RyhAuSaaEWMab
XXj3rayWBkiltATyukM76K0q/Q==
-----END CERTIFICATE-----
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgd99Cm63gXDinXUxp
i8bsUHXs2PdBORHPwddSAy9sCL2hRANCAASxMHv+Qm5UUa43n+xeBg81nhhaAqvw
0KgasqvaG3Yy2Z6KZi0rt2LNpUNIbFUwVWiKYENHgOarpjO7vCImbuvB
-----END PRIVATE KEY-----
"""
"""Of 127.0.0.1, signed by itself, for a hundred years."""


def test_certificates_of_the_environment_are_not_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A certificate that only the environment vouches for ends the connection before a byte of the key [A14]."""
    pem = tmp_path / "own.pem"
    pem.write_text(CERTIFICATE)
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.setenv(name, str(pem))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    received: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as encrypted:
            received.append(encrypted.recv(1000))

    server = RawServer(serve)
    try:
        with pytest.raises(TemporaryError) as raised:
            cloud_at(server.url.replace("http:", "https:")).ask(
                "/x", PlainBody(b"{}"), ask_id="a", read_timeout=timedelta(seconds=5)
            )
    finally:
        server.stop()
    assert raised.value.code == "not-sent"
    assert received == []
    assert KEY not in str(raised.value)

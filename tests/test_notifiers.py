"""The notifiers one by one: what they send, to whom they refuse to, and how they fail."""

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from notify_helpers import SECRET, Got, Receiver, a_message, receiving, secret_file
from standardwebhooks import Webhook as Independent
from standardwebhooks import WebhookVerificationError
from wait_helpers import wait_for

from asrwatch import notifiers, parts
from asrwatch.daemon.telling import USUAL
from asrwatch.errors import AsrwatchError, TemporaryError
from asrwatch.heartbeats import Heartbeats, Late
from asrwatch.news import as_json, news_from_json, news_to_json
from asrwatch.notifiers import Gone, Notifier, Refused, Surroundings
from asrwatch.values import Secret


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver of webhooks."""
    with receiving() as there:
        yield there


def made(name: str, around: Surroundings | None = None, **options: Any) -> Notifier[Any]:
    """A notifier with these options."""
    part: type[Notifier[Any]] = parts.find(notifiers, Notifier, name)  # type: ignore[type-abstract] # a base to look for
    return part(part.Options.model_validate(options), around)


def webhook(receiver: Receiver, folder: Path, **options: Any) -> Notifier[Any]:
    """A webhook to the local receiver."""
    if "secret_file" not in options:
        options["secret_file"] = str(secret_file(folder))
    return made("webhook", url=receiver.url, private=True, http=True, **options)


def test_a_webhook_is_signed_as_the_standard_says(receiver: Receiver, tmp_path: Path) -> None:
    """An independent library accepts the signature with the secret, and not with another one."""
    webhook(receiver, tmp_path).send(a_message())
    (got,) = receiver.got
    assert Independent(SECRET).verify(got.body, dict(got.headers)) == got.document
    with pytest.raises(WebhookVerificationError):
        Independent("whsec_" + "A" * 32).verify(got.body, dict(got.headers))
    assert got.id == "msg_1"
    assert got.document["type"] == "recording.failed"
    assert got.document["data"]["recordings"][0]["path"] == "/inbox/talk.wav"
    assert got.path == "/hook"


def test_a_secret_that_is_being_changed_signs_twice(receiver: Receiver, tmp_path: Path) -> None:
    """With two secrets in the file a receiver that knows either accepts the message."""
    other = "whsec_" + "B" * 40
    secrets = secret_file(tmp_path, "# the new one first", other, SECRET)
    webhook(receiver, tmp_path, secret_file=str(secrets)).send(a_message())
    (got,) = receiver.got
    for secret in (SECRET, other):
        Independent(secret).verify(got.body, dict(got.headers))


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (500, TemporaryError),
        (503, TemporaryError),
        (429, TemporaryError),
        (302, TemporaryError),
        (400, Refused),
        (404, Refused),
        (410, Gone),
    ],
)
def test_every_answer_means_something(
    status: int, kind: type[AsrwatchError], receiver: Receiver, tmp_path: Path
) -> None:
    """410 ends it, another 4xx is about this message, everything else is tried again; nothing is followed."""
    receiver.status = status
    receiver.headers = {"Location": receiver.url + "/elsewhere", "Retry-After": "120"}
    with pytest.raises(kind) as told:
        webhook(receiver, tmp_path).send(a_message())
    assert type(told.value) is kind
    assert len(receiver.got) == 1
    if isinstance(told.value, TemporaryError) and status != 302:
        assert told.value.retry_after == timedelta(minutes=2)
    assert "/hook" not in str(told.value)


def resolving(addresses: Sequence[str]) -> Callable[[str, int], Sequence[str]]:
    """A resolver that knows one answer."""
    return lambda _host, _port: addresses


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",  # noqa: S104 - an address that is refused
        "224.0.0.1",
        "240.0.0.1",
        "::1",
        "::",
        "fe80::1%eth0",
        "fc00::1",
        "fec0::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
    ],
)
def test_nothing_is_sent_to_an_address_of_ones_own_network(address: str, tmp_path: Path) -> None:
    """A name that leads to such an address, also beside an open one, is refused before anything is connected."""
    for addresses in ([address], ["93.184.216.34", address]):
        around = Surroundings(resolve=resolving(addresses))
        told = made(
            "webhook",
            around,
            url="https://hooks.example.org/x",
            secret_file=str(secret_file(tmp_path)),
        )
        with pytest.raises(TemporaryError) as refused:
            told.send(a_message())
        assert refused.value.code == "private-address"


def test_the_address_that_was_looked_at_is_the_one_connected_to(
    receiver: Receiver, tmp_path: Path
) -> None:
    """The name is resolved once: what it would lead to a moment later is nobody's business."""
    asked: list[str] = []

    def resolve(host: str, _port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["192.0.2.1"]

    told = made(
        "webhook",
        Surroundings(resolve=resolve),
        url=f"http://hooks.invalid:{receiver.port}/hook",
        private=True,
        http=True,
        secret_file=str(secret_file(tmp_path)),
    )
    told.send(a_message())
    assert asked == ["hooks.invalid"]
    assert receiver.got[0].headers["Host"] == f"hooks.invalid:{receiver.port}"


def test_a_certificate_of_another_name_is_refused(tmp_path: Path) -> None:
    """Though an address is connected to, the certificate must be the name's, and one that is trusted."""
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "2", "-subj", "/CN=hooks.test"),
            *("-addext", "subjectAltName=DNS:hooks.test"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    listener = socket.create_server(("127.0.0.1", 0))
    answers: list[bytes] = []

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            try:
                with context.wrap_socket(connection, server_side=True) as sock:
                    heard = b""
                    while not heard.endswith(b"}"):
                        piece = sock.recv(65_536)
                        if not piece:
                            break
                        heard += piece
                    else:
                        answers.append(heard)
                    sock.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
            except OSError:
                continue

    thread = threading.Thread(target=serve)
    thread.start()
    options: dict[str, Any] = {
        "private": True,
        "secret_file": str(secret_file(tmp_path)),
    }
    around = Surroundings(resolve=lambda _host, _port: ["127.0.0.1"])
    port = listener.getsockname()[1]
    try:
        right = made(
            "webhook",
            around,
            url=f"https://hooks.test:{port}/",
            ca_file=str(certificate),
            **options,
        )
        assert right.send(a_message()) == "204"
        for url, ca_file in (("other.test", str(certificate)), ("hooks.test", None)):
            wrong = made(
                "webhook", around, url=f"https://{url}:{port}/", ca_file=ca_file, **options
            )
            with pytest.raises(TemporaryError, match="ertificate"):
                wrong.send(a_message())
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()
    assert len(answers) == 1


@pytest.mark.parametrize(
    "says", [b"", b"HTTP/1.1 204 No Con", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"]
)
def test_a_receiver_that_trickles_is_given_up(says: bytes, tmp_path: Path) -> None:
    """Whoever takes connections and never ends an answer costs the time limit and no more; a status stands."""
    listener = socket.create_server(("127.0.0.1", 0))
    ending = threading.Event()

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(says)
            while not ending.wait(0.05):
                try:
                    connection.sendall(b" " if says.endswith(b"\n") or not says else b"t")
                except OSError:
                    return

    thread = threading.Thread(target=serve)
    thread.start()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/hook"
    told = webhook(Receiver(url=url), tmp_path, timeout="500ms")
    begun = time.monotonic()
    try:
        if says.endswith(b"\n"):
            assert told.send(a_message()) == "200"
        else:
            with pytest.raises(TemporaryError, match="longer than"):
                told.send(a_message())
    finally:
        ending.set()
        thread.join()
        listener.close()
    assert time.monotonic() - begun < 10


def test_no_proxy_of_the_environment_is_used(
    receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Proxy variables steer nothing."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    webhook(receiver, tmp_path).send(a_message())
    assert len(receiver.got) == 1


def test_a_secret_that_others_can_read_is_none(receiver: Receiver, tmp_path: Path) -> None:
    """A secret file that is open to others, missing or holds no secret sends nothing, and says what to do."""
    path = secret_file(tmp_path)
    told = webhook(receiver, tmp_path)
    path.chmod(0o644)
    with pytest.raises(TemporaryError, match="chmod 600"):
        told.send(a_message())
    path.chmod(0o600)
    path.write_text("whsec_tooshort")
    with pytest.raises(TemporaryError, match="urandom"):
        told.check()
    path.unlink()
    with pytest.raises(TemporaryError, match="No such file"):
        told.send(a_message())
    assert receiver.got == []


def test_secrets_are_known_to_the_log_before_they_are_used(
    receiver: Receiver, tmp_path: Path
) -> None:
    """The webhook's secret and address are registered, and shown nowhere."""
    seen: list[Secret] = []
    around = Surroundings(noticed=seen.append)
    told = made(
        "webhook",
        around,
        url=receiver.url,
        private=True,
        http=True,
        secret_file=str(secret_file(tmp_path)),
    )
    told.send(a_message())
    assert {each.reveal() for each in seen} == {SECRET, receiver.url}
    assert "hook" not in told.label.removeprefix("webhook ")


def script(folder: Path, text: str) -> list[str]:
    """A command that runs this Python."""
    path = folder / "tell.py"
    path.write_text(text)
    return [sys.executable, str(path)]


def test_a_command_gets_json_and_nothing_else(tmp_path: Path) -> None:
    """The message is on standard input; arguments hold no file names, the environment no key."""
    out = tmp_path / "out"
    command = script(
        tmp_path,
        "import json, os, sys\n"
        "told = json.load(sys.stdin)\n"
        "json.dump([told, sys.argv[1:], dict(os.environ)], open(sys.argv[1], 'w'))\n"
        "print('thanks')\n",
    )
    around = Surroundings(environment={**os.environ, "DASHSCOPE_API_KEY": "sk-secret"})
    told = made("exec", around, command=[*command, str(out)])
    assert told.send(a_message()) == "thanks"
    document, words, environment = json.loads(out.read_text())
    assert document["data"]["recordings"][0]["path"] == "/inbox/talk.wav"
    assert words == [str(out)]
    assert "DASHSCOPE_API_KEY" not in environment


def test_a_command_that_hangs_is_killed_with_all_it_started(tmp_path: Path) -> None:
    """At its time limit the command and its children are gone; what it said is kept, bounded."""
    command = script(
        tmp_path,
        "import os, subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "open(sys.argv[1], 'w').write(f'{os.getpid()} {child.pid}')\n"
        "print('x' * 100_000, flush=True)\n"
        "time.sleep(600)\n",
    )
    pids = tmp_path / "pids"
    told = made("exec", command=[*command, str(pids)], timeout="1500ms")
    with pytest.raises(Refused, match="was killed") as refused:
        told.send(a_message())
    assert len(refused.value.advice) < 600
    numbers = [int(word) for word in pids.read_text().split()]
    assert len(numbers) == 2
    for number in numbers:
        wait_for(lambda number=number: not alive(number))  # type: ignore[misc] # bound at once


def test_a_time_limit_of_ones_own_is_no_hang(receiver: Receiver, tmp_path: Path) -> None:
    """A command or a receiver that may take an hour is not reported as stuck after two minutes."""
    clock: list[float] = [0.0]
    late: list[Late] = []
    hearts = Heartbeats(lambda: clock[0])
    answered = threading.Event()

    def respond(_: Got) -> int:
        clock[0] += 1800
        late.extend(hearts.late())
        answered.set()
        return 204

    receiver.respond = respond
    command = script(tmp_path, f"import urllib.request as u; u.urlopen({receiver.url!r}, b'x')\n")
    for notifier in (
        made("exec", command=command, timeout="1h"),
        webhook(receiver, tmp_path, timeout="1h"),
    ):
        answered.clear()
        with hearts.pulse("telling", usual=USUAL, vital=False):
            notifier.send(a_message())
        assert answered.is_set()
    assert late == []


def alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_what_a_command_leaves_behind_is_ended(tmp_path: Path) -> None:
    """A background child that holds the output open neither delays the answer nor outlives it."""
    command = script(
        tmp_path,
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "print(child.pid)\n",
    )
    begun = time.monotonic()
    said = made("exec", command=command).send(a_message())
    assert time.monotonic() - begun < 20
    wait_for(lambda: not alive(int(said)))


@pytest.mark.parametrize("ending", ["sys.exit(3)", "os.kill(os.getpid(), signal.SIGKILL)"])
def test_a_command_that_fails_is_tried_again(ending: str, tmp_path: Path) -> None:
    """Another exit code than 0 is a message not told, with what the command said."""
    command = script(tmp_path, f"import os, signal, sys\nprint('oh no', flush=True)\n{ending}\n")
    with pytest.raises(Refused) as refused:
        made("exec", command=command).send(a_message())
    assert refused.value.code in {"exit-3", f"exit-{-signal.SIGKILL}"}
    assert "oh no" in refused.value.advice


def test_a_command_that_is_not_there_is_found_by_check(tmp_path: Path) -> None:
    """A program that is missing, or no program, is told by check and by the attempt."""
    told = made("exec", command=[str(tmp_path / "none")])
    with pytest.raises(TemporaryError, match="no program"):
        told.check()
    with pytest.raises(TemporaryError, match="could not be started"):
        told.send(a_message())


def test_apprise_tells_people_in_words(receiver: Receiver, tmp_path: Path) -> None:
    """Title and text arrive at Apprise's own JSON target, with what to do."""
    told = made("apprise", url=f"json://127.0.0.1:{receiver.port}/talk")
    assert told.send(a_message()) == "told"
    (got,) = receiver.got
    assert got.document["title"] == "asrwatch: talk.wav failed"
    assert "Mend it." in got.document["message"]
    assert told.check() == "reaches JSON"
    secrets = secret_file(tmp_path, f"json://127.0.0.1:{receiver.port}/talk")
    made("apprise", url_file=str(secrets)).send(a_message())
    assert len(receiver.got) == 2


def test_apprise_tells_nobody_twice_who_was_reached(receiver: Receiver, tmp_path: Path) -> None:
    """Of two receivers only the one that failed is tried again, and no password is shown."""
    with receiving(status=500) as other:
        urls = [
            f"json://127.0.0.1:{receiver.port}/one",
            f"json://me:secret-password@127.0.0.1:{other.port}/two",
        ]
        told = made("apprise", url_file=str(secret_file(tmp_path, *urls)))
        with pytest.raises(TemporaryError) as failed:
            told.send(a_message())
        assert "secret-password" not in str(failed.value)
        assert "500" in str(failed.value)
        other.status = 200
        told.send(a_message())
        assert (len(receiver.got), len(other.got)) == (1, 2)


def test_every_notifier_says_who_it_is_without_secrets() -> None:
    """Keys and labels hold nothing of addresses that may be secret."""
    each = [
        made("webhook", url="https://hooks.example.org/T0/secret-token"),
        made("exec", command=["/bin/tell", "--token=secret-token"]),
        made("apprise", url="tgram://secret-token/chat"),
    ]
    assert {one.name for one in each} == set(parts.names(notifiers))
    for one in each:
        assert (
            "secret-token" not in f"{one.key} {one.label} {one.options!r}" or one.name != "apprise"
        )
        assert "secret-token" not in one.key + one.label


def test_a_name_that_is_not_utf8_travels() -> None:
    """News survive being kept, and what is sent is plain JSON whatever the name holds."""
    message = a_message(inboxes={"dictation": 1}, reasons={"broke": 1})
    assert news_from_json(news_to_json(message.news)) == message.news
    document = as_json(message, summary="s")
    json.dumps(document).encode("ascii")
    assert document["timestamp"] == "2026-11-22T12:00:00Z"


def test_retry_after_may_be_a_date(receiver: Receiver, tmp_path: Path) -> None:
    """Both forms of the header are understood, a date by the sender's clock."""
    receiver.status, receiver.headers = 503, {"Retry-After": "Sun, 22 Nov 2026 12:10:00 GMT"}
    now = datetime(2026, 11, 22, 12, 0, tzinfo=UTC).timestamp()
    told = made(
        "webhook",
        Surroundings(now=lambda: now),
        url=receiver.url,
        private=True,
        http=True,
        secret_file=str(secret_file(tmp_path)),
    )
    with pytest.raises(TemporaryError) as later:
        told.send(a_message())
    assert later.value.retry_after == timedelta(minutes=10)

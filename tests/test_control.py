"""The control socket: who may ask, what comes back, and what never reaches the daemon."""

import json
import os
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from desk_helpers import daemon_for, settings_of

from asrwatch import control
from asrwatch.control import ControlServer, NobodyThere, ask_daemon, is_allowed
from asrwatch.daemon import Daemon
from asrwatch.daemon.mail import Stop
from asrwatch.desk import Desk
from asrwatch.desk.questions import AskRetry, AskStatus, Question
from asrwatch.desk.reports import Report
from asrwatch.desk.reports.status import Status
from asrwatch.desk.reports.treatment import Treatment
from asrwatch.errors import RecordingError, StartupError
from asrwatch.journey.store import Store, StoreTrouble

Answer = Callable[[Question], Report]


@dataclass
class Living:
    """A daemon that runs in a thread, with its control socket."""

    state_dir: Path
    wrap: Callable[[Answer], Answer] = lambda answer: answer
    ready: threading.Event = field(default_factory=threading.Event)
    daemon: Daemon | None = None

    def run(self) -> None:
        """The whole life of it, in one thread, as the store demands."""
        settings = settings_of(self.state_dir.parent)
        with Store(self.state_dir) as store:
            self.daemon = daemon_for(store)
            answer = self.wrap(Desk(settings, store, self.daemon).answer)
            with ControlServer(self.state_dir, self.daemon, answer):
                self.ready.set()
                self.daemon.run()


@contextmanager
def living(
    state_dir: Path, wrap: Callable[[Answer], Answer] = lambda answer: answer
) -> Iterator[Living]:
    """A daemon that answers while the block lasts."""
    life = Living(state_dir=state_dir, wrap=wrap)
    thread = threading.Thread(target=life.run)
    thread.start()
    assert life.ready.wait(10)
    try:
        yield life
    finally:
        assert life.daemon is not None
        life.daemon.post(Stop(reason="test"))
        thread.join(10)
        assert not thread.is_alive()


def say(state_dir: Path, request: bytes, *, close: bool = False) -> Any:
    """Send bytes as they are; what comes back as JSON, None if the connection was closed without a word."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(10)
        connection.connect(str(state_dir / "control.sock"))
        connection.sendall(request)
        if close:
            connection.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := connection.recv(65_536):
            answer += piece
    return json.loads(answer) if answer else None


def test_a_running_daemon_answers(tmp_path: Path) -> None:
    """A question reaches the daemon's thread and its answer comes back as the same value."""
    with living(tmp_path / "state") as life:
        assert life.daemon is not None
        report = ask_daemon(tmp_path / "state", AskStatus(), Status)
        assert report.running
        assert report.started_at == life.daemon.started_at
        assert report.process == os.getpid()


def test_the_socket_is_its_owners_alone(tmp_path: Path) -> None:
    """The socket has mode 0600 and is gone when the daemon has ended. [X12]."""
    path = tmp_path / "state" / "control.sock"
    with living(tmp_path / "state"):
        assert stat.S_ISSOCK(path.stat().st_mode)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert [each.name for each in path.parent.glob("*.sock")] == ["control.sock"]
        assert list(path.parent.glob(".control-*")) == []
    assert not path.exists()


def test_nobody_there_is_told_apart(tmp_path: Path) -> None:
    """No folder, no socket and a socket nobody listens at any more all mean: no daemon."""
    with pytest.raises(NobodyThere):
        ask_daemon(tmp_path / "nowhere", AskStatus(), Status)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "control.sock"))
    with pytest.raises(NobodyThere):
        ask_daemon(tmp_path, AskStatus(), Status)


def test_a_dead_daemons_socket_is_replaced(tmp_path: Path) -> None:
    """What a killed daemon left behind does not keep the next one from answering."""
    state_dir = tmp_path / "state"
    state_dir.mkdir()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(state_dir / "control.sock"))
    with living(state_dir):
        assert ask_daemon(state_dir, AskStatus(), Status).running


def test_long_paths_have_a_socket_too(tmp_path: Path) -> None:
    """A state folder deeper than a socket's address is long (108 bytes) works like any other."""
    state_dir = tmp_path / ("d" * 100) / ("e" * 100) / "state"
    state_dir.parent.mkdir(parents=True)
    with living(state_dir):
        assert (state_dir / "control.sock").is_socket()
        assert ask_daemon(state_dir, AskStatus(), Status).running
    assert not (state_dir / "control.sock").exists()


@pytest.mark.parametrize(
    "request_line",
    [
        b"\n",
        b"hello\n",
        b"\xff\xfe\n",
        b"{}\n",
        b"[" * 100_000 + b"\n",
        b'{"ask": "everything"}\n',
        b'{"ask": "explain", "path": 7}\n',
        b'{"ask": "forget", "paths": ["a\\u0000b"]}\n',
    ],
)
def test_garbage_is_answered_and_harms_nothing(tmp_path: Path, request_line: bytes) -> None:
    """Whatever is no question gets an error for an answer, and the next question its report."""
    with living(tmp_path / "state"):
        assert say(tmp_path / "state", request_line)["error"]["code"] == "bad-request"
        assert ask_daemon(tmp_path / "state", AskStatus(), Status).running


def test_unfinished_requests_end(tmp_path: Path) -> None:
    """Who hangs up in the middle of a line, or sends no end of one, is not waited for."""
    with living(tmp_path / "state"):
        assert say(tmp_path / "state", b'{"ask"', close=True)["error"]["code"] == "bad-request"
        endless = b"x" * (control.LARGEST_QUESTION + 1)
        told: Any = None
        try:
            told = say(tmp_path / "state", endless)
        except (BrokenPipeError, ConnectionResetError):
            told = None
        assert told is None or told["error"]["code"] == "bad-request"
        assert ask_daemon(tmp_path / "state", AskStatus(), Status).running


def test_questions_wait_for_nobody_slow(tmp_path: Path) -> None:
    """While one asker says nothing at all, others are answered."""
    with living(tmp_path / "state"), socket.socket(socket.AF_UNIX) as silent:
        silent.connect(str(tmp_path / "state" / "control.sock"))
        assert ask_daemon(tmp_path / "state", AskStatus(), Status).running


def test_only_the_owner_and_root_may_ask() -> None:
    """The daemon's own user and root are let in, others are not. [X12]."""
    assert is_allowed(1000, 1000)
    assert is_allowed(0, 1000)
    assert not is_allowed(1001, 1000)
    assert not is_allowed(1000, 0)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_another_user_is_turned_away() -> None:
    """Even where the file system lets another user connect, the kernel's word on who it is decides. [X12]."""
    program = (
        "import socket, sys\n"
        "asked = socket.socket(socket.AF_UNIX)\n"
        "asked.settimeout(10)\n"
        "asked.connect(sys.argv[1])\n"
        'asked.sendall(b\'{"ask": "status"}\\n\')\n'
        "try:\n"
        "    print(asked.recv(100))\n"
        "except ConnectionResetError:\n"
        "    print(b'')\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        state_dir = Path(folder) / "state"
        with living(state_dir):
            for each in (Path(folder), state_dir):
                each.chmod(0o755)
            (state_dir / "control.sock").chmod(0o666)
            told = subprocess.run(
                ["/usr/bin/env", "python3", "-c", program, str(state_dir / "control.sock")],
                user=65_534,
                capture_output=True,
                text=True,
                timeout=30,
                check=False,
            )
    if told.returncode != 0:
        pytest.skip(f"no Python for another user here: {told.stderr}")
    assert told.stdout == "b''\n"


def test_our_errors_reach_the_asker(tmp_path: Path) -> None:
    """An error of ours comes out at the other end with its message, code and advice."""

    def failing(_: Answer) -> Answer:
        def answer(_: Question) -> Report:
            raise RecordingError("It is broken.", code="broken", advice="Mend it.")

        return answer

    with living(tmp_path / "state", failing), pytest.raises(StartupError) as caught:
        ask_daemon(tmp_path / "state", AskStatus(), Status)
    assert (caught.value.code, str(caught.value)) == ("broken", "It is broken. Mend it.")


def test_a_bug_in_an_answer_is_not_the_daemons(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An error nobody foresaw is told and logged, and the daemon goes on."""

    def failing_once(answer: Answer) -> Answer:
        calls = iter([ZeroDivisionError("oops")])

        def odd(question: Question) -> Report:
            for error in calls:
                raise error
            return answer(question)

        return odd

    with living(tmp_path / "state", failing_once):
        with pytest.raises(StartupError, match="ZeroDivisionError") as caught:
            ask_daemon(tmp_path / "state", AskStatus(), Status)
        assert caught.value.code == "unexpected"
        assert ask_daemon(tmp_path / "state", AskStatus(), Status).running
    assert "question-failed" in capsys.readouterr().err


def test_an_answer_waits_for_its_commit(tmp_path: Path) -> None:
    """Nobody is told "done" before it is saved: a commit that fails is repeated, with the question."""
    tries: list[Question] = []

    def failing_once(answer: Answer) -> Answer:
        def odd(question: Question) -> Report:
            tries.append(question)
            report = answer(question)
            if len(tries) == 1:
                raise StoreTrouble("The disk is full.", code="database")
            return report

        return odd

    with living(tmp_path / "state", failing_once):
        report = ask_daemon(tmp_path / "state", AskRetry(failed=True), Treatment)
    assert report.done == 0
    assert len(tries) == 2


def test_an_ending_daemon_says_so(tmp_path: Path) -> None:
    """Who asks while the daemon ends, or is stuck, is told instead of being left waiting."""
    with Store(tmp_path / "state") as store:
        deaf = daemon_for(store)  # it never runs, so it never reads its mailbox
        told: list[StartupError] = []

        def ask() -> None:
            try:
                ask_daemon(tmp_path / "state", AskStatus(), Status)
            except StartupError as error:
                told.append(error)

        desk = Desk(settings_of(tmp_path), store, deaf)
        with ControlServer(tmp_path / "state", deaf, desk.answer):
            asker = threading.Thread(target=ask)
            asker.start()
            deaf.mailbox.get(timeout=10)
        asker.join(10)
    assert [error.code for error in told] == ["ending"]


def test_a_folder_without_sockets_is_no_reason_to_stop(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where the socket cannot be made, the daemon says so and works without."""
    with Store(tmp_path / "state") as store:
        daemon = daemon_for(store)
        desk = Desk(settings_of(tmp_path), store, daemon)
        with ControlServer(tmp_path / "missing", daemon, desk.answer):
            pass
    assert "control-unavailable" in capsys.readouterr().err


def test_peer_credentials_are_the_kernels() -> None:
    """What is read from the socket is the user at the other end."""
    here, there = socket.socketpair(socket.AF_UNIX)
    with here, there:
        assert control._peer(here) == os.getuid()
        assert struct.calcsize("3i") == 12
    assert sys.platform == "linux"

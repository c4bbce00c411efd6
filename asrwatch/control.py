"""Reaches a running daemon: from its own threads (`Counter`), and through `state_dir/control.sock`.

Through the socket one JSON line is asked, one answered. It has mode 0600, and whoever connects must be the daemon's
own user or root. The daemon does not know of this module: a question is posted into its mailbox as a `Call`, answered
in its own thread inside its transaction, and the answer leaves once that is committed.
"""

import json
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from pydantic import ValidationError

from asrwatch import logs
from asrwatch.crash import crash_point
from asrwatch.crew import begun, no_threads
from asrwatch.daemon import Daemon
from asrwatch.daemon.mail import Call
from asrwatch.desk.questions import Question, question_from_json, question_to_json
from asrwatch.desk.reports import Report, from_json, to_json
from asrwatch.errors import AsrwatchError, StartupError
from asrwatch.heartbeats import idle
from asrwatch.journey.store import StoreTrouble
from asrwatch.values import printable

__all__ = ["ControlServer", "Counter", "NobodyThere", "ask_daemon", "is_allowed"]

log = logs.get("control")

NAME: Final = "control.sock"
LARGEST_QUESTION: Final = 4 * 2**20
"""Bytes; a thousand paths of the greatest length."""
LARGEST_ANSWER: Final = 64 * 2**20
SECONDS_TO_ASK: Final = 5.0
SECONDS_TO_ANSWER: Final = 30.0
_LONGEST: Final = timedelta(seconds=90)
"""How long a conversation may take: each of its parts has its own end."""
_LONGEST_ADDRESS: Final = 107
"""Bytes; sockaddr_un holds 108 with the closing zero (unix(7))."""
_AT_ONCE: Final = 16

ReportT = TypeVar("ReportT", bound=Report)


class NobodyThere(Exception):
    """No daemon listens at this state folder."""


class Counter:
    """Where other threads have questions answered, in the daemon's thread.

    Args:
        daemon: whose mailbox questions go to.
        answer: called in the daemon's thread.
        ending: set once nobody is to wait for an answer any more.
    """

    def __init__(
        self,
        daemon: Daemon,
        answer: Callable[[Question], Report],
        ending: threading.Event,
    ) -> None:
        self._daemon = daemon
        self._answer = answer
        self._ending = ending

    def ask(self, question: Question) -> Report:
        """Have the daemon's thread answer, and wait until what it did is committed.

        Raises:
            AsrwatchError: what came instead of an answer.
        """
        answered: SimpleQueue[Report | AsrwatchError] = SimpleQueue()
        latest: list[Report | AsrwatchError] = []

        def work(_: Daemon) -> None:
            latest[:] = [self._worked(question)]
            # Posted behind this one, it is read after this one's transaction; should that fail, the
            # daemon repeats this call first.
            self._daemon.post(Call(answer=lambda _: answered.put(latest[0])))

        self._daemon.post(Call(answer=work, spoiled=answered.put))
        deadline = time.monotonic() + SECONDS_TO_ANSWER
        while not self._ending.is_set() and time.monotonic() < deadline:
            with suppress(Empty):
                told = answered.get(timeout=0.25)
                if isinstance(told, AsrwatchError):
                    raise told
                return told
        ending = self._ending.is_set()
        raise StartupError(
            "The daemon is ending." if ending else "The daemon is busy and did not answer.",
            code="ending" if ending else "no-answer",
            advice="Try again in a moment.",
        )

    def _worked(self, question: Question) -> Report | AsrwatchError:
        try:
            return self._answer(question)
        except StoreTrouble:
            raise  # the daemon knows: it keeps the question until the database works again
        except AsrwatchError as error:
            return error
        except Exception as error:
            # A question, however odd, must never end the daemon.
            log.exception("question-failed")
            return StartupError(
                f"The daemon ran into an error of its own ({type(error).__name__}).",
                code="unexpected",
                advice="Its log holds the traceback; please report it.",
            )


class ControlServer:
    """Answers questions from the socket while the `with` block lasts.

    Where the socket cannot be made, that is logged and the daemon works without: its recordings matter more.

    Args:
        state_dir: locked by this process, so that a socket already there is a dead daemon's.
        daemon: whose mailbox questions go to.
        answer: called in the daemon's thread; what it raises of ours goes to the asker.
    """

    def __init__(
        self, state_dir: Path, daemon: Daemon, answer: Callable[[Question], Report]
    ) -> None:
        self._state_dir = state_dir
        self._daemon = daemon
        self._stopping = threading.Event()
        self._counter = Counter(daemon, answer, self._stopping)
        self._socket: socket.socket | None = None
        self._places = threading.BoundedSemaphore(_AT_ONCE)
        self._thread = threading.Thread(target=self._serve, name="control", daemon=True)

    def __enter__(self) -> Self:
        try:
            self._socket = _listen(self._state_dir)
        except OSError as error:
            log.warning(
                "control-unavailable",
                error=str(error),
                advice="Commands such as `asrwatch status` cannot reach this daemon.",
            )
            return self
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stopping.set()
        if self._socket is None:
            return
        with suppress(OSError):
            (self._state_dir / NAME).unlink()
        # close() alone would leave accept() waiting in its thread
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(1)

    def _serve(self) -> None:
        listening = self._socket
        assert listening is not None  # noqa: S101 - the thread starts after it was made
        with self._daemon.hearts.pulse("the control socket", usual=_LONGEST, vital=False):
            self._welcome(listening)

    def _welcome(self, listening: socket.socket) -> None:
        while not self._stopping.is_set():
            try:
                with idle():
                    self._places.acquire()
                    connection, _ = listening.accept()
            except OSError as error:
                self._places.release()
                if not self._stopping.is_set():
                    log.warning("control-trouble", error=str(error))
                    self._stopping.wait(1)
                continue
            answerer = threading.Thread(
                target=self._converse, args=(connection,), name="control answer", daemon=True
            )
            if not begun(answerer):
                connection.close()
                self._places.release()
                log.warning("control-trouble", error=no_threads().message)

    def _converse(self, connection: socket.socket) -> None:
        """One question, one answer. Whatever comes, nothing of it reaches the daemon but a question."""
        try:
            answering = self._daemon.hearts.pulse("answering", usual=_LONGEST, vital=False)
            with connection, suppress(OSError), answering:
                uid = _peer(connection)
                if not is_allowed(uid, os.geteuid()):
                    log.warning("control-refused", uid=uid)
                    return
                line = _read_line(connection, LARGEST_QUESTION, SECONDS_TO_ASK)
                connection.settimeout(SECONDS_TO_ASK)
                reply = self._reply(line)
                crash_point("control-answered")
                connection.sendall(reply)
        finally:
            self._places.release()

    def _reply(self, line: bytes) -> bytes:
        try:
            question = question_from_json(json.loads(line))
        except (ValueError, RecursionError):  # ValidationError and JSONDecodeError are ValueErrors
            error = StartupError(
                "The request is no question this daemon understands.",
                code="bad-request",
                advice="Use the same version of asrwatch for the daemon and the command.",
            )
            return _line(_error_json(error))
        return _line(self._ask(question))

    def _ask(self, question: Question) -> Any:
        try:
            return {"answer": to_json(self._counter.ask(question))}
        except AsrwatchError as error:
            return _error_json(error)


def ask_daemon(state_dir: Path, question: Question, kind: type[ReportT]) -> ReportT:
    """Ask the daemon that uses a state folder.

    Raises:
        NobodyThere: none listens.
        StartupError: it listens and does not answer, or may not be asked by this user.
        AsrwatchError: what it answered instead of a report.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(SECONDS_TO_ASK)
            with _address(state_dir, NAME) as address:
                connection.connect(address)
            connection.sendall(_line(question_to_json(question)))
            line = _read_line(connection, LARGEST_ANSWER, SECONDS_TO_ANSWER + SECONDS_TO_ASK)
    except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError) as error:
        raise NobodyThere from error
    except PermissionError as error:
        raise StartupError(
            f"The daemon that uses {printable(os.fsencode(state_dir))} belongs to another user.",
            code="not-yours",
            advice="Ask as that user or as root (sudo).",
        ) from error
    except OSError as error:
        raise StartupError(
            f"The daemon that uses {printable(os.fsencode(state_dir))} does not answer: {error}.",
            code="no-answer",
            advice="Look into its log.",
        ) from error
    return _read_report(line, kind)


def is_allowed(uid: int, own: int) -> bool:
    """Whether a user may ask: the daemon's own, or root."""
    return uid in {own, 0}


def _read_report(line: bytes, kind: type[ReportT]) -> ReportT:
    try:
        told = json.loads(line)
        if "error" in told:
            raise StartupError(
                str(told["error"]["message"]),
                code=str(told["error"]["code"]),
                advice=str(told["error"]["advice"]),
            )
        return from_json(kind, told["answer"])
    except (ValidationError, ValueError, KeyError, TypeError) as error:
        raise StartupError(
            "The daemon closed the connection or answered in a way this version does not understand.",
            code="bad-answer",
            advice="Is it another version, or another user's? Restart it after an upgrade.",
        ) from error


def _listen(state_dir: Path) -> socket.socket:
    """A listening socket in the place of any dead one; never visible with a wider mode."""
    temporary = f".control-{os.getpid()}.sock"
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with suppress(FileNotFoundError):
            (state_dir / temporary).unlink()
        with _address(state_dir, temporary) as address:
            listening.bind(address)
        (state_dir / temporary).chmod(0o600)
        (state_dir / temporary).replace(state_dir / NAME)
        listening.listen(_AT_ONCE)
    except OSError:
        listening.close()
        raise
    return listening


@contextmanager
def _address(state_dir: Path, name: str) -> Iterator[bytes]:
    """What to bind or connect to; through the open folder where the path is too long for a socket's address."""
    path = os.fsencode(state_dir.absolute() / name)
    if len(path) <= _LONGEST_ADDRESS:
        yield path
        return
    folder = os.open(state_dir, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{name}".encode()
    finally:
        os.close(folder)


def _peer(connection: socket.socket) -> int:
    """The user at the other end, as the kernel knows it (SO_PEERCRED, unix(7))."""
    layout = struct.Struct("3i")
    told = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, layout.size)
    _, uid, _ = layout.unpack(told)
    return int(uid)


def _read_line(connection: socket.socket, largest: int, seconds: float) -> bytes:
    """One line, within a time that a slow other side cannot stretch; empty if there is none."""
    deadline = time.monotonic() + seconds
    line = bytearray()
    while not line.endswith(b"\n"):
        connection.settimeout(max(deadline - time.monotonic(), 0.001))
        piece = connection.recv(65_536)
        if not piece or len(line) + len(piece) > largest:
            return b""
        line += piece
    return bytes(line)


def _line(written: Any) -> bytes:
    return json.dumps(written, ensure_ascii=True).encode("ascii") + b"\n"


def _error_json(error: AsrwatchError) -> Any:
    return {"error": {"code": error.code, "message": error.message, "advice": error.advice}}

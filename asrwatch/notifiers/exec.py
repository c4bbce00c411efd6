"""Tells a command: the message as JSON on its standard input, never in its arguments."""

import json
import os
import select
import signal
import subprocess
import time
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryFile
from typing import Annotated, Final

from pydantic import Field, field_validator

from asrwatch.children import bare_environment
from asrwatch.errors import TemporaryError
from asrwatch.heartbeats import allow
from asrwatch.news import Message, as_json
from asrwatch.notifiers import Notifier, NotifierOptions, Refused
from asrwatch.notifiers._wording import title
from asrwatch.values import Duration, format_duration, parse_duration, printable

__all__ = ["Exec", "ExecOptions"]

_MOST_SAID: Final = 4096
"""Bytes of a command's output that are kept; the rest is read and dropped."""
_SHOWN: Final = 500
"""Characters of it that people are shown: the last ones, where the reason usually stands."""
_LEEWAY: Final = timedelta(minutes=1)
"""Beside its time limit, until a command that was killed counts as one that never ends."""
_GLANCE: Final = 0.05
"""Seconds between two looks whether a command that says nothing has ended."""


class ExecOptions(NotifierOptions):
    """Options of `exec`.

    `command`: program and arguments, as they are: no shell. `timeout`: how long it may take; then it is killed,
    with everything it started.
    """

    command: Annotated[tuple[str, ...], Field(min_length=1)]
    timeout: Duration = parse_duration("30s")

    @field_validator("command")
    @classmethod
    def _is_a_program(cls, command: tuple[str, ...]) -> tuple[str, ...]:
        if not Path(command[0]).is_absolute():
            msg = "the program must be named by its absolute path"
            raise ValueError(msg)
        if any("\0" in word for word in command):
            msg = "must not hold NUL characters"
            raise ValueError(msg)
        return command


class Exec(Notifier[ExecOptions]):
    """A command of yours, given JSON on its standard input; exit code 0 means that it was told."""

    Options = ExecOptions

    @property
    def address(self) -> str:
        """The whole command."""
        return json.dumps(self.options.command)

    @property
    def label(self) -> str:
        """The program's name: arguments may hold secrets."""
        return f"exec {printable(Path(self.options.command[0]).name)}"

    def check(self) -> str:
        """Whether the program is there and may be run.

        Raises:
            TemporaryError: not so.
        """
        program = Path(self.options.command[0])
        if not program.is_file() or not os.access(program, os.X_OK):
            raise TemporaryError(
                f"{printable(str(program))} is no program that can be run.",
                code="no-program",
                advice="Write its absolute path into `command:` and make it executable (chmod +x).",
            )
        return f"{printable(str(program))} can be run"

    def send(self, message: Message) -> str:
        """Run it once, in a session and with an environment of its own.

        Raises:
            Refused: it ended with another code than 0, or took too long.
            TemporaryError: it could not be started.
        """
        told = json.dumps(as_json(message, summary=title(message.news)), ensure_ascii=True)
        with TemporaryFile() as paper:
            paper.write(told.encode() + b"\n")
            paper.seek(0)
            try:
                child = subprocess.Popen(  # noqa: S603 - the command is the configuration's own
                    self.options.command,
                    stdin=paper,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    cwd="/",
                    env=bare_environment(self.around.environment),
                    start_new_session=True,
                )
            except OSError as error:
                reason = error.strerror or type(error).__name__
                raise TemporaryError(
                    f"{self.label} could not be started: {reason}.",
                    code="not-started",
                    advice="Check `command:`.",
                ) from error
        with child, allow(self.options.timeout + _LEEWAY):
            said, in_time = _heard(child, self.options.timeout)
        shown = printable(said.decode("utf-8", "replace").strip())
        shown = shown if len(shown) <= _SHOWN else f"[...] {shown[-_SHOWN:]}"
        if not in_time:
            raise Refused(
                f"{self.label} took longer than {format_duration(self.options.timeout)} and was killed.",
                code="timeout",
                advice=f"It said: {shown}" if shown else "",
            )
        if child.returncode != 0:
            raise Refused(
                f"{self.label} ended with {_ended(child.returncode)}.",
                code=f"exit-{child.returncode}",
                advice=f"It said: {shown}" if shown else "",
            )
        return shown


def _heard(child: subprocess.Popen[bytes], longest: timedelta) -> tuple[bytes, bool]:
    """The first of what it says until it ends, and whether it did in time; nothing of it is left running."""
    assert child.stdout is not None  # noqa: S101 - it was asked for
    said, descriptor = bytearray(), child.stdout.fileno()
    os.set_blocking(descriptor, False)
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    deadline = time.monotonic() + longest.total_seconds()
    is_open = True
    try:
        while not _has_ended(child) and time.monotonic() < deadline:
            # an end of its output is no end of the command, nor the other way round
            if is_open and poll.poll(_GLANCE * 1000):
                is_open = _read(descriptor, said)
            elif not is_open:
                time.sleep(_GLANCE)
        in_time = _has_ended(child)
    finally:
        # also what it left behind: until it is waited for, its number, and so its group's, is nobody else's
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
    while is_open and _read(descriptor, said) and poll.poll(0):
        pass
    return bytes(said), in_time


def _has_ended(child: subprocess.Popen[bytes]) -> bool:
    """Whether it is dead, without burying it."""
    return os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _read(descriptor: int, said: bytearray) -> bool:
    """Read some; False at the end of it, or where nothing is there."""
    try:
        piece = os.read(descriptor, 65_536)
    except BlockingIOError:
        return False
    said += piece[: max(0, _MOST_SAID - len(said))]
    return bool(piece)


def _ended(code: int) -> str:
    return f"exit code {code}" if code > 0 else f"signal {-code}"

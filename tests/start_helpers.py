"""Starts asrwatch as a process of its own: quickly, in a fork that has imported it, or truly, by executing Python."""

import atexit
import json
import os
import select
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import IO, Any

from wait_helpers import PATIENCE

Word = str | bytes | Path

_KEPT = ("PATH", "LANG", "PYTHONPATH", "COVERAGE_PROCESS_START")
_FORKS = sys.platform == "linux"


def environment(home: Path, **more: str) -> dict[str, str]:
    """Nothing but what a Python needs: no key, no configuration of the person who runs the tests."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return {**kept, "HOME": str(home), **more}


def start(
    *words: Word,
    env: Mapping[str, str],
    cwd: Path,
    stdin: int | IO[Any] = subprocess.DEVNULL,
    stdout: IO[Any],
    stderr: IO[Any],
) -> "subprocess.Popen[bytes]":
    """`asrwatch` with these words, in the background.

    What Python itself reads when it starts must be what the server's Python has read; else it is executed.
    """
    if _FORKS and _read_by_python(env) == _read_by_python(environment(cwd)):
        return Forked(_fork_server(), words, env=env, cwd=cwd, streams=(stdin, stdout, stderr))
    return subprocess.Popen(
        [sys.executable, "-m", "asrwatch", *words],
        env=env,
        cwd=cwd,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
    )


def run(
    *words: Word,
    env: Mapping[str, str],
    cwd: Path,
    given: str | None = None,
    errors: str = "replace",
    patience: float = PATIENCE,
) -> "subprocess.CompletedProcess[str]":
    """`asrwatch` with these words to its end, and what it wrote."""
    with (
        tempfile.TemporaryFile() as stdin,
        tempfile.TemporaryFile() as stdout,
        tempfile.TemporaryFile() as stderr,
    ):
        stdin.write((given or "").encode())
        stdin.seek(0)
        process = start(*words, env=env, cwd=cwd, stdin=stdin, stdout=stdout, stderr=stderr)
        try:
            process.wait(patience)
        finally:
            process.kill()
            process.wait()
        written = []
        for stream in (stdout, stderr):
            stream.seek(0)
            written.append(stream.read().decode(errors=errors).replace("\r\n", "\n"))
    return subprocess.CompletedProcess(process.args, process.returncode, *written)


class Forked(subprocess.Popen[bytes]):
    """A process that the fork server started; to be used like one that was executed.

    If nobody holds it any more, it is killed.
    """

    def __init__(
        self,
        server: socket.socket,
        words: Sequence[Word],
        *,
        env: Mapping[str, str],
        cwd: Path,
        streams: Sequence[int | IO[Any]],
    ) -> None:
        # Not Popen's own: nothing is executed, and the process is not a child of ours.
        self.args = ["asrwatch", *(os.fsdecode(word) for word in words)]
        self.returncode = None
        self.stdin = self.stdout = self.stderr = None
        self._told, theirs = socket.socketpair()
        with theirs, Path(os.devnull).open("rb") as nothing:
            given = (nothing if stream == subprocess.DEVNULL else stream for stream in streams)
            numbers = [one if isinstance(one, int) else one.fileno() for one in given]
            order = json.dumps([self.args[1:], dict(env), str(cwd)])
            socket.send_fds(server, [order.encode()], [*numbers, theirs.fileno()])
        self._heard = b""
        self.pid = self._number(PATIENCE) or 0
        assert self.pid, "the fork server does not answer"

    def poll(self) -> int | None:
        """How it ended; None while it runs."""
        if self.returncode is None:
            self.returncode = self._number(0)
            if self.returncode is not None:
                self._told.close()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Until it has ended."""
        end = None if timeout is None else time.monotonic() + timeout
        while self.poll() is None:
            left = None if end is None else end - time.monotonic()
            if left is not None and left <= 0:
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
            select.select([self._told], [], [], left)
        return self.returncode or 0

    def send_signal(self, sig: int) -> None:
        """As Popen's: nothing, if it has ended."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, sig)

    def __del__(self) -> None:
        self._told.close()

    def _number(self, patience: float) -> int | None:
        """The next number that the server tells, if it does so in time."""
        while b"\n" not in self._heard:
            if not select.select([self._told], [], [], patience)[0]:
                return None
            heard = self._told.recv(64)
            assert heard, "the fork server has died"
            self._heard += heard
        line, _, self._heard = self._heard.partition(b"\n")
        return int(line)


def _read_by_python(env: Mapping[str, str]) -> dict[str, str]:
    return {name: text for name, text in env.items() if name.startswith(("PYTHON", "LANG", "LC_"))}


@cache
def _fork_server() -> socket.socket:
    """The server of this process of pytest; it ends when the socket is closed, so with pytest at the latest."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        server = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("fork_server.py"))],
            env=environment(Path("/")),
            stdin=theirs.fileno(),
            stdout=subprocess.DEVNULL,
        )

    def end() -> None:
        ours.close()
        server.wait(PATIENCE)

    atexit.register(end)
    return ours


__all__ = ["Forked", "Word", "environment", "run", "start"]

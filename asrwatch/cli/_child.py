"""The real daemon as a child process, and what it logs as it happens (for the demo)."""

import json
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Self

from asrwatch.children import bare_environment

__all__ = ["Child", "Logged"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Logged:
    """A line of the daemon's log: the event, the file and note where it has them, and the line itself."""

    event: str
    level: str
    file: str
    note: str
    line: str


class Child:
    """A daemon (`asrwatch run`) that lives as long as the `with` block.

    Args:
        config: its configuration file.
        environment: added to the bare one, such as the key. What the surroundings say about other
            configurations, keys and outputs does not reach the child.
    """

    def __init__(self, config: Path, environment: Mapping[str, str]) -> None:
        self._command = (sys.executable, "-m", "asrwatch", "run", "--config", str(config))
        self._environment = {**bare_environment(), **environment}
        self._lines: SimpleQueue[Logged | None] = SimpleQueue()

    def __enter__(self) -> Self:
        # A session of its own: Ctrl-C at the terminal reaches the demo, which then stops the daemon.
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            self._command,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, name="daemon's log", daemon=True)
        self._reader.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(5)
        if self._process.stderr is not None:
            self._process.stderr.close()

    def next_line(self, patience: timedelta) -> Logged | None:
        """The next line of its log; None if there is none in time, or it has ended."""
        with suppress(Empty):
            return self._lines.get(timeout=max(patience.total_seconds(), 0.001))
        return None

    def _read(self) -> None:
        assert self._process.stderr is not None  # noqa: S101 - it was asked for as a pipe
        for line in self._process.stderr:
            self._lines.put(_logged(line.decode("utf-8", "backslashreplace").rstrip("\n")))
        self._lines.put(None)


def _logged(line: str) -> Logged:
    try:
        said = json.loads(line)
    except ValueError:
        said = {}
    values = said if isinstance(said, dict) else {}
    return Logged(
        event=str(values.get("event", "")),
        level=str(values.get("level", "error")),
        file=str(values.get("file", "")),
        note=str(values.get("note", "")),
        line=line,
    )

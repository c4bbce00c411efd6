"""Say what happened, one line per event, so that no name can forge a line and no secret appears in one.

Events are names with values, not sentences: `log.info("delivered", outputs=3)`. Each becomes one JSON object
in ASCII on stderr, or one line for people where stderr is a terminal. The set-up is asrwatch's own and leaves
the rest of a process that merely imports it alone, until `configure` is called.
"""

import io
import json
import logging
import os
import select
import sys
import threading
import traceback
from base64 import b64encode
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from typing import Any, TextIO, cast
from urllib.parse import quote

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, WrappedLogger

from asrwatch.loglines import for_machines, for_people
from asrwatch.loglines import masked as _masked
from asrwatch.values import Secret, printable

__all__ = ["LEVELS", "bound", "configure", "get", "masked", "register_secret"]

LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
}

# Masking anything shorter would turn the log into asterisks, and a key that short is none.
_SHORTEST_SECRET = 4


@dataclass(frozen=True, kw_only=True)
class _Setup:
    """Where lines go and which do; `stream` and `terminal` of None are looked up when a line is written."""

    level: int = logging.WARNING
    stream: TextIO | None = None
    terminal: bool | None = None


def configure(
    level: str = "info", *, stream: TextIO | None = None, terminal: bool | None = None
) -> None:
    """Set up the log of this process, and take in what libraries log or warn about (from warnings up).

    Args:
        level: the least that is shown, one of `LEVELS`.
        stream: where to write; default is what `sys.stderr` is when a line is written.
        terminal: for people (True) or machines (False); default is whether the stream is a terminal.

    Raises:
        ValueError: there is no such level.
    """
    if level not in LEVELS:
        raise ValueError(f"{level!r} is not a log level; there are {', '.join(LEVELS)}")
    _state.setup = _Setup(level=LEVELS[level], stream=stream, terminal=terminal)
    root = logging.getLogger()
    for handler in root.handlers:
        if isinstance(handler, _Library):
            break
    else:
        root.addHandler(_Library(logging.WARNING))
    logging.captureWarnings(capture=True)


def register_secret(secret: Secret) -> None:
    """From now on this text appears in no line, also not percent-encoded, in Base64 or inside an exception."""
    text = secret.reveal()
    if len(text) < _SHORTEST_SECRET:
        return
    forms = {text, quote(text, safe=""), repr(text)[1:-1], printable(text), *_base64(text)}
    with _state.lock:
        # Longer ones first, so that a part of one never spoils the search for the whole.
        known = set(_state.secrets) | forms
        _state.secrets = tuple(sorted(known, key=len, reverse=True))


def masked(text: str) -> str:
    """A text as it may leave this process: without any secret that was registered."""
    return _masked(text, _state.secrets)


def _base64(text: str) -> set[str]:
    """What is the same in Base64 wherever in a longer text this one stands: whole groups of three bytes."""
    raw = text.encode("utf-8", "surrogatepass")
    whole = {raw[skip : len(raw) - (len(raw) - skip) % 3] for skip in range(3)}
    return {b64encode(part).decode("ascii") for part in whole if len(part) > _SHORTEST_SECRET}


def get(name: str) -> FilteringBoundLogger:
    """A logger; `name` says which room speaks."""
    logger = structlog.wrap_logger(
        _Lines(),
        processors=[
            _only_wanted,
            structlog.contextvars.merge_contextvars,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _exceptions_as_text,
            _render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
        context_class=dict,
    )
    return cast("FilteringBoundLogger", logger.bind(logger=name))


def bound(**values: Any) -> AbstractContextManager[None]:
    """Add these values to everything that this thread logs inside the `with` block."""
    return structlog.contextvars.bound_contextvars(**values)


class _Lines:
    """Writes whole lines, and never raises: the log is not worth stopping work for."""

    def msg(self, line: str) -> None:
        """Write one line, or lose it if nobody can read it any more."""
        stream = _stream()
        if stream is None:
            return
        encoding = getattr(stream, "encoding", None) or "utf-8"
        told = (line + "\n").encode(encoding, "backslashreplace")
        # A closed stream raises ValueError, a broken pipe or a full disk OSError.
        with _state.lock, suppress(OSError, ValueError):
            descriptor = _descriptor(stream)
            if descriptor is None:
                stream.write(told.decode(encoding))
                stream.flush()
            else:
                stream.flush()
                _state.pen.write(descriptor, told)

    log = debug = info = warning = warn = error = critical = exception = fatal = msg


class _Pen:
    """Writes to a descriptor, past all buffers: what a full disk did not take is not kept for later.

    A reader that stopped reading (a pager, a stuck journal) holds the work up once, for `PATIENCE`; from
    then on lines are dropped until it reads again, and the first line after that says how many.
    """

    PATIENCE = 5.0

    def __init__(self) -> None:
        self._torn = False
        self._lost = 0

    def write(self, descriptor: int, line: bytes) -> None:
        """Write a line, or drop it.

        Raises:
            OSError: it cannot be written.
        """
        poll = select.poll()
        poll.register(descriptor, select.POLLOUT)
        if not poll.poll(0 if self._lost else self.PATIENCE * 1000):
            self._lost += 1
            return
        if self._lost:
            told = {"event": "log-lines-lost", "level": "warning", "count": self._lost}
            line = json.dumps(told).encode("ascii") + b"\n" + line
            self._lost = 0
        # half a line that a full disk left is ended first, so that it spoils no other
        rest = memoryview(b"\n" + line if self._torn else line)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
            self._torn = bool(rest)


class _State:
    """What is set for the whole process: the set-up, and the texts that must never be shown."""

    def __init__(self) -> None:
        self.setup = _Setup()
        self.secrets: tuple[str, ...] = ()
        self.lock = threading.Lock()
        self.pen = _Pen()


_state = _State()


class _Library(logging.Handler):
    """Passes what libraries log through the same pipeline."""

    def emit(self, record: logging.LogRecord) -> None:
        """Say it under the library's name; its sentence is a value."""
        try:
            message = record.getMessage()
        except (TypeError, ValueError, KeyError):
            message = f"{record.msg} {record.args}"
        get(record.name).log(
            max(record.levelno, logging.WARNING),
            "library-said",
            message=message,
            exc_info=record.exc_info,
        )


def _descriptor(stream: TextIO) -> int | None:
    """Of a real file, pipe or terminal; None for what tests and progress bars put in its place."""
    if not isinstance(stream, io.TextIOWrapper):
        return None
    with suppress(OSError, ValueError):
        return stream.fileno()
    return None


def _stream() -> TextIO | None:
    # `sys.stderr` is None where a process was started without one.
    return _state.setup.stream or cast("TextIO | None", sys.stderr)


def _for_people() -> bool:
    if _state.setup.terminal is not None:
        return _state.setup.terminal
    stream = _stream()
    try:
        return stream is not None and stream.isatty()
    except (OSError, ValueError):
        return False


def _only_wanted(_logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    level = {"exception": "error", "warn": "warning", "fatal": "critical"}.get(method, method)
    if LEVELS.get(level, logging.INFO) < _state.setup.level:
        raise structlog.DropEvent
    event["level"] = level
    return event


def _exceptions_as_text(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """The whole chain with its frames, and no local variables: they hold keys and recordings."""
    told = event.pop("exc_info", None)
    if isinstance(told, tuple):
        told = told[1]
    elif told is not None and not isinstance(told, BaseException):
        told = sys.exc_info()[1] if told else None
    if told is not None:
        lines = traceback.TracebackException.from_exception(told, capture_locals=False).format()
        event["exception"] = "".join(lines).rstrip("\n")
    return event


def _render(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    if _for_people():
        colours = "NO_COLOR" not in os.environ and _state.setup.stream is None
        return for_people(event, _state.secrets, colours=colours)
    return for_machines(event, _state.secrets)

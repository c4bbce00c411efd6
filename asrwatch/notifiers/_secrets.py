"""Reads a notifier's secrets, anew each time: from a file that is ours alone, a credential, or the environment."""

import os
import shlex
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from asrwatch.errors import TemporaryError
from asrwatch.trust import strangers_who_may_read
from asrwatch.values import printable

__all__ = ["lines_of", "secret_lines"]

_LARGEST = 64 * 1024


def secret_lines(
    named: Path | None, environment: Mapping[str, str], *, credential: str, variable: str
) -> tuple[str, ...]:
    """The lines of the first place that holds any: the file named, else systemd's credential, else the variable.

    Raises:
        TemporaryError: a file was named and cannot be used, or there is nothing anywhere.
    """
    if named is not None:
        return lines_of(named)
    folder = environment.get("CREDENTIALS_DIRECTORY")
    if folder and (Path(folder) / credential).exists():
        return lines_of(Path(folder) / credential)
    lines = tuple(_lines(environment.get(variable, "")))
    if not lines:
        raise TemporaryError(
            "There is no secret to sign messages with.",
            code="no-secret",
            advice=f"Name a file with `secret_file:` (mode 0600), or use the systemd credential {credential}, or the "
            f"environment variable {variable}.",
        )
    return lines


def lines_of(path: Path) -> tuple[str, ...]:
    """The lines of a file that nobody else can read; empty ones and those that begin with # are left out.

    Raises:
        TemporaryError: it is not there, not ours alone, not text, or empty.
    """
    name = printable(str(path))
    try:
        # not blocking, as a FIFO would without a writer
        with open(path, "rb", opener=_without_waiting) as file:
            strangers = strangers_who_may_read(file.fileno())
            regular = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
            held = file.read(_LARGEST + 1) if regular else b""
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise _trouble(f"{name} cannot be read: {reason}.") from error
    if strangers:
        raise _trouble(
            f"{name} is not used, as it is no secret: {strangers}.",
            f"`chmod 600 {shlex.quote(name)}`, and `chown` it to the account asrwatch runs as; if it may have been "
            "read, make a new secret.",
        )
    try:
        lines = tuple(_lines(held.decode("utf-8-sig")))
    except UnicodeDecodeError:
        raise _trouble(f"{name} is not text.") from None  # the exception carries the content
    if not lines or len(held) > _LARGEST:
        raise _trouble(f"{name} holds no secret." if regular else f"{name} is not a regular file.")
    return lines


def _lines(text: str) -> Iterator[str]:
    for line in text.splitlines():
        bare = line.strip()
        if bare and not bare.startswith("#"):
            yield bare


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)


def _trouble(message: str, advice: str = "Write it there, one line, mode 0600.") -> TemporaryError:
    return TemporaryError(message, code="no-secret", advice=f"{advice} It is read anew each time.")

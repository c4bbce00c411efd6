"""The token that visitors must know: from the configuration, or from a file that nobody else reads."""

import os
import shlex

from asrwatch import logs
from asrwatch.config import WebSettings
from asrwatch.errors import StartupError
from asrwatch.trust import strangers_who_may_read
from asrwatch.values import Secret, printable

__all__ = ["LEAST", "token_of"]

LEAST = 16
_LARGEST = 4096


def token_of(web: WebSettings) -> str | None:
    """The token; None where none is asked for.

    Raises:
        StartupError: its file is missing, open to others, or holds none.
    """
    if web.token is not None:
        token = web.token.get_secret_value()
    elif web.token_file is not None:
        token = _read(os.fspath(web.token_file))
    else:
        return None
    logs.register_secret(Secret(token))
    return token


def _read(path: str) -> str:
    named = f"The token file {printable(path)} (web.token_file)"
    try:
        with open(path, "rb", opener=_without_waiting) as file:
            strangers = strangers_who_may_read(file.fileno())
            held = b"" if strangers else file.read(_LARGEST)
    except OSError as error:
        raise _trouble(f"{named} cannot be read: {error.strerror}.") from error
    if strangers:
        raise _trouble(
            f"{named} is no secret: {strangers}; `chmod 600 {shlex.quote(printable(path))}`."
        )
    try:
        token = held.decode("ascii").strip()
    except UnicodeDecodeError:
        raise _trouble(f"{named} is not one line of ASCII.") from None  # the error would carry it
    if len(token) < LEAST or not token.isprintable():
        raise _trouble(f"{named} must hold one line of at least {LEAST} characters.")
    return token


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)


def _trouble(message: str) -> StartupError:
    return StartupError(
        message,
        code="page-token",
        advice="`umask 077; openssl rand -hex 16 > FILE` makes one. The page is served as soon as it can be; "
        "recordings go on meanwhile.",
    )

"""The socket that the page listens at: on a port, or in a folder and for its owner alone."""

import errno
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from asrwatch.address import Address
from asrwatch.errors import StartupError
from asrwatch.values import printable

__all__ = ["listening"]

_BACKLOG = 64


@contextmanager
def listening(address: Address) -> Iterator[socket.socket]:
    """A socket that listens until the block ends.

    Raises:
        StartupError: somebody else listens there, or this user may not.
    """
    if address.path is not None:
        with _in_folder(address.path) as made:
            yield made
        return
    try:
        found = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        family, kind, protocol, _, where = found[0]
        made = socket.socket(family, kind, protocol)
    except OSError as error:
        raise _trouble(address, error) from error
    with made:
        try:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind(where)
            made.listen(_BACKLOG)
        except OSError as error:
            raise _trouble(address, error) from error
        yield made


@contextmanager
def _in_folder(path: Path) -> Iterator[socket.socket]:
    """In the place of a dead one; a living one, or anything that is no socket, is left alone."""
    address = Address(path=path)
    _remove_dead(path, address)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as made:
        temporary = path.with_name(f".{os.getpid()}.sock")
        try:
            with suppress(FileNotFoundError):
                temporary.unlink()
            made.bind(str(temporary))
            temporary.chmod(0o600)
            temporary.replace(path)
            made.listen(_BACKLOG)
        except OSError as error:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise _trouble(address, error) from error
        mine = path.stat().st_ino
        try:
            yield made
        finally:
            with suppress(OSError):
                if path.stat().st_ino == mine:
                    path.unlink()


def _remove_dead(path: Path, address: Address) -> None:
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise StartupError(
                f"The status page cannot listen at {printable(str(path))}: there is something else.",
                code="page-address",
                advice="Name another path in web.listen, or move that away.",
            )
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asker:
            asker.settimeout(1)
            asker.connect(str(path))
    except FileNotFoundError:
        return
    except ConnectionRefusedError:
        with suppress(OSError):
            path.unlink()
        return
    except OSError as error:
        raise _trouble(address, error) from error
    raise StartupError(
        f"The status page cannot listen at {address}: another program does already.",
        code="page-address-in-use",
        advice="Name another path in web.listen, or stop that program; it is tried again by itself.",
    )


def _trouble(address: Address, error: OSError) -> StartupError:
    in_use = error.errno == errno.EADDRINUSE
    reason = "another program does already" if in_use else (error.strerror or str(error))
    return StartupError(
        f"The status page cannot listen at {address}: {reason}.",
        code="page-address-in-use" if in_use else "page-address",
        advice="Name another address in web.listen (or `web: off`), or stop that program; it is tried again "
        "by itself, and recordings go on meanwhile."
        if in_use
        else "Name another address in web.listen, or `web: off`; recordings go on meanwhile.",
    )

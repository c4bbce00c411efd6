"""Runs `asrwatch ...` in forks of itself, so that tests pay for its imports once and not at every start.

A program without threads; `start_helpers.py` starts one for each process of pytest and speaks with it over one
socket, which is its standard input. An order is one message: words, environment and folder as JSON, with
four descriptors: input, output and errors of the new process, and a socket on which to tell about it: first
its number, at its end how it ended. A fork leaves `serve` and becomes what `python -m asrwatch` would have been.

Forks die with this program, and it dies with the tests, however they end: nothing is left behind.
"""

import ctypes
import gc
import importlib
import json
import os
import pkgutil
import runpy
import selectors
import signal
import socket
import sys
import time
from contextlib import suppress
from typing import NamedTuple

LONGEST = 2**17
"""Bytes of an order."""
PR_SET_PDEATHSIG = 1
LATE = {"asrwatch.cli.demo", "asrwatch.cli.sandbox", "asrwatch.sandbox"}
"""What only some commands import, and at length: they may do so themselves."""

_libc = ctypes.CDLL(None)


class Order(NamedTuple):
    """What is to be run."""

    words: list[str]
    environment: dict[str, str]
    folder: str


class Fork(NamedTuple):
    """A process of ours, and who wants to know about it."""

    process: int
    pidfd: int
    asker: socket.socket

    def tell(self, number: int) -> None:
        """Say one number; perhaps nobody listens any more."""
        with suppress(OSError):
            self.asker.send(b"%d\n" % number)


def preload() -> None:
    """Import what the commands import, and keep it where the collector does not copy it."""
    importlib.import_module("sqlalchemy.dialects.sqlite")
    for folder in ("cli", "engines", "storages", "formats"):
        package = importlib.import_module(f"asrwatch.{folder}")
        for module in pkgutil.iter_modules(package.__path__, f"asrwatch.{folder}."):
            if module.name not in LATE:
                importlib.import_module(module.name)
    gc.collect()
    gc.freeze()


class Server:
    """Forks on demand, reaps, and tells."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._forks: list[Fork] = []
        self._selector = selectors.DefaultSelector()
        self._selector.register(control, selectors.EVENT_READ)

    def serve(self) -> Order | None:
        """Until the tests end: None; in every fork: what it is to be."""
        while True:
            ready = {key.fd for key, _ in self._selector.select()}
            for fork in tuple(self._forks):
                if fork.pidfd in ready:
                    self._reap(fork)
                elif fork.asker.fileno() in ready:  # its other end is closed
                    os.kill(fork.process, signal.SIGKILL)
                    self._reap(fork)
            if self._control.fileno() in ready:
                message, descriptors, _, _ = socket.recv_fds(self._control, LONGEST, 4)
                if not message:
                    self._end()
                    return None
                if order := self._fork(message, descriptors):
                    return order

    def _fork(self, message: bytes, descriptors: list[int]) -> Order | None:
        *streams, told = descriptors
        process = os.fork()
        if process == 0:
            self._forget()
            for number, descriptor in enumerate(streams):
                os.dup2(descriptor, number)
            for descriptor in descriptors:
                os.close(descriptor)
            return Order(*json.loads(message))
        for descriptor in streams:
            os.close(descriptor)
        fork = Fork(process, os.pidfd_open(process), socket.socket(fileno=told))
        self._forks.append(fork)
        self._selector.register(fork.pidfd, selectors.EVENT_READ)
        self._selector.register(fork.asker, selectors.EVENT_READ)
        fork.tell(process)
        return None

    def _reap(self, fork: Fork) -> None:
        """Its end, which has come or is certain to come."""
        _, status = os.waitpid(fork.process, 0)
        self._forks.remove(fork)
        self._selector.unregister(fork.pidfd)
        self._selector.unregister(fork.asker)
        fork.tell(os.waitstatus_to_exitcode(status))
        os.close(fork.pidfd)
        fork.asker.close()

    def _end(self) -> None:
        for fork in tuple(self._forks):
            os.kill(fork.process, signal.SIGKILL)
            self._reap(fork)

    def _forget(self) -> None:
        """In a fork: hold nothing of what is the server's."""
        self._selector.close()
        self._control.close()
        for fork in self._forks:
            os.close(fork.pidfd)
            fork.asker.close()


def become(order: Order) -> None:
    """Be the process that was ordered."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(order.environment)
    time.tzset()
    os.chdir(order.folder)
    sys.path[0] = order.folder
    sys.argv[1:] = order.words
    if "COVERAGE_PROCESS_START" in order.environment:
        importlib.import_module("coverage").process_startup()
    runpy.run_module("asrwatch", run_name="__main__", alter_sys=True)


def main() -> None:
    """Serve; a fork ends as any Python does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the tests, which end this
    preload()
    control = socket.socket(fileno=os.dup(0))
    os.dup2(1, 0)
    if order := Server(control).serve():
        become(order)


if __name__ == "__main__":
    main()

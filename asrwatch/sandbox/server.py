"""The sandbox as people use it: a `with` block for tests and the demo, `serve` for the command."""

import contextlib
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from asrwatch.errors import StartupError
from asrwatch.sandbox.bill import Bill
from asrwatch.sandbox.clock import Clock, utc_now
from asrwatch.sandbox.faults import Fault, Faults
from asrwatch.sandbox.knobs import Knobs
from asrwatch.sandbox.pocket import PocketSphinx
from asrwatch.sandbox.recogniser import Recogniser
from asrwatch.sandbox.running import HOST, Running, bound
from asrwatch.sandbox.service import Service
from asrwatch.sandbox.traffic import Seen
from asrwatch.sandbox.uploads import Stored

__all__ = ["Sandbox", "serve"]


class Sandbox:
    """A DashScope of one's own, while the `with` block lasts.

    Args:
        recogniser: who listens; PocketSphinx if left out.
        knobs: how the service behaves at first; assign to `knobs` to change it.
        port: which one; 0 for a free one.
        folder: where uploads and results are kept; a temporary one, removed at the end, if left out.
        clock: the time of day.
    """

    def __init__(
        self,
        *,
        recogniser: Recogniser | None = None,
        knobs: Knobs | None = None,
        port: int = 0,
        folder: Path | None = None,
        clock: Clock = utc_now,
    ) -> None:
        self._recogniser = PocketSphinx() if recogniser is None else recogniser
        self._knobs = Knobs() if knobs is None else knobs
        self._wanted_port = port
        self._folder = folder
        self._clock = clock
        self._closing = contextlib.ExitStack()
        self._running: Running | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Listen. Returns when requests are answered.

        Raises:
            StartupError: the port is taken, or the recogniser cannot work here.
        """
        with contextlib.ExitStack() as closing:
            folder = self._folder
            if folder is None:
                folder = Path(
                    closing.enter_context(tempfile.TemporaryDirectory(prefix="asrwatch-sandbox-"))
                )
            listening = closing.enter_context(bound(self._wanted_port))
            closing.callback(self._recogniser.close)
            self._recogniser.start()
            service = Service(
                folder=folder,
                recogniser=self._recogniser,
                knobs=self._knobs,
                url=f"http://{HOST}:{listening.getsockname()[1]}",
                clock=self._clock,
            )
            running = Running(service, listening)
            closing.callback(running.stop)
            running.start()
            self._running = running
            self._closing = closing.pop_all()

    def stop(self) -> None:
        """Stop answering; leaves no thread, process, port or temporary file. May be called twice."""
        self._closing.close()

    @property
    def url(self) -> str:
        """The base URL, without a slash at its end: what `cloud.base_url` is set to."""
        return self._service.url

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.url.rpartition(":")[2])

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys that are accepted now."""
        return tuple(self._service.knobs.keys)

    @property
    def key(self) -> str:
        """The first accepted key."""
        return self.keys[0]

    @property
    def knobs(self) -> Knobs:
        """The present setting; assigning a new one takes effect at once, also on what is waiting."""
        return self._service.knobs

    @knobs.setter
    def knobs(self, knobs: Knobs) -> None:
        self._current.call(lambda: self._service.turn(knobs))

    @property
    def bill(self) -> Bill:
        """Every piece of accepted work."""
        return self._service.bill

    @property
    def requests(self) -> tuple[Seen, ...]:
        """Every request, in order of arrival."""
        return self._service.traffic.seen

    @property
    def faults(self) -> Faults:
        """The faults that are armed."""
        return self._service.faults

    def fault(self, fault: Fault) -> None:
        """Arm a fault."""
        self._service.faults.add(fault)

    @property
    def uploads(self) -> tuple[Stored, ...]:
        """The objects uploaded so far."""
        return self._service.uploads.stored

    @property
    def _current(self) -> Running:
        if self._running is None:
            raise StartupError("The sandbox has not been started.", code="not-started")
        return self._running

    @property
    def _service(self) -> Service:
        return self._current.service


def serve(
    *,
    port: int = 0,
    knobs: Knobs | None = None,
    recogniser: Recogniser | None = None,
    folder: Path | None = None,
    say: Callable[[str], Any] = print,
) -> None:
    """Run the sandbox until SIGINT or SIGTERM: the command `asrwatch sandbox --port N`.

    Call it in the main thread.

    Args:
        port: which one; 0 for a free one.
        knobs: how the service behaves; see `read_knobs` for options as people type them.
        recogniser: who listens; PocketSphinx if left out.
        folder: where uploads and results are kept; a temporary one if left out.
        say: prints one line for a person.

    Raises:
        StartupError: the port is taken, or PocketSphinx is not installed.
    """
    over = threading.Event()
    before: Mapping[int, Any] = {
        number: signal.signal(number, lambda *_: over.set())
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        with Sandbox(recogniser=recogniser, knobs=knobs, port=port, folder=folder) as sandbox:
            for line in _greeting(sandbox):
                say(line)
            over.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _greeting(sandbox: Sandbox) -> Iterator[str]:
    yield "The sandbox is a DashScope of your own: keys and recordings stay on this machine."
    yield f"  cloud.base_url:      {sandbox.url}"
    yield f"  DASHSCOPE_API_KEY:   {sandbox.key}"
    yield f"  what it would cost:  {sandbox.url}/sandbox/bill"
    yield "Stop it with Ctrl-C."

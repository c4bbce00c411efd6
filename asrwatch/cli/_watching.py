"""Keeps a report on the terminal, anew each second, until `q` or Ctrl-C."""

import os
import select
import signal
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final, NoReturn

from asrwatch.cli._printing import Row, grid_of
from asrwatch.words import shown

__all__ = ["can_watch", "watch"]

EVERY: Final = 1.0
_QUIT: Final = b"q\x03\x04"
"""What ends it: q, and what Ctrl-C and Ctrl-D are where the terminal makes no signals of them."""
_TERMINATED: Final = 128 + signal.SIGTERM


def can_watch() -> bool:
    """Whether there is a terminal that can be drawn on."""
    return sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def watch(rows: Callable[[], Iterable[Row]]) -> None:
    """Show rows until a person has seen enough; what does not fit on the screen is left out, and counted.

    Args:
        rows: as they are at the moment; asked once a second.
    """
    from rich.console import Console  # noqa: PLC0415 - a tenth of a second that others need not pay
    from rich.live import Live  # noqa: PLC0415 - same

    console = Console(highlight=False)
    with _keys() as quit_within, Live(console=console, screen=True, auto_refresh=False) as live:
        while True:
            live.update(_Page(list(rows())), refresh=True)
            if quit_within(EVERY):
                return


class _Page:
    """The rows, cut to the screen's height, which may change between two looks."""

    def __init__(self, rows: list[Row]) -> None:
        self._rows = rows

    def __rich_console__(self, console: Any, options: Any) -> Iterator[Any]:
        from rich.segment import Segment  # noqa: PLC0415 - see watch
        from rich.text import Text  # noqa: PLC0415 - see watch

        lines = console.render_lines(grid_of(self._rows), options, pad=False)
        room = max(options.max_height - 1, 1)
        left_out = len(lines) - room
        for line in lines[:room]:
            yield from line
            yield Segment.line()
        more = f"{left_out} more lines; " if left_out > 0 else ""
        yield Text(
            shown(f"{more}q to quit"), style="dim", no_wrap=True, overflow="ellipsis", end=""
        )


@contextmanager
def _keys() -> Iterator[Callable[[float], bool]]:
    """Keys as they are pressed; answers whether one that quits was pressed within so many seconds.

    The terminal is afterwards as it was before, also if it is ended by SIGTERM or SIGHUP.
    """
    keyboard = sys.stdin.fileno() if sys.stdin.isatty() else None
    before = termios.tcgetattr(keyboard) if keyboard is not None else None
    handlers = {each: signal.signal(each, _end) for each in (signal.SIGTERM, signal.SIGHUP)}
    try:
        if keyboard is not None:
            tty.setcbreak(keyboard, termios.TCSADRAIN)
        yield lambda seconds: _quits(keyboard, seconds)
    except KeyboardInterrupt:
        pass  # Ctrl-C is how one leaves, no accident
    finally:
        if keyboard is not None and before is not None:
            with suppress(termios.error):  # the terminal is gone
                termios.tcsetattr(keyboard, termios.TCSADRAIN, before)
        for each, handler in handlers.items():
            signal.signal(each, handler)


def _quits(keyboard: int | None, seconds: float) -> bool:
    if keyboard is None:
        time.sleep(seconds)
        return False
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        if select.select([keyboard], [], [], left)[0]:
            pressed = os.read(keyboard, 64)
            if not pressed or any(key in _QUIT for key in pressed):
                return True
    return False


def _end(*_: Any) -> NoReturn:
    raise SystemExit(_TERMINATED)

"""Shows how far `once` is: a bar on a terminal, plain lines elsewhere."""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from asrwatch.cli._printing import say
from asrwatch.cli._setbacks import Setbacks
from asrwatch.journey.book import Change
from asrwatch.journey.recording import DONE, Recording, State
from asrwatch.values import format_size, printable
from asrwatch.words import shown
from asrwatch.words.widths import padded

__all__ = ["Bar", "Lines", "Shown", "Tally", "line_of_change"]


@dataclass(kw_only=True)
class Tally:
    """Counts recordings, audio and uploaded bytes from the daemon's changes.

    Args:
        left: recordings that earlier runs left to do.
    """

    left: Iterable[Recording] = ()
    delivered: int = 0
    failed: int = 0
    parked: int = 0
    uploaded: int = 0
    _files: dict[int, timedelta | None] = field(default_factory=dict)
    _ended: dict[int, State] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for recording in self.left:
            self._note(recording)

    def take(self, change: Change) -> None:
        """Take in one change."""
        before, after = change.before, change.after
        self._note(after)
        if _has_gone_up(before, after):
            self.uploaded += after.fingerprint.size
        if after.state in DONE:
            self._ended[after.id] = after.state
        else:
            self._ended.pop(after.id, None)
        ended = list(self._ended.values())
        self.delivered = ended.count(State.DELIVERED)
        self.failed = ended.count(State.FAILED)
        self.parked = ended.count(State.PARKED)

    @property
    def files(self) -> int:
        """How many recordings there are to do, those done included."""
        return len(self._files)

    @property
    def ended(self) -> int:
        """How many have come to their end, whichever."""
        return len(self._ended)

    @property
    def audio(self) -> timedelta:
        """How much audio there is, as far as its length is known."""
        return sum((span for span in self._files.values() if span), timedelta())

    @property
    def audio_ended(self) -> timedelta:
        """How much audio is done, as far as its length is known."""
        return sum((self._files[each] or timedelta() for each in self._ended), timedelta())

    def _note(self, recording: Recording) -> None:
        known = recording.reading.facts.duration if recording.reading else None
        self._files[recording.id] = known or self._files.get(recording.id)


def _has_gone_up(before: Recording | None, after: Recording) -> bool:
    """Whether the audio's bytes have just left for the cloud: in a request, or to its storage."""
    if before is None or after.staging is None:
        return False
    if after.staging.url is not None:
        uploaded = before.staging is None and after.state is State.STAGED
        return uploaded and after.staging.url.startswith("oss:")
    return before.state is State.ASKING and after.state in {State.SUBMITTED, State.TRANSCRIBED}


class Shown(Protocol):
    """Somebody who is told how far things are."""

    def tell(self, change: Change) -> None:
        """Something changed."""

    def running(self) -> AbstractContextManager[None]:
        """Show it while the block lasts."""


class Lines:
    """One line per recording that comes to its end, and one on stderr when trouble on the way begins.

    Args:
        ends: whether to tell the ends; trouble is always told.
    """

    def __init__(self, *, ends: bool = True) -> None:
        self._ends = ends
        self._setbacks = Setbacks()

    def tell(self, change: Change) -> None:
        """Print the line, if it is one."""
        line = line_of_change(change) if self._ends else ""
        setback = self._setbacks.line(change)
        # nobody may be reading any more (`once | head`), and paid requests are under way
        with suppress(OSError):
            if line:
                say(line)
            if setback:
                say(setback, err=True)

    def running(self) -> AbstractContextManager[None]:
        """Nothing to begin or end."""
        return nullcontext()


class Bar:
    """A bar with files, audio minutes, uploaded bytes and the time left; ends of recordings above it."""

    def __init__(self, tally: Tally, console: Console) -> None:
        self._tally = tally
        self._setbacks = Setbacks()
        self._progress = Progress(
            SpinnerColumn(),
            BarColumn(),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            TextColumn(shown("left:")),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self._task = self._progress.add_task(shown("looking"), total=None)

    def tell(self, change: Change) -> None:
        """Move the bar."""
        tally = self._tally
        for line in filter(None, (line_of_change(change), self._setbacks.line(change))):
            self._progress.console.print(shown(line), markup=False, highlight=False, soft_wrap=True)
        minutes, all_minutes = (
            span / timedelta(minutes=1) for span in (tally.audio_ended, tally.audio)
        )
        self._progress.update(
            self._task,
            total=tally.files,
            completed=tally.ended,
            description=shown(
                f"{tally.ended}/{tally.files} files · {minutes:.1f}/{all_minutes:.1f} min of audio · "
                f"{format_size(tally.uploaded)} sent"
            ),
        )

    @contextmanager
    def running(self) -> Iterator[None]:
        """Show the bar while the block lasts."""
        with self._progress:
            yield


def line_of_change(change: Change) -> str:
    """A line for a recording that came to its end; empty for every other change."""
    after = change.after
    path = printable(after.path)
    match after.state:
        case State.DELIVERED:
            return f"{padded(shown('done'), 7)} {path} -> {', '.join(printable(each.path) for each in after.outputs)}"
        case State.FAILED | State.PARKED:
            return f"{padded(shown(after.state.value), 7)} {path}"
        case _:
            return ""

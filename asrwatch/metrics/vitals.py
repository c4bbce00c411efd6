"""Says whether the daemon lives and whether it can do its work, for probes; without asking its main thread."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from asrwatch.cloud import KeyRing
from asrwatch.errors import AsrwatchError
from asrwatch.heartbeats import Late
from asrwatch.inbox.lookout import Snapshot
from asrwatch.inbox.messages import About
from asrwatch.journey.recording import Recording
from asrwatch.journey.store import EVERY_ENGINE, Readers
from asrwatch.news import Standstill
from asrwatch.values import format_duration

__all__ = ["Checked", "Vitals"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Checked:
    """One thing that was looked at, and what is wrong with it; nothing where it is well."""

    what: str
    wrong: str = ""

    @property
    def is_well(self) -> bool:
        """Whether nothing is wrong."""
        return not self.wrong


@dataclass(frozen=True, kw_only=True, slots=True)
class Vitals:
    """What the verdicts are made of; any thread may ask.

    Args:
        late: the threads that do not get on, as the supervision sees them.
        inboxes: the names of all that are configured.
        snapshots: of their lookouts.
        readers: of the database.
        keys: where the key is looked for.
        ending: whether the daemon was told to stop.
        trouble: what keeps the daemon from writing the database now.
        unwatched: whether nobody looks after the threads any more, so that `late` says nothing.
        standstills: what keeps recordings waiting: refusals, a spent budget, folders without room.
        engines: by inbox, those that its recordings may be given to.
    """

    late: Callable[[], Iterable[Late]]
    inboxes: tuple[str, ...]
    snapshots: Callable[[], Iterable[Snapshot]]
    readers: Readers
    keys: KeyRing
    ending: Callable[[], bool]
    trouble: Callable[[], AsrwatchError | None] = lambda: None
    unwatched: Callable[[], bool] = lambda: False
    standstills: Callable[[], Iterable[Standstill]] = tuple
    engines: Mapping[str, Collection[str]] = field(default_factory=dict)

    def alive(self) -> tuple[Checked, ...]:
        """Whether every thread that the daemon cannot do without gets on; a start anew would help where not."""
        wrong = [
            f"{each.doing} does not get on, for {format_duration(each.since)}"
            for each in self.late()
            if each.vital or each.computing
        ]
        if self.unwatched():
            wrong.append("whoever looks after the threads has died")
        return (Checked(what="threads", wrong="; ".join(wrong)),)

    def ready(self) -> tuple[Checked, ...]:
        """Whether a recording that appears now would be transcribed."""
        return (*self.alive(), *self._ready())

    def _ready(self) -> Iterator[Checked]:
        yield Checked(what="running", wrong="asrwatch is ending" if self.ending() else "")
        standing = tuple(self.standstills())
        yield from self._database(standing)
        yield Checked(
            what="room", wrong=" ".join(each.message for each in standing if each.what == "disk")
        )
        seen = {each.inbox: each for each in self.snapshots()}
        for name in self.inboxes:
            wrong = _not_watched(seen.get(name)) or self._hanging(name)
            yield Checked(what=f"inbox {name}", wrong=wrong)
        yield self._key()

    def _database(self, standing: Iterable[Standstill]) -> Iterator[Checked]:
        trouble = self.trouble()  # others may read while nobody can write
        try:
            with self.readers.one() as reader:
                holds = reader.holds()
        except AsrwatchError as error:
            yield Checked(what="database", wrong=error.message)
            return
        yield Checked(what="database", wrong=trouble.message if trouble else "")
        held = {hold.scope: hold.message for hold in holds if hold.scope == EVERY_ENGINE}
        held |= {each.which: each.message for each in standing if each.what == "engine"}
        yield Checked(what="engines", wrong=held.get(EVERY_ENGINE) or self._without_engine(held))

    def _without_engine(self, held: Mapping[str, str]) -> str:
        """Why an inbox has no engine left; nothing where each has one."""
        for engines in self.engines.values():
            if engines and all(engine in held for engine in engines):
                return " ".join(held[engine] for engine in sorted(engines))
        return ""

    def _hanging(self, inbox: str) -> str:
        """Who went to this inbox and does not come back: nothing more is begun there."""
        for late in self.late():
            if inbox == (late.key.inbox if isinstance(late.key, Recording) else late.key):
                return f"{late.doing} does not get on, for {format_duration(late.since)}"
        return ""

    def _key(self) -> Checked:
        try:
            self.keys.key()
        except AsrwatchError as error:
            return Checked(what="key", wrong=error.message)
        return Checked(what="key")


def _not_watched(snapshot: Snapshot | None) -> str:
    if snapshot is None or not snapshot.alive:
        return "nobody looks at it at this moment"
    for trouble in snapshot.troubles:
        if trouble.about is About.ROOT:
            return trouble.message
    return "" if snapshot.last_whole is not None else "it was not looked at yet"

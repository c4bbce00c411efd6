"""A book of recordings with a real store and fake engines, worked by hand: no threads, no files, no waiting."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from fake_engine import FakeEngine, fake_cloud, fake_engine
from journey_helpers import READING

from asrwatch.daemon.slots import ASKS
from asrwatch.errors import AsrwatchError
from asrwatch.formats import FormatOptions
from asrwatch.formats.txt import Txt
from asrwatch.journey.budget import Budget, Fuse
from asrwatch.journey.delivery import Rules
from asrwatch.journey.evidence import Answer, Fingerprint, Staging, Task
from asrwatch.journey.gate import Gate
from asrwatch.journey.keeper import Keeper
from asrwatch.journey.plan import Wishes
from asrwatch.journey.recording import Recording, State
from asrwatch.journey.route import Route
from asrwatch.journey.store import Store
from asrwatch.storages.public_dir import PublicDir

ENGINES = ("some-engine", "other-engine")


class OtherEngine(FakeEngine):
    """A second engine beside `some-engine`."""

    fake_name = "other-engine"


@dataclass
class Book:
    """A keeper over a store: recordings are staged, asked about and answered by the test."""

    store: Store
    now: datetime
    inboxes: tuple[str, ...] = ("inbox",)
    budget: Budget = field(default=Budget())
    options: Mapping[str, Any] = field(default_factory=dict)
    key: str | None = "key-1"
    number: int = 0
    out: set[int] = field(default_factory=set)
    keeper: Keeper = field(init=False)

    def __post_init__(self) -> None:
        self.open()

    def open(self) -> None:
        """As a daemon that starts does; a second time: as after a crash."""
        self.out.clear()
        options = {"price_per_second": Decimal("0.001"), **self.options}
        engines = {
            one.name: one
            for one in (fake_engine(kind, **options) for kind in (FakeEngine, OtherEngine))
        }
        gate = Gate(
            {name: one.options.requests_per_minute for name, one in engines.items()},
            self.store.holds(),
            chance=lambda: 0.5,
            lost_in_a_row={name: one.options.lost_in_a_row for name, one in engines.items()},
            lost=self.store.lost_in_a_row(),
        )
        self.keeper = Keeper(
            store=self.store,
            routes={name: _route(name, engines) for name in self.inboxes},
            gate=gate,
            key_digest=lambda: self.key,
            chance=lambda: 0.5,
            fuse=Fuse(self.budget, self.store, currency="CNY"),
        )
        self.keeper.open_up(self.now)

    def found(self, *, inbox: str = "inbox") -> Recording:
        """A file that settled and was not read yet."""
        self.number += 1
        return self.store.add(
            Recording.found(
                inbox=inbox,
                path=f"/{inbox}/{self.number}.wav".encode(),
                fingerprint=Fingerprint(device=1, inode=self.number, size=100, mtime_ns=1),
                now=self.now,
            )
        )

    def stage(
        self,
        *,
        seconds: float = 3,
        inbox: str = "inbox",
        engine: str = "some-engine",
        url: str | None = None,
    ) -> Recording:
        """A recording of its own content that waits for its request."""
        added = self.found(inbox=inbox)
        facts = replace(READING.facts, duration=timedelta(seconds=seconds))
        plan = replace(READING.plan, engine=engine)
        reading = replace(READING, sha256=f"{self.number:064x}", facts=facts, plan=plan)
        staging = Staging(ask_id=f"{self.number:032x}", url=url)
        staged = added.read(reading, now=self.now).stage(staging, now=self.now)
        return self.store.save(added, staged)

    def ask(self, limit: int = 8) -> list[Recording]:
        """Hand out steps to so many free workers, and return those that are requests.

        What they hold is under way until the test ends it; a step that reconciles never ends.
        """
        unknown = {recording.id for recording in self.store.in_state(State.ASKING)}
        with self.store.transaction():
            steps = self.keeper.hand_out(ASKS, limit=limit, under_way=self.out, now=self.now)
        self.keeper.take_news()
        begun = [recording for recording, _ in steps]
        self.out.update({recording.id for recording in begun})
        return [recording for recording in begun if recording.id not in unknown]

    def answer_of(self, asking: Recording, *, billed: float | None = None) -> Answer:
        """What the cloud would answer; as much is billed as was expected."""
        audio = asking.asking.expected if asking.asking else None
        span = timedelta(seconds=billed) if billed is not None else audio
        return Answer(raw=b'{"text": "hi"}', received_at=self.now, billed=span)

    def answer(self, asking: Recording, *, billed: float | None = None) -> Recording:
        """The request was answered."""
        after = asking.hear(self.answer_of(asking, billed=billed), now=self.now)
        self.out.discard(asking.id)
        self.keeper.moved(asking, after, now=self.now)
        return after

    def accept(self, asking: Recording) -> Recording:
        """The request was accepted as a task."""
        task = Task(ticket=f"task-{asking.id}", submitted_at=self.now)
        after = asking.submit(task, now=self.now, due=self.now)
        self.out.discard(asking.id)
        self.keeper.moved(asking, after, now=self.now)
        return after

    def refuse(self, asking: Recording, error: AsrwatchError) -> None:
        """The request ended in this error."""
        self.out.discard(asking.id)
        self.keeper.suffered(asking, error, now=self.now)

    def states(self) -> Mapping[State, int]:
        """How many recordings are in each state that has any."""
        return {state: number for state, number in self.store.count_by_state().items() if number}


def _route(name: str, engines: Mapping[str, FakeEngine]) -> Route:
    folder = f"/{name}".encode()
    return Route(
        inbox=name,
        region="beijing",
        wishes=Wishes(),
        engine=None,
        engines=engines,
        storage=PublicDir(
            PublicDir.Options(root=Path(f"/{name}"), url="http://127.0.0.1:9/"), fake_cloud()
        ),
        formats={"txt": Txt(FormatOptions())},
        rules=Rules(inbox=folder, output="beside", formats=("txt",), after="keep"),
        patience=timedelta(days=3),
        park_unknown=False,
    )

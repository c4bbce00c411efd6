"""Recordings put into a store in any state, and a desk that answers about them."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from fake_engine import FakeEngine, fake_cloud, fake_engine
from journey_helpers import a_recording

from asrwatch.config import Settings
from asrwatch.daemon import Daemon, House
from asrwatch.engines import Engine
from asrwatch.inbox.lookout import InboxView, Lookout
from asrwatch.inbox.looks import Signature, Waiting
from asrwatch.inbox.messages import PassKind, ScanDone
from asrwatch.inbox.mounts import WatchMode
from asrwatch.journey.recording import Recording, State
from asrwatch.journey.store import Store
from asrwatch.systemd import Notifier


def put(
    store: Store,
    state: State,
    now: datetime,
    *,
    path: bytes = b"/inbox/talk.wav",
    number: int = 1,
    **changes: Any,
) -> Recording:
    """A recording of the inbox `inbox` in a store, brought there by the moves the daemon would make.

    `number` tells its content and its task from others'; `changes` are made to the value at its end.
    """
    sha256 = f"{number:064x}"

    def at(stage: State) -> Recording:
        made = a_recording(stage, now, path=path, sha256=sha256, ticket=f"task-{number}")
        return replace(made, id=settled.id)

    settled = store.add(a_recording(State.SETTLED, now, path=path), note="settled")
    before = settled
    if state not in {State.SETTLED, State.STAGED}:
        before = store.save(settled, at(State.ASKING))
    outcomes = {State.DELIVERED: "answered", State.TRANSCRIBED: "answered", State.PARKED: "lost"}
    after = replace(settled if state is State.SETTLED else at(state), **changes)
    return store.save(before, after, outcome=outcomes.get(state, ""))


def settings_of(root: Path, **inbox: Any) -> Settings:
    """Settings with one inbox, called `inbox`."""
    written = {
        "state_dir": str(root / "state"),
        "inboxes": [{"path": str(root / "inbox"), "name": "inbox", **inbox}],
    }
    return Settings.model_validate(written, context={"base": root})


def a_waiting(path: bytes, *, size: int = 1) -> Waiting:
    """A file that has not settled."""
    signature = Signature(device=1, inode=1, size=size, blocks=1, mtime_ns=1, ctime_ns=1)
    return Waiting(path=path, signature=signature, first_seen=0, unchanged_since=0, looks=1)


class Spotter(Lookout):
    """A lookout that only notes what it was asked to look at again, and says what it is told to say."""

    def __init__(
        self, settings: Settings, *, known: int = 0, waiting: tuple[Waiting, ...] = ()
    ) -> None:
        inbox = settings.inboxes[0]
        view = InboxView(name=inbox.name, ignore=inbox.ignore_rule())
        super().__init__(view, known=(), post=lambda _: None)
        self.seen: list[bytes] = []
        self._known_count = known
        if known or waiting:
            self._last = ScanDone(
                inbox=inbox.name,
                kind=PassKind.LOOK,
                complete=True,
                files=len(waiting),
                took=timedelta(),
                troubles=(),
                trouble_count=0,
                waiting=waiting,
                gone=(),
                watching=WatchMode.POLL,
                watching_reason="a test",
            )

    def look_again(self, path: bytes) -> None:
        """Note it."""
        self.seen.append(path)


def daemon_for(store: Store, *, workers: int = 2) -> Daemon:
    """A daemon that is not running, with a fake engine."""
    engines: Mapping[str, Engine[Any]] = {"some-engine": fake_engine(FakeEngine)}
    return Daemon(
        House(
            store=store,
            routes={},
            engines=engines,
            lookouts={},
            keys=fake_cloud().keys,
            workers=workers,
            notifier=Notifier(),
        )
    )

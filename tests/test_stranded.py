"""What `asrwatch once` waits for, and what it does not."""

import threading
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from fake_engine import FakeOptions, fake_cloud
from journey_helpers import FAILURE, a_recording
from test_daemon import Scripted, World
from wait_helpers import PATIENCE

from asrwatch.clock import Clock
from asrwatch.daemon import Daemon
from asrwatch.daemon.mail import Call
from asrwatch.files.room import Space
from asrwatch.inbox.lookout import Lookout
from asrwatch.journey.evidence import Trouble
from asrwatch.journey.recording import State
from asrwatch.journey.room import FRESH, Room, RoomSeen
from asrwatch.journey.store import Store
from asrwatch.journey.stranded import is_stranded

PLENTY = Space(free=10**12)


def a_room(free: int = 10**12) -> Room:
    """One inbox whose transcripts go to /out."""
    room = Room(state=b"/state", outputs={"inbox": b"/out"}, reserve=10**6)
    room.saw(RoomSeen(folder=b"/state", seen=PLENTY, at=0.0), promised=0)
    room.saw(RoomSeen(folder=b"/out", seen=Space(free=free), at=0.0), promised=0)
    return room


@pytest.mark.parametrize(
    ("state", "scene", "stranded"),
    [
        (State.STAGED, {}, False),
        (State.STAGED, {"room": a_room(free=5)}, True),
        (State.SETTLED, {"clock": FRESH + 1}, True),
        (State.TRANSCRIBED, {"room": a_room(free=5)}, False),
        (State.SUBMITTED, {"silent": {"inbox"}, "room": a_room(free=5)}, False),
        (State.TRANSCRIBED, {"silent": {"inbox"}}, True),
        (State.TRANSCRIBED, {"silent": {"other"}}, False),
        (State.STAGED, {"away": {"inbox"}}, False),
    ],
)
def test_what_only_others_can_help(
    now: datetime, state: State, scene: Mapping[str, Any], *, stranded: bool
) -> None:
    """No room, nobody who answers: that is not waited for; what the cloud has is, and what may go on."""
    usual: dict[str, Any] = {"room": a_room(), "silent": (), "away": (), "clock": 0.0}
    assert is_stranded(a_recording(state, now), now=now, **{**usual, **scene}) is stranded


def test_what_failed_for_lack_of_room_or_share(now: datetime) -> None:
    """A delivery refused by a disk waits for that disk, any trouble of an inbox that is away for that inbox."""
    due = now + timedelta(seconds=30)
    trouble = Trouble(since=now, count=1, last=replace(FAILURE, code="disk-full"))
    paid = replace(a_recording(State.TRANSCRIBED, now), trouble=trouble, due=due)
    staged = replace(a_recording(State.STAGED, now), trouble=trouble, due=due)

    def waits(recording: Any, away: set[str], at: datetime = now) -> bool:
        return is_stranded(recording, room=a_room(), silent=(), away=away, now=at, clock=0.0)

    assert waits(paid, set())
    assert not waits(staged, set())
    assert waits(staged, {"inbox"})
    assert not waits(paid, {"inbox"}, at=due), "now it is tried once more"


def test_once_ends_where_a_share_never_answers(tmp_path: Path) -> None:
    """A lookout that hangs is waited for until it is late, and a few seconds more: then `once` ends. [D09]."""
    (tmp_path / "inbox").mkdir()
    world = World(root=tmp_path, engine=Scripted(FakeOptions(), fake_cloud()))
    ahead, ended, hangs = [0.0], threading.Event(), threading.Event()
    holder: list[Daemon] = []

    class Hung(Lookout):
        """Hangs in its first look."""

        def __init__(self, *args: Any, **more: Any) -> None:
            super().__init__(*args, **more)
            self._hearts = more["hearts"]

        def start(self) -> None:
            threading.Thread(target=self._hang, daemon=True).start()

        @property
        def alive(self) -> bool:
            return True

        def stop(self, _: timedelta = timedelta(0)) -> bool:
            """Nobody can."""
            return False

        def _hang(self) -> None:
            with self._hearts.pulse(
                "looking", usual=timedelta(seconds=60), vital=False, key="inbox"
            ):
                hangs.wait(PATIENCE)

    def work() -> None:
        with Store(tmp_path / "state") as store:
            house = world.house(store)
            house = replace(
                house,
                until_quiet=True,
                lookouts={"inbox": partial(Hung, house.lookouts["inbox"].args[0])},  # type: ignore[attr-defined] # a partial
                clock=Clock(monotonic=lambda: ahead[0]),
            )
            holder.append(Daemon(house))
            holder[0].run()
        ended.set()

    threading.Thread(target=work, daemon=True).start()
    try:
        _turn(holder)
        assert not ended.is_set()
        ahead[0] = 61.0
        holder[0].supervision.glance()
        assert holder[0].silent == {"inbox"}
        _turn(holder)
        assert not ended.is_set()
        ahead[0] = 70.0
        holder[0].post(Call(answer=lambda _: None))
        assert ended.wait(PATIENCE)
        assert not holder[0].stopping
    finally:
        hangs.set()


def _turn(holder: list[Daemon]) -> None:
    """Have the daemon take two turns."""
    patience = threading.Event()
    while not holder:
        patience.wait(0.01)
    for _ in range(2):
        done = threading.Event()
        holder[0].post(Call(answer=partial(_set, done)))
        assert done.wait(PATIENCE)


def _set(done: threading.Event, _: Daemon) -> None:
    done.set()

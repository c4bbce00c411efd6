"""Room before requests: what is looked at, what is held, what is kept for paid results."""

import errno
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from journey_helpers import READING, a_recording

from asrwatch.errors import AsrwatchError, TemporaryError
from asrwatch.files.oserrors import trouble
from asrwatch.files.room import Reserve, Space, space_at, try_to_write
from asrwatch.journey.gate import Gate
from asrwatch.journey.keeper import Keeper
from asrwatch.journey.recording import Recording, State
from asrwatch.journey.remembered import Remembered
from asrwatch.journey.room import FRESH, Room, RoomSeen, promised_for, result_size
from asrwatch.journey.store import Suspect
from asrwatch.journey.survey import Survey

STATE, OUT, OTHER = b"/state", b"/out", b"/other"
MB = 10**6
PLENTY = Space(free=1000 * MB, files=1000)


def a_room(reserve: int = 64 * MB, **seen: Space | AsrwatchError) -> Room:
    """A room with two inboxes, everything looked at a moment ago."""
    room = Room(state=STATE, outputs={"in": OUT, "other": OTHER}, reserve=reserve)
    for folder, name in ((STATE, "state"), (OUT, "out"), (OTHER, "other")):
        room.saw(RoomSeen(folder=folder, seen=seen.get(name, PLENTY), at=0.0), promised=0)
    return room


def staged(now: datetime, inbox: str = "in") -> Recording:
    """A recording of three seconds that is about to be asked for."""
    return replace(a_recording(State.STAGED, now), inbox=inbox)


def test_nothing_is_asked_before_somebody_looked() -> None:
    """What is not known, or was looked at too long ago, counts as no room."""
    room = Room(state=STATE, outputs={"in": OUT}, reserve=1)
    assert room.barred(0.0) == {"in"}
    for folder in (STATE, OUT):
        room.saw(RoomSeen(folder=folder, seen=PLENTY, at=0.0), promised=0)
    assert room.barred(FRESH) == frozenset()
    assert room.barred(FRESH + 1) == {"in"}, "a share that hangs is not believed in"


@pytest.mark.parametrize(
    ("seen", "code"),
    [
        (Space(free=64 * MB), "no-room"),
        (Space(free=1000 * MB, files=3), "no-files-left"),
        (trouble(OSError(errno.EROFS, ""), "write to", OUT), "read-only"),
        (trouble(OSError(errno.EACCES, ""), "write to", OUT), "no-permission"),
        (trouble(OSError(errno.EIO, ""), "look at", OUT), "io-error"),
    ],
)
def test_an_output_folder_without_room_bars_its_inbox_alone(
    seen: Space | AsrwatchError, code: str
) -> None:
    """No space, no inodes, read-only, no permission: nothing is asked for what would go there. [S03] [S05] [S14]."""
    room = a_room(out=seen)
    assert room.barred(0.0) == {"in"}
    assert not room.state_is_short(0.0)
    assert [each.code for each in room.shortages] == [code]
    assert "/out" in room.shortages[0].message


def test_a_state_folder_without_room_bars_everything() -> None:
    """Where results are stored first there must be room for all of them. [S03]."""
    room = a_room(state=Space(free=MB))
    assert room.barred(0.0) == {"in", "other"}
    assert room.state_is_short(0.0)


def test_a_shortage_is_told_once_and_so_is_its_end() -> None:
    """One alarm when it begins, one line when it is over, however often it is looked."""
    room = a_room()
    told = [
        room.saw(RoomSeen(folder=OUT, seen=Space(free=free), at=0.0), promised=0)
        for free in (1000 * MB, 5 * MB, 4 * MB, 1000 * MB, 1000 * MB)
    ]
    assert [change and (change.begun is not None) for change in told] == [
        None,
        True,
        None,
        False,
        None,
    ]


def test_a_result_that_is_too_large_waits_though_others_go(now: datetime) -> None:
    """Room is counted for each recording: a long one, or one of unknown length, needs more."""
    room = a_room(out=Space(free=70 * MB))
    short = staged(now)
    long = replace(
        short,
        reading=replace(READING, facts=replace(READING.facts, duration=timedelta(hours=10))),
    )
    unknown = replace(short, reading=replace(READING, facts=replace(READING.facts, duration=None)))
    assert room.lacks(short) is None
    shortage = room.lacks(long)
    assert shortage is not None
    assert shortage.folder == OUT
    assert room.lacks(unknown) is not None
    assert result_size(unknown) > result_size(long) > result_size(short)


def test_room_is_promised_to_one_result_only(now: datetime) -> None:
    """Requests under way count as if their results were stored already."""
    need = result_size(staged(now)) // 2
    room = a_room(reserve=MB, state=Space(free=MB + 65_536 + 3 * need))
    taken = 0
    while room.take(staged(now)):
        taken += 1
    assert 1 <= taken <= 5
    again = a_room(reserve=MB)
    again.saw(
        RoomSeen(folder=STATE, seen=Space(free=10 * MB), at=0.0),
        promised=promised_for([timedelta(hours=12), None]),
    )
    assert again.lacks(staged(now)) is not None, "accepted tasks bring results, too"


def test_a_refused_delivery_bars_its_inbox_until_something_can_be_written() -> None:
    """A quota shows in no figure: after a refusal something is written on trial, and asking waits for it. [S14]."""
    room = a_room()
    refused = TemporaryError("Cannot write /out/talk.txt: Disk quota exceeded.", code="quota")
    change = room.refused("in", refused)
    assert change is not None
    assert change.begun is not None
    assert room.refused("in", refused) is None, "one alarm"
    assert room.refused("other", TemporaryError("Slow.", code="timeout")) is None
    assert room.barred(0.0) == {"in"}
    assert room.folders[OUT], "to be tried"
    room.saw(RoomSeen(folder=OUT, seen=refused, at=0.0), promised=0)
    assert room.barred(0.0) == {"in"}
    room.saw(RoomSeen(folder=OUT, seen=PLENTY, at=0.0), promised=0)
    assert room.barred(0.0) == frozenset()
    assert not room.folders[OUT]


def test_without_a_reserve_nothing_is_looked_at(now: datetime) -> None:
    """Where no reserve is given there is always room."""
    room = Room(state=STATE, outputs={"in": OUT}, reserve=None)
    assert room.barred(0.0) == frozenset()
    assert not room.folders
    assert room.take(staged(now))


def test_space_is_that_of_the_folder_or_of_the_next_above(tmp_path: Path) -> None:
    """An output folder that is still to be made lies where its parent does."""
    here = space_at(bytes(tmp_path))
    there = space_at(bytes(tmp_path / "to" / "be" / "made"))
    assert here.free > 0
    assert abs(here.free - there.free) < 100 * MB


def test_what_was_tried_leaves_nothing_behind(tmp_path: Path) -> None:
    """A trial is a temporary file, gone at once; a folder still to be made is no refusal."""
    try_to_write(bytes(tmp_path))
    try_to_write(bytes(tmp_path / "not-yet"))
    assert not list(tmp_path.iterdir())


def test_the_reserve_is_taken_whole_or_not_at_all(tmp_path: Path) -> None:
    """The file holds its room; given up, it is gone; where there is no room, nothing of it is left. [S04]."""
    reserve = Reserve(tmp_path / "reserve", MB)
    reserve.take()
    assert reserve.is_whole()
    assert (tmp_path / "reserve").stat().st_blocks * 512 >= MB
    assert reserve.give_up()
    assert not reserve.give_up()
    assert not reserve.is_whole()
    missing = Reserve(tmp_path / "no" / "reserve", MB)
    with pytest.raises(TemporaryError):
        missing.take()
    assert Reserve(tmp_path / "none", 0).is_whole()


def test_a_folder_that_hangs_delays_no_other(tmp_path: Path) -> None:
    """Every folder is looked at in a thread of its own, and not again while that one hangs."""
    seen: list[RoomSeen] = []
    posted, go_on = threading.Event(), threading.Event()

    def post(look: RoomSeen) -> None:
        if look.folder == bytes(tmp_path):
            go_on.wait(20)
        seen.append(look)
        if len(seen) == 2:
            posted.set()

    survey = Survey(
        state=bytes(tmp_path), reserve=Reserve(tmp_path / "reserve", MB), spare=MB, post=post
    )
    (tmp_path / "out").mkdir()
    survey.look({bytes(tmp_path): False, bytes(tmp_path / "out"): True})
    while not seen:
        posted.wait(0.01)
    assert [each.folder for each in seen] == [bytes(tmp_path / "out")]
    go_on.set()
    assert posted.wait(20)
    assert (tmp_path / "reserve").stat().st_size == MB


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_look_that_ends_in_an_unforeseen_error_is_repeated(tmp_path: Path) -> None:
    """Whatever ends a look: its folder is looked at again the next time."""

    class Faulty(Reserve):
        looks = 0

        def is_whole(self) -> bool:
            Faulty.looks += 1
            if Faulty.looks == 1:
                raise ValueError("what nobody foresaw")
            return super().is_whole()

    posted = threading.Event()
    survey = Survey(
        state=bytes(tmp_path),
        reserve=Faulty(tmp_path / "reserve", MB),
        spare=MB,
        post=lambda _: posted.set(),
    )
    for _ in range(2_000):
        survey.look({bytes(tmp_path): False})
        if posted.wait(0.01):
            break
    assert posted.is_set()
    assert Faulty.looks > 1


def test_what_is_remembered_goes_back_with_a_failed_commit() -> None:
    """Set, changed and removed since the last commit: all as it was. [S12]."""
    memory: Remembered[str, int] = Remembered()
    memory.update(a=1, b=2)
    memory.keep()
    memory["a"] = 10
    memory["a"] = 11
    del memory["b"]
    memory["c"] = 3
    memory.go_back()
    assert dict(memory) == {"a": 1, "b": 2}
    memory.pop("a")
    memory.keep()
    memory.go_back()
    assert dict(memory) == {"b": 2}


def test_what_a_failed_commit_counted_is_not_counted(
    now: datetime, make_keeper: Callable[[], Keeper]
) -> None:
    """Paces, holds, promised room, suspects and what was said of tasks are rolled back with the rows. [S12]."""
    keeper = make_keeper()
    held = staged(now)
    room = keeper.room
    for folder in (STATE, OUT):
        enough = 64 * MB + 20 * result_size(held)
        look = RoomSeen(folder=folder, seen=Space(free=enough, files=1000), at=0.0)
        keeper.room_seen(look, now=now)
    suspect = Suspect(recording=7, died_in="read", deaths=1)
    keeper.suspects.suspect([suspect])
    keeper.take_news()
    for _ in range(500):
        room.take(held)
    assert room.lacks(held) is not None
    keeper.room_seen(RoomSeen(folder=OUT, seen=Space(free=0), at=0.0), now=now)
    keeper.suspects.acquit(7)
    keeper.suspects.suspect([replace(suspect, recording=8)])
    keeper.gate.take("some-engine", now)
    keeper.outstanding.unknown[1] = 2
    keeper.book.in_trouble[1] = "not-sent"
    keeper.discard_news()
    assert room.lacks(held) is None
    assert not room.shortages
    assert keeper.suspects.ids == {7}
    assert not keeper.outstanding.unknown
    assert not keeper.book.in_trouble
    assert keeper.gate.is_open("some-engine", now)


@pytest.fixture
def make_keeper(store: object) -> Callable[[], Keeper]:
    """A keeper of an empty store."""

    def make() -> Keeper:
        return Keeper(
            store=store,  # type: ignore[arg-type] # the fixture of conftest
            routes={},
            gate=Gate({"some-engine": 1}, (), chance=lambda: 0.5),
            key_digest=lambda: None,
            chance=lambda: 0.5,
            room=Room(state=STATE, outputs={"in": OUT}, reserve=64 * MB),
        )

    return make

"""A file that kills asrwatch is found, given up after three counted deaths, and its neighbours finish."""

import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from conftest import Keep
from fake_engine import FakeOptions, fake_cloud
from journey_helpers import READING, a_recording
from money_helpers import Book
from test_daemon import Scripted, World
from wav_helpers import write_wav

from asrwatch.engines import StillOut
from asrwatch.files.room import Space
from asrwatch.journey.gate import Gate
from asrwatch.journey.keeper import Keeper
from asrwatch.journey.poller import TaskNews
from asrwatch.journey.recording import Recording, State
from asrwatch.journey.room import Room, RoomSeen
from asrwatch.journey.store import STEPS_LEFT, Store, Suspect
from asrwatch.journey.suspects import ALONE, HELD_BACK, LONG_ALONE, Suspects

CHILD = Path(__file__).with_name("poison_child.py")
KILLED = -9


def run_until_it_lives(root: Path, *words: str, most: int) -> int:
    """Start it as systemd would, until it ends by itself; how often it was killed."""
    for deaths in range(most + 1):
        done = subprocess.run(
            [sys.executable, str(CHILD), str(root), *words],
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        if done.returncode != KILLED:
            assert done.returncode == 0, done.stderr
            return deaths
    raise AssertionError(f"it died more than {most} times")


def recordings(root: Path) -> dict[str, Recording]:
    """What became of each file, by its stem."""
    with Store(root / "state") as store:
        return {Path(one.path.decode()).stem: one for one in store.in_state(*State)}


def codes(found: dict[str, Recording]) -> dict[str, str]:
    """The state of each, or the code of its failure."""
    return {
        stem: one.failure.code if one.failure else one.state.value for stem, one in found.items()
    }


def drop(root: Path, *stems: str) -> None:
    """Files of different contents."""
    (root / "inbox").mkdir(exist_ok=True)
    for number, stem in enumerate(stems):
        write_wav(root / "inbox" / f"{stem}.wav", number=number)


@pytest.mark.parametrize(
    "words",
    [("deliver",), pytest.param(("publish", "upload"), marks=pytest.mark.soak)],
    ids=["deliver", "publish"],
)
def test_a_file_that_kills_is_given_up_after_three_deaths(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    """Three starts die of it, the fourth gives it up; its neighbours are delivered [K03, K04]."""
    drop(tmp_path, "good1", f"bad-{words[0]}", "good2", "good3")
    assert run_until_it_lives(tmp_path, *words[1:], most=3) == 3
    found = recordings(tmp_path)
    bad = found.pop(f"bad-{words[0]}")
    assert bad.state is State.FAILED
    assert bad.failure is not None
    assert bad.failure.code == "poison"
    assert "retry" in bad.failure.advice
    assert set(codes(found).values()) == {"delivered"}
    if not words[1:]:
        asked = (tmp_path / "asked").read_text().split()
        assert asked.count("bad-deliver") == 1, "its answer is in hand: only its delivery kills"


def test_a_result_that_kills_is_a_persons_question(tmp_path: Path) -> None:
    """Dying three times while one task's result is fetched parks it, paid once; others of its rounds finish [K04]."""
    drop(tmp_path, "good1", "bad-fetch", "good2", "good3")
    assert run_until_it_lives(tmp_path, "tasks", most=3) == 3
    found = recordings(tmp_path)
    bad = found.pop("bad-fetch")
    assert bad.state is State.PARKED
    assert bad.failure is not None
    assert bad.failure.code == "poison-result"
    assert "transcribe --task bad-fetch" in bad.failure.advice
    assert set(codes(found).values()) == {"delivered"}
    assert sorted((tmp_path / "asked").read_text().split()) == sorted([*found, "bad-fetch"])
    rounds = (tmp_path / "rounds").read_text().splitlines()
    guilty = [number for number, line in enumerate(rounds) if "bad-fetch" in line]
    assert rounds[guilty[-1]] == rounds[guilty[-2]] == "bad-fetch", "suspects are asked about alone"


def test_a_round_blames_whom_it_did_not_answer(store: Store, now: datetime) -> None:
    """After a death the unanswered tasks of the round are suspects, asked about one by one; an answer clears [K04]."""
    book = Book(store, now)
    for seconds in (3, 4, 5):
        book.stage(seconds=seconds)
    tasks = [book.accept(one) for one in book.ask()]
    keeper = book.keeper
    assert keeper.round_of(tasks, under_way=(), now=now) == tuple(tasks)
    keeper.news(TaskNews(recording=tasks[0], news=StillOut(status="RUNNING")), now=now)
    suspects = store.count_deaths()
    assert {one.recording for one in suspects} == {tasks[1].id, tasks[2].id}
    keeper.suspects.suspect(suspects)
    (first,) = keeper.round_of(tasks, under_way={99}, now=now)
    assert first.id in {tasks[1].id, tasks[2].id}
    keeper.news(TaskNews(recording=first, news=StillOut(status="RUNNING")), now=now)
    (second,) = keeper.suspects.ids
    keeper.suspects.suspect([Suspect(recording=second, died_in="poll", deaths=2)])
    assert keeper.round_of(tasks, under_way={99}, now=now) == (), "what is under way ends first"
    assert keeper.trial(STEPS_LEFT, under_way=(), now=now) == [], "and nothing begins"
    (tried,) = keeper.round_of(tasks, under_way=(), now=now)
    assert tried.id == second
    keeper.broken_off([second])
    assert {one.deaths for one in store.count_deaths()} <= {0, 1}


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_a_request_that_kills_is_a_persons_question(tmp_path: Path) -> None:
    """Dying while the request is out, three times, parks the recording: what was paid is unknown [K04]."""
    drop(tmp_path, "good1", "bad-ask", "good2")
    assert run_until_it_lives(tmp_path, most=3) == 3
    told = codes(recordings(tmp_path))
    assert told.pop("bad-ask") in {"answer-lost", "poison"}
    assert set(told.values()) == {"delivered"}


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_several_poisons_are_told_apart(tmp_path: Path) -> None:
    """Two files that kill are both given up, and no innocent that was under way with them is blamed [K04]."""
    drop(tmp_path, "a-deliver", "b", "c-deliver", "d", "e")
    assert run_until_it_lives(tmp_path, most=6) <= 6
    told = codes(recordings(tmp_path))
    assert {stem for stem, code in told.items() if code == "poison"} == {"a-deliver", "c-deliver"}
    assert [told[stem] for stem in "bde"] == ["delivered"] * 3


def test_an_orderly_end_blames_nobody(store: Store, now: datetime) -> None:
    """What an orderly end broke off is no suspect; what was under way at a death is, once for each death."""
    left, died = (store.add(a_recording(State.SETTLED, now, path=path)) for path in (b"/a", b"/b"))
    for one in (left, died):
        store.begin_try(one.id, "read")
    store.leave_tries([left.id])
    assert store.count_deaths() == (Suspect(recording=died.id, died_in="read", deaths=1),)
    assert store.count_deaths() == (Suspect(recording=died.id, died_in="read", deaths=1),)
    store.begin_try(died.id, "read")
    assert store.count_deaths()[0].deaths == 2
    store.end_try(died.id)
    assert store.count_deaths() == ()


def test_a_suspect_is_alone(now: datetime) -> None:
    """While it is tried nobody else is: after the first death for a while, after the second for longer."""
    suspects = Suspects()
    one = replace(a_recording(State.SETTLED, now), id=7)
    suspects.suspect([Suspect(recording=7, died_in="publish", deaths=1)])
    suspects.begins(7, now)
    assert suspects.others_wait({7}, now + ALONE / 2)
    assert not suspects.others_wait({7}, now + ALONE)
    suspects.suspect([Suspect(recording=7, died_in="publish", deaths=2)])
    assert suspects.others_wait({7}, now + LONG_ALONE / 2)
    assert not suspects.others_wait({7}, now + LONG_ALONE)
    assert not suspects.is_poison(one)
    suspects.suspect([Suspect(recording=7, died_in="read", deaths=3)])
    assert suspects.is_poison(one)
    assert suspects.survived(one)
    assert not suspects.ids


@pytest.fixture
def keeper(store: Store, tmp_path: Path) -> Keeper:
    """A keeper of one inbox whose output folder is full."""
    world = World(root=tmp_path, engine=Scripted(FakeOptions(), fake_cloud()))
    made = Keeper(
        store=store,
        routes=world.house(store).routes,
        gate=Gate({"some-engine": 100}, (), chance=lambda: 0.5),
        key_digest=lambda: None,
        chance=lambda: 0.5,
        room=Room(state=b"/state", outputs={"inbox": b"/out"}, reserve=1),
    )
    plenty = Space(free=10**9, files=1000)
    for folder, space in ((b"/state", plenty), (b"/out", Space(free=0))):
        made.room.saw(RoomSeen(folder=folder, seen=space, at=time.monotonic()), promised=0)
    return made


def test_a_trial_holds_others_back_for_a_minute_at_most(
    keeper: Keeper, store: Store, now: datetime
) -> None:
    """A suspect waits for what is under way, and nobody else begins; but not for hours of an upload."""
    one = store.add(a_recording(State.SETTLED, now))
    keeper.suspects.suspect([Suspect(recording=one.id, died_in="read", deaths=1)])

    def tried(after: timedelta, *under_way: int) -> list[int] | None:
        steps = keeper.trial(STEPS_LEFT, under_way=under_way, now=now + after)
        return None if steps is None else [recording.id for recording, _ in steps]

    assert tried(timedelta(0), 99) == []
    assert tried(HELD_BACK / 2, 99) == []
    assert tried(HELD_BACK, 99) == [one.id]
    assert tried(HELD_BACK, 99, one.id) == []
    assert tried(HELD_BACK + ALONE, 99, one.id) is None


def test_a_suspect_that_may_not_begin_holds_nobody_back(
    keeper: Keeper, store: Store, now: datetime
) -> None:
    """It waits for room, or for the clock to be set: others go on meanwhile."""
    added = store.add(a_recording(State.SETTLED, now))
    read = store.save(added, added.read(READING, now=now))
    keeper.suspects.suspect([Suspect(recording=read.id, died_in="publish", deaths=1)])
    assert keeper.trial(STEPS_LEFT, under_way=[99], now=now) is None
    keeper.room.saw(
        RoomSeen(folder=b"/out", seen=Space(free=10**9), at=time.monotonic()), promised=0
    )
    assert keeper.trial([State.STAGED], under_way=[99], now=now) is None
    assert keeper.trial(STEPS_LEFT, under_way=[99], now=now) == []


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_poison_among_many(
    tmp_path: Path, rounds: Callable[[int, int], int], promise: Keep
) -> None:
    """Among ten times as many good files all poison is given up after at most three deaths each, nothing else is."""
    good, bad = rounds(200, 40), rounds(20, 4)
    clean = tmp_path / "clean"
    clean.mkdir()
    drop(clean, *(f"good{number}" for number in range(good)))
    begun = time.monotonic()
    assert run_until_it_lives(clean, most=0) == 0
    alone = time.monotonic() - begun
    drop(
        tmp_path,
        *(f"good{number}" for number in range(good)),
        *(f"bad{number}-deliver" for number in range(bad)),
    )
    begun = time.monotonic()
    deaths = run_until_it_lives(tmp_path, most=3 * bad)
    took = time.monotonic() - begun
    told = codes(recordings(tmp_path))
    poison = [stem for stem, code in told.items() if code == "poison"]
    delivered = [stem for stem, code in told.items() if code == "delivered"]
    # a start costs what it costs; what is promised is that the work between starts goes on
    empty = time.monotonic()
    assert run_until_it_lives(clean, most=0) == 0
    starts = (time.monotonic() - empty) * deaths
    loss = max(0.0, (took - starts - alone) / alone)
    promise(
        "P14 poison files",
        promised="given up after 3 deaths, neighbours finish, <= 10 % slower",
        measured=f"{len(poison)}/{bad} given up after {deaths} deaths, {len(delivered)}/{good} delivered, "
        f"{loss:.0%} slower besides {deaths} starts",
    )
    assert len(poison) == bad
    assert all("deliver" in stem for stem in poison)
    assert len(delivered) == good
    assert deaths <= 3 * bad

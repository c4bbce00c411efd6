import queue
import threading
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from fake_engine import FakeOptions, fake_cloud
from inbox_helpers import not_root, public_folder, raw
from journey_helpers import a_recording
from test_daemon import Scripted, World, heard
from wait_helpers import wait_for
from wav_helpers import write_wav

from asrwatch.clock import utc_now
from asrwatch.daemon import Daemon, House
from asrwatch.daemon.mail import Call
from asrwatch.engines import Ask, Heard, Sent
from asrwatch.errors import SourceChanged, TemporaryError, Vanished
from asrwatch.files import fingerprint_of
from asrwatch.inbox.ignore import IgnoreRule
from asrwatch.inbox.lookout import InboxView, Lookout
from asrwatch.inbox.presence import Presence
from asrwatch.journey import journey, notes
from asrwatch.journey.away import AWAY, come_home, is_gone
from asrwatch.journey.delivery import Rendered, Rules, write
from asrwatch.journey.evidence import Failure, Output, Trouble
from asrwatch.journey.plan import Wishes
from asrwatch.journey.recording import Recording, State
from asrwatch.journey.store import Store
from asrwatch.journey.store.notes import Note, sha256_of


class ShareWorld(World):
    """A world whose inbox is a share with a marker."""

    def house(self, store: Store) -> House:
        """As ever, but with a presence that route and lookout share."""
        house = super().house(store)
        presence = Presence(root=raw(self.inbox), marker=".mounted")
        (make,) = house.lookouts.values()
        assert isinstance(make, partial)
        (view,) = make.args
        assert isinstance(view, InboxView)
        return replace(
            house,
            routes={"inbox": replace(house.routes["inbox"], presence=presence)},
            lookouts={"inbox": partial(Lookout, replace(view, presence=presence))},
        )


@pytest.fixture
def world(tmp_path: Path) -> ShareWorld:
    """An empty share, mounted."""
    (tmp_path / "inbox").mkdir()
    (tmp_path / "inbox" / ".mounted").touch()
    return ShareWorld(root=tmp_path, engine=Scripted(FakeOptions(), fake_cloud()))


def leave(world: World) -> None:
    """The share goes: an empty mount point is in its place."""
    world.inbox.rename(world.root / "share")
    world.inbox.mkdir()


def come_back(world: World) -> None:
    """The share returns; nothing may have been written to its mount point meanwhile."""
    world.inbox.rmdir()
    (world.root / "share").rename(world.inbox)


def looked_up(daemon: Daemon) -> tuple[Recording, ...]:
    """Every recording, as the daemon's own thread sees them."""
    answers: queue.SimpleQueue[tuple[Recording, ...]] = queue.SimpleQueue()
    daemon.post(Call(answer=lambda asked: answers.put(asked.house.store.in_state(*State))))
    return answers.get(timeout=20)


def waits_for_its_share(daemon: Daemon) -> bool:
    """Whether the recording has met the empty mount point and waits."""
    return any(each.trouble and each.trouble.last.code == AWAY for each in looked_up(daemon))


def test_queued_recording_waits_for_its_share(world: ShareWorld) -> None:
    """What is queued while its share is away waits, and goes on when it is back: not failed, paid once. [D10]."""
    talk = write_wav(world.inbox / "talk.wav")
    with Store(world.root / "state") as store:
        fingerprint = fingerprint_of(talk.lstat())
        store.add(
            Recording.found(inbox="inbox", path=raw(talk), fingerprint=fingerprint, now=utc_now())
        )
    leave(world)
    with world.running() as daemon:
        wait_for(lambda: waits_for_its_share(daemon))
        wait_for(lambda: bool(daemon.lookouts["inbox"].snapshot().troubles))
        come_back(world)
        wait_for((world.inbox / "talk.txt").exists)
    assert len(world.engine.asked) == 1
    assert State.FAILED not in {change.after.state for change in world.changes}
    assert [one.state for one in world.recordings()] == [State.DELIVERED]


def test_share_that_came_back_while_nobody_looked(world: ShareWorld) -> None:
    """Failed for its share, which returned while asrwatch was not running: the first whole pass brings it home."""
    talk = write_wav(world.inbox / "talk.wav")
    with Store(world.root / "state") as store:
        settled = store.add(
            Recording.found(
                inbox="inbox",
                path=raw(talk),
                fingerprint=fingerprint_of(talk.lstat()),
                now=utc_now(),
            )
        )
        store.save(settled, settled.fail(away_for(utc_now()), now=utc_now()))
    with world.running():
        wait_for((world.inbox / "talk.txt").exists)
    assert [one.state for one in world.recordings()] == [State.DELIVERED]


def test_transcript_waits_for_its_share(world: ShareWorld) -> None:
    """Nothing is written to the place of a share that went meanwhile: it is delivered once that is back."""

    def respond(_ask: Ask) -> Heard:
        leave(world)
        return heard("hello")

    world.engine.respond = respond
    with world.running() as daemon:
        write_wav(world.inbox / "talk.wav")
        wait_for(lambda: waits_for_its_share(daemon))
        wait_for(lambda: bool(daemon.lookouts["inbox"].snapshot().troubles))
        come_back(world)
        wait_for((world.inbox / "talk.txt").exists)
    assert len(world.engine.asked) == 1


def test_failed_recording_of_an_away_share_is_kept(world: ShareWorld) -> None:
    """A failed recording is only dropped when its file was really taken away, not when nobody can look."""
    recording = replace(
        a_recording(State.FAILED, utc_now(), path=raw(world.inbox / "a.wav")),
        fingerprint=fingerprint_of(world.inbox.lstat()),
    )
    presence = Presence(root=raw(world.inbox), marker=".mounted")
    assert is_gone(recording, presence)
    assert is_gone(recording, None)
    leave(world)
    assert not is_gone(recording, presence)
    come_back(world)
    (world.inbox / "a.wav").touch()
    assert not is_gone(recording, presence)


def test_failed_recording_in_a_closed_folder_is_kept() -> None:
    """Where a folder may not be entered nothing is known about its files."""
    with public_folder() as folder, not_root():
        closed = folder / "closed"
        closed.mkdir()
        (closed / "a.wav").touch()
        recording = a_recording(State.FAILED, utc_now(), path=raw(closed / "a.wav"))
        closed.chmod(0o000)
        assert not is_gone(recording, None)
        closed.chmod(0o755)


def test_renamed_folder_sends_nothing_under_the_wrong_name(
    world: ShareWorld, now: datetime
) -> None:
    """A folder renamed after its files settled: the step says `vanished`, and nothing is uploaded. [D15]."""
    folder = world.inbox / "before"
    folder.mkdir()
    talk = write_wav(folder / "talk.wav")
    recording = Recording.found(
        inbox="inbox", path=raw(talk), fingerprint=fingerprint_of(talk.lstat()), now=now
    )
    with Store(world.root / "state") as store:
        route = world.house(store).routes["inbox"]
    folder.rename(world.inbox / "after")
    with pytest.raises(Vanished):
        journey.advance(recording, route, clock=lambda: now)
    folder.mkdir()
    write_wav(folder / "talk.wav", number=2)  # another one has the old name now
    with pytest.raises(SourceChanged):
        journey.advance(recording, route, clock=lambda: now)
    assert world.engine.asked == []


def test_folder_renamed_under_a_running_daemon_is_transcribed_where_it_is(world: World) -> None:
    """With everything under way, a renamed folder ends with one transcript per recording, beside it. [D15]."""
    (world.inbox / "before").mkdir()
    for number in range(8):
        write_wav(world.inbox / "before" / f"{number}.wav", number=number)
    asked = threading.Event()

    def respond(_ask: Ask) -> Heard:
        asked.set()
        return heard("hello")

    world.engine.respond = respond
    with world.running():
        assert asked.wait(20)
        (world.inbox / "before").rename(world.inbox / "after")
        wait_for(lambda: len(list((world.inbox / "after").glob("*.txt"))) == 8)
    assert (
        len(world.engine.asked) <= 16
    )  # what was being sent when its name went is not known to be paid


def test_lookout_that_died_is_replaced(world: World) -> None:
    """A lookout whose thread ended by a fault of ours gets a successor, and files are found again."""

    class Mortal(Lookout):
        """Dies at once the first time."""

        born = 0

        def _run(self) -> None:
            Mortal.born += 1
            if Mortal.born > 1:
                super()._run()

    class House1(ShareWorld):
        """With such a lookout."""

        def house(self, store: Store) -> House:
            house = super().house(store)
            (make,) = house.lookouts.values()
            assert isinstance(make, partial)
            return replace(house, lookouts={"inbox": partial(Mortal, *make.args)})

    mortal = House1(root=world.root, engine=world.engine)
    with mortal.running() as daemon:
        write_wav(world.inbox / "talk.wav")
        daemon.post(Call(answer=lambda _daemon: None))  # a turn, at which the dead are counted
        wait_for((world.inbox / "talk.txt").exists)
    assert Mortal.born == 2


def away_for(now: datetime, *, code: str = AWAY) -> Failure:
    """What a recording met while its share was away."""
    return Failure.of(TemporaryError(f"At {now}.", code=code))


@pytest.mark.parametrize("state", [State.SETTLED, State.STAGED, State.TRANSCRIBED])
def test_waiting_recording_comes_home(state: State, now: datetime) -> None:
    """When the inbox is back its recordings are due at once, whatever their wait was; others keep theirs."""
    later = now + timedelta(minutes=10)
    recording = a_recording(state, now)
    trouble = Trouble(since=now, count=1, last=away_for(now))
    waiting = recording.postpone(trouble, due=later)
    home = come_home(waiting, now=now)
    assert home is not None
    assert home.due == now
    assert home.state is state
    other = recording.postpone(replace(trouble, last=away_for(now, code="disk-full")), due=later)
    assert come_home(other, now=now) is None
    assert come_home(recording, now=now) is None


def test_recording_whose_patience_ended_comes_home(now: datetime) -> None:
    """Failed for nothing but its share, a recording starts over, or is delivered from what was paid."""
    failed = a_recording(State.SETTLED, now).fail(away_for(now), now=now)
    home = come_home(failed, now=now)
    assert home is not None
    assert home.state is State.SETTLED
    assert home.trouble is None
    paid = a_recording(State.TRANSCRIBED, now).fail(away_for(now), now=now)
    back = come_home(paid, now=now)
    assert back is not None
    assert back.state is State.TRANSCRIBED
    assert come_home(a_recording(State.FAILED, now), now=now) is None


def test_dead_share_leaves_slots_to_the_other_inboxes(world: World) -> None:
    """Steps that never come back hold half of the slots at most: another inbox's recordings go on. [K06]."""
    released = threading.Event()

    class DeadShare(Scripted):
        """Its inbox's steps hang, as reading from a share whose server is away does."""

        def sent(self, wishes: Wishes) -> Sent:
            """Hang."""
            released.wait()
            return super().sent(wishes)

    class TwoInboxes(World):
        """A dead one and a well one."""

        def house(self, store: Store) -> House:
            """With a lookout and a route each."""
            house = super().house(store)
            route = house.routes["inbox"]
            (make,) = house.lookouts.values()
            assert isinstance(make, partial)
            (view,) = make.args
            dead = DeadShare(FakeOptions(), fake_cloud())
            root = raw(self.root / "dead")
            rule = IgnoreRule(root=root, containers={"wav"}, outputs=("txt",))
            return replace(
                house,
                routes={
                    "inbox": route,
                    "dead": replace(
                        route,
                        inbox="dead",
                        engines={"some-engine": dead},
                        rules=replace(route.rules, inbox=root),
                    ),
                },
                lookouts={
                    "inbox": make,
                    "dead": partial(Lookout, replace(view, name="dead", ignore=rule)),
                },
            )

    (world.root / "dead").mkdir()
    for number in range(20):
        write_wav(world.root / "dead" / f"{number}.wav", number=number)
    both = TwoInboxes(root=world.root, engine=world.engine)
    with both.running() as daemon:
        wait_for(lambda: sum(one.inbox == "dead" for one in daemon.under_way.copy().values()) == 2)
        for number in range(6):
            write_wav(world.inbox / f"{number}.wav", number=100 + number)
        wait_for(lambda: len(list(world.inbox.glob("*.txt"))) == 6)
        assert sum(one.inbox == "dead" for one in daemon.under_way.copy().values()) == 2
        released.set()


def test_nothing_is_written_into_the_place_of_an_inbox_that_is_away(
    tmp_path: Path, now: datetime
) -> None:
    """Neither a transcript nor a note makes an inbox anew that was taken away, or lies under its mount point."""
    inbox = tmp_path / "inbox"
    path = bytes(inbox / "talk.wav")
    one = replace(a_recording(State.TRANSCRIBED, now, path=path), id=1)
    output = Output(format="txt", path=bytes(inbox / "talk.txt"), sha256="")
    rules = Rules(inbox=bytes(inbox), output="beside", formats=("txt",), after="keep")
    with pytest.raises(TemporaryError):
        write(one.owning((output,)), rules, (Rendered.of("txt", "text"),))
    note = Note(
        recording=1,
        inbox="inbox",
        path=path + b".asr-error.txt",
        content="Why.",
        wanted=sha256_of("Why."),
    )
    presence = Presence(root=bytes(inbox))
    assert notes.put(note, one, rules, presence).error is not None
    assert not inbox.exists()
    inbox.mkdir()  # where it would be mounted: empty, and on another device than the recording
    assert notes.put(note, one, rules, presence).error is not None
    assert list(inbox.iterdir()) == []

"""An end in order blames no recording for it, whatever hangs and whatever can be written by then."""

import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from fake_engine import FakeOptions, fake_cloud
from journey_helpers import a_recording
from test_daemon import Scripted, World
from wait_helpers import PATIENCE, wait_for
from wav_helpers import write_wav

from asrwatch.daemon import Daemon
from asrwatch.daemon.mail import Call, Stop
from asrwatch.engines import Sent
from asrwatch.errors import OutOfOrder, StartupError
from asrwatch.journey.plan import Wishes
from asrwatch.journey.recording import State
from asrwatch.journey.store import Store


class DeadShare(Scripted):
    """Reading for it never ends, as from a share whose server is away."""

    def __init__(self) -> None:
        super().__init__(FakeOptions(), fake_cloud())
        self.reading, self.released = threading.Event(), threading.Event()

    def sent(self, wishes: Wishes) -> Sent:
        """Hang."""
        self.reading.set()
        self.released.wait(PATIENCE)
        return super().sent(wishes)


@pytest.fixture
def dead() -> Iterator[DeadShare]:
    """Let go at the end."""
    engine = DeadShare()
    yield engine
    engine.released.set()


@pytest.fixture
def world(tmp_path: Path, dead: DeadShare) -> World:
    """One recording that will hang."""
    made = World(root=tmp_path, engine=dead)
    made.inbox.mkdir()
    write_wav(made.inbox / "talk.wav")
    return made


def _suspects(world: World) -> list[int]:
    """Whom the next start suspects, and how often it did."""
    with Store(world.root / "state") as store, store.transaction():
        found = [one.deaths for one in store.count_deaths()]
        store.deaths_counted()
    return found


def _has_ended(world: World) -> bool:
    try:
        Store(world.root / "state").close()
    except StartupError:
        return False
    return True


@pytest.mark.parametrize(("vital", "blamed"), [(False, []), (True, [1])])
def test_a_step_that_waits_for_a_share_is_not_blamed_for_an_orderly_end(
    world: World, dead: DeadShare, vital: bool, blamed: list[int]
) -> None:
    """Stopped in order while a probe hangs: no suspect; a request that never ends is one [K02] [K06]."""
    with world.running() as daemon:
        assert dead.reading.wait(PATIENCE)
        (stuck,) = daemon.under_way.values()
        late = timedelta(seconds=-1)
        with daemon.hearts.pulse("reading talk.wav", usual=late, vital=vital, key=stuck):
            daemon.supervision.glance()
            daemon.post(Stop(reason="test"))
            wait_for(lambda: _has_ended(world))
    assert _suspects(world) == blamed


def test_an_end_without_the_database_is_in_order_too(world: World, dead: DeadShare) -> None:
    """Exit 75, when nothing may be written into the database any more: its recordings are no suspects [S12]."""

    def breaks(_: Daemon) -> None:
        raise OutOfOrder("The disk is failing.", code="state-unsafe")

    with Store(world.root / "state") as store:
        daemon = Daemon(world.house(store))

        def told() -> None:
            dead.reading.wait(PATIENCE)
            daemon.post(Call(answer=breaks))

        teller = threading.Thread(target=told)
        teller.start()
        with pytest.raises(OutOfOrder):
            daemon.run()
        teller.join(PATIENCE)
    assert _suspects(world) == []


def test_what_was_left_in_order_excuses_one_end_only(store: Store, now: datetime) -> None:
    """The note beside the database is of the end that it was written at; the next death is counted."""
    one = store.add(a_recording(State.SETTLED, now))
    store.begin_try(one.id, "read")
    store.note_left([one.id])
    assert store.count_deaths() == ()
    store.deaths_counted()
    store.begin_try(one.id, "read")
    assert [each.deaths for each in store.count_deaths()] == [1]

"""The daemon in this process, with an engine of our own: what it saves, in which order, and what it survives."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from fake_engine import FakeEngine, FakeOptions, fake_cloud
from wait_helpers import PATIENCE, wait_for
from wav_helpers import write_wav

from asrwatch.clock import utc_now
from asrwatch.daemon import Daemon, House
from asrwatch.daemon.mail import Call, Stop
from asrwatch.engines import Ask, Found, Heard, NotThere, Pending, StillOut
from asrwatch.errors import AnswerLost, AsrwatchError, EngineError, EngineTrouble, TemporaryError
from asrwatch.formats import FormatOptions
from asrwatch.formats.txt import Txt
from asrwatch.inbox.ignore import IgnoreRule
from asrwatch.inbox.lookout import InboxView, Lookout
from asrwatch.inbox.messages import FileSettled
from asrwatch.inbox.mounts import WatchMode
from asrwatch.journey.book import Change
from asrwatch.journey.delivery import Rules
from asrwatch.journey.evidence import Answer
from asrwatch.journey.plan import Wishes
from asrwatch.journey.recording import Recording, State
from asrwatch.journey.route import Route
from asrwatch.journey.store import Store
from asrwatch.storages.public_dir import PublicDir
from asrwatch.systemd import Notifier


class Scripted(FakeEngine):
    """Answers every ask through a function, from a worker's thread."""

    respond: Callable[[Ask], Heard | Pending] = staticmethod(lambda _ask: heard("hello"))

    def start(self, ask: Ask) -> Heard | Pending:
        """Read the audio whole, as a real engine would, then answer."""
        stream = getattr(ask.audio, "stream", None)
        if stream is not None:
            stream.read()
        self.asked.append(ask)
        return self.respond(ask)


def heard(text: str) -> Heard:
    """An answer that reads as `text`."""
    answer = Answer(raw=text.encode(), received_at=utc_now(), billed=timedelta(seconds=1))
    return Heard(answer=answer)


@dataclass
class World:
    """A folder to drop files in, a store, one engine, and daemons over them, one after the other."""

    root: Path
    engine: Scripted
    options: dict[str, Any] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)

    @property
    def inbox(self) -> Path:
        """Where files are dropped."""
        return self.root / "inbox"

    def house(self, store: Store) -> House:
        """A house with one inbox and one engine."""
        rules = Rules(
            inbox=bytes(self.inbox),
            output="beside",
            formats=("txt",),
            after=self.options.get("after", "keep"),
        )
        cloud = fake_cloud()
        route = Route(
            inbox="inbox",
            region="beijing",
            wishes=Wishes(),
            engine=None,
            engines={"some-engine": self.engine},
            storage=PublicDir(PublicDir.Options(root=self.inbox, url="http://127.0.0.1:9/"), cloud),
            formats={"txt": Txt(FormatOptions())},
            rules=rules,
            patience=timedelta(days=1),
            park_unknown=self.options.get("park_unknown", False),
        )
        view = InboxView(
            name="inbox",
            ignore=IgnoreRule(root=bytes(self.inbox), containers={"wav"}, outputs=("txt",)),
            watch=WatchMode.EVENTS,
            settle=timedelta(milliseconds=50),
            scan_every=timedelta(seconds=1),
        )
        return House(
            store=store,
            routes={"inbox": route},
            engines={"some-engine": self.engine},
            lookouts={"inbox": partial(Lookout, view)},
            keys=cloud.keys,
            workers=4,
            notifier=Notifier.from_environment({}),
            on_change=(self.changes.append,),
        )

    @contextmanager
    def running(self) -> Iterator[Daemon]:
        """A daemon in a thread (which owns its store), stopped in order at the end."""
        ready = threading.Event()
        holder: list[Daemon] = []

        def work() -> None:
            with Store(self.root / "state") as store:
                daemon = Daemon(self.house(store))
                holder.append(daemon)
                ready.set()
                daemon.run()

        thread = threading.Thread(target=work)
        thread.start()
        assert ready.wait(PATIENCE)
        try:
            yield holder[0]
        finally:
            if not holder[0].stopping:
                holder[0].post(Stop(reason="test over"))
            thread.join(PATIENCE)
            assert not thread.is_alive()

    def became(self, state: State) -> bool:
        """Whether any recording was saved in this state."""
        return any(change.after.state is state for change in self.changes)

    def recordings(self) -> Sequence[Recording]:
        """Everything in the store, once no daemon has it."""
        with Store(self.root / "state") as store:
            return store.in_state(*State)


@pytest.fixture
def world(tmp_path: Path) -> World:
    """An empty world."""
    (tmp_path / "inbox").mkdir()
    return World(root=tmp_path, engine=Scripted(FakeOptions(), fake_cloud()))


def test_a_dropped_file_is_transcribed_beside_it(world: World) -> None:
    """A recording dropped in an inbox has its transcript beside it, and is delivered in the store."""
    with world.running():
        write_wav(world.inbox / "talk.wav")
        wait_for((world.inbox / "talk.txt").exists)
    assert (world.inbox / "talk.txt").read_text() == "hello\n"
    assert [recording.state for recording in world.recordings()] == [State.DELIVERED]


def test_files_that_were_there_before_are_found_and_not_twice(world: World) -> None:
    """What lies there at the start is transcribed, and a restart transcribes nothing again."""
    write_wav(world.inbox / "talk.wav")
    with world.running():
        wait_for((world.inbox / "talk.txt").exists)
    with world.running():
        time.sleep(0.4)
    assert len(world.engine.asked) == 1


def test_the_same_content_is_paid_once(world: World) -> None:
    """Ten copies of one recording are ten transcripts and one request."""
    for number in range(10):
        write_wav(world.inbox / f"copy{number}.wav")
    with world.running():
        wait_for(lambda: len(list(world.inbox.glob("*.txt"))) == 10)
    assert len(world.engine.asked) == 1


def test_a_touched_file_is_the_same_recording(world: World) -> None:
    """A new mtime with the same content asks nothing and makes no second recording."""
    talk = write_wav(world.inbox / "talk.wav")
    with world.running():
        wait_for((world.inbox / "talk.txt").exists)
        talk.touch()
        time.sleep(2.5)  # no event tells of a new mtime alone: the next pass over everything does
    assert len(world.recordings()) == 1
    assert world.recordings()[0].fingerprint.mtime_ns == talk.stat().st_mtime_ns
    assert len(world.engine.asked) == 1


def test_new_content_under_an_old_name_is_a_new_recording(world: World) -> None:
    """A recorder that reuses names loses nothing: both transcripts are there."""
    with world.running():
        write_wav(world.inbox / "talk.wav", number=1)
        wait_for((world.inbox / "talk.txt").exists)
        write_wav(world.inbox / "talk.wav", number=2)
        wait_for(lambda: len(list(world.inbox.glob("*.txt"))) == 2)
    assert len(world.recordings()) == 2
    assert len(world.engine.asked) == 2


def test_old_content_that_comes_back_is_what_lies_there(world: World) -> None:
    """One content, another, the first again: what is known of the path is the first, and it is not paid again."""
    talk = world.inbox / "talk.wav"
    with world.running():
        for number, named in ((1, "talk.txt"), (2, "talk.wav.txt"), (1, "talk.wav.2.txt")):
            write_wav(talk, number=number)
            wait_for((world.inbox / named).exists)
    assert len(world.engine.asked) == 2
    with Store(world.root / "state") as store:
        latest = store.latest_at(bytes(talk))
        assert latest is not None
        assert latest.reading is not None
        assert latest.reading.sha256 == sha256(talk.read_bytes()).hexdigest()
        assert latest.fingerprint.mtime_ns == talk.stat().st_mtime_ns


def test_a_held_engine_keeps_its_recordings(world: World) -> None:
    """A bad key fails no recording: they wait, at most one request at a time finds out, and then all go on."""
    bad = EngineError("Bad key.", code="InvalidApiKey", trouble=EngineTrouble.KEY)
    healed = threading.Event()

    def respond(ask: Ask) -> Heard:
        if healed.is_set():
            return heard(ask.id)
        raise bad

    world.engine.respond = respond
    for number in range(20):
        write_wav(world.inbox / f"{number}.wav", number=number)
    with world.running() as daemon:
        wait_for(lambda: len(daemon.gate.holds) == 1)
        time.sleep(0.3)
        assert len(world.engine.asked) <= 4
        healed.set()
        daemon.gate.open_now(utc_now())
        write_wav(world.inbox / "nudge.wav", number=99)
        wait_for(lambda: len(list(world.inbox.glob("*.txt"))) == 21)
    assert {recording.state for recording in world.recordings()} == {State.DELIVERED}


def test_a_lost_answer_is_asked_again_and_written_down(world: World) -> None:
    """A sync answer lost on the way is asked for again, and the ledger says that it may be paid twice."""
    answers: list[Heard | Exception] = [AnswerLost("Lost.", code="reset"), heard("second")]

    def respond(ask: Ask) -> Heard:  # noqa: ARG001 - whatever is asked
        outcome = answers.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    world.engine.respond = respond
    write_wav(world.inbox / "talk.wav")
    with world.running():
        wait_for((world.inbox / "talk.txt").exists)
    with Store(world.root / "state") as store:
        assert store.ledger().perhaps_twice == 1
        assert store.ledger().asked == 2


def test_a_lost_answer_is_parked_where_the_inbox_says_so(world: World) -> None:
    """With `unknown: park` a person decides; nothing is asked again."""
    world.options["park_unknown"] = True

    def respond(ask: Ask) -> Heard:
        raise AnswerLost(f"Lost {ask.id}.", code="reset")

    world.engine.respond = respond
    write_wav(world.inbox / "talk.wav")
    with world.running():
        wait_for(lambda: world.became(State.PARKED))
    assert len(world.engine.asked) == 1


def test_a_way_that_loses_every_answer_is_not_paid_for_days(world: World) -> None:
    """After three lost answers in a row a person decides, whatever the inbox says."""

    def respond(ask: Ask) -> Heard:
        raise AnswerLost(f"Lost {ask.id}.", code="reset")

    world.engine.respond = respond
    write_wav(world.inbox / "talk.wav")
    with world.running():
        wait_for(lambda: world.became(State.PARKED), patience=60)
    assert len(world.engine.asked) == 3


class Tasks(Scripted):
    """An engine with tasks whose fate the test decides."""

    tasks = True
    finished: bool = False
    lost: bool = False

    def check(
        self, tickets: Sequence[str]
    ) -> Iterator[tuple[str, Heard | StillOut | AsrwatchError]]:
        """Finished or not, all alike."""
        for ticket in tickets:
            yield ticket, heard(ticket) if self.finished else StillOut(status="RUNNING")

    def reconcile(
        self,
        ask_id: str,
        *,
        since: Any,
        known: frozenset[str],
        url: str | None = None,
        sure: bool = True,
    ) -> Found | StillOut | NotThere:
        """A lost request was accepted, if the test says so."""
        assert since is not None
        assert sure
        assert url is None or ask_id in url
        ticket = f"ticket-{ask_id}"
        return Found(ticket=ticket) if self.lost and ticket not in known else NotThere()


def _with_tasks(world: World) -> Tasks:
    engine = Tasks(FakeOptions(), fake_cloud())
    engine.respond = lambda ask: Pending(ticket=f"ticket-{ask.id}", wait=timedelta(0))
    world.engine = engine
    return engine


def test_tasks_survive_a_restart(world: World) -> None:
    """A task that was outstanding when asrwatch ended is followed to its transcript by the next one."""
    engine = _with_tasks(world)
    write_wav(world.inbox / "talk.wav")
    with world.running():
        wait_for(lambda: len(engine.asked) == 1)
        time.sleep(0.3)
    assert [recording.state for recording in world.recordings()] == [State.SUBMITTED]
    engine.finished = True
    with world.running():
        wait_for((world.inbox / "talk.txt").exists)
    assert len(engine.asked) == 1


def test_a_lost_submission_is_adopted_not_bought_again(world: World) -> None:
    """A task whose ticket was lost is found through the task list and followed: one request in all."""
    engine = _with_tasks(world)
    engine.lost = engine.finished = True

    def respond(ask: Ask) -> Pending:
        raise AnswerLost(f"Lost {ask.id}.", code="reset")

    engine.respond = respond
    write_wav(world.inbox / "talk.wav")
    with world.running():
        wait_for((world.inbox / "talk.txt").exists)
    assert len(engine.asked) == 1


@pytest.mark.parametrize(
    "barred",
    [
        TemporaryError("The cloud is out of reach.", code="not-sent"),
        EngineError("The key is wrong.", code="InvalidApiKey", trouble=EngineTrouble.KEY),
    ],
    ids=["out of reach", "bad key"],
)
def test_a_lost_submission_stays_unknown_while_the_cloud_cannot_be_asked(
    world: World, barred: AsrwatchError
) -> None:
    """That the task list cannot be read proves nothing: no second request leaves until it was read."""
    engine = _with_tasks(world)
    looked: list[str] = []

    def respond(ask: Ask) -> Pending:
        raise AnswerLost(f"Lost {ask.id}.", code="reset")

    def reconcile(ask_id: str, **_: Any) -> Found | StillOut | NotThere:
        looked.append(ask_id)
        if len(looked) == 1:
            raise barred
        return Found(ticket=f"ticket-{ask_id}")

    engine.respond = respond
    engine.reconcile = reconcile  # type: ignore[method-assign]
    engine.finished = True
    write_wav(world.inbox / "talk.wav")
    with world.running():
        wait_for((world.inbox / "talk.txt").exists, patience=60)
    assert (len(engine.asked), len(looked)) == (1, 2)


def test_an_unexpected_error_fails_one_recording_only(world: World) -> None:
    """A bug met with one file leaves the others and the daemon as they were."""

    def respond(ask: Ask) -> Heard:
        if len(world.engine.asked) == 1:
            raise ZeroDivisionError
        return heard(ask.id)

    world.engine.respond = respond
    with world.running():
        write_wav(world.inbox / "a.wav", number=1)
        wait_for(lambda: len(world.engine.asked) == 1)
        write_wav(world.inbox / "b.wav", number=2)
        wait_for((world.inbox / "b.txt").exists)


def test_a_slow_step_is_finished_and_saved_by_an_orderly_stop(world: World) -> None:
    """SIGTERM while a paid request is out: its answer is waited for and saved, nothing becomes unknown."""
    asked, go_on = threading.Event(), threading.Event()

    def respond(ask: Ask) -> Heard:
        asked.set()
        assert go_on.wait(PATIENCE)
        return heard(ask.id)

    world.engine.respond = respond
    write_wav(world.inbox / "talk.wav")
    with world.running() as daemon:
        assert asked.wait(PATIENCE)
        daemon.post(Stop(reason="orderly"))
        time.sleep(0.2)
        go_on.set()
    assert [recording.state for recording in world.recordings()] == [State.TRANSCRIBED]


def test_temporary_trouble_waits_and_goes_on(world: World) -> None:
    """A recording that meets temporary trouble stays in its state until a later date."""

    def respond(ask: Ask) -> Heard:
        if len(world.engine.asked) == 1:
            raise TemporaryError("Busy.", code="busy")
        return heard(ask.id)

    world.engine.respond = respond
    write_wav(world.inbox / "talk.wav")
    with world.running():
        wait_for((world.inbox / "talk.txt").exists)
    assert len(world.engine.asked) == 2


def test_a_file_that_changes_while_it_is_transcribed_is_not_delivered_as_final(
    world: World,
) -> None:
    """The transcript of content that the file no longer has is kept back, the new content is transcribed."""
    talk = write_wav(world.inbox / "talk.wav", number=1)

    def respond(ask: Ask) -> Heard:
        if len(world.engine.asked) == 1:
            write_wav(talk, number=2)
            return heard("old")
        return heard(f"new {ask.id}")

    world.engine.respond = respond
    with world.running():
        wait_for((world.inbox / "talk.txt").exists)
    assert (world.inbox / "talk.txt").read_text().startswith("new")


def test_an_unforeseen_error_spoils_no_other_message(world: World) -> None:
    """A message that raises is dropped alone: answers that came with it are saved, and the daemon goes on."""

    def boom(daemon: Daemon) -> None:
        raise ZeroDivisionError(daemon.started_at)

    for number in range(10):
        write_wav(world.inbox / f"{number}.wav", number=number)
    with world.running() as daemon:
        for _ in range(20):
            daemon.post(Call(answer=boom))
            time.sleep(0.02)
        wait_for(lambda: len(list(world.inbox.glob("*.txt"))) == 10, patience=90)
    assert len(world.engine.asked) == 10
    assert {recording.state for recording in world.recordings()} == {State.DELIVERED}


def test_a_file_whose_message_was_dropped_is_reported_again(world: World) -> None:
    """An error that nobody foresaw loses no recording until the next start: its file settles once more."""
    with world.running() as daemon:
        settled, calls = daemon.keeper.settled, []

        def faulty(found: FileSettled, **more: Any) -> None:
            calls.append(found.path)
            if len(calls) <= 2:  # with the others, and alone
                raise ZeroDivisionError
            settled(found, **more)

        daemon.keeper.settled = faulty
        write_wav(world.inbox / "talk.wav")
        wait_for((world.inbox / "talk.txt").exists)
    assert len(calls) == 3


def test_a_listener_that_fails_harms_nobody(world: World) -> None:
    """Whoever listens to changes (a progress bar, a closed pipe) cannot stop the daemon."""

    class Deaf(list[Change]):
        def append(self, change: Change) -> None:
            raise BrokenPipeError(change.note)

    world.changes = Deaf()
    write_wav(world.inbox / "talk.wav")
    with world.running():
        wait_for((world.inbox / "talk.txt").exists)


def test_a_failed_file_that_is_taken_away_is_forgotten(world: World) -> None:
    """What failed unpaid, and whose file a person removed, stops being a failure after the next pass."""
    bad = world.inbox / "bad.wav"
    bad.write_text("this is not audio\n" * 9)
    with world.running():
        wait_for(lambda: world.became(State.FAILED))
        bad.unlink()
        time.sleep(3)
    assert list(world.recordings()) == []


def test_what_is_dropped_again_after_it_was_moved_away_is_moved_again(
    world: World, tmp_path: Path
) -> None:
    """With `after: move` the same content under the same name is delivered again, for nothing, and moved again."""
    world.options["after"] = bytes(tmp_path / "done")
    with world.running():
        for _ in range(2):
            talk = write_wav(world.inbox / "talk.wav")
            wait_for(lambda: not talk.exists())  # noqa: B023 - waited for before the next round
    assert len(list((tmp_path / "done").iterdir())) == 1
    assert len(world.engine.asked) == 1


@pytest.mark.parametrize("meanwhile", ["it runs", "it is stopped"])
def test_what_is_moved_back_is_moved_again(world: World, tmp_path: Path, meanwhile: str) -> None:
    """With `after: move` the very file that a person moves back is delivered again, for nothing, and moved again."""
    world.options["after"] = bytes(tmp_path / "done")
    talk = write_wav(world.inbox / "talk.wav")
    with world.running():
        wait_for(lambda: not talk.exists())
        wait_for(lambda: world.became(State.DELIVERED))
        if meanwhile == "it runs":
            (tmp_path / "done" / "talk.wav").rename(talk)
            wait_for(lambda: not talk.exists())
    if meanwhile == "it is stopped":
        (tmp_path / "done" / "talk.wav").rename(talk)
        with world.running():
            wait_for(lambda: not talk.exists())
    assert (tmp_path / "done" / "talk.wav").exists()
    assert len(world.engine.asked) == 1
    assert [path.name for path in world.inbox.glob("*.txt")] == ["talk.txt"]

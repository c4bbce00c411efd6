"""The daemon taken apart: its turns, looks and steps one by one, over a cloud and a disk that fail when told to.

Everything that decides is the product's own: daemon, keeper, journey, lookout, settler, store and delivery, on
real files. Only time, threads, the cloud and the disk's faults are ours.
"""

import hashlib
import io
import os
import resource
import shutil
import tempfile
import wave
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, redirect_stderr, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from desk_helpers import settings_of
from fake_engine import FakeEngine, FakeOptions, fake_cloud

from asrwatch.clock import Clock
from asrwatch.daemon import Daemon, House
from asrwatch.daemon.mail import Mail, StepDone
from asrwatch.engines import Ask, Found, Heard, LocalAudio, NotThere, Pending, RemoteAudio, StillOut
from asrwatch.errors import (
    AnswerLost,
    AsrwatchError,
    EngineError,
    EngineTrouble,
    RecordingError,
    StartupError,
    TemporaryError,
    TicketLost,
)
from asrwatch.formats import FormatOptions
from asrwatch.formats.txt import Txt
from asrwatch.inbox.ignore import IgnoreRule
from asrwatch.inbox.lookout import InboxView, Lookout
from asrwatch.inbox.mounts import WatchMode
from asrwatch.journey.delivery import Rules
from asrwatch.journey.evidence import Answer
from asrwatch.journey.plan import Wishes
from asrwatch.journey.recording import Recording, State
from asrwatch.journey.route import Route
from asrwatch.journey.store import Store
from asrwatch.storages import Published, Source, Storage, StorageOptions
from asrwatch.systemd import Notifier

SYNC, TASKS = "at-once", "by-task"
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - a file system without a disk, where there is one
ValueT = TypeVar("ValueT")


def sound(number: int, *, long: bool) -> bytes:
    """A WAV; a long one is for the engine with tasks."""
    written = io.BytesIO()
    with wave.open(written, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(8000)
        out.writeframes(number.to_bytes(2, "little") * (8000 if long else 800))
    return written.getvalue()


def sha256(content: bytes) -> str:
    """As the store names contents."""
    return hashlib.sha256(content).hexdigest()


def words_of(digest: str) -> str:
    """The transcript of a content."""
    return f"words-{digest}"


class Killed(BaseException):
    """The process is gone, here and now."""


# The cloud.


@dataclass
class Job:
    """A task that was accepted."""

    url: str
    sha256: str
    ready: datetime
    fate: str


@dataclass
class FakeCloud:
    """Keeps the bill, and what was lost on the way back; `troubles` meet the next requests, one each."""

    now: Callable[[], datetime]
    troubles: deque[str] = field(default_factory=deque)
    queries: deque[str] = field(default_factory=deque)
    fates: deque[str] = field(default_factory=deque)
    paid: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)
    jobs: dict[str, Job] = field(default_factory=dict)
    uploads: dict[str, str] = field(default_factory=dict)

    def request(self, accept: Callable[[], str]) -> None:
        """One paid request: refused, lost on its way, or accepted and then perhaps lost on the way back.

        `accept` returns whose answer is lost for good with the way back, or nobody's.
        """
        trouble = self.troubles.popleft() if self.troubles else "none"
        if trouble in {"killed", *_ERRORS}:
            _fail(trouble)
        spoilt = accept()
        if trouble in {"answer lost", "killed after"}:
            self.lost[spoilt] += 1
            _fail("lost" if trouble == "answer lost" else "killed")

    def hear(self, digest: str) -> str:
        """Billed at once, and never told again."""
        self.paid[digest] += 1
        return digest

    def submit(self, url: str) -> str:
        """A task of its own for every request that is accepted; a task that fails is not billed."""
        digest = self.uploads[url]
        fate = self.fates.popleft() if self.fates else "heard"
        self.paid[digest] += fate in {"heard", "forgotten"}
        ready = self.now() + timedelta(seconds=20)
        self.jobs[f"task-{len(self.jobs)}"] = Job(url=url, sha256=digest, ready=ready, fate=fate)
        return ""

    def query(self) -> None:
        """A question that costs nothing."""
        if self.queries:
            _fail(self.queries.popleft())

    def news_of(self, ticket: str) -> Heard | StillOut | AsrwatchError:
        """What a task has come to."""
        job = self.jobs[ticket]
        if self.now() < job.ready:
            return StillOut(status="RUNNING")
        match job.fate:
            case "failed":
                return TemporaryError("The task failed.", code="task-failed")
            case "refused":
                return RecordingError("It is noise.", code="noise", advice="Listen to it.")
            case "forgotten":
                return TicketLost("The task is unknown.", code="task-unknown")
            case _:
                return heard(job.sha256, self.now())


_ERRORS: dict[str, Callable[[], AsrwatchError]] = {
    "busy": lambda: TemporaryError("Busy.", code="busy"),
    "down": lambda: EngineError("Away.", code="down", trouble=EngineTrouble.DOWN),
    "throttled": lambda: EngineError("Slower.", code="slow", trouble=EngineTrouble.THROTTLED),
    "bad key": lambda: EngineError("A wrong key.", code="key", trouble=EngineTrouble.KEY),
    "no money": lambda: EngineError("Pay first.", code="money", trouble=EngineTrouble.MONEY),
    "lost": lambda: AnswerLost("The line broke.", code="answer-lost"),
}


def _fail(trouble: str) -> NoReturn:
    if trouble == "killed":
        raise Killed
    error = _ERRORS[trouble]()
    raise error


def heard(digest: str, now: datetime) -> Heard:
    """The raw answer is the text."""
    raw = words_of(digest).encode()
    return Heard(answer=Answer(raw=raw, received_at=now, billed=timedelta(seconds=1)))


class AtOnce(FakeEngine):
    """Answers in the request itself."""

    fake_name = SYNC
    service: FakeCloud

    def start(self, ask: Ask) -> Heard:
        """Hear what was really sent."""
        assert isinstance(ask.audio, LocalAudio)
        digest = sha256(ask.audio.stream.read())
        self.service.request(lambda: self.service.hear(digest))
        return heard(digest, self.service.now())


class ByTask(FakeEngine):
    """Takes a URL, gives a ticket."""

    fake_name = TASKS
    takes_bytes = False
    tasks = True
    service: FakeCloud

    def start(self, ask: Ask) -> Pending:
        """Accept what lies at the URL."""
        assert isinstance(ask.audio, RemoteAudio)
        url = ask.audio.url
        self.service.request(lambda: self.service.submit(url))
        ticket = next(ticket for ticket, job in self.service.jobs.items() if job.url == url)
        return Pending(ticket=ticket, wait=timedelta(seconds=5))

    def check(
        self, tickets: Sequence[str]
    ) -> Iterator[tuple[str, Heard | StillOut | AsrwatchError]]:
        """What each has come to."""
        self.service.query()
        for ticket in tickets:
            yield ticket, self.service.news_of(ticket)

    def reconcile(
        self,
        ask_id: str,
        *,
        since: datetime,
        known: frozenset[str],
        url: str | None = None,
        sure: bool = True,
    ) -> Found | NotThere:
        """The task whose source is this very URL."""
        del ask_id, since, sure
        self.service.query()
        found = [ticket for ticket, job in self.service.jobs.items() if job.url == url]
        assert len(found) <= 1
        return Found(ticket=found[0]) if found and found[0] not in known else NotThere()


class Shelf(Storage[StorageOptions]):
    """Remembers what was uploaded."""

    Options = StorageOptions
    service: FakeCloud

    def publish(self, source: Source, *, ask_id: str, model: str) -> Published:
        """Under a URL with the ask id."""
        del model
        self.service.query()
        url = f"https://cloud.test/{ask_id}.wav"
        self.service.uploads[url] = sha256(source.stream.read())
        return Published(url=url, expires=self.service.now() + timedelta(hours=48))


# The daemon.


class Later(ThreadPoolExecutor):
    """Keeps what it is given until somebody does it."""

    def __init__(self) -> None:
        super().__init__(1)
        self.steps: list[Callable[[], object]] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        """Not now."""
        self.steps.append(partial(fn, *args, **kwargs))
        return Future()


class Stepped(Daemon):
    """A daemon without threads that never waits."""

    def __init__(self, house: House) -> None:
        super().__init__(house)
        self.later = self.workers.pool = self.rounds._poller = Later()

    def _wait(self) -> list[Mail]:
        mail: list[Mail] = []
        while not self.mailbox.empty() and len(mail) < 4:
            mail.append(self.mailbox.get_nowait())
        return mail

    @staticmethod
    def _rest() -> None:
        pass

    @property
    def unsaved(self) -> list[Mail]:
        """What dies with the process."""
        mail = list(self.saving.unsaved)
        while not self.mailbox.empty():
            mail.append(self.mailbox.get_nowait())
        return mail


class Still(Lookout):
    """A lookout without a thread; it looks when it is told to."""

    def start(self) -> None:
        """It is ready."""

    @property
    def alive(self) -> bool:
        """It does not die."""
        return True

    def look(self) -> None:
        """One turn of its thread."""
        self._take_on(self._nudges.wait(0))
        self._turn()


class World:
    """An inbox, a cloud, a disk, a clock, and a daemon that may die at any moment."""

    def __init__(self) -> None:
        on = SHARED_MEMORY if SHARED_MEMORY.is_dir() else None
        self.root = Path(tempfile.mkdtemp(prefix="asrwatch-model-", dir=on))
        self.inbox, self.outputs = self.root / "inbox", self.root / "transcripts"
        self.inbox.joinpath("sub").mkdir(parents=True)
        self.outputs.mkdir()
        self.seconds = 0.0
        self.disk_full = False
        self.cloud = FakeCloud(now=self.now)
        self.store: Store | None = None
        self.daemon: Stepped | None = None
        self.start()

    def now(self) -> datetime:
        """The wall clock."""
        return datetime(2026, 11, 22, 10, 0, tzinfo=UTC) + timedelta(seconds=self.seconds)

    def end(self) -> None:
        """Nothing is left behind."""
        if self.store is not None:
            self.store.close()
        shutil.rmtree(self.root)

    def house(self, store: Store) -> House:
        """One inbox, two engines."""
        cloud = fake_cloud()
        sync = AtOnce(FakeOptions(longest=timedelta(seconds=0.5)), cloud)
        tasks, shelf = ByTask(FakeOptions(), cloud), Shelf(StorageOptions(), cloud)
        sync.service = tasks.service = shelf.service = self.cloud
        engines = {SYNC: sync, TASKS: tasks}
        route = Route(
            inbox="inbox",
            region="beijing",
            wishes=Wishes(),
            engine=None,
            engines=engines,
            storage=shelf,
            formats={"txt": Txt(FormatOptions())},
            rules=Rules(inbox=bytes(self.inbox), output=bytes(self.outputs), formats=("txt",)),
            patience=timedelta(days=1000),
            park_unknown=False,
        )
        view = InboxView(
            name="inbox",
            ignore=IgnoreRule(root=bytes(self.inbox), containers={"wav"}, outputs=("txt",)),
            watch=WatchMode.POLL,
        )
        return House(
            store=store,
            routes={"inbox": route},
            engines=engines,
            lookouts={"inbox": partial(Still, view, clock=lambda: self.seconds)},
            keys=cloud.keys,
            workers=2,
            notifier=Notifier.from_environment({}),
            clock=Clock(
                now=self.now,
                monotonic=lambda: self.seconds,
                boottime=lambda: self.seconds,
                boot_id=lambda: "boot",
            ),
        )

    # What the daemon does, one thing at a time.

    def start(self) -> None:
        """If the disk lets it."""
        with self._disk(), suppress(StartupError, TemporaryError):
            self.store = Store(self.root / "state")
            self.daemon = Stepped(self.house(self.store))
            self.daemon._open_up()
            return
        self.die()

    def look(self) -> None:
        """The inbox's thread has its turn."""
        if self.daemon is not None:
            lookout = self.daemon.lookouts["inbox"]
            assert isinstance(lookout, Still)
            self._do(lookout.look)

    def turn(self) -> None:
        """The main thread has its turn."""
        if self.daemon is not None:
            self._do(self.daemon._turn)

    def work(self) -> None:
        """One of the steps under way is done."""
        if self.daemon is not None and (steps := self.daemon.later.steps):
            self._do(steps.pop(0))

    def die(self) -> None:
        """Whatever was not saved never happened; what was answered and not saved was paid for in vain."""
        for mail in self.daemon.unsaved if self.daemon else ():
            if isinstance(mail, StepDone) and isinstance(mail.outcome, Recording):
                reading = mail.before.reading
                asked = mail.before.state is State.ASKING and mail.outcome.answer is not None
                if asked and reading is not None and reading.plan.engine == SYNC:
                    self.cloud.lost[reading.sha256] += 1
        if self.store is not None:
            self.store.close()
        self.store = self.daemon = None

    def _do(self, step: Callable[[], object]) -> None:
        try:
            with self._disk():
                step()
        except Killed:
            self.die()

    @contextmanager
    def _disk(self) -> Iterator[None]:
        """With a full disk, no byte more can be written to any file by this process."""
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        with redirect_stderr(io.StringIO()):
            try:
                if self.disk_full:
                    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
                yield
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, before)

    # What it has come to.

    @property
    def quiet(self) -> bool:
        """Whether nothing is left to do."""
        if self.daemon is None or self.store is None:
            return False
        snapshot = self.daemon.lookouts["inbox"].snapshot()
        waiting = [each for each in snapshot.last.waiting if each.size] if snapshot.last else [0]
        left = self.store.in_state(*(set(State) - {State.DELIVERED, State.FAILED, State.PARKED}))
        busy = (
            self.daemon.later.steps or not self.daemon.mailbox.empty() or self.daemon.saving.unsaved
        )
        return not (waiting or left or busy)

    def left(self) -> str:
        """Why it is not quiet, for whoever must find out."""
        if self.daemon is None or self.store is None:
            return "there is no daemon"
        gate, last = self.daemon.gate, self.daemon.lookouts["inbox"].snapshot().last
        lines = [
            f"now {self.now()}, requests {gate.holds} {gate._probing} {gate._next}",
            f"inbox {last.waiting if last else None}, mail {self.daemon.unsaved}",
            f"steps {len(self.daemon.later.steps)}, round {self.daemon.rounds.under_way}",
        ]
        for recording in self.store.in_state(*State):
            told = [event.note for event in self.store.story(recording.id)][-5:]
            lines.append(f"{recording.path!r} {recording.state} {recording.due} {told}")
        return "\n".join(lines)

    def settle_down(self) -> None:
        """The disk has room, whoever was killed is started, and time passes; no trouble is for ever."""
        self.disk_full = False
        begun = self.seconds
        for span in (*[3] * 8, *[61] * 8, *[1200] * 150):
            for _ in range(100):
                if self.daemon is None:
                    self.start()
                self.look()
                for _ in range(20):
                    self.turn()
                    if self.daemon is None or not self.daemon.later.steps:
                        break
                    self.work()
                if self.daemon and self.daemon.mailbox.empty() and not self.daemon.later.steps:
                    break
            if self.quiet and self.seconds - begun > 130:  # two passes over everything
                return
            self.seconds += span

    def settings(self) -> Any:
        """For a desk that explains."""
        return settings_of(self.root, output=str(self.outputs), formats=["txt"])


def stamp(path: Path, seconds: int) -> None:
    """The time of a change, always another one, as on a disk whose clock is fine enough."""
    os.utime(path, (seconds, seconds))

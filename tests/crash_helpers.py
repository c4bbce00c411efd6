"""An inbox whose daemons are killed, and the judge of what they leave: the sandbox's bill, the files, the store."""

import hashlib
import json
import os
import random
import secrets
import shutil
import signal
import sqlite3
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol, Self

from conftest import Keep
from e2e_helpers import Installed
from wav_helpers import write_wav

from asrwatch.bootstrap import build_parts
from asrwatch.clock import utc_now
from asrwatch.config import load
from asrwatch.desk import Desk
from asrwatch.desk.foresight import foresee
from asrwatch.desk.reports.explanation import Story
from asrwatch.files import TEMPORARY_PREFIX
from asrwatch.inbox.signs import NOTE_ENDING, is_note
from asrwatch.journey.recording import State
from asrwatch.journey.store import Store
from asrwatch.sandbox import Knobs, Said, Sandbox, Scripted
from asrwatch.sandbox.recogniser import Sound

WORKERS = 8
"""`workers` of every daemon here: as many sync answers one death may lose."""
SYNC, TASK = 1.0, 3.0
"""Seconds of a recording that goes to the sync model, and of one that goes to the task model."""
ENGINES = {"qwen3-asr-flash": {"longest": "2s"}}
MAY_BE_PAID = {"answered", "accepted", "again", "lost", "bill_unknown"}
"""Outcomes in the ledger that say: this request is or may be paid."""


def said_in(sha256: str) -> str:
    """What the recording of this content says: each says something else."""
    return f"This is recording {sha256[:16]}."


def _listen(sound: Sound) -> Said:
    return Said(text=said_in(sound.sha256))


@contextmanager
def cloud(**knobs: Any) -> Iterator[Sandbox]:
    """A sandbox that is quick, and says something else for each recording."""
    quick: dict[str, Any] = {"queue_time": timedelta(0), "work_time": timedelta(0), **knobs}
    with Sandbox(recogniser=Scripted(_listen), knobs=Knobs(rate_limits=False, **quick)) as running:
        yield running


@dataclass(frozen=True, kw_only=True, slots=True)
class Given:
    """A recording that was put into the inbox."""

    path: Path
    sha256: str
    seconds: float

    @property
    def text(self) -> str:
        """What its transcript must say."""
        return said_in(self.sha256)


class Disk(Protocol):
    """A file system that dies with a process, as in a power cut."""

    mount: Path

    def is_dead(self) -> bool:
        """Whether its power was cut."""

    def restore(self) -> None:
        """Mount it again, with what it has kept."""


@dataclass
class Trial:
    """One installed asrwatch with its recordings: what it must come to whatever kills it."""

    world: Installed
    sandbox: Sandbox
    disk: Disk | None = None
    given: list[Given] = field(default_factory=list)
    other_version: bool = False
    """Killed in one version and finished by another, which may write a file the first one wrote anew, beside it."""
    explained: int = 0
    unexplained: list[str] = field(default_factory=list)

    @classmethod
    def at(cls, root: Path, sandbox: Sandbox, *, disk: Disk | None = None, **keys: Any) -> "Trial":
        """In a folder of its own; with a disk every death is a power cut; `keys` are the inbox's."""
        world = Installed(
            root=root,
            url=sandbox.url,
            key=sandbox.key,
            engines=ENGINES,
            inbox_keys=keys,
            more={"workers": WORKERS},
        )
        return cls(world=world, sandbox=sandbox, disk=disk)

    def give(self, seconds: float, *, number: int = 1) -> None:
        """Put recordings into the inbox, each with a content of its own."""
        for _ in range(number):
            index = len(self.given) + 1
            draft = self.world.root / "draft.wav"
            write_wav(draft, seconds=seconds, number=index)
            sha256 = hashlib.sha256(draft.read_bytes()).hexdigest()
            path = self.world.inbox / f"talk{index:05}.wav"
            draft.rename(path)
            self.given.append(Given(path=path, sha256=sha256, seconds=seconds))

    def die(self, place: str, *words: str, hit: int = 1) -> None:
        """A process that must die at the `hit`-th time it comes to `place`."""
        words = words or ("once", "--log-level", "info")
        done = self.world.call(*words, **self.deadly(place, hit=hit))
        # without power another thread may meet the dead disk first, and end the process before it is killed
        died = done.returncode == -signal.SIGKILL or (self.disk and self.disk.is_dead())
        assert died, (
            f"it did not die at {place}@{hit}: {done.returncode} {done.stdout}{done.stderr}"
        )
        self.died(done.stderr)

    def deadly(self, place: str, *, hit: int = 1) -> dict[str, Any]:
        """An environment in which asrwatch dies there."""
        power = {"ASRWATCH_CRASH_POWER": str(self.disk.mount)} if self.disk else {}
        return {"ASRWATCH_CRASH": f"{place}@{hit}", **power}

    def died(self, log: str = "") -> None:
        """After a death: what was acknowledged in the log is on the disk, and no transcript is half-written."""
        if self.disk:
            self.disk.restore()
        told = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
        said = {(line["recording"], line["event"]) for line in told if line["event"] in set(State)}
        with self._copied_store() as store:
            kept = {
                (number, event.after)
                for number in {number for number, _ in said}
                for event in store.story(number)
            }
        assert said <= kept, f"acknowledged and gone: {sorted(said - kept)}"
        for path in self.world.inbox.iterdir():
            if path.suffix in {".txt", ".json"}:
                assert is_whole(path.name, path.read_bytes()), f"half-written: {path.name}"

    def finish(self, *, code: int = 0) -> None:
        """A daemon that nobody kills does the rest."""
        done = self.world.call("once")
        assert done.returncode == code, done.stdout + done.stderr

    # The judge.

    def judge(self, *, deaths: int, parked: bool = False, originals: str = "kept") -> int:
        """Nothing lost, nothing half-written, nothing paid twice outside the bound; how many were paid twice.

        Args:
            deaths: how many daemons were killed since the beginning.
            parked: whether a person may have to decide about some.
            originals: `kept` in the inbox, or `gone` from it.
        """
        with Store(self.world.root / "state") as store:
            for given in self.given:
                (recording,) = store.all_at(os.fsencode(given.path))
                wanted = {State.DELIVERED, State.PARKED} if parked else {State.DELIVERED}
                assert recording.state in wanted, (
                    f"{given.path.name} is {recording.state}: {recording.failure} "
                    f"{store.story(recording.id)}"
                )
                if recording.state is State.DELIVERED:
                    self._judge_files(given)
            asked = self._asked(store)
            ledger = store.ledger()
        paid = Counter(line.sha256 for line in self.sandbox.bill.paid)
        assert set(paid) <= set(asked), "something is on the bill that nobody gave"
        for given in self.given:
            assert paid[given.sha256] <= asked[given.sha256], (
                f"{given.path.name} was paid {paid[given.sha256]} times, "
                f"the ledger knows of {asked[given.sha256]}"
            )
            if given.seconds >= TASK:
                assert paid[given.sha256] == 1, f"task {given.path.name}: {paid[given.sha256]}"
        twice = sum(paid.values()) - len(paid)
        assert twice <= ledger.perhaps_twice + ledger.unknown
        assert twice <= deaths * WORKERS
        self._judge_leftovers(originals)
        self.explain()
        return twice

    def _asked(self, store: Store) -> dict[str, int]:
        """How often the ledger says that each content may have been paid, by forgotten recordings included."""
        asked = {given.sha256: 0 for given in self.given}
        for given in self.given:
            (recording,) = store.all_at(os.fsencode(given.path))
            bought = store.bought_for(recording.id)
            asked[given.sha256] += sum(each.outcome in MAY_BE_PAID for each in bought)
        database = f"file:{self.world.root / 'state' / 'asrwatch.db'}?mode=ro"
        forgotten = (
            "SELECT sha256, outcome FROM asks WHERE recording NOT IN (SELECT id FROM recordings)"
        )
        with closing(sqlite3.connect(database, uri=True)) as connection:
            for sha256, outcome in connection.execute(forgotten):
                asked[sha256] += outcome in MAY_BE_PAID
        return asked

    def _judge_files(self, given: Given) -> None:
        text = given.path.with_suffix(".txt").read_text()
        assert text == given.text + "\n", f"{given.path.name}: {text!r}"
        told = json.loads(given.path.with_suffix(".json").read_text())
        assert told["text"] == given.text

    def _judge_leftovers(self, originals: str) -> None:
        endings = {".txt", ".json", ".wav"} if originals == "kept" else {".txt", ".json"}
        here = {path.name for path in self.world.inbox.iterdir()}
        with Store(self.world.root / "state") as store:
            noted = {
                f"{given.path.name}{NOTE_ENDING}"
                for given in self.given
                for recording in store.all_at(os.fsencode(given.path))
                if recording.state in {State.FAILED, State.PARKED}
            }
        assert {name for name in here if is_note(name)} == noted
        here -= noted
        expected = {
            given.path.with_suffix(ending).name for given in self.given for ending in endings
        }
        if self.other_version:
            expected |= {given.path.with_suffix(".new.json").name for given in self.given}
        assert here <= expected, f"left behind: {sorted(here - expected)}"
        if originals == "kept":
            assert {given.path.name for given in self.given} <= here

    def explain(self) -> None:
        """Ask the store, as it is, about every recording; what has no answer is in `unexplained`."""
        settings = load(self.world.config(), ())
        with self._copied_store() as store:
            desk = Desk(settings, store)
            for given in self.given:
                path = os.fsencode(given.path)
                story = desk.explain(path, utc_now()).story
                if story is None:
                    told = foresee(path, settings, lambda: build_parts(settings).routes)
                    clear = told.taken and bool(told.verdict)
                else:
                    clear = _is_explained(story)
                self.explained += clear
                if not clear:
                    self.unexplained.append(f"{given.path.name}: {story}")

    @contextmanager
    def _copied_store(self) -> Iterator[Store]:
        """What a dead process left, looked at without mending it."""
        state = self.world.root / "state"
        with tempfile.TemporaryDirectory() as folder:
            if (state / "asrwatch.db").exists():
                shutil.copytree(
                    state, folder, dirs_exist_ok=True, ignore=lambda *_: ["control.sock", "lock"]
                )
            with Store(Path(folder)) as store:
                yield store


def _is_explained(story: Story) -> bool:
    """Whether a person learns what is true of it and, if it is not done, why not and what happens next."""
    if not story.now or not story.events:
        return False
    match story.state:
        case State.DELIVERED:
            return all(output.written for output in story.outputs)
        case State.FAILED | State.PARKED:
            failure = story.failure
            return failure is not None and bool(failure.code and failure.message and failure.advice)
        case _:
            return bool(story.waits) and story.next_at is not None


class Reader:
    """Reads the final names of transcripts all the time: each is absent, or complete (promise P4)."""

    def __init__(self, folder: Path, *, pause: float = 0.005) -> None:
        self.reads = 0
        self.broken: list[str] = []
        self._folder = folder
        self._pause = pause
        self._seen: dict[str, tuple[int, int, int]] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reader")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._pause):
            try:
                names = os.listdir(self._folder)  # noqa: PTH208 - a name is all that is wanted, often
            except OSError:
                continue  # its file system is unmounted at this moment
            for name in names:
                if name.endswith((".txt", ".json")) and not name.startswith(
                    os.fsdecode(TEMPORARY_PREFIX)
                ):
                    self._read(name)

    def _read(self, name: str) -> None:
        try:
            with (self._folder / name).open("rb") as stream:
                status = os.fstat(stream.fileno())
                mark = (status.st_ino, status.st_size, status.st_mtime_ns)
                if self._seen.get(name) == mark:
                    return
                content = stream.read()
        except OSError:
            return
        self._seen[name] = mark
        self.reads += 1
        if not is_whole(name, content):
            self.broken.append(f"{name}: {content[-60:]!r}")


def is_whole(name: str, content: bytes) -> bool:
    """Whether a transcript's file, or a note in its place, holds all that was written to it."""
    if is_note(name):
        return content.endswith(b"followed by the recording's path.\n")
    if name.endswith(".txt"):
        spoken = content.removeprefix(b"agent:\n").removeprefix(b"customer:\n")  # of a call
        return spoken.startswith(b"This is recording ") and content.endswith(b".\n")
    try:
        told: Mapping[str, Any] = json.loads(content)
    except ValueError:
        return False
    return str(told["text"]).startswith("This is recording ")


@dataclass
class Tally:
    """What a harness has counted, over many trials."""

    kills: int = 0
    twice: int = 0
    reads: int = 0
    explained: int = 0
    asked: int = 0
    faults: list[str] = field(default_factory=list)

    def count(self, judged: Callable[[], int]) -> None:
        """One more kill, and what it came to: how many were paid twice, or a fault."""
        self.kills += 1
        try:
            self.twice += judged()
        except AssertionError as error:
            self.faults.append(str(error))

    def take(self, trial: Trial, reader: Reader | None = None) -> None:
        """Add what a trial's reader and explanations came to."""
        self.reads += reader.reads if reader else 0
        self.explained += trial.explained
        self.asked += trial.explained + len(trial.unexplained)
        self.faults += (reader.broken if reader else []) + trial.unexplained

    def tell(self, promise: Keep, what: str, *, files: int) -> None:
        """Its rows in the table of promises."""
        number, _, title = what.partition(" ")
        promise(
            f"{number} {title}",
            promised=f"0 lost, 0 half-written; paid twice at most {WORKERS} a kill, all in the ledger",
            measured=f"{self.kills} kills, {files} files: {self.twice} paid twice, "
            f"{len(self.faults)} faults",
        )
        if self.reads:
            promise(
                f"P4 read all the time: {title}",
                promised="each transcript is absent or complete",
                measured=f"{self.reads} files read",
            )
        promise(
            f"P32 explained: {title}",
            promised="100 %",
            measured=f"{self.explained} of {self.asked}",
        )


def chance_of_this_run() -> random.Random:
    """Chance that can be repeated: its seed is shown with a failure."""
    seed = secrets.randbits(32)
    print(f"seed {seed}")  # noqa: T201 - same
    return random.Random(seed)  # noqa: S311 - not for secrets

"""Figures for dashboards: true, named by Prometheus' rules, and cheap."""

import dataclasses
import json
import os
import re
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from journey_helpers import a_recording
from metrics_helpers import Scraped, scraped
from wait_helpers import wait_for
from web_helpers import Visitor, living_with_page, served, settings_for_page

from asrwatch.cli._finding import Level
from asrwatch.cli._folders import metrics_findings
from asrwatch.cloud import KeyRing
from asrwatch.config import Settings, load
from asrwatch.desk.reports.lines import Reason
from asrwatch.desk.reports.status import Health, HoldLine, InboxHealth
from asrwatch.errors import ConfigError, EngineTrouble, TemporaryError
from asrwatch.heartbeats import Heartbeats, Late
from asrwatch.inbox.lookout import Snapshot
from asrwatch.inbox.messages import About, InboxTrouble, PassKind, ScanDone
from asrwatch.inbox.mounts import WatchMode
from asrwatch.journey.budget import Allowance
from asrwatch.journey.recording import State
from asrwatch.journey.store import EVERY_ENGINE, Hold, Readers, Store, StoreTrouble
from asrwatch.journey.store.figures import BEYOND, STEPS, Requests, Tasks, Waits
from asrwatch.metrics.exposition import exposition, gone
from asrwatch.metrics.measured import Measured, Spending, measure
from asrwatch.metrics.textfile import TextFile, metrics_file
from asrwatch.metrics.vitals import Vitals
from asrwatch.news import Standstill
from asrwatch.supervision import Supervision
from asrwatch.systemd import Notifier
from asrwatch.web.remembering import Remembering

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def an_inbox(name: str = "dictation") -> InboxHealth:
    """An inbox that was looked at a minute ago."""
    return InboxHealth(
        name=name,
        path=b"/srv/dictation",
        alive=True,
        settling=2,
        settling_for=timedelta(seconds=7),
        scan_took=timedelta(milliseconds=250),
        health="ok",
        looked_at=NOW - timedelta(seconds=60),
        last_event_at=NOW - timedelta(seconds=90),
        events_lost=3,
    )


def everything(name: str = "dictation") -> Measured:
    """One of every figure there is."""
    hold = HoldLine(
        scope="qwen3-asr-flash",
        trouble="throttled",
        since=NOW - HOUR,
        until=NOW + timedelta(seconds=30),
        count=1,
        reason=Reason(code="Throttling", message="The cloud asks for fewer requests."),
    )
    health = Health(
        at=NOW,
        running=True,
        started_at=NOW - HOUR,
        inboxes=(an_inbox(name),),
        settling=(),
        settling_count=0,
        holds=(hold,),
        shortages=(Reason(code="no-room", message="There is no room."),),
        stuck=(),
        under_way=(1, 2),
    )

    def asked(outcome: str, number: int) -> Requests:
        return Requests(
            engine="qwen3-asr-flash",
            outcome=outcome,
            number=number,
            billed=timedelta(seconds=10 * number),
            cost=Decimal("0.5"),
            sent=1000 * number,
        )

    return Measured(
        at=NOW,
        health=health,
        currency="CNY",
        counts={name: {State.DELIVERED: 5, State.FAILED: 1}},
        waiting_since={name: NOW - 2 * HOUR},
        requests=(asked("answered", 4), asked("lost", 2), asked("open", 1), asked("unsent", 3)),
        tasks=(Tasks(engine="qwen3-asr-flash-filetrans", number=2, oldest=NOW - HOUR),),
        waits={
            name: Waits(numbers={STEPS[0]: 2, STEPS[4]: 1, BEYOND: 1}, total=timedelta(hours=30))
        },
        spending=(
            Spending(
                period="day",
                audio=HOUR,
                money=Decimal(3),
                allowed=Allowance(audio=4 * HOUR, money=Decimal(10)),
            ),
            Spending(period="month", audio=HOUR, money=Decimal(3), allowed=Allowance()),
        ),
    )


def shown(measured: Measured, *, process: bool = False) -> Scraped:
    """What Prometheus reads of it."""
    return scraped(exposition(measured, process=process).decode())


def test_every_figure_is_told_as_it_is() -> None:
    """Counts, ages, money and the rest come out with their labels, in seconds and bytes."""
    told = shown(everything())
    engine = "qwen3-asr-flash"
    assert told.value("asrwatch_up") == 1
    assert told.value("asrwatch_recordings", inbox="dictation", state="delivered") == 5
    assert told.value("asrwatch_recordings", inbox="dictation", state="staged") == 0
    assert told.value("asrwatch_settling_files", inbox="dictation") == 2
    assert told.value("asrwatch_oldest_waiting_age_seconds", inbox="dictation") == 7200
    assert told.value("asrwatch_last_event_age_seconds", inbox="dictation") == 90
    assert told.value("asrwatch_last_scan_age_seconds", inbox="dictation") == 60
    assert told.value("asrwatch_scan_duration_seconds", inbox="dictation") == 0.25
    assert told.value("asrwatch_inbox_healthy", inbox="dictation") == 1
    assert told.value("asrwatch_events_lost_total", inbox="dictation") == 3
    assert told.value("asrwatch_requests_total", engine=engine, outcome="answered") == 4
    assert told.value("asrwatch_requests_pending", engine=engine, outcome="lost") == 2
    assert told.value("asrwatch_billed_seconds_total", engine=engine) == 100
    assert told.value("asrwatch_billed_cost_total", engine=engine, currency="CNY") == 2
    assert told.value("asrwatch_sent_bytes_total", engine=engine) == 4000
    tasks = "qwen3-asr-flash-filetrans"
    assert told.value("asrwatch_tasks_outstanding", engine=tasks) == 2
    assert told.value("asrwatch_oldest_task_age_seconds", engine=tasks) == 3600
    assert told.value("asrwatch_tasks_outstanding", engine=engine) == 0
    assert told.value("asrwatch_oldest_task_age_seconds", engine=engine) == 0
    assert told.value("asrwatch_spent_money", period="day", currency="CNY") == 3
    assert told.value("asrwatch_budget_left_money", period="day", currency="CNY") == 7
    assert told.value("asrwatch_budget_left_audio_seconds", period="day") == 3 * 3600
    assert not told.has("asrwatch_budget_left_money", period="month", currency="CNY")
    assert told.value("asrwatch_holds", engine=engine, reason="throttled") == 1
    assert told.value("asrwatch_hold_remaining_seconds", engine=engine, reason="throttled") == 30
    assert told.value("asrwatch_folders_without_room") == 1
    assert told.value("asrwatch_steps_under_way") == 2


def test_what_grows_is_there_before_it_grows() -> None:
    """To Prometheus the first of a series is no increase: what is alarmed about, and waits, begin with 0."""
    told = shown(dataclasses.replace(everything(), waits={}))
    assert told.value("asrwatch_requests_total", engine="qwen3-asr-flash", outcome="again") == 0
    assert told.value("asrwatch_requests_total", engine="qwen3-asr-flash", outcome="answered") == 4
    assert told.value("asrwatch_delivery_seconds_count", inbox="dictation") == 0


def test_the_histogram_adds_up() -> None:
    """Buckets count what is not longer, the last one everything; sum and count belong to them."""
    told = shown(everything())

    def bucket(at_most: str) -> float:
        return told.value("asrwatch_delivery_seconds_bucket", inbox="dictation", le=at_most)

    assert (bucket("5.0"), bucket("30.0"), bucket("60.0"), bucket("+Inf")) == (2, 2, 3, 4)
    assert told.value("asrwatch_delivery_seconds_count", inbox="dictation") == 4
    assert told.value("asrwatch_delivery_seconds_sum", inbox="dictation") == 30 * 3600


def test_names_follow_the_rules() -> None:
    """Base units, `_total` for what only grows and for nothing else, a meaning for each; as promtool demands."""
    told = shown(everything())
    for name, kind in told.kinds.items():
        assert re.fullmatch(r"asrwatch_[a-z][a-z0-9_]*", name), name
        assert told.meanings[name].endswith("."), name
        assert not re.search(r"_(ms|minutes|hours|milliseconds|kb|mb|percent)(_|$)", name), name
        assert not re.search(r"_(count|sum|bucket|total|gauge|counter|histogram)$", name), name
        if kind == "counter":
            assert {n for n in told.names() if n.startswith(name + "_total")}, name
        if "age" in name.split("_") or "duration" in name.split("_"):
            assert name.endswith("_seconds"), name


def test_hostile_names_are_escaped() -> None:
    """An inbox's name of quotes, line breaks and bytes that are no text comes back as itself."""
    name = 'a"b\\c\nd 会议'
    told = shown(everything(name))
    assert told.value("asrwatch_settling_files", inbox=name) == 2
    odd = os.fsdecode(b"\xff\xfe")
    assert shown(everything(odd)).value("asrwatch_settling_files", inbox=r"\udcff\udcfe") == 2


def test_the_text_file_has_nothing_of_the_process() -> None:
    """Memory and time of the process are in /metrics; a node exporter has its own figures of these names."""
    assert not any(name.startswith("process_") for name in shown(everything()).names())
    assert "process_resident_memory_bytes" in shown(everything(), process=True).names()
    assert scraped(gone().decode()).names() == {"asrwatch_up"}


def test_figures_come_from_the_books(store: Store, now: datetime, tmp_path: Path) -> None:
    """What is measured is what the database holds, read beside the daemon that writes it."""
    found = store.add(a_recording(State.SETTLED, now))
    store.save(found, dataclasses.replace(a_recording(State.SUBMITTED, now), id=found.id))
    readers = Readers(store.state_dir)
    written = {"budget": {"day": {"money": 5}}, "state_dir": str(store.state_dir)}
    health = dataclasses.replace(everything().health, inboxes=(), holds=())
    with readers.one() as reader:
        measured = measure(
            reader, health, Settings.model_validate(written, context={"base": tmp_path})
        )
    readers.close()
    assert measured.counts == {"inbox": {State.SUBMITTED: 1}}
    assert measured.waiting_since == {"inbox": found.found_at}
    assert [each.number for each in measured.tasks] == [1]
    assert measured.spending[0].allowed.money == 5


def test_figures_survive_a_restart(tmp_path: Path, now: datetime) -> None:
    """Counters go on where they were, since they are the ledger's sums."""
    state = tmp_path / "state"
    with Store(state) as store:
        staged = store.add(a_recording(State.SETTLED, now))
        staged = store.save(
            staged, dataclasses.replace(a_recording(State.STAGED, now), id=staged.id)
        )
        asking = store.save(
            staged, dataclasses.replace(a_recording(State.ASKING, now), id=staged.id)
        )
        store.save(asking, asking.unsend(now=now, due=now), outcome="refused")
        before = store.requests()
    with Store(state) as store:
        assert store.requests() == before
        assert [(each.outcome, each.number) for each in before] == [("refused", 1)]


# The text file.


def test_the_file_is_written_and_says_when_it_ends(tmp_path: Path) -> None:
    """Whole at any moment, readable for the node exporter, and after an orderly end it says that nobody is up."""
    path, hearts, ending = tmp_path / "asrwatch.prom", Heartbeats(), threading.Event()
    every = timedelta(milliseconds=20)
    with TextFile(path, every=every, measure=everything, hearts=hearts, ending=ending):
        wait_for(path.exists)
        first = path.stat().st_ino
        assert scraped(path.read_text()).value("asrwatch_up") == 1
        wait_for(lambda: path.stat().st_ino != first)
    assert path.stat().st_mode & 0o044
    assert scraped(path.read_text()).value("asrwatch_up") == 0
    assert list(tmp_path.iterdir()) == [path]


def test_trouble_with_the_file_is_told_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder that is not writable stops nothing; it is told in the log, once, and tried again."""
    tries: list[int] = []
    path = tmp_path / "file" / "asrwatch.prom"
    path.parent.write_text("in the way")

    def measured() -> Measured:
        tries.append(1)
        return everything()

    def busy() -> Measured:
        tries.append(1)
        raise TemporaryError("The daemon is busy.", code="no-answer")

    for measure_ in (measured, busy):
        tries.clear()
        file = TextFile(
            path,
            every=timedelta(milliseconds=5),
            measure=measure_,
            hearts=Heartbeats(),
            ending=threading.Event(),
        )
        with file:
            wait_for(lambda: len(tries) > 3)
    said = capsys.readouterr()
    assert (said.out + said.err).count("The daemon is busy.") <= 1


# Through the page.


@pytest.fixture(scope="module")
def visitor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visitor]:
    """Of a daemon that looks at its inbox."""
    root = tmp_path_factory.mktemp("metrics")
    (root / "inbox").mkdir()
    key = root / "key"
    key.touch(mode=0o600)
    key.write_text("sk-for-the-test-only\n")
    settings = settings_for_page(root)
    cloud = settings.cloud.model_copy(update={"api_key_file": key})
    with served(settings.model_copy(update={"cloud": cloud}), real=True) as made:
        yield made


def test_prometheus_can_scrape_the_page(visitor: Visitor) -> None:
    """/metrics answers in Prometheus' format, with the process's own figures."""
    told = visitor.ask("/metrics")
    assert told.status == 200
    assert told.headers["content-type"].startswith("text/plain; version=")
    read = scraped(told.text)
    assert read.value("asrwatch_up") == 1
    assert read.value("asrwatch_recordings", inbox="inbox", state="failed") == 0
    assert "set-cookie" not in told.headers


def test_a_daemon_that_works_is_alive_and_ready(visitor: Visitor) -> None:
    """/healthz and /readyz say 200 where threads get on, the inbox is watched and there is a key."""
    assert visitor.ask("/healthz").status == 200
    wait_for(lambda: visitor.ask("/readyz").status == 200)
    told = json.loads(visitor.ask("/readyz").text)
    assert {each["what"] for each in told["checks"]} == {
        "threads",
        "running",
        "database",
        "engines",
        "room",
        "inbox inbox",
        "key",
    }
    assert "sk-for-the-test-only" not in visitor.ask("/readyz").text


def test_probes_need_no_token_on_loopback(tmp_path: Path) -> None:
    """With a token the probes answer whoever asks on this machine; figures are for those who bear it."""
    token = tmp_path / "token"
    token.touch(mode=0o600)
    token.write_text("correct horse battery staple\n")
    web = {"listen": "127.0.0.1:0", "token_file": str(token)}
    with served(settings_for_page(tmp_path, web=web)) as stranger:
        assert stranger.ask("/healthz").status == 200
        assert stranger.ask("/readyz").status == 200
        assert stranger.ask("/metrics").status == 401
        bearer = "Bearer correct horse battery staple"
        assert stranger.ask("/metrics", Authorization=bearer).status == 200


def test_the_file_of_a_daemon(tmp_path: Path) -> None:
    """A configured text file is written by the running daemon, with its own figures."""
    settings = settings_for_page(tmp_path)
    path = tmp_path / "asrwatch.prom"
    metrics = settings.metrics.model_copy(update={"textfile": path})
    settings = settings.model_copy(update={"metrics": metrics})
    with living_with_page(settings) as life:
        assert life.daemon is not None
        assert life.desk is not None
        with metrics_file(settings, life.daemon, life.desk.answer):
            wait_for(path.exists)
            assert scraped(path.read_text()).value("asrwatch_up") == 1


# Whether it lives and is ready.


def vitals(root: Path, **changed: object) -> Vitals:
    """Of a daemon whose database is not there and that has no key, unless changed."""
    made = Vitals(
        late=tuple,
        inboxes=("inbox",),
        snapshots=tuple,
        readers=Readers(root),
        keys=KeyRing(api_key_file=None, environment={}, home=root),
        ending=lambda: False,
    )
    return dataclasses.replace(made, **changed)  # type: ignore[arg-type] # each field by its name


def wrong(found: Vitals) -> dict[str, str]:
    """What is not well."""
    return {each.what: each.wrong for each in found.ready() if not each.is_well}


def test_what_is_not_ready_is_named(tmp_path: Path) -> None:
    """No database, nobody at the inbox, no key: each with its reason."""
    found = wrong(vitals(tmp_path))
    assert set(found) == {"database", "inbox inbox", "key"}
    assert found["key"] == "There is no API key for the cloud."


def test_who_cannot_write_or_ask_is_not_ready(tmp_path: Path, now: datetime) -> None:
    """A database that others lock can still be read, and a bad key is a key: neither lets a recording through."""
    hold = Hold(
        scope=EVERY_ENGINE,
        since=now,
        until=now + timedelta(hours=1),
        count=1,
        trouble=EngineTrouble.KEY,
        code="InvalidApiKey",
        message="The key is refused.",
        advice="",
    )
    with Store(tmp_path) as store:
        assert {"database", "engines"}.isdisjoint(wrong(vitals(tmp_path)))
        store.hold(hold)
        locked = StoreTrouble("The database is locked.", code="database-locked", advice="")
        found = wrong(vitals(tmp_path, trouble=lambda: locked))
    assert found["database"] == "The database is locked."
    assert found["engines"] == "The key is refused."


def a_look() -> ScanDone:
    """A pass over an empty inbox."""
    return ScanDone(
        inbox="inbox",
        kind=PassKind.WHOLE,
        complete=True,
        files=0,
        took=timedelta(),
        troubles=(),
        trouble_count=0,
        waiting=(),
        gone=(),
        watching=WatchMode.EVENTS,
        watching_reason="",
    )


def standstill(what: str, which: str, message: str, now: datetime) -> Standstill:
    """Something that keeps recordings waiting."""
    return Standstill(what=what, which=which, since=now, code="c", message=message, advice="")


def test_who_may_not_ask_is_not_ready(tmp_path: Path, now: datetime) -> None:
    """A spent budget, a full disk, and an inbox all of whose engines are held: none lets a recording through."""
    found = vitals(tmp_path, engines={"inbox": {"one", "two"}, "nowhere": ()})
    with Store(tmp_path):
        spent = standstill("engine", EVERY_ENGINE, "The budget is spent.", now)
        full = standstill("disk", "/var", "No room in /var.", now)
        both = dataclasses.replace(found, standstills=lambda: [spent, full])
        assert wrong(both)["engines"] == "The budget is spent."
        assert wrong(both)["room"] == "No room in /var."
        one = standstill("engine", "one", "One is down.", now)
        two = standstill("engine", "two", "Two is down.", now)
        assert "engines" not in wrong(dataclasses.replace(found, standstills=lambda: [one]))
        none = dataclasses.replace(found, standstills=lambda: [two, one])
        assert wrong(none)["engines"] == "One is down. Two is down."


def test_a_full_disk_is_not_ready(tmp_path: Path) -> None:
    """Less room than the reserve, before any recording has come: `/readyz` says which folder it is. [S03]."""
    (tmp_path / "inbox").mkdir()
    settings = settings_for_page(tmp_path).model_copy(update={"reserve": 2**60})
    with served(settings, real=True) as visitor:

        def room() -> str:
            told = json.loads(visitor.ask("/readyz").text)["checks"]
            return "".join(each.get("why", "") for each in told if each["what"] == "room")

        wait_for(lambda: "must be before anything is asked for" in room())
        assert str(tmp_path / "state") in room()


def test_a_locked_database_is_not_ready(tmp_path: Path) -> None:
    """While another program keeps the daemon from writing, `/readyz` says so; afterwards all is well again."""
    (tmp_path / "inbox").mkdir()
    with served(settings_for_page(tmp_path), real=True) as visitor:

        def well(what: str) -> bool:
            told = json.loads(visitor.ask("/readyz").text)["checks"]
            return any(each["ok"] for each in told if each["what"] == what)

        def database() -> bool:
            return well("database")

        wait_for(lambda: well("inbox inbox"))  # opened up and looked around
        assert database()
        with closing(sqlite3.connect(tmp_path / "state" / "asrwatch.db", timeout=30)) as other:
            other.execute("BEGIN IMMEDIATE")
            (tmp_path / "inbox" / "broken.wav").write_bytes(b"no sound" * 100)
            wait_for(lambda: not database(), patience=60)
        wait_for(database, patience=60)


def test_a_share_that_is_away_is_not_ready(tmp_path: Path) -> None:
    """An inbox that cannot be read is told with its trouble; one that was not looked at yet is not ready."""
    trouble = InboxTrouble(
        inbox="inbox", about=About.ROOT, code="gone", message="Inbox inbox: it is gone.", advice=""
    )
    snapshot = Snapshot(
        inbox="inbox", alive=True, known=0, last=None, last_whole=None, troubles=(trouble,)
    )
    assert wrong(vitals(tmp_path, snapshots=lambda: [snapshot]))["inbox inbox"] == trouble.message
    fresh = dataclasses.replace(snapshot, troubles=())
    said = wrong(vitals(tmp_path, snapshots=lambda: [fresh]))["inbox inbox"]
    assert said == "it was not looked at yet"


def test_only_threads_that_matter_cost_the_life(tmp_path: Path) -> None:
    """A main thread that hangs is not alive; a worker that waits for a share is, and an end is not ready."""

    def late(*, vital: bool) -> Late:
        return Late(
            thread="MainThread",
            ident=1,
            doing="the turns of the daemon",
            since=timedelta(minutes=5),
            allowed=timedelta(minutes=1),
            vital=vital,
            computing=False,
            key=None,
        )

    (hangs,) = vitals(tmp_path, late=lambda: [late(vital=True)]).alive()
    assert hangs.wrong == "the turns of the daemon does not get on, for 5m 00s"
    (waits,) = vitals(tmp_path, late=lambda: [late(vital=False)]).alive()
    assert waits.is_well
    share = dataclasses.replace(late(vital=False), doing="looking at inbox", key="inbox")
    watched = Snapshot(
        inbox="inbox", alive=True, known=0, last=None, last_whole=a_look(), troubles=()
    )
    hanging = vitals(tmp_path, late=lambda: [share], snapshots=lambda: [watched])
    assert wrong(hanging)["inbox inbox"] == "looking at inbox does not get on, for 5m 00s"
    gets_on = dataclasses.replace(hanging, late=tuple)
    assert "inbox inbox" not in wrong(gets_on)
    assert "running" in wrong(vitals(tmp_path, ending=lambda: True))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_nobody_is_alive_where_nobody_looks(tmp_path: Path) -> None:
    """A supervision that has died cannot say that threads get on; one that was ended is no trouble."""

    class Breaks(Notifier):
        def alive(self) -> None:
            raise MemoryError

    supervision = Supervision(Heartbeats(), Breaks())
    found = vitals(tmp_path, unwatched=lambda: supervision.has_died)
    assert all(each.is_well for each in found.alive())
    supervision.start()
    wait_for(lambda: supervision.has_died)
    assert [each.wrong for each in found.alive()] == ["whoever looks after the threads has died"]
    supervision.stop()
    assert not supervision.has_died


def test_what_is_dear_is_found_less_often() -> None:
    """Finding takes its share of a processor at most: after a dear answer the same is told for a while."""
    clock, found = [0.0], []
    remembering = Remembering(lambda: clock[0])

    def dear() -> int:
        begun = time.thread_time()
        while time.thread_time() - begun < 0.02:
            pass
        found.append(1)
        return len(found)

    assert remembering.recall_within("sums", 0.01, dear) == 1
    clock[0] = 1.9
    assert remembering.recall_within("sums", 0.01, dear) == 1
    clock[0] = 1000.0
    assert remembering.recall_within("sums", 0.01, dear) == 2


def test_check_looks_at_the_folder_of_the_file(tmp_path: Path) -> None:
    """`asrwatch check` writes where the metrics file goes; without such a file it looks nowhere."""
    settings = settings_for_page(tmp_path)
    assert list(metrics_findings(settings)) == []
    for folder, level in ((tmp_path, Level.OK), (Path("/proc/self"), Level.FAIL)):
        metrics = settings.metrics.model_copy(update={"textfile": folder / "asrwatch.prom"})
        (found,) = metrics_findings(settings.model_copy(update={"metrics": metrics}))
        assert found.level is level


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ({"textfile": "/var/lib/asrwatch.txt"}, "must end in .prom"),
        ({"every": "10ms"}, "must be at least 1s"),
        ({"file": "x"}, "there is no such key"),
    ],
)
def test_mistakes_in_metrics_are_told(tmp_path: Path, written: object, problem: str) -> None:
    """A file that no node exporter would read, a pace without sense, a key that is none: each is named."""
    file = tmp_path / "asrwatch.yaml"
    file.write_text(json.dumps({"metrics": written}))
    with pytest.raises(ConfigError, match=problem):
        load(file)

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from desk_helpers import Spotter, daemon_for, settings_of
from health_helpers import (
    Injury,
    Ward,
    closed_to_us,
    dead_emitter,
    dead_observer,
    dead_reader,
    missing,
    recreated,
    renamed,
    told_of_overflow,
    ward_over,
)
from inbox_helpers import HandClock, not_root, public_folder, raw

from asrwatch.cli.status import rows_of_status
from asrwatch.desk.desk import Desk
from asrwatch.desk.questions import AskStatus
from asrwatch.desk.reports.status import Status
from asrwatch.heartbeats import Heartbeats
from asrwatch.inbox.looks import EMPTIED, MARKER_MISSING
from asrwatch.inbox.messages import About, InboxTrouble
from asrwatch.inbox.presence import MANY, Presence
from asrwatch.journey.store import Store


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    """An empty inbox."""
    folder = tmp_path / "in"
    folder.mkdir()
    return folder


@pytest.mark.parametrize(
    "injury",
    [dead_emitter, dead_observer, dead_reader, recreated, renamed],
    ids=lambda one: one.__name__,
)
def test_deaf_watcher_is_told_and_heals(inbox: Path, injury: Injury) -> None:
    """Deaf without a word from watchdog: health says so, files are found, and it is well again. [D07 D08 D12]."""
    with ward_over(inbox) as ward:
        ward.wait_for_start()
        code = injury(ward)
        ward.wait_degraded(code)
        ward.finds("meanwhile.wav")
        ward.wait_ok()
        ward.hears("afterwards.wav")
        assert ward.lookout is not None
        assert ward.lookout.snapshot().hearing.rearmed >= 1


def test_overflow_is_told_and_made_up_for(inbox: Path) -> None:
    """Events that the kernel dropped are counted, health says so, and the pass that makes up for it ends it. [D02]."""
    with ward_over(inbox) as ward:
        ward.wait_for_start()
        ward.wait_degraded(told_of_overflow(ward))
        ward.finds("meanwhile.wav")
        ward.wait_ok()
        assert ward.lookout is not None
        assert ward.lookout.snapshot().hearing.overflows >= 1


def test_inbox_closed_to_us_is_told_and_heals() -> None:
    """An inbox that may no longer be read is trouble by the next look, and none once it may. [D03]."""
    with public_folder() as folder, not_root():
        box = folder / "in"
        box.mkdir()
        with ward_over(box) as ward:
            ward.wait_for_start()
            ward.wait_degraded(closed_to_us(ward))
            box.chmod(0o755)
            ward.wait_ok()
            ward.hears("afterwards.wav")


def test_inbox_that_goes_and_returns_reports_nothing_twice(inbox: Path) -> None:
    """An inbox that is away for a while forgets nothing: when it is back only what is new is found. [D10]."""
    with ward_over(inbox) as ward:
        ward.finds("before.wav")
        ward.wait_degraded(missing(ward))
        inbox.with_name("away").rename(inbox)
        ward.wait_ok()
        ward.finds("after.wav")
    assert ward.collector.settled == [raw(inbox / "before.wav"), raw(inbox / "after.wav")]


def test_unreadable_folder_below_is_told_heals_and_is_listened_to() -> None:
    """A sub-folder closed to us degrades the inbox; opened, its files are found and its events come. [D04]."""
    with public_folder() as folder, not_root():
        box = folder / "in"
        (box / "sub").mkdir(parents=True)
        (box / "sub" / "a.wav").write_bytes(b"x")
        (box / "sub").chmod(0o000)
        with ward_over(box) as ward:
            ward.wait_degraded("inbox-places")
            ward.finds("beside.wav")
            (box / "sub").chmod(0o755)
            ward.collector.wait_for(lambda so_far: raw(box / "sub" / "a.wav") in so_far.settled)
            ward.wait_ok()
            assert (box / "sub").stat().st_ino in (ward.watch.folders() or ())


def test_handler_that_fails_is_counted(inbox: Path) -> None:
    """An exception of ours while an event is handled ends nothing: it is counted, and the file is found. [D11]."""
    with ward_over(inbox) as ward:
        ward.wait_for_start()

        def wants(path: bytes) -> bool:
            raise UnicodeEncodeError("utf-8", "\udcff", 0, 1, os.fsdecode(path))

        right, ward.watch._handler._wants = ward.watch._handler._wants, wants
        ward.finds("broken.wav")
        ward.watch._handler._wants = right
        assert ward.lookout is not None
        assert ward.lookout.snapshot().hearing.faults >= 1
        ward.hears("fine.wav")
        assert ward.codes() == []


def many_files(ward: Ward, folder: Path) -> list[Path]:
    """As many files as make a sudden emptiness suspicious, all found."""
    paths = [folder / f"{number}.wav" for number in range(MANY)]
    for path in paths:
        path.write_bytes(b"x")
    ward.collector.wait_for(lambda so_far: len(so_far.settled) == len(paths))
    return paths


def test_inbox_emptied_at_once_is_frozen(inbox: Path, tmp_path: Path) -> None:
    """A share that lost everything at once forgets nothing, so that its return is no storm. [D10]."""
    with ward_over(inbox) as ward:
        many_files(ward, inbox)
        away = tmp_path / "server"
        away.mkdir()
        reader = ward.watch._reader
        assert reader is not None
        with reader._lock:
            for path in inbox.iterdir():
                path.rename(away / path.name)
        ward.wait_degraded("inbox-emptied")
        for path in away.iterdir():
            path.rename(inbox / path.name)
        ward.wait_ok()
        assert len(ward.collector.settled) == MANY


def test_inbox_that_asrwatch_empties_is_well(inbox: Path) -> None:
    """Where originals are moved or deleted by asrwatch itself, an empty inbox is work done."""
    with ward_over(inbox, stays=False) as ward:
        for path in many_files(ward, inbox):
            path.unlink()
        seen = len(ward.collector.scans)
        ward.collector.wait_for(lambda so_far: len(so_far.scans) > seen + 2)
        assert ward.codes() == []


def test_marker_decides_whether_the_inbox_is_there(inbox: Path) -> None:
    """Without its marker an inbox is away whatever lies in it; with it, even an empty one is there. [D10]."""
    (inbox / "early.wav").write_bytes(b"x")
    with ward_over(inbox, marker=".mounted") as ward:
        ward.wait_degraded("inbox-unmarked")
        assert ward.collector.settled == []
        (inbox / ".mounted").touch()
        ward.wait_ok()
        ward.collector.wait_for(lambda so_far: raw(inbox / "early.wav") in so_far.settled)
        (inbox / ".mounted").unlink()
        (inbox / "early.wav").unlink()
        ward.collector.wait_for(lambda _: ward.codes().count("inbox-unmarked") == 2)
        assert ward.lookout is not None
        assert ward.lookout.snapshot().known == 1


def test_presence_tells_gone_from_away(tmp_path: Path) -> None:
    """A file is gone only where its inbox is there, on the same device, and did not lose everything with it."""
    root = tmp_path / "in"
    presence = Presence(root=raw(root))
    path, device = raw(root / "a.wav"), tmp_path.stat().st_dev
    away = presence.away(path, device)
    assert away is not None
    assert "No such file" in str(away)
    root.mkdir()
    assert presence.away(path, device) is None
    other = presence.away(path, device + 1)
    assert other is not None
    presence.expected = MANY
    emptied = presence.away(path, device)
    assert emptied is not None
    assert emptied.errno == EMPTIED
    (root / "other.wav").touch()
    assert presence.away(path, device) is None
    marked = Presence(root=raw(root), marker=".here")
    unmarked = marked.away(path, device)
    assert unmarked is not None
    assert unmarked.errno == MARKER_MISSING
    (root / ".here").touch()
    assert marked.away(path, device + 1) is None


def test_status_names_what_degrades_an_inbox(tmp_path: Path, store: Store) -> None:
    """Status says degraded, why, since when and what to do; for a thread that hangs on its share, too. [K06]."""
    settings = settings_of(tmp_path)
    daemon = daemon_for(store)
    spotter = Spotter(settings)
    daemon.lookouts["inbox"] = spotter
    now = datetime.now(tz=UTC)
    trouble = InboxTrouble(
        inbox="inbox",
        about=About.EVENTS,
        code="events-overflow",
        message="Events were lost.",
        advice="Raise the limit.",
    )
    spotter._troubles.begin(trouble)
    hearts = Heartbeats(clock=lambda: clock.now)
    clock = HandClock()
    with hearts.pulse(
        "looking at inbox inbox", usual=timedelta(seconds=60), vital=False, key="inbox"
    ):
        clock.forward(90)
        daemon.supervision._late = hearts.late()
        report = Desk(settings, store, daemon).answer(AskStatus())
    assert isinstance(report, Status)
    (inbox,) = report.inboxes
    assert inbox.health == "degraded"
    hanging, deaf = inbox.troubles
    assert (hanging.code, deaf.code) == ("inbox-hangs", "events-overflow")
    assert hanging.since is not None
    assert 80 <= (now - hanging.since).total_seconds() <= 100
    assert deaf.since is not None
    told = "\n".join(text for _, text in rows_of_status(report))
    assert "DEGRADED" in told
    assert "does not answer: looking at inbox inbox does not get on." in told
    assert "Events were lost. (since " in told
    assert "Raise the limit." in told

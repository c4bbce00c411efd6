import os
import shutil
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from inbox_helpers import Collector, lookout_over, not_root, public_folder, raw, rule_for

from asrwatch.inbox.lookout import InboxView, Lookout
from asrwatch.inbox.messages import (
    About,
    FileSettled,
    InboxHealed,
    InboxTrouble,
    Message,
    PassKind,
    ScanDone,
)
from asrwatch.inbox.mounts import WatchMode
from asrwatch.inbox.nudges import Nudges

SOON = timedelta(milliseconds=200)


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    """An empty inbox."""
    folder = tmp_path / "in"
    folder.mkdir()
    return folder


@pytest.fixture
def collector() -> Collector:
    """Where messages go."""
    return Collector()


def settled(*paths: Path) -> Callable[[Collector], bool]:
    """Whether exactly these files were reported, in any order, once each."""
    expected = sorted(map(raw, paths))
    return lambda collector: sorted(collector.settled) == expected


def test_file_present_at_start_settles_like_any_other(inbox: Path, collector: Collector) -> None:
    """What is there when the lookout starts is reported after its quiet time, with its fingerprint."""
    path = inbox / "a.wav"
    path.write_bytes(b"12345")
    started = time.monotonic()
    with lookout_over(inbox, collector, settle=timedelta(milliseconds=300)):
        collector.wait_for(settled(path))
    assert time.monotonic() - started >= 0.3
    (message,) = (each for each in collector.messages if isinstance(each, FileSettled))
    real = path.lstat()
    assert message.inbox == "in"
    assert message.fingerprint.size == 5
    assert message.fingerprint.inode == real.st_ino
    assert message.fingerprint.device == real.st_dev
    assert message.fingerprint.mtime_ns == real.st_mtime_ns


def test_new_files_are_found_by_events(inbox: Path, tmp_path: Path, collector: Collector) -> None:
    """Copied, moved in, linked, renamed from a temporary name, in a tree moved in: all found, long before a scan."""
    with lookout_over(inbox, collector):
        collector.wait_for(lambda so_far: bool(so_far.scans))
        (inbox / "copied.wav").write_bytes(b"x")
        (tmp_path / "moved.wav").write_bytes(b"x")
        (tmp_path / "moved.wav").rename(inbox / "moved.wav")
        (tmp_path / "linked").write_bytes(b"x")
        os.link(tmp_path / "linked", inbox / "linked.wav")
        (inbox / "renamed.wav.part").write_bytes(b"x")
        (inbox / "renamed.wav.part").rename(inbox / "renamed.wav")
        (tmp_path / "tree" / "deep").mkdir(parents=True)
        (tmp_path / "tree" / "deep" / "in-tree.wav").write_bytes(b"x")
        (tmp_path / "tree").rename(inbox / "tree")
        (inbox / "made" / "a" / "b").mkdir(parents=True)
        shutil.copy(tmp_path / "linked", inbox / "made" / "a" / "b" / "raced.wav")
        names = ["copied", "moved", "linked", "renamed", "tree/deep/in-tree", "made/a/b/raced"]
        collector.wait_for(settled(*(inbox / f"{name}.wav" for name in names)))
    assert all(scan.watching is WatchMode.EVENTS for scan in collector.scans)


def test_new_files_are_found_by_scanning_alone(inbox: Path, collector: Collector) -> None:
    """Where events are not used, files are found at the next scan; the reports say how and why."""
    with lookout_over(
        inbox, collector, watch=WatchMode.POLL, scan_every=timedelta(milliseconds=100)
    ):
        collector.wait_for(lambda so_far: bool(so_far.scans))
        (inbox / "sub").mkdir()
        (inbox / "sub" / "a.wav").write_bytes(b"x")
        collector.wait_for(settled(inbox / "sub" / "a.wav"))
    assert {scan.watching for scan in collector.scans} == {WatchMode.POLL}
    assert "watch: poll" in collector.scans[0].watching_reason


def test_flat_inbox_takes_nothing_from_below(inbox: Path, collector: Collector) -> None:
    """Without `recursive`, files in sub-folders are found neither by scans nor by events nor by nudges."""
    (inbox / "before").mkdir()
    (inbox / "before" / "a.wav").write_bytes(b"x")
    with lookout_over(inbox, collector, recursive=False) as lookout:
        collector.wait_for(lambda so_far: bool(so_far.scans))
        (inbox / "sub").mkdir()
        (inbox / "sub" / "b.wav").write_bytes(b"x")
        lookout.nudge(raw(inbox / "sub"))
        (inbox / "c.wav").write_bytes(b"x")
        collector.wait_for(settled(inbox / "c.wav"))
        lookout.nudge()
        time.sleep(0.3)
    assert collector.settled == [raw(inbox / "c.wav")]


def test_file_that_grows_settles_after_its_last_write(inbox: Path, collector: Collector) -> None:
    """A slow writer with pauses shorter than the quiet time is reported once, as it is in the end [C01] [C05]."""
    path = inbox / "slow.wav"
    with lookout_over(inbox, collector, settle=timedelta(seconds=1)):
        with path.open("wb") as growing:
            for _ in range(12):
                growing.write(b"x" * 100)
                growing.flush()
                time.sleep(0.12)
        collector.wait_for(settled(path))
        time.sleep(0.2)
    assert [fingerprint.size for _, fingerprint in collector.fingerprints] == [1200]


def test_known_file_is_reported_only_when_it_changes(inbox: Path, collector: Collector) -> None:
    """After a restart with what the store knows nothing is reported; other content under the name is."""
    path = inbox / "a.wav"
    path.write_bytes(b"x")
    with lookout_over(inbox, collector):
        collector.wait_for(settled(path))
    known = collector.fingerprints
    second = Collector()
    with lookout_over(inbox, second, known=known) as lookout:
        second.wait_for(lambda so_far: bool(so_far.scans))
        assert second.scans[0].quiet
        assert second.settled == []
        path.write_bytes(b"longer")
        second.wait_for(lambda so_far: settled(path)(so_far) and so_far.scans[-1].quiet)
        assert lookout.snapshot().known == 1


def test_looking_again_reports_once_more(inbox: Path, collector: Collector) -> None:
    """A file that is asked for settles and is reported again; one that is gone is not."""
    path, gone = inbox / "a.wav", inbox / "gone.wav"
    path.write_bytes(b"x")
    with lookout_over(inbox, collector, watch=WatchMode.POLL) as lookout:
        collector.wait_for(settled(path))
        lookout.look_again(raw(gone))
        lookout.look_again(raw(path))
        collector.wait_for(settled(path, path))


def test_nudge_is_enough_where_no_events_come(inbox: Path, collector: Collector) -> None:
    """A nudge from outside finds what a scan would find an hour later: one folder, a tree, or all."""
    with lookout_over(inbox, collector, watch=WatchMode.POLL) as lookout:
        collector.wait_for(lambda so_far: bool(so_far.scans))
        paths = [inbox / name for name in ("a.wav", "x/b.wav", "x/y/c.wav", "z/d.wav")]
        for path in paths:
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(b"x")
        lookout.nudge(raw(inbox), deep=False)
        collector.wait_for(settled(*paths[:1]))
        lookout.nudge(raw(inbox / "x") + b"/")
        collector.wait_for(settled(*paths[:3]))
        lookout.nudge(b"/somewhere/else")
        lookout.nudge()
        collector.wait_for(settled(*paths))
    assert {scan.kind for scan in collector.scans} == set(PassKind)


def test_report_follows_the_files_of_its_pass(inbox: Path, collector: Collector) -> None:
    """`quiet` is only ever reported after every settled file: whoever waits for it has them all."""
    for number in range(300):
        (inbox / f"{number}.wav").write_bytes(b"x")
    (inbox / "empty.wav").touch()
    with lookout_over(inbox, collector):
        collector.wait_for(lambda so_far: any(scan.quiet for scan in so_far.scans))
        first_quiet = next(
            at
            for at, message in enumerate(collector.messages)
            if isinstance(message, ScanDone) and message.quiet
        )
        assert sum(isinstance(m, FileSettled) for m in collector.messages[:first_quiet]) == 300
        quiet = collector.messages[first_quiet]
        assert isinstance(quiet, ScanDone)
        assert [waiting.path for waiting in quiet.waiting] == [raw(inbox / "empty.wav")]
    first = collector.scans[0]
    assert first.kind is PassKind.WHOLE
    assert (first.settling, first.files, first.complete) == (300, 301, True)


def test_file_that_vanishes_while_settling_is_told_once(inbox: Path, collector: Collector) -> None:
    """A file that goes away before it settled is named in the report and waited for no longer."""
    path = inbox / "a.wav"
    path.write_bytes(b"x")
    with lookout_over(inbox, collector, settle=SOON):
        collector.wait_for(lambda so_far: bool(so_far.scans))
        path.unlink()
        collector.wait_for(lambda so_far: any(scan.gone == (raw(path),) for scan in so_far.scans))
        collector.wait_for(lambda so_far: so_far.scans[-1].quiet)
    assert collector.settled == []


def test_inbox_removed_and_made_anew_heals(inbox: Path, collector: Collector) -> None:
    """Trouble is told once when the inbox goes, healing once when it is back, and events come again. [D07]."""
    with lookout_over(inbox, collector, scan_every=timedelta(milliseconds=100)) as lookout:
        collector.wait_for(lambda so_far: bool(so_far.scans))
        inbox.rmdir()
        collector.wait_for(lambda so_far: len(told(so_far, InboxTrouble)) == 1)
        (trouble,) = lookout.snapshot().troubles
        assert (trouble.about, trouble.code) == (About.ROOT, "inbox-missing")
        scans = len(collector.scans)
        collector.wait_for(lambda so_far: len(so_far.scans) > scans + 2)
        inbox.mkdir()
        collector.wait_for(lambda so_far: len(told(so_far, InboxHealed)) == 1)
        (inbox / "a.wav").write_bytes(b"x")
        collector.wait_for(settled(inbox / "a.wav"))
        collector.wait_for(lambda so_far: so_far.scans[-1].watching is WatchMode.EVENTS)
    assert len(told(collector, InboxTrouble)) == 1
    assert lookout.snapshot().troubles == ()


def test_inbox_replaced_behind_our_back_is_listened_to_again(
    inbox: Path, tmp_path: Path, collector: Collector
) -> None:
    """Renamed away and made anew: the next look at anything notices, and the new folder's events come. [D08]."""
    with lookout_over(inbox, collector) as lookout:
        collector.wait_for(lambda so_far: bool(so_far.scans))
        inbox.rename(tmp_path / "old")
        inbox.mkdir()
        lookout.nudge(raw(inbox / "any"), deep=False)
        collector.wait_for(
            lambda so_far: sum(scan.kind is PassKind.WHOLE for scan in so_far.scans) >= 2
        )
        (tmp_path / "old" / "wrong.wav").write_bytes(b"x")
        (inbox / "right.wav").write_bytes(b"x")
        collector.wait_for(settled(inbox / "right.wav"))


def test_missing_inbox_is_waited_for(tmp_path: Path, collector: Collector) -> None:
    """An inbox that does not exist at start is trouble, not an end; files in it are found once it does."""
    inbox = tmp_path / "later"
    with lookout_over(inbox, collector, scan_every=timedelta(milliseconds=100)):
        collector.wait_for(lambda so_far: bool(so_far.scans))
        assert not collector.scans[0].complete
        inbox.mkdir()
        (inbox / "a.wav").write_bytes(b"x")
        collector.wait_for(settled(inbox / "a.wav"))
    assert [type(message) for message in collector.messages[:1]] == [InboxTrouble]


def test_unreadable_inbox_is_told_and_heals(collector: Collector) -> None:
    """Watchdog watches an unreadable inbox without a word; we tell, and hear again when it may be read. [D03]."""
    with public_folder() as inbox, not_root():
        box = inbox / "in"
        box.mkdir(mode=0o000)
        with lookout_over(box, collector, scan_every=timedelta(milliseconds=100)):
            collector.wait_for(lambda so_far: bool(told(so_far, InboxTrouble)))
            (trouble,) = told(collector, InboxTrouble)
            assert isinstance(trouble, InboxTrouble)
            assert trouble.code == "inbox-unreadable"
            box.chmod(0o755)
            collector.wait_for(lambda so_far: bool(told(so_far, InboxHealed)))
            (box / "a.wav").write_bytes(b"x")
            collector.wait_for(settled(box / "a.wav"))
        assert collector.scans[-1].watching is WatchMode.EVENTS


def told(collector: Collector, kind: type[Message]) -> list[Message]:
    """The messages of one kind so far."""
    return [message for message in collector.messages if isinstance(message, kind)]


def test_hanging_share_does_not_hold_up_the_stop(inbox: Path) -> None:
    """A thread that hangs is left behind when the time is over; another lookout is not disturbed. [K06]."""
    hanging, released = threading.Event(), threading.Event()

    def hang(message: Message) -> None:
        if isinstance(message, ScanDone):
            hanging.set()
            released.wait()

    view = InboxView(name="share", ignore=rule_for(inbox), watch=WatchMode.POLL)
    stuck = Lookout(view, known=(), post=hang)
    stuck.start()
    assert hanging.wait(10)
    started = time.monotonic()
    assert not stuck.stop(timedelta(milliseconds=100))
    assert time.monotonic() - started < 5
    assert stuck.snapshot().alive
    released.set()
    assert stuck.stop(timedelta(seconds=10))
    assert not stuck.snapshot().alive


def test_stopping_before_starting_is_fine(inbox: Path) -> None:
    """A lookout that never started stops at once."""
    lookout = Lookout(InboxView(name="in", ignore=rule_for(inbox)), known=(), post=Collector().post)
    assert lookout.stop(timedelta(seconds=1))
    assert lookout.snapshot().last is None


def test_lookout_leaves_no_thread_behind(inbox: Path, collector: Collector) -> None:
    """After stop there is neither a thread of ours nor one of watchdog's."""
    before = set(threading.enumerate())
    with lookout_over(inbox, collector):
        collector.wait_for(lambda so_far: bool(so_far.scans))
    assert set(threading.enumerate()) <= before


def test_files_known_but_no_longer_wanted_are_ignored(inbox: Path, collector: Collector) -> None:
    """A file the store knows and the rule now excludes is not reported, not even when it changes."""
    path = inbox / "a.wav"
    path.write_bytes(b"x")
    with lookout_over(inbox, collector):
        collector.wait_for(settled(path))
    path.write_bytes(b"changed")
    (inbox / "b.wav").write_bytes(b"x")
    second = Collector()
    rule = rule_for(inbox, exclude=["a.*"])
    with lookout_over(inbox, second, known=collector.fingerprints, rule=rule):
        second.wait_for(settled(inbox / "b.wav"))
        second.wait_for(lambda so_far: so_far.scans[-1].quiet)


def test_burst_of_files_is_found_completely(inbox: Path, collector: Collector) -> None:
    """Two thousand files written by two writers into nested folders are each reported exactly once. [D01]."""

    def write(half: int) -> None:
        for number in range(1000):
            folder = inbox / f"{half}" / f"{number % 10}"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{number}.wav").write_bytes(b"x")

    with lookout_over(inbox, collector, scan_every=timedelta(seconds=5)):
        writers = [threading.Thread(target=write, args=(half,)) for half in range(2)]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        collector.wait_for(lambda so_far: len(so_far.settled) >= 2000)
        time.sleep(0.3)
    assert len(set(collector.settled)) == len(collector.settled) == 2000


def test_many_dirty_folders_become_one_pass() -> None:
    """More than 512 dirty folders are one pass over everything; nothing is asked for twice."""
    nudges = Nudges()
    for number in range(513):
        nudges.folder(b"/in/%d" % number, deep=False)
    errands = nudges.wait(0)
    assert errands.everything
    assert errands.folders == {}
    nudges.folder(b"/in/a", deep=False)
    nudges.folder(b"/in/a", deep=True)
    nudges.folder(b"/in/a", deep=False)
    assert nudges.wait(0).folders == {b"/in/a": True}
    nudges.folder(b"/in/a", deep=True)
    nudges.everything()
    assert nudges.wait(0).folders == {}
    assert not nudges.wait(0).everything

import ctypes
import errno
import fcntl
import os
import shutil
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from health_helpers import ward_over
from inbox_helpers import Collector, lookout_over, raw, rule_for
from mounted_worlds import (
    behind_an_overlay,
    bound,
    covered_share,
    many_then_unmounted,
    mounted_over,
    no_instance,
    played,
    too_few_watches,
    unmounted,
)

from asrwatch.inbox.caching import least_settle
from asrwatch.inbox.mounts import WatchMode, parse_mountinfo

FICLONE = 0x40049409
LINK_FROM_DESCRIPTOR = 0x1000


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


def test_unmounted_share_is_frozen_and_returns_without_a_storm(tmp_path: Path) -> None:
    """Unmounted under the daemon: told within a scan, nothing is forgotten, and nothing reported twice. [D10]."""
    played(unmounted, tmp_path)


def test_waiting_files_of_an_unmounted_share_are_not_gone(tmp_path: Path) -> None:
    """A file that still waits when its share goes is not told to be gone. [D10]."""
    played(many_then_unmounted, tmp_path)


def test_late_mount_is_noticed(tmp_path: Path) -> None:
    """A mount over the watched inbox, which raises no event: told, listened to, its files found. [D09]."""
    played(mounted_over, tmp_path)


def test_late_mount_forgets_nothing_that_it_covers(tmp_path: Path) -> None:
    """Files known below a late mount are not new when it goes. [D09 D10]."""
    played(covered_share, tmp_path)


def test_writes_behind_an_overlay_are_found(tmp_path: Path) -> None:
    """Polling is chosen from mountinfo for an overlay, and finds what raises no event at all. [D17 D19]."""
    played(behind_an_overlay, tmp_path)


def test_bind_mount_passes_events_on(tmp_path: Path) -> None:
    """Writes through the other side of a bind mount are heard, long before a scan."""
    played(bound, tmp_path)


def test_watch_limit_costs_no_file(tmp_path: Path) -> None:
    """30 watches for 60 sub-folders: all files are found, the sysctl is named; a raised limit heals. [D05]."""
    played(too_few_watches, tmp_path, limits=True)


def test_instance_limit_costs_no_file(tmp_path: Path) -> None:
    """Without an inotify instance the inbox is scanned, and listened to once there is one. [D06]."""
    played(no_instance, tmp_path, limits=True)


@pytest.mark.parametrize(
    ("line", "least"),
    [
        ("nfs4 host:/x rw,vers=4.2,acregmin=10,acregmax=60", 20),
        ("nfs host:/x rw,vers=3", 6),
        ("nfs host:/x rw,noac", 0),
        ("cifs //host/x rw,actimeo=2", 4),
        ("smb3 //host/x rw", 2),
        ("ext4 /dev/vda rw", 0),
    ],
)
def test_quiet_time_outlasts_what_a_share_remembers(line: str, least: int) -> None:
    """On NFS and SMB a file must be quiet for twice as long as the client may show its old size. [D19]."""
    (mount,) = parse_mountinfo(f"41 40 0:41 / /srv rw,noatime - {line}".encode())
    assert least_settle(mount) == timedelta(seconds=least)


def test_tree_of_500_files_moved_in_is_found(
    inbox: Path, tmp_path: Path, collector: Collector
) -> None:
    """A tree renamed into a recursive inbox raises one event; its 500 files are found by it. [D13]."""
    tree = tmp_path / "tree"
    for number in range(500):
        folder = tree / f"{number % 20}" / "deep"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.wav").write_bytes(b"x")
    with lookout_over(inbox, collector):
        collector.wait_for(lambda so_far: bool(so_far.scans))
        tree.rename(inbox / "tree")
        collector.wait_for(lambda so_far: len(so_far.settled) == 500)
    assert len(set(collector.settled)) == 500


def test_folders_made_while_files_are_copied_into_them(inbox: Path, collector: Collector) -> None:
    """`mkdir -p a/b/c && cp`, 200 times, races with the watches; the events alone find every file. [D14]."""
    with lookout_over(inbox, collector):
        collector.wait_for(lambda so_far: bool(so_far.scans))
        for number in range(200):
            folder = inbox / f"{number}" / "b" / "c"
            folder.mkdir(parents=True)
            (folder / "a.wav").write_bytes(b"x")
        collector.wait_for(lambda so_far: len(so_far.settled) == 200)


def linked(source: Path, target: Path) -> None:
    """A second name."""
    os.link(source, target)


def unnamed(source: Path, target: Path) -> None:
    """Written without a name, which `linkat` then gives it."""
    try:
        descriptor = os.open(target.parent, os.O_TMPFILE | os.O_WRONLY, 0o600)
    except OSError as error:
        if error.errno == errno.EOPNOTSUPP:
            pytest.skip("this file system has no O_TMPFILE")
        raise
    try:
        os.write(descriptor, source.read_bytes())
        libc = ctypes.CDLL(None, use_errno=True)
        where = f"/proc/self/fd/{descriptor}".encode()
        assert libc.linkat(-100, where, -100, raw(target), 0x400) == 0, os.strerror(
            ctypes.get_errno()
        )
    finally:
        os.close(descriptor)


def reflinked(source: Path, target: Path) -> None:
    """A copy that shares its blocks."""
    with source.open("rb") as original, target.open("wb") as copy:
        try:
            fcntl.ioctl(copy.fileno(), FICLONE, original.fileno())
        except OSError as error:
            pytest.skip(f"this file system has no reflinks: {error.strerror}")


@pytest.mark.parametrize("way", [linked, unnamed, reflinked], ids=lambda way: way.__name__)
def test_file_that_was_never_written_here_is_found(
    inbox: Path, tmp_path: Path, collector: Collector, way: Callable[[Path, Path], None]
) -> None:
    """Hard links, files linked from a descriptor and reflinks are found by their events. [D16]."""
    (tmp_path / "source").write_bytes(b"x" * 4096)
    with lookout_over(inbox, collector):
        collector.wait_for(lambda so_far: bool(so_far.scans))
        way(tmp_path / "source", inbox / "a.wav")
        collector.wait_for(lambda so_far: so_far.settled == [raw(inbox / "a.wav")])


def test_our_own_outputs_are_never_picked_up(inbox: Path, collector: Collector) -> None:
    """Temporary files, transcripts beside recordings and output folders in an inbox are no recordings. [D20]."""
    outputs = inbox / "out"
    outputs.mkdir()
    rule = rule_for(inbox, outputs=["txt", "wav"], leave_out=[raw(outputs)], include=["*"])
    with lookout_over(inbox, collector, rule=rule) as lookout:
        collector.wait_for(lambda so_far: bool(so_far.scans))
        (inbox / ".asrwatch-tmp-1").write_bytes(b"x")
        (inbox / "a.txt").write_bytes(b"x")
        (outputs / "moved.mp3").write_bytes(b"x")
        (inbox / "a.mp3").write_bytes(b"x")
        collector.wait_for(lambda so_far: bool(so_far.settled))
        lookout.nudge()
        wholes = len(collector.scans)
        collector.wait_for(lambda so_far: len(so_far.scans) > wholes + 1 or so_far.scans[-1].quiet)
    assert collector.settled == [raw(inbox / "a.mp3")]


def test_renamed_folder_is_found_under_its_new_name_alone(inbox: Path) -> None:
    """A folder renamed with files that still settle: they are found once, where they are now. [D15]."""
    before, after = inbox / "before", inbox / "after"
    before.mkdir()
    with ward_over(inbox, interval=timedelta(hours=1)) as ward:
        ward.wait_for_start()
        for number in range(20):
            (before / f"{number}.wav").write_bytes(b"x")
        before.rename(after)
        names = sorted(raw(after / f"{number}.wav") for number in range(20))
        ward.collector.wait_for(
            lambda so_far: sorted(each for each in so_far.settled if each in names) == names
        )
        shutil.rmtree(after)


def test_dead_share_leaves_other_inboxes_and_the_end_alone(tmp_path: Path) -> None:
    """An inbox whose scan never returns holds up its own thread: others are found, the end is prompt. [K06]."""
    dead, well = tmp_path / "dead", tmp_path / "well"
    dead.mkdir()
    well.mkdir()
    hanging, released = threading.Event(), threading.Event()
    with ward_over(dead, watch=WatchMode.POLL) as stuck:
        lookout = stuck.lookout
        assert lookout is not None

        def never_answers() -> None:
            hanging.set()
            released.wait()

        lookout._rounds._presence.proof = never_answers  # type: ignore[method-assign] # a share that hangs
        assert hanging.wait(20)
        assert lookout.snapshot().busy_since is not None
        with ward_over(well) as ward:
            ward.wait_for_start()
            ward.hears("a.wav")
        assert not lookout.stop(timedelta(milliseconds=50))
        released.set()

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from inbox_helpers import PATIENCE, raw, rule_for

pytest.importorskip("watchdog.observers.inotify_c", reason="events need inotify")

from watchdog.observers.inotify_c import (
    CallbackId,
    InotifyConstants,
    InotifyEvent,
    Mask,
    WatchDescriptor,
)

from asrwatch.inbox.watch import Watch


class Listener:
    """A real watch on a real folder, and the nudges it gave."""

    def __init__(self, root: Path, *, recursive: bool = True) -> None:
        self.root = raw(root)
        self.nudges: set[tuple[bytes, bool]] = set()
        self.raising = False
        self._changed = threading.Condition()
        self.watch = Watch(
            self.root,
            recursive=recursive,
            wants=rule_for(root).wants_file,
            nudge=self._nudge,
        )

    def _nudge(self, folder: bytes, *, deep: bool) -> None:
        with self._changed:
            self.nudges.add((folder, deep))
            self._changed.notify_all()
        if self.raising:
            raise UnicodeEncodeError("utf-8", "\udcff", 0, 1, "as a console renderer would")

    def wait_for(self, so: Callable[[], bool]) -> None:
        """Wait until nudges make it so."""
        with self._changed:
            assert self._changed.wait_for(so, timeout=PATIENCE), self.nudges

    def wait_for_nudge(self, folder: Path, *, deep: bool = False) -> None:
        """Wait for a nudge of a folder, or of a tree that holds it."""
        path = raw(folder)

        def nudged() -> bool:
            return any(
                (there == path and (is_deep or not deep))
                or (is_deep and path.startswith(there + b"/"))
                for there, is_deep in self.nudges
            )

        self.wait_for(nudged)

    def clear(self) -> None:
        """Forget the nudges so far."""
        with self._changed:
            self.nudges.clear()


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    """An empty inbox."""
    folder = tmp_path / "in"
    folder.mkdir()
    return folder


@pytest.fixture
def listener(inbox: Path) -> Iterator[Listener]:
    """An armed watch on the inbox."""
    listening = Listener(inbox)
    assert listening.watch.arm() is None
    yield listening
    listening.watch.disarm()


def test_written_file_nudges_its_folder(inbox: Path, listener: Listener) -> None:
    """A file that is written and closed nudges the folder it is in, not the tree."""
    (inbox / "a.wav").write_bytes(b"x")
    listener.wait_for_nudge(inbox)
    assert listener.nudges == {(raw(inbox), False)}


def test_moved_in_file_nudges_though_it_is_never_closed(
    inbox: Path, tmp_path: Path, listener: Listener
) -> None:
    """Senders that write elsewhere and rename, or hard-link, raise no closed event; they nudge all the same. [D16]."""
    for place in (shutil.move, os.link):
        (tmp_path / "made.wav").write_bytes(b"x")
        place(tmp_path / "made.wav", inbox / f"{place.__name__}.wav")
        listener.wait_for_nudge(inbox)
        listener.clear()
        (tmp_path / "made.wav").unlink(missing_ok=True)


def test_rename_from_temporary_name_nudges(inbox: Path, listener: Listener) -> None:
    """The temporary name is not worth a nudge, the rename to the final one is."""
    (inbox / "a.wav.part").write_bytes(b"x")
    (inbox / "marker.wav").write_bytes(b"x")
    listener.wait_for_nudge(inbox)
    listener.clear()
    (inbox / "a.wav.part").rename(inbox / "a.wav")
    listener.wait_for_nudge(inbox)


def test_our_own_writes_do_not_nudge(inbox: Path, listener: Listener) -> None:
    """Transcripts, temporary files and reading a recording wake nobody. [D20]."""
    recording = inbox / "sub.wav"
    recording.write_bytes(b"x")
    listener.wait_for_nudge(inbox)
    (inbox / "folder").mkdir()
    listener.wait_for_nudge(inbox / "folder", deep=True)
    listener.clear()
    (inbox / ".asrwatch-1.tmp").write_text("x")
    (inbox / ".asrwatch-1.tmp").rename(inbox / "a.txt")
    recording.read_bytes()
    recording.chmod(0o600)
    (inbox / "folder" / "last.wav").write_bytes(b"x")
    listener.wait_for_nudge(inbox / "folder")
    assert listener.nudges == {(raw(inbox / "folder"), False)}


def test_files_in_folders_made_a_moment_ago_are_covered(inbox: Path, listener: Listener) -> None:
    """Folders made by mkdir -p race with the watches being set; every folder is nudged in the end. [D14]."""
    folders = [inbox / f"{number}" / "b" / "c" for number in range(50)]
    for folder in folders:
        folder.mkdir(parents=True)
        (folder / "a.wav").write_bytes(b"x")
    for folder in folders:
        listener.wait_for_nudge(folder)


def test_tree_moved_in_is_nudged_whole(inbox: Path, tmp_path: Path, listener: Listener) -> None:
    """A folder moved in, or renamed inside, is nudged with everything below it. [D13]."""
    tree = tmp_path / "tree"
    (tree / "deep").mkdir(parents=True)
    (tree / "deep" / "a.wav").write_bytes(b"x")
    tree.rename(inbox / "tree")
    listener.wait_for_nudge(inbox / "tree", deep=True)
    listener.clear()
    (inbox / "tree").rename(inbox / "renamed")
    listener.wait_for_nudge(inbox / "renamed", deep=True)
    listener.wait_for_nudge(inbox)


def test_names_that_are_not_text_nudge(inbox: Path, listener: Listener) -> None:
    """File and folder names that are not UTF-8 arrive as the bytes they are."""
    folder = Path(os.fsdecode(raw(inbox) + b"/\xff\n"))
    folder.mkdir()
    listener.wait_for_nudge(folder, deep=True)
    listener.clear()
    Path(os.fsdecode(raw(folder) + b"/\xfe.wav")).write_bytes(b"x")
    listener.wait_for_nudge(folder)


def test_flat_inbox_hears_nothing_from_below(inbox: Path) -> None:
    """Without `recursive` only the inbox itself is listened to."""
    (inbox / "sub").mkdir()
    listening = Listener(inbox, recursive=False)
    assert listening.watch.arm() is None
    try:
        (inbox / "sub" / "a.wav").write_bytes(b"x")
        (inbox / "b.wav").write_bytes(b"x")
        listening.wait_for_nudge(inbox)
        assert listening.nudges == {(raw(inbox), False)}
    finally:
        listening.watch.disarm()


def test_exception_in_nudging_does_not_end_events(inbox: Path, listener: Listener) -> None:
    """An exception on our side is counted; watchdog's dispatcher lives on and the next event arrives. [D11]."""
    listener.raising = True
    (inbox / "a.wav").write_bytes(b"x")
    listener.wait_for_nudge(inbox)
    listener.raising = False
    listener.clear()
    (inbox / "b.wav").write_bytes(b"x")
    listener.wait_for_nudge(inbox)
    assert listener.watch.exceptions > 0
    assert listener.watch.deaf() is None


def test_overflow_asks_for_everything(inbox: Path, listener: Listener) -> None:
    """Events the kernel dropped are made up for by a look at the whole inbox; events go on afterwards. [D02]."""
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    if limit > 100_000:
        pytest.skip(f"this kernel queues {limit} events: too many to overflow in a test")
    reader = listener.watch._reader
    assert reader is not None
    with reader._lock:  # watchdog's reader waits here, so that the kernel's queue fills
        for number in range(limit // 2 + 100):
            (inbox / f"{number}.wav").touch()
    listener.wait_for_nudge(inbox, deep=True)
    assert listener.watch.overflows >= 1
    (inbox / "sub").mkdir()
    listener.wait_for(lambda: (raw(inbox / "sub"), True) in listener.nudges)
    assert listener.watch.deaf() is None


def test_recreated_inbox_is_noticed_and_armed_again(inbox: Path, listener: Listener) -> None:
    """An inbox deleted and made anew leaves a watch that looks alive and hears nothing: that is told. [D07]."""
    inbox.rmdir()
    listener.wait_for_nudge(inbox, deep=True)
    away = listener.watch.deaf()
    assert away is not None
    assert away.root_away
    inbox.mkdir()
    deafness = listener.watch.deaf()
    assert deafness is not None
    assert not deafness.root_away
    assert listener.watch.arm() is None
    listener.clear()
    (inbox / "a.wav").write_bytes(b"x")
    listener.wait_for_nudge(inbox)


def test_renamed_inbox_is_noticed(inbox: Path, tmp_path: Path, listener: Listener) -> None:
    """A watch follows a renamed folder; with another one in its place it is told and armed again. [D08]."""
    inbox.rename(tmp_path / "old")
    inbox.mkdir()
    deafness = listener.watch.deaf()
    assert deafness is not None
    assert deafness.code == "events-replaced"
    assert listener.watch.arm() is None
    (inbox / "a.wav").write_bytes(b"x")
    listener.wait_for_nudge(inbox)


def test_dead_emitter_is_noticed(listener: Listener) -> None:
    """The observer may live on while the thread that feeds it has ended; that counts as deaf."""
    observer = listener.watch._observer
    assert observer is not None
    for emitter in list(observer.emitters):
        emitter.stop()
        emitter.join()
    deafness = listener.watch.deaf()
    assert deafness is not None
    assert deafness.code == "events-stopped"
    assert listener.watch.arm() is None


def test_dead_reader_is_noticed(inbox: Path, listener: Listener) -> None:
    """The thread that reads the kernel's events is asked, too. [D12]."""
    reader = listener.watch._reader
    assert reader is not None
    reader.stop()
    reader.join()
    deafness = listener.watch.deaf()
    assert deafness is not None
    assert deafness.code == "events-stopped"
    assert listener.watch.arm() is None
    (inbox / "a.wav").write_bytes(b"x")
    listener.wait_for_nudge(inbox)


class Tripping:
    """Takes part in watchdog's reading and fails, as watchdog itself did for a copied tree."""

    def on_event(self, event: InotifyEvent) -> None:
        """Fail."""
        raise KeyError(event.name)

    def on_watch_deleted(self, wd: WatchDescriptor) -> None:
        """Nothing to let go of."""

    def on_queue_overflow(self) -> None:
        """Nothing to set right."""


def test_fault_in_watchdog_is_survived(inbox: Path, listener: Listener) -> None:
    """An exception inside watchdog's reader asks for everything and counts as deaf until armed again. [D12]."""
    reader = listener.watch._reader
    assert reader is not None
    created = Mask(InotifyConstants.IN_CREATE)
    reader.add_callback(raw(inbox), created, Tripping(), CallbackId(1))
    (inbox / "a").mkdir()
    listener.wait_for_nudge(inbox, deep=True)
    deafness = listener.watch.deaf()
    assert deafness is not None
    assert deafness.code == "events-stopped"
    assert listener.watch.arm() is None
    listener.clear()
    (inbox / "b.wav").write_bytes(b"x")
    listener.wait_for_nudge(inbox)


def test_missing_inbox_cannot_be_armed(tmp_path: Path) -> None:
    """Arming where there is no folder says so, starts nothing and can be tried again."""
    before = threading.active_count()
    listening = Listener(tmp_path / "none")
    for _ in range(3):
        deafness = listening.watch.arm()
        assert deafness is not None
        assert deafness.root_away
    assert threading.active_count() == before
    (tmp_path / "none").mkdir()
    assert listening.watch.arm() is None
    listening.watch.disarm()


def test_disarming_leaves_nothing_behind(inbox: Path) -> None:
    """No thread, no descriptor and no nudge is left after disarming, however often it is armed."""
    listening = Listener(inbox)
    threads = threading.active_count()
    descriptors = sum(1 for _ in Path("/proc/self/fd").iterdir())
    for _ in range(5):
        assert listening.watch.arm() is None
    listening.watch.disarm()
    assert threading.active_count() == threads
    assert sum(1 for _ in Path("/proc/self/fd").iterdir()) == descriptors
    listening.clear()
    (inbox / "a.wav").write_bytes(b"x")
    assert listening.nudges == set()
    deafness = listening.watch.deaf()
    assert deafness is not None
    assert deafness.code == "events-off"


LIMITED = """
import sys
from pathlib import Path
limit, value, root = sys.argv[1:]
try:
    Path(f"/proc/sys/user/{limit}").write_text(value)
except OSError as error:
    print("skip", error)
    raise SystemExit
from asrwatch.inbox.ignore import IgnoreRule
from asrwatch.inbox.mounts import WatchMode
from asrwatch.inbox.tending import Tending
tending = Tending(
    IgnoreRule(root=root.encode(), containers=["wav"]),
    recursive=True,
    wish=WatchMode.EVENTS,
    nudge=lambda folder, *, deep: None,
)
print(tending.tend())
print(f"mode={tending.mode} lost={tending.lost()}")
tending.end()
"""


def deafness_with(limit: str, value: int, root: Path) -> str:
    """What comes of wanting events in a user namespace with this limit, so that nobody else feels it."""
    unshare = shutil.which("unshare")
    if unshare is None:
        pytest.skip("needs unshare(1)")
    ended = subprocess.run(
        [unshare, "-Ur", sys.executable, "-c", LIMITED, limit, str(value), os.fspath(root)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    if ended.returncode != 0 and "unshare" in ended.stderr:
        pytest.skip(f"no user namespaces here: {ended.stderr.strip()}")
    assert ended.returncode == 0, ended.stderr
    if ended.stdout.startswith("skip"):
        pytest.skip(f"limits are not to be set here: {ended.stdout}")
    return ended.stdout


def test_watch_limit_below_the_inbox_is_told(inbox: Path) -> None:
    """Watchdog hides that sub-folders get no watch; we tell, name the sysctl and keep what there is. [D05]."""
    for number in range(20):
        (inbox / f"{number}").mkdir()
    said = deafness_with("max_inotify_watches", 5, inbox)
    assert "events-watch-limit" in said
    assert "max_user_watches" in said
    assert "partial=True" in said
    assert "mode=events lost=False" in said


def test_no_watch_at_all_is_told(inbox: Path) -> None:
    """With no watch to be had the inbox is scanned alone, and the sysctl is named."""
    said = deafness_with("max_inotify_watches", 0, inbox)
    assert "events-watch-limit" in said
    assert "partial=False" in said
    assert "mode=poll lost=False" in said


def test_no_instance_to_be_had_is_told(inbox: Path) -> None:
    """With no inotify instance left that limit is named, and the inbox is scanned alone. [D06]."""
    said = deafness_with("max_inotify_instances", 0, inbox)
    assert "events-instance-limit" in said
    assert "max_user_instances" in said
    assert "mode=poll lost=False" in said

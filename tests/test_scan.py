import errno
import os
import resource
import shutil
import socket
import tracemalloc
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from inbox_helpers import HandClock, look, not_root, public_folder, raw, rule_for

from asrwatch.inbox.ignore import IgnoreRule
from asrwatch.inbox.looks import ABSENT, Look, ScanTrouble
from asrwatch.inbox.messages import About
from asrwatch.inbox.rounds import Round, Rounds
from asrwatch.inbox.scan import Folder, look_at, nearest_device, scan
from asrwatch.inbox.settle import Settler
from asrwatch.inbox.troubles import root_trouble

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - a file system that is not the one of tmp_path


def found(rule: IgnoreRule, folder: bytes | None = None, *, deep: bool = True) -> set[bytes]:
    """The paths a pass yields, which must be free of trouble."""
    paths: set[bytes] = set()
    for each in scan(rule, folder=folder, deep=deep):
        assert isinstance(each, Folder)
        paths.update(each.path + b"/" + os.fsencode(name) for name, _ in each.files())
        assert each.troubles == []
    return paths


class Desk:
    """Rounds over a real folder with a hand-moved clock."""

    def __init__(self, rule: IgnoreRule, *, recursive: bool = True) -> None:
        self.clock = HandClock()
        self.settler = Settler(settle=timedelta(seconds=5))
        self.settled: list[bytes] = []
        self.rounds = Rounds(
            rule=rule,
            recursive=recursive,
            settler=self.settler,
            settled=lambda look, _: self.settled.append(look.path),
            clock=self.clock,
        )

    def settle_everything(self) -> Round:
        """Two whole passes with the quiet time between them."""
        self.rounds.whole()
        self.clock.forward(5)
        return self.rounds.whole()


def touch(path: Path, content: bytes = b"x") -> Path:
    """A file with something in it, and the folders down to it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def open_descriptors() -> int:
    """How many descriptors this process holds."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_pass_finds_wanted_files_at_every_depth(tmp_path: Path) -> None:
    """Recordings are found below sub-folders; other files and pruned folders are not."""
    wanted = {touch(tmp_path / name) for name in ("a.wav", "b/c/d.MP3", "b/e.flac")}
    for name in ("a.txt", ".a.wav", "@eaDir/a.wav", "b/.stversions/a.wav", "out/x.wav"):
        touch(tmp_path / name)
    rule = rule_for(tmp_path, leave_out=[raw(tmp_path / "out")])
    assert found(rule) == {raw(path) for path in wanted}
    assert found(rule, deep=False) == {raw(tmp_path / "a.wav")}
    assert found(rule, raw(tmp_path / "b"), deep=False) == {raw(tmp_path / "b/e.flac")}


def test_look_says_what_lstat_says(tmp_path: Path) -> None:
    """The signature is lstat's device, inode, size, blocks, mtime and ctime; names are counted."""
    path = touch(tmp_path / "a.wav", b"12345")
    os.link(path, tmp_path / "b.wav")
    (seen,) = look_at(rule_for(tmp_path), raw(tmp_path), ["a.wav"])
    assert isinstance(seen, Look)
    real = path.lstat()
    assert seen.path == raw(path)
    assert seen.nlink == 2
    assert seen.signature == (
        real.st_dev, real.st_ino, 5, real.st_blocks, real.st_mtime_ns, real.st_ctime_ns,
    )  # fmt: skip


def test_links_and_special_files_are_never_looked_into(tmp_path: Path) -> None:
    """Symlinks to files, folders, themselves and nothing, FIFOs, sockets, folders called .wav: not recordings."""
    inbox = tmp_path / "in"
    elsewhere = touch(tmp_path / "elsewhere" / "secret.wav")
    touch(inbox / "folder.wav" / "a.wav")
    (inbox / "file.wav").symlink_to(elsewhere)
    (inbox / "tree").symlink_to(elsewhere.parent)
    (inbox / "up").symlink_to(inbox)
    (inbox / "self.wav").symlink_to("self.wav")
    (inbox / "dangling.wav").symlink_to("nowhere")
    os.mkfifo(inbox / "fifo.wav")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.fspath(inbox / "socket.wav"))
    assert found(rule_for(inbox)) == {raw(inbox / "folder.wav" / "a.wav")}
    gone = list(look_at(rule_for(inbox), raw(inbox), ["file.wav", "fifo.wav"]))
    assert gone == [raw(inbox / "file.wav"), raw(inbox / "fifo.wav")]


def test_nobody_leads_a_nudge_out_of_the_inbox(tmp_path: Path) -> None:
    """A folder on the way that is a symlink, or "..", is not followed for a nudge nor for a second look [X05]."""
    inbox = tmp_path / "in"
    inbox.mkdir()
    touch(tmp_path / "elsewhere" / "deep" / "secret.wav")
    (inbox / "tree").symlink_to(tmp_path / "elsewhere")
    rule = rule_for(inbox, defaults=False)
    for way in ("tree", "tree/deep", "../elsewhere/deep"):
        folder = raw(inbox) + b"/" + way.encode()
        assert found(rule, folder) == set()
        assert list(look_at(rule, folder, ["secret.wav"])) == [folder + b"/secret.wav"]


def test_inbox_may_itself_be_a_symlink(tmp_path: Path) -> None:
    """The configured folder is the owner's word, so a link there is followed."""
    touch(tmp_path / "real" / "a.wav")
    (tmp_path / "in").symlink_to("real")
    assert found(rule_for(tmp_path / "in")) == {raw(tmp_path / "in" / "a.wav")}


def test_left_out_folder_is_known_by_identity_too(tmp_path: Path) -> None:
    """An output folder that the config names through a symlink is still not scanned."""
    inbox = tmp_path / "in"
    touch(inbox / "done" / "a.wav")
    (tmp_path / "link").symlink_to(inbox)
    assert found(rule_for(inbox, leave_out=[raw(tmp_path / "link" / "done")])) == set()


def test_strange_names_come_through_as_bytes(tmp_path: Path) -> None:
    """Newlines, escapes and bytes that are not UTF-8 in names of files and folders change nothing."""
    names = [
        b"a\nb.wav",
        b"\xff\xfe.wav",
        b"\x1b[31mred.wav",
        b"-i.wav",
        "na\u0308ive.wav".encode(),
    ]
    folder = raw(tmp_path) + b"/\xe9t\xe9\n"
    Path(os.fsdecode(folder)).mkdir()
    for name in names:
        Path(os.fsdecode(folder + b"/" + name)).write_bytes(b"x")
    expected = {folder + b"/" + name for name in names}
    assert found(rule_for(tmp_path)) == expected
    desk = Desk(rule_for(tmp_path))
    desk.settle_everything()
    assert set(desk.settled) == expected


def test_unreadable_folder_is_trouble_and_the_pass_goes_on() -> None:
    """An unreadable sub-folder is named with its errno; its neighbours are found all the same."""
    with public_folder() as inbox:
        touch(inbox / "a" / "a.wav")
        touch(inbox / "locked" / "b.wav")
        touch(inbox / "z" / "c.wav")
        (inbox / "locked").chmod(0)
        desk = Desk(rule_for(inbox))
        with not_root():
            ended = desk.settle_everything()
        assert not ended.complete
        assert [(each.path, each.errno) for each in ended.troubles] == [
            (raw(inbox / "locked"), errno.EACCES)
        ]
        assert sorted(desk.settled) == [raw(inbox / "a" / "a.wav"), raw(inbox / "z" / "c.wav")]
        (inbox / "locked").chmod(0o755)
        assert desk.settle_everything().complete
        assert desk.settled[-1] == raw(inbox / "locked" / "b.wav")


def test_unreadable_folder_is_not_forgotten() -> None:
    """Files known in a folder that cannot be read for a while are not reported anew when it can. [D04]."""
    with public_folder() as inbox:
        touch(inbox / "sub" / "deep" / "a.wav")
        desk = Desk(rule_for(inbox))
        desk.settle_everything()
        (inbox / "sub").chmod(0)
        with not_root():
            assert not desk.rounds.whole().complete
        (inbox / "sub").chmod(0o755)
        desk.settle_everything()
        assert desk.settled == [raw(inbox / "sub" / "deep" / "a.wav")]


def test_files_that_cannot_be_looked_at_are_trouble_and_keep_their_state() -> None:
    """In a folder that lists names and nothing more, known files stay known and waiting ones wait."""
    with public_folder() as inbox:
        known, waiting = touch(inbox / "sub" / "known.wav"), inbox / "sub" / "waiting.wav"
        desk = Desk(rule_for(inbox))
        desk.settle_everything()
        touch(waiting)
        desk.rounds.whole()
        desk.clock.forward(5)
        (inbox / "sub").chmod(0o444)
        expected = {(raw(path), errno.EACCES) for path in (known, waiting)}
        with not_root():
            passed, looked = desk.rounds.whole(), desk.rounds.looks()
        assert {(each.path, each.errno) for each in passed.troubles} == expected
        assert [each.path for each in looked.troubles] == [raw(waiting)]
        assert "Permission denied" in str(looked.troubles[0])
        assert not looked.troubles[0].absent
        (inbox / "sub").chmod(0o755)
        desk.settle_everything()
        assert sorted(desk.settled) == [raw(known), raw(waiting)]


def test_missing_inbox_is_trouble_and_nothing_is_forgotten(tmp_path: Path) -> None:
    """An inbox that is not there is not an empty one; what is known stays known."""
    inbox = tmp_path / "in"
    touch(inbox / "a.wav")
    desk = Desk(rule_for(inbox))
    desk.settle_everything()
    inbox.rename(tmp_path / "away")
    ended = desk.rounds.whole()
    assert ended.troubles == (ScanTrouble(path=raw(inbox), errno=errno.ENOENT),)
    trouble = root_trouble("in", raw(inbox), ended.troubles)
    assert trouble is not None
    assert (trouble.about, trouble.code) == (About.ROOT, "inbox-missing")
    (tmp_path / "away").rename(inbox)
    desk.settle_everything()
    assert desk.settled == [raw(inbox / "a.wav")]


def test_every_kind_of_absence_has_its_words(tmp_path: Path) -> None:
    """Each errno an inbox can be away with becomes a message that names the inbox, and advice."""
    codes = {}
    for number in [*ABSENT, errno.ENOENT, errno.EACCES, errno.ENODEV, errno.EMFILE]:
        trouble = root_trouble("in", raw(tmp_path), [ScanTrouble(path=raw(tmp_path), errno=number)])
        assert trouble is not None
        assert str(tmp_path) in trouble.message
        assert trouble.advice
        codes[number] = trouble.code
    assert {codes[number] for number in ABSENT} == {"inbox-away"}
    assert codes[errno.EACCES] == "inbox-unreadable"
    assert codes[errno.ENODEV] == "inbox-unmounted"
    elsewhere = ScanTrouble(path=raw(tmp_path / "sub"), errno=errno.EACCES)
    assert root_trouble("in", raw(tmp_path), [elsewhere]) is None


def test_vanished_files_and_folders_are_forgotten(tmp_path: Path) -> None:
    """What a complete pass no longer finds is dropped from memory, so it would be reported when it returns."""
    for name in ("a.wav", "b.wav", "sub/deep/c.wav"):
        touch(tmp_path / name)
    desk = Desk(rule_for(tmp_path))
    desk.settle_everything()
    assert desk.settler.known_count == 3
    (tmp_path / "a.wav").rename(tmp_path / "kept")
    desk.rounds.whole()
    assert desk.settler.known_count == 2
    (tmp_path / "sub").rename(tmp_path / ".sub")
    desk.rounds.whole()
    assert desk.settler.known_count == 1
    (tmp_path / "kept").rename(tmp_path / "a.wav")
    desk.settle_everything()
    assert desk.settled.count(raw(tmp_path / "a.wav")) == 2


def test_file_that_vanishes_while_settling_is_told(tmp_path: Path) -> None:
    """The next look at a file that is gone tells of it, and it is waited for no longer."""
    path = touch(tmp_path / "a.wav")
    desk = Desk(rule_for(tmp_path))
    desk.rounds.whole()
    path.unlink()
    desk.clock.forward(5)
    assert desk.rounds.looks().gone == (raw(path),)
    assert desk.settler.waiting() == ()


def test_looks_touch_only_files_that_are_due(tmp_path: Path) -> None:
    """Between passes only files whose quiet time is over are looked at, across folders."""
    desk = Desk(rule_for(tmp_path))
    first = {touch(tmp_path / name) for name in ("a.wav", "x/b.wav", "x/y/c.wav")}
    desk.rounds.whole()
    desk.clock.forward(3)
    late = touch(tmp_path / "x" / "late.wav")
    desk.rounds.part({raw(tmp_path / "x"): False})
    desk.clock.forward(2)
    assert desk.rounds.looks().files == 3
    assert set(desk.settled) == {raw(path) for path in first}
    desk.clock.forward(3)
    assert desk.rounds.looks().files == 1
    assert desk.settled[-1] == raw(late)


def test_waiting_file_of_an_absent_inbox_keeps_waiting(tmp_path: Path) -> None:
    """Where the inbox is away a look fails, and the file's quiet time begins anew when it is back."""
    inbox = tmp_path / "in"
    touch(inbox / "a.wav")
    desk = Desk(rule_for(inbox))
    desk.rounds.whole()
    inbox.rename(tmp_path / "away")
    desk.clock.forward(5)
    assert desk.rounds.looks().troubles == (
        ScanTrouble(path=raw(inbox / "a.wav"), errno=errno.ENOENT),
    )
    assert len(desk.settler.waiting()) == 1
    (tmp_path / "away").rename(inbox)
    desk.clock.forward(5)
    desk.rounds.looks()
    assert desk.settled == []
    desk.clock.forward(5)
    desk.rounds.looks()
    assert desk.settled == [raw(inbox / "a.wav")]


def test_empty_folder_on_another_device_looks_unmounted() -> None:
    """What is known survives an unmounted disk, which reads as an empty folder on another device. [D10]."""
    settler = Settler(settle=timedelta(0))
    folder = b"/in"
    for now in (0, 1):
        settler.look(look(b"/in/a.wav"), now)
    before = settler.enter(folder, device=1)
    assert not before.looks_unmounted
    settler.leave(before, device=1)
    unmounted = settler.enter(folder, device=2)
    assert list(unmounted.unknown([])) == []
    assert unmounted.missing
    assert unmounted.looks_unmounted
    emptied = settler.enter(folder, device=1)
    assert emptied.missing
    assert not emptied.looks_unmounted


@pytest.mark.skipif(
    not SHARED_MEMORY.is_dir() or SHARED_MEMORY.stat().st_dev == Path.home().stat().st_dev,
    reason="needs a second file system",
)
def test_inbox_that_points_to_an_empty_device_forgets_nothing(tmp_path: Path) -> None:
    """With the inbox's tree gone to another device nothing is forgotten; it heals when it is back."""
    real = tmp_path / "disk"
    files = {touch(real / name) for name in ("a.wav", "sub/b.wav")}
    inbox = tmp_path / "in"
    inbox.symlink_to(real)
    desk = Desk(rule_for(inbox))
    desk.settle_everything()
    assert len(desk.settled) == len(files)
    with TemporaryDirectory(dir=SHARED_MEMORY, prefix="asrwatch-") as elsewhere:
        inbox.unlink()
        inbox.symlink_to(elsewhere)
        ended = desk.rounds.whole()
        assert {each.errno for each in ended.troubles} == {errno.ENODEV}
        assert {each.path for each in ended.troubles} == {raw(inbox)}
        assert desk.settler.known_count == 2
        inbox.unlink()
        inbox.symlink_to(real)
    assert desk.settle_everything().complete
    assert len(desk.settled) == len(files)


def test_deep_trees_neither_recurse_nor_hold_descriptors_for_siblings(tmp_path: Path) -> None:
    """A tree as deep as paths may be long is walked; where names no longer fit is told as trouble [N06]."""
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(40):
        name = "d" * 120
        os.mkdir(name, dir_fd=here)
        below = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    for number in range(300):
        (tmp_path / f"wide{number}").mkdir()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    open_now = open_descriptors()
    resource.setrlimit(resource.RLIMIT_NOFILE, (open_now + 60, hard))
    try:
        results = list(scan(rule_for(tmp_path)))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    troubles = [each for each in results if isinstance(each, ScanTrouble)]
    assert [each.errno for each in troubles] == [errno.ENAMETOOLONG]
    assert len(results) > 320
    assert open_descriptors() == open_now
    shutil.rmtree(tmp_path / name)  # which ordinary tools cannot


def test_pass_that_is_left_early_closes_what_it_opened(tmp_path: Path) -> None:
    """Whoever stops in the middle of a pass leaves no descriptor behind."""
    touch(tmp_path / "a" / "b" / "c.wav")
    before = open_descriptors()
    walking = scan(rule_for(tmp_path))
    for _ in range(3):
        next(walking)
    walking.close()  # type: ignore[attr-defined]
    assert open_descriptors() == before


def test_listing_a_large_folder_takes_no_memory(tmp_path: Path) -> None:
    """Files are streamed: the pass itself keeps nothing per file. [D18]."""
    for number in range(5000):
        (tmp_path / f"{number:060}.wav").touch()
    tracemalloc.start()
    try:
        for folder in scan(rule_for(tmp_path)):
            assert isinstance(folder, Folder)
            count = sum(1 for _ in folder.files())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count == 5000
    assert peak < 100_000


def test_nearest_device_climbs_to_what_exists(tmp_path: Path) -> None:
    """The device of a folder that is gone is that of the nearest parent that is not."""
    assert nearest_device(raw(tmp_path / "no" / "such")) == tmp_path.stat().st_dev
    assert nearest_device(b"/proc/self") == Path("/proc/self").lstat().st_dev

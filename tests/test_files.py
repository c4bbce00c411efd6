# ruff: noqa: PTH101, PTH102, PTH104, PTH105, PTH108, PTH116, PTH123, PTH208, PTH211 - names of any bytes, which pathlib cannot hold
import errno
import fcntl
import hashlib
import os
import resource
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from asrwatch import files
from asrwatch.errors import RecordingError, SourceChanged, TemporaryError, Vanished
from asrwatch.files import folders, moving
from asrwatch.files.filenames import fitted
from asrwatch.files.oserrors import trouble
from asrwatch.journey.evidence import Fingerprint

ROOT = os.geteuid() == 0
CONTENT = b"RIFF" + bytes(range(256)) * 40


def fingerprint(path: bytes) -> Fingerprint:
    """Of whatever lies at `path` now."""
    return files.fingerprint_of(os.lstat(path))


def leftovers(folder: bytes) -> list[bytes]:
    """Our temporary files in a folder."""
    return [name for name in os.listdir(folder) if name.startswith(files.TEMPORARY_PREFIX)]


@contextmanager
def small_files_only(size: int) -> Iterator[None]:
    """A limit on file sizes: writing more than `size` bytes fails in the middle, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextmanager
def nobody() -> Iterator[None]:
    """As a user without rights: root may write everywhere, so these tests step down."""
    if not ROOT:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def folder(tmp_path: Path) -> bytes:
    """A folder of one's own."""
    return os.fsencode(tmp_path)


@pytest.fixture
def recording(folder: bytes) -> bytes:
    """A recording that lies in it."""
    path = folder + b"/talk.wav"
    Path(os.fsdecode(path)).write_bytes(CONTENT)
    return path


@pytest.fixture
def other_file_system(folder: bytes) -> Iterator[bytes]:
    """A folder on another file system than `folder`."""
    shared = Path("/dev/shm")  # noqa: S108 - the one place that is a file system of its own nearly everywhere
    if not shared.is_dir() or shared.stat().st_dev == os.stat(folder).st_dev:
        pytest.skip("no second file system to write to")
    path = shared / f"asrwatch-test-{os.getpid()}-{os.urandom(4).hex()}"
    path.mkdir()
    try:
        yield os.fsencode(path)
    finally:
        subprocess.run(["rm", "-rf", "--", path], check=True)


# opening recordings


def test_a_recording_is_opened_and_hashed_whole(recording: bytes) -> None:
    """What settled is opened, hashed from its start, and the stream is at its start again."""
    with files.open_recording(recording, fingerprint(recording)) as stream:
        stream.seek(7)
        assert files.hash_whole(stream) == hashlib.sha256(CONTENT).hexdigest()
        assert stream.read() == CONTENT
        files.check_unchanged(stream, recording, fingerprint(recording))


def test_a_vanished_recording_says_so(folder: bytes) -> None:
    """A name that is gone, or whose folder became something else, is `Vanished`."""
    with pytest.raises(Vanished, match="gone"):
        files.open_recording(folder + b"/not there.wav")
    Path(os.fsdecode(folder), "file").write_bytes(b"")
    with pytest.raises(Vanished):
        files.open_recording(folder + b"/file/talk.wav")


def test_only_regular_files_are_opened(
    folder: bytes, recording: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Links, pipes, sockets, folders and devices are named and never opened: no blocking, no following."""
    os.symlink(recording, folder + b"/link.wav")
    os.symlink(b"nowhere", folder + b"/dangling.wav")
    os.mkfifo(folder + b"/pipe.wav")
    os.mkdir(folder + b"/folder.wav")
    expected = {
        b"link.wav": "symbolic link",
        b"dangling.wav": "symbolic link",
        b"pipe.wav": "named pipe",
        b"folder.wav": "folder",
    }
    for name, kind in expected.items():
        with pytest.raises(RecordingError, match=kind) as refused:
            files.open_recording(folder + b"/" + name)
        assert name.decode() in refused.value.message
    with pytest.raises(RecordingError, match="character device"):
        files.open_recording(b"/dev/null")
    with socket.socket(socket.AF_UNIX) as listener:
        monkeypatch.chdir(os.fsdecode(folder))  # a socket's path has 108 bytes at most
        listener.bind("socket.wav")
        with pytest.raises(RecordingError, match="socket"):
            files.open_recording(folder + b"/socket.wav")


def test_another_file_of_that_name_is_not_the_one_that_settled(recording: bytes) -> None:
    """A rewritten, replaced or touched file is `SourceChanged` before a byte of it is read."""
    settled = fingerprint(recording)
    Path(os.fsdecode(recording)).write_bytes(CONTENT + b"more")
    with pytest.raises(SourceChanged):
        files.open_recording(recording, settled)


def test_a_file_that_changes_while_it_is_read_is_noticed(recording: bytes) -> None:
    """Appending to the open file, replacing its name and deleting it are all told after reading."""
    settled = fingerprint(recording)
    with files.open_recording(recording, settled) as stream:
        os.rename(recording, recording + b".old")
        with pytest.raises(Vanished):
            files.check_unchanged(stream, recording, settled)
        Path(os.fsdecode(recording)).write_bytes(CONTENT)
        with pytest.raises(SourceChanged):
            files.check_unchanged(stream, recording, settled)
        os.replace(recording + b".old", recording)
        files.check_unchanged(stream, recording, settled)
        with open(recording, "ab") as writer:
            writer.write(b"x")
        with pytest.raises(SourceChanged):
            files.check_unchanged(stream, recording, settled)


@pytest.mark.skipif(not ROOT, reason="needs to become another user")
def test_a_recording_one_may_not_read_waits() -> None:
    """Missing permission is temporary, and the advice names it."""
    place = Path("/tmp") / f"asrwatch-test-{os.getpid()}-{os.urandom(4).hex()}"  # noqa: S108 - tmp_path is closed to others
    place.mkdir(mode=0o755)
    try:
        secret = place / "talk.wav"
        secret.write_bytes(CONTENT)
        secret.chmod(0o600)
        with nobody(), pytest.raises(TemporaryError) as refused:
            files.open_recording(os.fsencode(secret))
        assert refused.value.code == "no-permission"
        assert "access" in refused.value.advice
        with nobody(), pytest.raises(TemporaryError):
            files.write_atomically(os.fsencode(place / "talk.txt"), b"text")
        assert [path.name for path in place.iterdir()] == ["talk.wav"]
    finally:
        subprocess.run(["rm", "-rf", "--", place], check=True)


def test_names_of_any_bytes_are_opened_and_shown(folder: bytes) -> None:
    """A name with a newline and bytes that are not UTF-8 is a name; messages show it escaped."""
    path = folder + b"/a\n\xff\x1b[31m.wav"
    assert files.write_atomically(path, CONTENT)
    with files.open_recording(path, fingerprint(path)) as stream:
        assert stream.read() == CONTENT
    os.unlink(path)
    with pytest.raises(Vanished) as refused:
        files.open_recording(path)
    assert "a\\n\\xff\\x1b[31m.wav" in refused.value.message


# writing


def test_writing_creates_folders_and_leaves_nothing_else(folder: bytes) -> None:
    """Missing folders are created, and beside the file nothing stays."""
    target = folder + b"/a/b/c/talk.txt"
    assert files.write_atomically(target, b"text")
    assert Path(os.fsdecode(target)).read_bytes() == b"text"
    assert os.listdir(folder + b"/a/b/c") == [b"talk.txt"]


def test_permissions_are_what_the_umask_leaves(folder: bytes) -> None:
    """Files are 0666 and folders 0777, both narrowed by the umask."""
    before = os.umask(0o027)
    try:
        files.write_atomically(folder + b"/new/talk.txt", b"text")
    finally:
        os.umask(before)
    assert stat.S_IMODE(os.stat(folder + b"/new").st_mode) == 0o750
    assert stat.S_IMODE(os.stat(folder + b"/new/talk.txt").st_mode) == 0o640


def test_a_taken_name_is_left_alone_unless_it_may_be_replaced(folder: bytes) -> None:
    """Without `replace` a file, a folder and even a dangling link keep their name."""
    for name, make in (
        (b"file", lambda path: Path(os.fsdecode(path)).write_bytes(b"mine")),
        (b"folder", os.mkdir),
        (b"link", lambda path: os.symlink(b"nowhere", path)),
    ):
        make(folder + b"/" + name)
        before = os.lstat(folder + b"/" + name)
        assert not files.write_atomically(folder + b"/" + name, b"ours", replace=False)
        assert os.lstat(folder + b"/" + name) == before
    assert files.write_atomically(folder + b"/file", b"ours")
    assert Path(os.fsdecode(folder), "file").read_bytes() == b"ours"
    with pytest.raises(RecordingError, match="is a folder"):
        files.write_atomically(folder + b"/folder", b"ours")
    assert leftovers(folder) == []


def test_a_link_is_replaced_never_followed(folder: bytes) -> None:
    """A target that became a symbolic link is replaced; what it points to is not touched [X06]."""
    victim = Path(os.fsdecode(folder), "victim")
    victim.write_bytes(b"precious")
    os.symlink(b"victim", folder + b"/talk.txt")
    assert files.write_atomically(folder + b"/talk.txt", b"text")
    assert victim.read_bytes() == b"precious"
    assert stat.S_ISREG(os.lstat(folder + b"/talk.txt").st_mode)


def test_a_linked_folder_below_the_root_is_not_entered(folder: bytes) -> None:
    """Links are followed in the root a person configured, not in the folders below it."""
    os.mkdir(folder + b"/elsewhere")
    os.mkdir(folder + b"/real")
    os.symlink(b"real", folder + b"/root")
    os.symlink(b"../elsewhere", folder + b"/real/sub")
    root = folder + b"/root"
    assert files.write_atomically(root + b"/talk.txt", b"text", root=root)
    with pytest.raises(RecordingError) as refused:
        files.write_atomically(root + b"/sub/talk.txt", b"text", root=root)
    assert refused.value.code in {"symlink", "not-a-folder"}
    assert os.listdir(folder + b"/elsewhere") == []


def test_a_folder_swapped_while_it_is_open_does_not_redirect(folder: bytes) -> None:
    """A folder replaced by a link between opening and writing still gets the file itself [X06]."""
    os.mkdir(folder + b"/out")
    os.mkdir(folder + b"/trap")
    with folders.open_folder(folder, b"out") as opened:
        os.rename(folder + b"/out", folder + b"/moved")
        os.symlink(b"trap", folder + b"/out")
        assert opened.write(b"talk.txt", b"text", replace=False)
    assert os.listdir(folder + b"/trap") == []
    assert os.listdir(folder + b"/moved") == [b"talk.txt"]


def test_a_file_where_a_folder_is_needed_fails_the_recording(folder: bytes) -> None:
    """Something that is no folder in the way is told, with what to do."""
    Path(os.fsdecode(folder), "out").write_bytes(b"")
    with pytest.raises(RecordingError) as refused:
        files.write_atomically(folder + b"/out/talk.txt", b"text")
    assert refused.value.code == "not-a-folder"
    assert refused.value.advice


@pytest.mark.parametrize("replace", [True, False])
def test_no_space_leaves_no_half_written_file(folder: bytes, *, replace: bool) -> None:
    """Where writing fails half way, neither the target nor a temporary file is left, and it is temporary."""
    target = folder + b"/talk.txt"
    with small_files_only(4096), pytest.raises(TemporaryError) as refused:
        files.write_atomically(target, bytes(100_000), replace=replace)
    assert b"talk.txt".decode() in refused.value.message
    assert refused.value.advice
    assert os.listdir(folder) == []
    assert files.write_atomically(target, bytes(100_000), replace=replace)


def test_a_full_disk_keeps_the_old_file(folder: bytes) -> None:
    """A replacement that fails leaves the old content as it was."""
    target = folder + b"/talk.txt"
    files.write_atomically(target, b"old")
    with small_files_only(4096), pytest.raises(TemporaryError):
        files.write_atomically(target, bytes(100_000))
    assert Path(os.fsdecode(target)).read_bytes() == b"old"
    assert leftovers(folder) == []


@pytest.mark.skipif(not ROOT, reason="mounting needs root")
def test_a_really_full_disk_is_told_as_such(tmp_path: Path) -> None:
    """ENOSPC of a real file system is temporary, says "disk-full" and leaves nothing behind."""
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "none", place], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("mounting is not allowed here")
    try:
        with pytest.raises(TemporaryError) as refused:
            files.write_atomically(os.fsencode(place / "talk.txt"), bytes(1_000_000))
        assert refused.value.code == "disk-full"
        assert list(place.iterdir()) == []
        assert files.write_atomically(os.fsencode(place / "talk.txt"), b"text")
        subprocess.run(["mount", "-o", "remount,ro", place], check=True)
        with pytest.raises(TemporaryError) as refused:
            files.write_atomically(os.fsencode(place / "talk.srt"), b"text")
        assert refused.value.code == "read-only"
    finally:
        subprocess.run(["umount", place], check=True)


@pytest.mark.parametrize(
    ("number", "kind", "code"),
    [
        (errno.ENOSPC, TemporaryError, "disk-full"),
        (errno.EDQUOT, TemporaryError, "quota"),
        (errno.EROFS, TemporaryError, "read-only"),
        (errno.EACCES, TemporaryError, "no-permission"),
        (errno.EIO, TemporaryError, "io-error"),
        (errno.ESTALE, TemporaryError, "share-gone"),
        (errno.ENAMETOOLONG, RecordingError, "name-too-long"),
        (errno.EUCLEAN, TemporaryError, "euclean"),
    ],
)
def test_errors_of_the_system_become_ours(number: int, kind: type[Exception], code: str) -> None:
    """What the system says decides whether waiting helps; the text names the file and what to do."""
    ours = trouble(OSError(number, "ignored"), "write", b"/out/a\nb.txt")
    assert type(ours) is kind
    assert ours.code == code
    assert "/out/a\\nb.txt" in ours.message
    assert ours.advice


def test_the_root_of_a_path_is_told_by_whole_names() -> None:
    """A folder is below a root only step by step: `/inbox2` and `/inbox/../x` are not below `/inbox`."""
    assert files.split_below(b"/inbox/a/b", b"/inbox") == (b"/inbox", b"a/b")
    assert files.split_below(b"/inbox/a/b", b"/inbox/") == (b"/inbox/", b"a/b")
    assert files.split_below(b"/inbox", b"/inbox") == (b"/inbox", b"")
    assert files.split_below(b"/inbox2", b"/inbox") == (b"/inbox2", b"")
    assert files.split_below(b"/inbox/../x", b"/inbox") == (b"/inbox/../x", b"")
    assert files.split_below(b"/inbox/a", None) == (b"/inbox/a", b"")


class WithoutHardLinks(folders.Folder):
    """A folder on a share that knows no hard links, as exFAT and many SMB shares are."""

    def hard_link(self, name: bytes, source: folders.Folder, source_name: bytes) -> None:
        """What such a share answers."""
        del name, source, source_name
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))


def test_shares_without_hard_links_are_written_to_as_well(folder: bytes) -> None:
    """Where names cannot be linked they are renamed, still never over a file that lies there."""
    with folders.open_folder(folder) as opened:
        share = WithoutHardLinks(opened.descriptor, folder)
        assert share.write(b"talk.txt", b"text", replace=False)
        assert not share.write(b"talk.txt", b"other", replace=False)
    assert os.listdir(folder) == [b"talk.txt"]
    assert Path(os.fsdecode(folder), "talk.txt").read_bytes() == b"text"


# sweeping


def test_sweep_takes_what_a_crash_left(folder: bytes) -> None:
    """A temporary file whose writer died goes; one that is being written, and all others, stay."""
    code = (
        "import os, sys; from asrwatch.files.folders import open_folder\n"
        "with open_folder(os.fsencode(sys.argv[1])) as folder, folder.draft(b'x') as draft:\n"
        "    draft.write(b'half'); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code, os.fsdecode(folder)], check=False)
    assert len(leftovers(folder)) == 1
    files.write_atomically(folder + b"/talk.txt", b"text")
    os.mkdir(folder + b"/.asrwatch-a-folder")
    with folders.open_folder(folder) as opened, opened.draft(b"busy") as draft:
        assert files.sweep(folder) == 1
        assert draft.name in os.listdir(folder)
        draft.write(b"done")
        assert draft.place(replace=False)
    assert sorted(os.listdir(folder)) == [b".asrwatch-a-folder", b"busy", b"talk.txt"]


def test_sweep_of_nothing_is_nothing(folder: bytes) -> None:
    """A folder that is not there, or may not be read, is no reason to stop."""
    assert files.sweep(folder + b"/not there") == 0
    assert files.sweep(folder) == 0


def test_a_file_locked_by_somebody_stays(folder: bytes) -> None:
    """A lock another process holds on a temporary file is respected."""
    path = folder + b"/" + files.TEMPORARY_PREFIX + b"0123"
    with open(path, "wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert files.sweep(folder) == 0
    assert files.sweep(folder) == 1


# moving and deleting originals


def test_an_original_is_moved(recording: bytes, folder: bytes) -> None:
    """On one file system the recording itself is moved; the folder is created."""
    settled = fingerprint(recording)
    moved = moving.move_without_clobbering(
        recording, folder + b"/done/2026", b"talk.wav", fingerprint=settled, root=folder + b"/done"
    )
    assert moved == folder + b"/done/2026/talk.wav"
    assert fingerprint(moved) == settled
    assert not os.path.lexists(recording)


def test_an_original_is_copied_over_the_border_of_a_file_system(
    recording: bytes, other_file_system: bytes
) -> None:
    """Elsewhere it is copied, with its date and permissions, and deleted only then."""
    os.chmod(recording, 0o640)
    os.utime(recording, ns=(10**18, 10**18 + 123_000_000))
    moved = moving.move_without_clobbering(
        recording,
        other_file_system + b"/done",
        b"talk.wav",
        fingerprint=fingerprint(recording),
        sha256=hashlib.sha256(CONTENT).hexdigest(),
    )
    assert Path(os.fsdecode(moved)).read_bytes() == CONTENT
    assert os.stat(moved).st_mtime_ns == 10**18 + 123_000_000
    assert stat.S_IMODE(os.stat(moved).st_mode) == 0o640
    assert not os.path.lexists(recording)
    assert leftovers(other_file_system + b"/done") == []


@pytest.mark.parametrize("border", [False, True])
def test_moving_never_takes_a_name_that_is_taken(
    recording: bytes, folder: bytes, request: pytest.FixtureRequest, *, border: bool
) -> None:
    """Other files of the name stay, whatever they are: ours becomes `talk (2).wav`, `talk (3).wav`."""
    base: bytes = request.getfixturevalue("other_file_system") if border else folder
    done = base + b"/done"
    files.write_atomically(done + b"/talk.wav", b"another recording")
    os.symlink(b"nowhere", done + b"/talk (2).wav")
    moved = moving.move_without_clobbering(
        recording, done, b"talk.wav", fingerprint=fingerprint(recording)
    )
    assert moved == done + b"/talk (3).wav"
    assert Path(os.fsdecode(moved)).read_bytes() == CONTENT
    assert Path(os.fsdecode(done), "talk.wav").read_bytes() == b"another recording"


@pytest.mark.parametrize("border", [False, True])
def test_a_move_may_be_repeated_after_a_crash(
    recording: bytes, folder: bytes, request: pytest.FixtureRequest, *, border: bool
) -> None:
    """A crash before or after the source went away leads to the same place, once."""
    base: bytes = request.getfixturevalue("other_file_system") if border else folder
    done = base + b"/done"
    os.mkdir(done)
    settled, sha256 = fingerprint(recording), hashlib.sha256(CONTENT).hexdigest()
    # the crash came when the target was complete and the source still there
    if border:
        files.write_atomically(done + b"/talk.wav", CONTENT)
    else:
        os.link(recording, done + b"/talk.wav")
    for _ in range(3):
        moved = moving.move_without_clobbering(
            recording, done, b"talk.wav", fingerprint=settled, sha256=sha256
        )
        assert moved == done + b"/talk.wav"
        assert not os.path.lexists(recording)
        assert os.listdir(done) == [b"talk.wav"]
    # a new recording took the name since: it stays, and the old one is still found
    files.write_atomically(recording, b"another take")
    assert moved == moving.move_without_clobbering(
        recording, done, b"talk.wav", fingerprint=settled, sha256=sha256
    )
    assert Path(os.fsdecode(recording)).read_bytes() == b"another take"


def test_moving_to_where_it_lies_changes_nothing(recording: bytes, folder: bytes) -> None:
    """A recording "moved" into its own folder, even under another path to it, is not deleted."""
    os.symlink(folder, folder + b"/same")
    for target in (folder, folder + b"/", folder + b"/same"):
        moving.move_without_clobbering(
            recording, target, b"talk.wav", fingerprint=fingerprint(recording)
        )
        assert Path(os.fsdecode(recording)).read_bytes() == CONTENT


def test_a_changed_original_is_neither_moved_nor_deleted(recording: bytes, folder: bytes) -> None:
    """Another file under the recording's name stays where it is."""
    settled = fingerprint(recording)
    files.write_atomically(recording, b"another take")
    with pytest.raises(SourceChanged):
        moving.move_without_clobbering(
            recording, folder + b"/done", b"talk.wav", fingerprint=settled
        )
    with pytest.raises(SourceChanged):
        moving.delete(recording, settled)
    assert Path(os.fsdecode(recording)).read_bytes() == b"another take"


def test_a_file_that_takes_the_name_at_the_last_moment_goes_back(
    recording: bytes, folder: bytes
) -> None:
    """A new take that lands between the last look and the move is put back, not filed as the old one."""
    settled = fingerprint(recording)
    files.write_atomically(folder + b"/new take", b"another take")

    def recorder(frame: FrameType, event: str, function: Any) -> None:
        del frame
        if event == "c_call" and function is os.link:
            sys.setprofile(None)
            os.replace(folder + b"/new take", recording)

    sys.setprofile(recorder)
    try:
        with pytest.raises(SourceChanged):
            moving.move_without_clobbering(
                recording, folder + b"/done", b"talk.wav", fingerprint=settled
            )
    finally:
        sys.setprofile(None)
    assert Path(os.fsdecode(recording)).read_bytes() == b"another take"
    assert os.listdir(folder + b"/done") == []


def test_a_lost_original_is_told(recording: bytes, folder: bytes) -> None:
    """What lies neither at its source nor at its target is `Vanished`; deleting it is done already."""
    settled = fingerprint(recording)
    moving.delete(recording, settled)
    moving.delete(recording, settled)
    assert not os.path.lexists(recording)
    with pytest.raises(Vanished):
        moving.move_without_clobbering(
            recording, folder + b"/done", b"talk.wav", fingerprint=settled
        )


def test_a_copy_without_space_leaves_the_original(
    recording: bytes, other_file_system: bytes
) -> None:
    """Where the copy does not fit, the recording stays and nothing half-copied does."""
    with small_files_only(4096), pytest.raises(TemporaryError):
        moving.move_without_clobbering(
            recording, other_file_system, b"talk.wav", fingerprint=fingerprint(recording)
        )
    assert Path(os.fsdecode(recording)).read_bytes() == CONTENT
    assert os.listdir(other_file_system) == []


# names that fit


def test_long_names_lose_their_middle_and_stay_different() -> None:
    """What is too long keeps its ending and gets a mark of the whole; what fits stays as it is."""
    assert fitted(b"talk", b".txt") == b"talk.txt"
    one, other = fitted(b"x" * 300 + b"1", b".txt"), fitted(b"x" * 300 + b"2", b".txt")
    assert len(one) == len(other) == 255
    assert one != other
    assert one.endswith(b".txt")
    assert len(fitted(b"x" * 143, b".new.txt", 143)) == 143


@pytest.mark.parametrize("length", range(240, 260))
def test_names_are_never_cut_within_a_character(length: int) -> None:
    """A name of characters of several bytes is still UTF-8 after it was cut."""
    for character in ("ü", "录", "🎙"):
        stem = b"a" * (length - 200) + (character * 100).encode()
        name = fitted(stem, b".json")
        assert len(name) <= 255
        assert name.decode()


def test_names_that_are_not_utf8_are_cut_all_the_same() -> None:
    """A long run of bytes that continue nothing is cut where it has to be."""
    assert 252 <= len(fitted(b"\x80" * 300, b".txt")) <= 255

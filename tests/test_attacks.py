"""People who mean harm, and accidents that look like them: links, pipes, swaps, targets (catalogue F-X, S13)."""

import os
import shutil
import socket
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from files_helpers import FILETRANS, Housed, a_house
from inbox_helpers import not_root, public_folder, raw
from swap_helpers import swapping
from wait_helpers import wait_for
from wav_helpers import wav_bytes

from asrwatch.bootstrap import build_parts, open_store
from asrwatch.clock import utc_now
from asrwatch.desk.foresight import foresee
from asrwatch.errors import RecordingError, SourceChanged, TemporaryError, Vanished
from asrwatch.files import fingerprint_of, open_recording, write_atomically
from asrwatch.files.moving import delete, move_without_clobbering
from asrwatch.journey.journey import advance
from asrwatch.journey.recording import Recording, State
from asrwatch.journey.request import send
from asrwatch.journey.source import Care, check_arrived
from asrwatch.sandbox.recogniser import Sound

ROOT = os.geteuid() == 0
NOBODY = 65534
CANARY = wav_bytes(0x5EC2, seconds=0.3)


class Listening:
    """A recogniser's script that keeps what the cloud got to hear."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []

    def __call__(self, sound: Sound) -> str:
        """Keep it."""
        self.heard.append(sound.path.read_bytes())
        return "heard"


@pytest.fixture
def cloud() -> Listening:
    """What was heard."""
    return Listening()


@pytest.fixture
def house(tmp_path: Path, cloud: Listening) -> Iterator[Housed]:
    """A house, with secrets outside its inbox."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.wav").write_bytes(CANARY)
    (outside / "text.txt").write_text("mine\n")
    with a_house(tmp_path, cloud) as housed:
        yield housed


def names_in(folder: Path) -> list[str]:
    """What lies in a folder, by name."""
    return sorted(path.name for path in folder.iterdir())


def test_nothing_but_regular_files_is_ever_opened(house: Housed, cloud: Listening) -> None:
    """The one recording among links, pipes, sockets, devices and folders is transcribed; nothing else is opened.

    Links go to secrets, pipes, terminals, themselves, nothing [X01] [X03].
    """
    inbox, outside = house.inbox, house.root / "outside"
    os.mkfifo(outside / "pipe")
    for name, target in {
        "to-secret": outside / "secret.wav",
        "to-shadow": Path("/etc/shadow"),
        "to-pipe": outside / "pipe",
        "to-itself": inbox / "to-itself.wav",
        "to-nothing": outside / "nothing.wav",
        "relative": Path("../outside/secret.wav"),
        "to-terminal": Path("/dev/tty"),
    }.items():
        (inbox / f"{name}.wav").symlink_to(target)
    (inbox / "linked-folder").symlink_to(outside)
    (inbox / "up").symlink_to("..")
    os.mkfifo(inbox / "pipe.wav")
    (inbox / "folder.wav").mkdir()
    (inbox / "folder.wav" / "inner.wav").write_bytes(wav_bytes(2))
    listener = socket.socket(socket.AF_UNIX)
    short = os.open(inbox, os.O_RDONLY)
    listener.bind(f"/proc/self/fd/{short}/socket.wav")
    if ROOT:
        os.mknod(inbox / "null.wav", stat.S_IFCHR | 0o666, os.makedev(1, 3))
        os.mknod(inbox / "disk.wav", stat.S_IFBLK | 0o666, os.makedev(7, 250))
    (inbox / "talk.wav").write_bytes(wav_bytes(1))
    before = names_in(outside)
    with house.running():
        wait_for((inbox / "talk.txt").exists)
        wait_for((inbox / "folder.wav" / "inner.txt").exists)
    listener.close()
    os.close(short)
    assert set(house.recordings()) == {b"talk.wav", b"inner.wav"}
    assert cloud.heard
    assert CANARY not in cloud.heard
    assert names_in(outside) == before


@pytest.mark.parametrize("kind", ["symbolic link", "named pipe"])
def test_explain_opens_no_link_either(house: Housed, kind: str) -> None:
    """What `explain` foresees of a link or a pipe is what it is, without opening it [X01] [X03]."""
    path = house.inbox / "x.wav"
    if kind == "named pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(house.root / "outside" / "secret.wav")
    settings = house.settings()
    told = foresee(raw(path), settings, lambda: build_parts(settings).routes)
    assert not told.taken
    assert kind in told.verdict


# Hard links.


def linked(folder: Path, *, owner: int) -> Path:
    """A recording in a folder whose second name lies elsewhere."""
    original = folder.parent / f"original-{folder.name}.wav"
    original.write_bytes(CANARY)
    os.chown(original, owner, -1)
    os.link(original, folder / "linked.wav")
    return folder / "linked.wav"


@pytest.mark.skipif(not ROOT, reason="needs root, to own files as another user")
@pytest.mark.parametrize(
    ("owner", "inbox_owner", "mode", "allowed"),
    [
        (0, 0, 0o755, True),
        (NOBODY, NOBODY, 0o755, True),
        (0, NOBODY, 0o755, True),
        (1234, NOBODY, 0o755, False),
        (NOBODY, 0, 0o755, False),
        (NOBODY, NOBODY, 0o777, True),
        (0, NOBODY, 0o777, False),
        (0, 0, 0o777, False),
    ],
)
def test_whose_files_may_have_two_names(
    tmp_path: Path, owner: int, inbox_owner: int, mode: int, *, allowed: bool
) -> None:
    """The inbox owner's and our own, but ours not where others write; nobody else's; `any` lifts it [X02]."""
    inbox = tmp_path / "in"
    inbox.mkdir()
    path = linked(inbox, owner=owner)
    os.chown(inbox, inbox_owner, -1)
    inbox.chmod(mode)
    care = Care(root=raw(inbox))
    with open_recording(raw(path), root=raw(inbox)) as stream:
        check_arrived(stream, raw(path), replace(care, foreign_links=True))
        check_arrived(stream, raw(path), None)
        if allowed:
            check_arrived(stream, raw(path), care)
            return
        with pytest.raises(RecordingError, match="hard link") as refused:
            check_arrived(stream, raw(path), care)
        assert refused.value.code == "hard-link"
        assert "hard_links: any" in refused.value.advice
        (tmp_path / "original-in.wav").unlink()  # with a single name left it is an ordinary file
        check_arrived(stream, raw(path), care)


@pytest.mark.skipif(not ROOT, reason="needs root, to own files as another user")
def test_another_users_file_is_refused_unpaid(house: Housed, cloud: Listening) -> None:
    """A hard link to a stranger's recording fails with its reason; one's own is transcribed [X02] [D16]."""
    linked(house.inbox, owner=NOBODY)
    (house.root / "own.wav").write_bytes(wav_bytes(4))
    os.link(house.root / "own.wav", house.inbox / "own.wav")
    with house.running():
        wait_for(lambda: house.became(State.FAILED, "linked.wav"))
        wait_for(lambda: house.became(State.DELIVERED, "own.wav"))
    (refused,) = house.recordings()[b"linked.wav"]
    assert refused.failure is not None
    assert refused.failure.code == "hard-link"
    assert CANARY not in cloud.heard


# Swaps between two looks.


def settled_recording(path: Path) -> Recording:
    """The recording as the daemon knows it once it has settled."""
    return Recording.found(
        inbox="in", path=raw(path), fingerprint=fingerprint_of(path.lstat()), now=utc_now()
    )


def swap_for_link(path: Path, target: Path) -> None:
    """Put a symbolic link in the place of a file or folder."""
    path.rename(path.with_name(path.name + ".away"))
    path.symlink_to(target)


@pytest.mark.parametrize("step", ["reading", "uploading", "sending"])
@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_swap_before_any_step_reads_nothing_else(house: Housed, what: str, step: str) -> None:
    """The recording, or the folder it lies in, becomes a link before a step opens it: nothing is read [X04] [X05]."""
    folder, outside = house.inbox / "sub", house.root / "outside"
    folder.mkdir()
    talk = folder / "talk.wav"
    talk.write_bytes(wav_bytes(1))
    shutil.copy2(talk, outside / "talk.wav")
    engine = "qwen3-asr-flash-filetrans" if step == "uploading" else None
    route = replace(build_parts(house.settings()).routes["in"], engine=engine)
    recording = settled_recording(talk)
    if step != "reading":
        recording = advance(recording, route, clock=utc_now)
    swap_for_link(
        talk if what == "file" else folder, outside / ("talk.wav" if what == "file" else "")
    )
    with pytest.raises((RecordingError, SourceChanged, Vanished)):
        if step == "sending":
            send(recording, route)
        else:
            advance(recording, route, clock=utc_now)
    assert not house.sandbox.bill.attempts
    assert not house.sandbox.uploads


def test_a_swapped_folder_loses_no_file_elsewhere(tmp_path: Path) -> None:
    """Deleting and moving originals below a folder that became a link touches nothing behind it [X05]."""
    inbox, outside = tmp_path / "in", tmp_path / "outside"
    (inbox / "sub").mkdir(parents=True)
    outside.mkdir()
    talk = inbox / "sub" / "talk.wav"
    talk.write_bytes(b"mine")
    os.link(talk, outside / "talk.wav")  # the very same file: only the way to it is another
    settled = fingerprint_of(talk.lstat())
    swap_for_link(inbox / "sub", outside)
    delete(raw(talk), settled, root=raw(inbox))
    with pytest.raises(Vanished):
        move_without_clobbering(
            raw(talk),
            raw(tmp_path / "done"),
            b"talk.wav",
            fingerprint=settled,
            source_root=raw(inbox),
        )
    assert names_in(outside) == ["talk.wav"]
    with pytest.raises(Vanished):
        open_recording(raw(talk), settled, root=raw(inbox))
    with open_recording(
        raw(talk), settled
    ) as stream:  # a person who names it himself follows links
        assert stream.read() == b"mine"


def test_an_original_whose_folder_is_being_swapped_is_gone_or_treated(tmp_path: Path) -> None:
    """Between two looks at it the folder becomes a link: that is a file that went, no fault to mend [X05]."""
    inbox, outside = tmp_path / "in", tmp_path / "outside"
    (inbox / "sub").mkdir(parents=True)
    outside.mkdir()
    talk = inbox / "sub" / "talk.wav"
    talk.write_bytes(b"mine")
    another = replace(
        fingerprint_of(talk.lstat()), mtime_ns=1
    )  # so that it stays, to be tried again
    met = set()
    with swapping(inbox / "sub", outside):
        for _ in range(1000):
            try:
                delete(raw(talk), another, root=raw(inbox))
                move_without_clobbering(
                    raw(talk),
                    raw(tmp_path / "done"),
                    b"talk.wav",
                    fingerprint=another,
                    source_root=raw(inbox),
                )
            except (SourceChanged, Vanished) as error:
                met.add(type(error))
    assert met == {SourceChanged, Vanished}
    assert names_in(outside) == []


# Targets.


def planted(kind: str, target: Path, outside: Path) -> None:
    """Something that lies where a transcript is to go."""
    match kind:
        case "a person's own file":
            target.write_text("mine\n")
        case "a link to a person's file":
            target.symlink_to(outside / "text.txt")
        case "a link to nothing":
            target.symlink_to(outside / "made.txt")
        case "a folder":
            target.mkdir()
        case "a pipe":
            os.mkfifo(target)
        case "a hard link to a person's file":
            os.link(outside / "text.txt", target)
        case _:
            target.write_text("mine\n")
            target.chmod(0o400)


@pytest.mark.parametrize("way", [{}, FILETRANS], ids=["sync", "filetrans"])
@pytest.mark.parametrize(
    "kind",
    [
        "a person's own file", "a link to a person's file", "a link to nothing", "a folder", "a pipe",
        "a hard link to a person's file", "a read-only file",
    ],
)  # fmt: skip
def test_what_lies_where_the_transcript_goes_stays(
    tmp_path: Path, kind: str, way: dict[str, str]
) -> None:
    """What has the transcript's name is neither followed nor overwritten; the transcript appears beside it.

    Even where it was put there after the recording had been sent [X06] [S13].
    """
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "text.txt").write_text("mine\n")
    target = tmp_path / "inbox" / "talk.txt"

    def hear(_: Sound) -> str:
        planted(kind, target, outside)
        return "heard"

    with a_house(tmp_path, hear, **way) as house:
        with house.running():
            (house.inbox / "talk.wav").write_bytes(wav_bytes())
            wait_for(lambda: house.became(State.DELIVERED))
        assert (house.inbox / "talk.new.txt").read_text() == "heard\n"
        assert names_in(outside) == ["text.txt"]
        assert (outside / "text.txt").read_text() == "mine\n"
        assert target.is_symlink() == ("link to" in kind and "hard" not in kind)
        assert not any(name.startswith(".asrwatch-") for name in names_in(house.inbox))


def test_our_own_transcript_replaced_by_a_link_is_not_followed(house: Housed) -> None:
    """A transcript we wrote, replaced by a link: delivered again, ours goes beside it [X06]."""
    with house.running():
        (house.inbox / "talk.wav").write_bytes(wav_bytes())
        wait_for(lambda: house.became(State.DELIVERED))
    (house.inbox / "talk.txt").unlink()
    (house.inbox / "talk.txt").symlink_to(house.root / "outside" / "text.txt")
    (recording,) = house.recordings()[b"talk.wav"]
    route = build_parts(house.settings()).routes["in"]
    again = advance(recording.retry(now=utc_now()), route, clock=utc_now)
    assert next(output.path for output in again.outputs) == raw(house.inbox / "talk.new.txt")
    assert (house.root / "outside" / "text.txt").read_text() == "mine\n"


@pytest.mark.parametrize("place", ["output", "after"])
def test_a_mirrored_folder_that_is_a_link_gets_nothing(tmp_path: Path, place: str) -> None:
    """A link planted below the output or archive folder fails that delivery; nothing is written behind it.

    The original stays, and `retry` delivers for nothing once the link is gone [X06] [X05].
    """
    outside, elsewhere = tmp_path / "outside", tmp_path / "elsewhere"
    outside.mkdir()
    elsewhere.mkdir()
    (elsewhere / "sub").symlink_to(outside)
    keys = {"output": str(elsewhere)} if place == "output" else {"after": {"move": str(elsewhere)}}
    with a_house(tmp_path, **keys) as house:
        (house.inbox / "sub").mkdir()
        talk = house.inbox / "sub" / "talk.wav"
        talk.write_bytes(wav_bytes())
        with house.running():
            wait_for(lambda: house.became(State.FAILED))
        assert names_in(outside) == []
        assert talk.read_bytes() == wav_bytes()
        (elsewhere / "sub").unlink()
        (failed,) = house.recordings()[b"talk.wav"]
        assert failed.answer is not None
        with open_store(house.settings()) as store, store.transaction():
            store.save(failed, failed.retry(now=utc_now()), note="retry")
        with house.running():
            wait_for(lambda: house.became(State.DELIVERED))
        assert len(house.sandbox.bill.paid) == 1


def test_outputs_on_another_file_system_are_whole(tmp_path: Path) -> None:
    """Outputs and archived originals on another file system: temporary files in the target folder, no EXDEV [S13]."""
    shared = Path("/dev/shm")  # noqa: S108 - another file system is the point
    if not shared.is_dir() or shared.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("needs a second file system at /dev/shm")
    other = shared / f"asrwatch-{os.getpid()}-{os.urandom(4).hex()}"
    other.mkdir()
    try:
        keys = {"output": str(other / "out"), "after": {"move": str(other / "done")}}
        with a_house(tmp_path, **keys) as house:
            with house.running():
                (house.inbox / "talk.wav").write_bytes(wav_bytes())
                wait_for(lambda: house.became(State.DELIVERED))
            assert names_in(other / "out") == ["talk.json", "talk.txt"]
            assert (other / "done" / "talk.wav").read_bytes() == wav_bytes()
            assert names_in(house.inbox) == []
    finally:
        shutil.rmtree(other)


@pytest.mark.skipif(not ROOT, reason="needs root, to become another user")
def test_a_folder_one_may_not_write_to_waits() -> None:
    """A read-only target folder makes the delivery wait, and nothing is left behind [S13]."""
    with public_folder() as folder:
        (folder / "out").mkdir(mode=0o555)
        with not_root(), pytest.raises(TemporaryError) as refused:
            write_atomically(raw(folder / "out" / "talk.txt"), b"text")
        assert refused.value.code == "no-permission"
        assert names_in(folder / "out") == []

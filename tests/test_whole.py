"""Files that are whole by their own word are taken at once; those that only look so are not."""

import io
import mmap
import os
import struct
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from audio_helpers import encode
from e2e_helpers import Installed
from files_helpers import a_house
from inbox_helpers import HandClock, not_root, public_folder, raw, rule_for
from wait_helpers import wait_for
from wav_helpers import wav_bytes

from asrwatch.audio.closing import is_closed
from asrwatch.cli.explain import explanation_of, rows_of_explanation
from asrwatch.files.openers import is_being_written
from asrwatch.inbox.evidence import Evidence, Findings, Witness
from asrwatch.inbox.looks import Look, Signature, Why
from asrwatch.inbox.nudges import Nudges
from asrwatch.inbox.rounds import Rounds
from asrwatch.inbox.settle import Settler
from asrwatch.journey.recording import State

NEVER = "1h"
"""A quiet time that no test lives to see: what is taken was proven."""


def seen(path: Path) -> Look:
    """One look at a file."""
    status = path.lstat()
    return Look(raw(path), Signature.of(status), status.st_nlink)


def witness(root: Path, file_system: str = "ext4") -> Witness:
    """One who believes the inbox to lie on this file system."""
    return Witness(raw(root), file_system=lambda _: file_system)


def with_sizes(whole: bytes, riff: int, sound: int) -> bytes:
    """A WAV whose header claims these sizes."""
    return whole[:4] + struct.pack("<I", riff) + whole[8:40] + struct.pack("<I", sound) + whole[44:]


# What containers say of themselves.

SAYING = [
    ("wav", "pcm_s16le"), ("w64", "pcm_s16le"), ("aiff", "pcm_s16be"), ("caf", "pcm_s16le"),
    ("au", "pcm_s16be"), ("flac", "flac"), ("ogg", "libopus"), ("ogg", "flac"),
    ("matroska", "libopus"), ("webm", "libopus"), ("mp4", "aac"), ("mov", "aac"),
    ("avi", "libmp3lame"), ("mp3", "libmp3lame"), ("asf", "wmav2"),
]  # fmt: skip


@pytest.mark.parametrize(("container", "codec"), SAYING)
def test_a_closed_container_says_so(container: str, codec: str) -> None:
    """Closed files are told from their beginnings, from more behind them, and from space that was reserved [C06]."""
    more: dict[str, Any] = {"rate": 44_100, "bit_rate": 64_000} if codec == "wmav2" else {}
    whole = encode(container, codec, seconds=2, **more)
    stream = io.BytesIO(whole)
    stream.seek(3)
    assert is_closed(stream) is True
    assert stream.tell() == 0
    for share in (10, 40, 70, 99):
        assert is_closed(io.BytesIO(whole[: len(whole) * share // 100])) is False, share
    assert is_closed(io.BytesIO(whole + bytes(range(1, 200)))) is not True
    assert is_closed(io.BytesIO(whole[:500] + bytes(max(len(whole), 100_000)))) is False


@pytest.mark.parametrize(("container", "codec"), [("adts", "aac"), ("tta", "tta")])
def test_a_container_without_an_end_does_not_tell(container: str, codec: str) -> None:
    """Streams of frames look alike whether they are finished or not."""
    assert is_closed(io.BytesIO(encode(container, codec, seconds=1))) is None


@pytest.mark.parametrize(
    ("riff", "sound"),
    [(0, 0), (0xFFFFFFFF, 0xFFFFFFFF), (0x7FFFFFFF, 0x7FFFFFFF - 36), (0x7FFFF024, 0x7FFFF000),
     (64_036, 0), (36, 64_000), (64_036, 32_000), (32_036, 32_000), (64_036, 64_002)],
)  # fmt: skip
def test_a_growing_wav_is_not_whole(riff: int, sound: int) -> None:
    """Sizes of zero, placeholders, and sizes that are not the file's are a recorder's that goes on [C06]."""
    whole = wav_bytes(seconds=4)
    assert is_closed(io.BytesIO(with_sizes(whole, 64_036, 64_000))) is True
    assert is_closed(io.BytesIO(with_sizes(whole, riff, sound))) is False


def test_a_growing_rf64_and_an_mp4_in_fragments_are_not_whole() -> None:
    """Long WAVs without their long sizes, and fragments that may go on at any time, prove nothing [C06]."""
    whole = wav_bytes(seconds=4)
    head = b"WAVE" + b"ds64" + struct.pack("<IQQQI", 28, 64_072, 64_000, 32_000, 0)
    long = b"RF64" + b"\xff" * 4 + head + whole[12:40] + b"\xff" * 4 + whole[44:]
    assert is_closed(io.BytesIO(long)) is True
    assert is_closed(io.BytesIO(long.replace(struct.pack("<Q", 64_072), bytes(8)))) is False
    real = encode("mp4", "aac", 2, container_options={"movflags": "frag_keyframe+empty_moov"})
    assert b"moof" in real
    assert is_closed(io.BytesIO(real)) is True
    pieces = box(b"ftyp", 16) + box(b"moov", 500) + (box(b"moof", 100) + box(b"mdat", 900)) * 3
    assert is_closed(io.BytesIO(pieces)) is None
    assert is_closed(io.BytesIO(pieces[:-1])) is not True
    assert is_closed(io.BytesIO(pieces + box(b"mfra", 50))) is True


def test_an_mp4_without_its_index_is_not_whole() -> None:
    """Recorders leave the size of the sound unset, and write the index when they close the file [C06]."""
    unset = struct.pack(">I4s", 0, b"mdat") + b"x" * 5_000
    assert is_closed(io.BytesIO(box(b"ftyp", 16) + box(b"free", 8) + unset)) is False
    assert is_closed(io.BytesIO(box(b"ftyp", 16) + box(b"moov", 500) + unset)) is None


def box(name: bytes, size: int) -> bytes:
    """A box of an MP4 with something in it."""
    return struct.pack(">I4s", 8 + size, name) + b"x" * size


def test_reading_what_a_container_says_is_bounded() -> None:
    """Of a file of gigabytes only its headers and its end are read."""

    class Counted(io.BytesIO):
        read_bytes = 0

        def read(self, count: int | None = -1) -> bytes:
            got = super().read(count)
            self.read_bytes += len(got)
            return got

    for long in (
        wav_bytes(seconds=300),
        box(b"ftyp", 16) + box(b"mdat", 5_000_000) + box(b"moov", 500),
    ):
        stream = Counted(long)
        assert is_closed(stream) is True
        assert stream.read_bytes < 100_000


# Who has it open.


@pytest.fixture
def talk(tmp_path: Path) -> Path:
    """A whole recording."""
    path = tmp_path / "talk.wav"
    path.write_bytes(wav_bytes())
    return path


def test_a_writer_is_seen_and_no_lease_is_left(talk: Path) -> None:
    """Open for writing, or mapped so, is told; a reader is not a writer; a writer may come right afterwards [C17]."""
    with talk.open("rb") as reading, talk.open("rb"):
        assert is_being_written(reading.fileno()) is False
        with os.fdopen(os.open(talk, os.O_RDWR | os.O_NONBLOCK), "r+b") as writing:
            assert is_being_written(reading.fileno()) is True
            mapped = mmap.mmap(writing.fileno(), 0)
        assert is_being_written(reading.fileno()) is True
        mapped.close()
        assert is_being_written(reading.fileno()) is False


def test_of_anothers_file_the_kernel_does_not_tell() -> None:
    """A file of another user is one of which nobody knows who writes to it, and so no proof [C17]."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to have a file of another user")
    with public_folder() as folder:
        path = folder / "talk.wav"
        path.write_bytes(wav_bytes())
        path.chmod(0o644)
        with not_root():
            with path.open("rb") as stream:
                assert is_being_written(stream.fileno()) is None
            asked = witness(folder)
            assert asked.examine(seen(path), 0) == Findings()
            assert asked.examine(seen(path), 0, moved=True).evidence is Evidence.MOVED


# What is believed.


def test_the_evidence_is_the_best_there_is(talk: Path, tmp_path: Path) -> None:
    """Moved in beats closed; a stream of frames that was moved in is whole, one that was written is not."""
    asked = witness(tmp_path)
    assert asked.examine(seen(talk), 0).evidence is Evidence.CLOSED
    assert asked.examine(seen(talk), 0, moved=True).evidence is Evidence.MOVED
    frames = tmp_path / "talk.aac"
    frames.write_bytes(encode("adts", "aac", seconds=1))
    assert asked.examine(seen(frames), 0) == Findings()
    assert asked.examine(seen(frames), 0, moved=True).evidence is Evidence.MOVED


def test_a_recorder_that_updates_its_header_is_seen_writing(tmp_path: Path) -> None:
    """Sizes match after every update, but the recorder has the file open; renamed while open, too [C06] [C12]."""
    path, asked = tmp_path / "talk.wav", witness(tmp_path)
    sound = wav_bytes(seconds=2)[44:]
    with path.open("wb") as recorder:
        for part in range(1, 4):
            size = len(sound) * part // 4
            recorder.seek(0)
            recorder.write(with_sizes(wav_bytes(seconds=2), size + 36, size)[:44] + sound[:size])
            recorder.flush()
            with path.open("rb") as stream:
                assert is_closed(stream) is True
            assert asked.examine(seen(path), 0) == Findings()
            assert asked.examine(seen(path), 0, moved=True) == Findings()
    assert asked.examine(seen(path), 0).evidence is Evidence.CLOSED


@pytest.mark.parametrize("file_system", ["nfs4", "cifs", "fuse.sshfs", "virtiofs", "9p", "", "new"])
def test_on_a_share_nothing_but_quiet_counts(talk: Path, tmp_path: Path, file_system: str) -> None:
    """Writers on other machines are not known here, so neither container nor rename proves anything [C07]."""
    asked = witness(tmp_path, file_system)
    assert asked.examine(seen(talk), 0) == Findings()
    assert asked.examine(seen(talk), 0, moved=True) == Findings()


def test_a_file_system_that_is_not_known_yet_is_asked_for_again(talk: Path, tmp_path: Path) -> None:
    """A folder that was swapped while it was asked about is believed once its file system can be told [X05]."""
    told = iter([None, "ext4"])
    asked = Witness(raw(tmp_path), file_system=lambda _: next(told))
    assert asked.examine(seen(talk), 0) == Findings()
    assert asked.examine(seen(talk), 0).evidence is Evidence.CLOSED


def test_reserved_space_is_no_recording(tmp_path: Path) -> None:
    """The header and the full size are there, the rest is a hole, or zeros: who copies it is not done [C03] [C07]."""
    path, asked = tmp_path / "talk.wav", witness(tmp_path)
    whole = wav_bytes(seconds=30)
    path.write_bytes(whole[:5_000])
    os.truncate(path, len(whole))
    assert asked.examine(seen(path), 0) == Findings()
    assert asked.examine(seen(path), 0, moved=True) == Findings()
    path.write_bytes(whole[:5_000] + bytes(len(whole) - 5_000))
    assert asked.examine(seen(path), 0) == Findings()
    path.write_bytes(whole)
    assert asked.examine(seen(path), 0).evidence is Evidence.CLOSED


def test_a_file_that_changed_since_it_was_looked_at_proves_nothing(
    talk: Path, tmp_path: Path
) -> None:
    """Evidence is about the file that was looked at, and no other [C12]."""
    before = seen(talk)
    talk.write_bytes(wav_bytes(3))
    assert witness(tmp_path).examine(before, 0) == Findings()


def test_an_inbox_whose_files_are_written_again_loses_its_trust(talk: Path, tmp_path: Path) -> None:
    """A recorder that closes and opens its files is believed once; a replaced file takes no trust away [C05]."""
    asked = witness(tmp_path)
    assert asked.examine(seen(talk), 0).evidence is Evidence.CLOSED
    newer = tmp_path / "talk.tmp"
    newer.write_bytes(wav_bytes(3))
    newer.replace(talk)
    assert asked.examine(seen(talk), 10).evidence is Evidence.CLOSED
    talk.write_bytes(wav_bytes(4, seconds=2))
    assert asked.examine(seen(talk), 5_000).evidence is Evidence.CLOSED, "hours later"
    talk.write_bytes(wav_bytes(5, seconds=3))
    assert asked.examine(seen(talk), 5_010) == Findings()
    other = tmp_path / "other.wav"
    other.write_bytes(wav_bytes(6))
    assert asked.examine(seen(other), 5_020) == Findings()


def test_a_copy_that_is_given_its_date_when_it_is_closed_takes_no_trust_away(
    talk: Path, tmp_path: Path
) -> None:
    """File managers, FTP servers and `shutil.copy2` set the date of what they have closed: nobody wrote to it [C10]."""
    asked = witness(tmp_path)
    assert asked.examine(seen(talk), 0).evidence is Evidence.CLOSED
    os.utime(talk, (1e9, 1e9))
    assert asked.examine(seen(talk), 1).evidence is Evidence.CLOSED
    with talk.open("r+b") as recorder:  # as large as it was, but written to
        recorder.write(wav_bytes(9))
    assert asked.examine(seen(talk), 2) == Findings()


def test_what_changed_under_a_step_must_be_quiet_first(talk: Path, tmp_path: Path) -> None:
    """A file that was not what had settled is believed only after its quiet time."""
    asked = witness(tmp_path)
    asked.be_wary(raw(talk))
    assert asked.examine(seen(talk), 0, moved=True) == Findings()
    asked.settled(raw(talk))
    assert asked.examine(seen(talk), 0, moved=True).evidence is Evidence.MOVED


# What settles.


class Desk:
    """Rounds with a witness, and a clock moved by hand."""

    def __init__(self, root: Path, *, rest_within: float = 600) -> None:
        self.clock = HandClock()
        self.settler = Settler(settle=timedelta(seconds=5))
        self.settled: list[tuple[str, Evidence]] = []
        self.rounds = Rounds(
            rule=rule_for(root),
            recursive=True,
            settler=self.settler,
            settled=lambda look, by: self.settled.append((os.fsdecode(os.path.basename(look.path)), by)),  # noqa: PTH119 - bytes
            clock=self.clock,
            witness=witness(root),
            rest_within=rest_within,
        )  # fmt: skip


def test_the_first_look_takes_what_is_proven(tmp_path: Path) -> None:
    """One look is enough with proof, two and the quiet time without; each is told once, with its evidence."""
    desk = Desk(tmp_path)
    (tmp_path / "talk.wav").write_bytes(wav_bytes())
    (tmp_path / "talk.mp3").write_bytes(b"\xff\xfb\x90\x00" + b"x" * 5_000)
    desk.rounds.whole()
    assert desk.settled == [("talk.wav", Evidence.CLOSED)]
    desk.rounds.whole()
    desk.clock.forward(5)
    desk.rounds.looks()
    desk.rounds.whole()
    assert desk.settled == [("talk.wav", Evidence.CLOSED), ("talk.mp3", Evidence.QUIET)]


def test_news_of_a_file_is_a_look_at_it_alone(tmp_path: Path) -> None:
    """A file moved in is taken with the news of it; one of another folder, or gone by then, is no trouble [D16]."""
    desk = Desk(tmp_path)
    path = tmp_path / "deep" / "talk.mp3"
    path.parent.mkdir()
    path.write_bytes(b"\xff\xfb\x90\x00" + b"x" * 5_000)
    (tmp_path / "unheard.wav").write_bytes(wav_bytes())
    done = desk.rounds.heard_of({raw(path): True, raw(tmp_path / "gone.wav"): True})
    assert desk.settled == [("talk.mp3", Evidence.MOVED)]
    assert done.complete
    assert not done.gone


def test_later_news_of_a_file_counts(tmp_path: Path) -> None:
    """Watchdog calls what was moved in created, too, and late: that takes no proof away; a write since does [C12]."""
    path = raw(tmp_path / "talk.mp3")
    nudges = Nudges()
    nudges.file(path, moved=True, at_once=True)
    nudges.file(path, moved=False, at_once=False)
    first = nudges.wait(0)
    assert (first.files, first.at_once) == ({path: True}, True)
    nudges.file(path, moved=False, at_once=False)
    second = nudges.wait(0)
    assert (second.files, second.at_once) == ({path: None}, False)
    for later in (second, first):
        for each, moved in second.files.items():
            later.add_file(each, moved=moved)
    assert first.files == {path: True}
    first.add_file(path, moved=False)
    assert first.files == {path: False}


def test_many_files_are_looked_at_with_their_folders(tmp_path: Path) -> None:
    """News of too many files at once makes one pass of it, and what comes before that is part of it [D01]."""
    nudges = Nudges()
    for number in range(100):
        nudges.file(raw(tmp_path / f"{number}.wav"), moved=False, at_once=True)
    nudges.file(raw(tmp_path / "elsewhere" / "0.wav"), moved=False, at_once=True)
    errands = nudges.wait(0)
    assert errands.folders == {raw(tmp_path): False}
    assert list(errands.files) == [raw(tmp_path / "elsewhere" / "0.wav")]


def test_an_unfinished_file_waits_while_it_is_open(tmp_path: Path) -> None:
    """Quiet, its size still to be written, and open: its recorder pauses; taken when closed, or in the end [C02]."""
    desk = Desk(tmp_path)
    path = tmp_path / "talk.wav"
    whole = wav_bytes(seconds=2)
    with path.open("wb") as recorder:
        recorder.write(with_sizes(whole, 0, 0))
        recorder.flush()
        desk.rounds.whole()
        for _ in range(19):
            desk.clock.forward(30)
            desk.rounds.looks()
            assert not desk.settled
        assert [each.why for each in desk.settler.waiting()] == [Why.UNFINISHED]
        recorder.seek(0)
        recorder.write(whole)
    desk.rounds.heard_of({raw(path): False})
    assert desk.settled == [("talk.wav", Evidence.CLOSED)]
    with path.open("r+b") as recorder:
        recorder.write(with_sizes(whole, 0, 0))
        recorder.flush()
        for _ in range(25):
            desk.clock.forward(30)
            desk.rounds.whole()
    assert desk.settled[1:] == [("talk.wav", Evidence.QUIET)], "nobody waits for ever"


# The whole way.


def test_proven_recordings_need_no_quiet_time(tmp_path: Path) -> None:
    """Written and closed, or moved in: transcribed at once, and `explain` tells which evidence counted [C12] [D16]."""
    with a_house(tmp_path, settle=NEVER) as house:
        outside = tmp_path / "talk.aac"
        outside.write_bytes(encode("adts", "aac", seconds=2))
        with house.running() as daemon:
            wait_for(lambda: daemon.lookouts["in"].snapshot().last_whole)  # it listens by now
            (house.inbox / "talk.wav").write_bytes(wav_bytes(7))
            outside.rename(house.inbox / "moved.aac")
            wait_for(lambda: len(list(house.inbox.glob("*.txt"))) == 2)
        for name, why in {"talk.wav": Evidence.CLOSED, "moved.aac": Evidence.MOVED}.items():
            told = explanation_of(house.settings(), raw(house.inbox / name))
            assert any(f"settled: {why}" in text for _, text in rows_of_explanation(told)), name


def test_recorders_cost_one_payment_each(tmp_path: Path) -> None:
    """Appending thrice, header last, pausing with the file open: one request each, of the last [C02] [C05] [C06]."""
    whole = wav_bytes(1, seconds=2)
    with a_house(tmp_path, settle="300ms") as house:
        with house.running() as daemon:
            appended = house.inbox / "appended.wav"
            appended.touch()
            third = len(whole) // 3
            for part in (whole[:third], whole[third : 2 * third], whole[2 * third :]):
                with appended.open("ab") as file:
                    file.write(part)
            with (house.inbox / "open.wav").open("wb") as recorder:
                recorder.write(with_sizes(wav_bytes(2, seconds=2), 0, 0))
                recorder.flush()
                wait_for(
                    lambda: (
                        (last := daemon.lookouts["in"].snapshot().last) is not None
                        and Why.UNFINISHED in {each.why for each in last.waiting}
                    )
                )
                wait_for(lambda: house.became(State.DELIVERED, "appended.wav"))
                assert len(house.sandbox.bill.paid) == 1
                recorder.seek(0)
                recorder.write(wav_bytes(2, seconds=2))
            wait_for(lambda: house.became(State.DELIVERED, "open.wav"))
        assert len(house.sandbox.bill.paid) == 2
        assert not house.sandbox.bill.paid_twice


def test_an_inbox_may_insist_on_quiet(tmp_path: Path) -> None:
    """With `at_once: false` a whole file waits for its quiet time, and says that this was the evidence."""
    with a_house(tmp_path, at_once=False) as house:
        with house.running():
            (house.inbox / "talk.wav").write_bytes(wav_bytes())
            wait_for(lambda: house.became(State.DELIVERED))
        assert house.noted(f"settled: {Evidence.QUIET}")


def test_once_tells_what_is_still_being_written(tmp_path: Path) -> None:
    """`once` does not wait for a recorder that has a file open, and says that it left it [C17]."""
    with a_house(tmp_path) as house:
        world = Installed(root=tmp_path, url=house.sandbox.url, key=house.sandbox.key)
        with (house.inbox / "talk.wav").open("wb") as recorder:
            recorder.write(with_sizes(wav_bytes(seconds=2), 0, 0))
            recorder.flush()
            done = world.call("once")
        assert "1 file still being written was left" in done.stdout
        assert not house.sandbox.bill.attempts

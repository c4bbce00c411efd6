"""Files that are not whole, or not the same any more: catalogue F-C, against the sandbox's bill."""

import io
import mmap
import os
import shutil
import struct
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from audio_helpers import encode
from e2e_helpers import Installed
from files_helpers import FILETRANS, Housed, a_house
from inbox_helpers import HandClock, look, raw, rule_for
from journey_helpers import a_recording
from wait_helpers import wait_for
from wav_helpers import wav_bytes

from asrwatch.audio.facts import probe
from asrwatch.bootstrap import build_parts, open_store
from asrwatch.cli.explain import explanation_of, rows_of_explanation
from asrwatch.clock import utc_now
from asrwatch.desk.foresight import foresee
from asrwatch.errors import (
    ConfigError,
    Incomplete,
    RecordingError,
    SourceChanged,
    Superseded,
    Vanished,
)
from asrwatch.files import fingerprint_of
from asrwatch.inbox.looks import Look, Why
from asrwatch.inbox.marker import Marker
from asrwatch.inbox.rounds import Rounds
from asrwatch.inbox.settle import Settler
from asrwatch.journey.evidence import Failure
from asrwatch.journey.journey import advance
from asrwatch.journey.recording import SUPERSEDED, VANISHED, Recording, State
from asrwatch.journey.source import check_arrived
from asrwatch.journey.store import Store
from asrwatch.sandbox.recogniser import Sound
from asrwatch.storages import Published, Source

SYNC: dict[str, Any] = {}
BOTH_WAYS = pytest.mark.parametrize("way", [SYNC, FILETRANS], ids=["sync", "filetrans"])


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Housed]:
    """A house in which nothing unusual happens."""
    with a_house(tmp_path) as housed:
        yield housed


class Interfering:
    """A recogniser's script that does something to the file when the first recording arrives."""

    def __init__(self, act: Any) -> None:
        self.act = act
        self.heard: list[bytes] = []

    def __call__(self, sound: Sound) -> str:
        """Hear one recording."""
        content = sound.path.read_bytes()
        self.heard.append(content)
        if len(self.heard) == 1:
            self.act()
        return f"content {content[-1]}"


def put_back(path: Path, change: Any) -> None:
    """Change a file's content in place so that `lstat` says the same as before."""
    before = path.stat()
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        change(mapped)
        mapped.flush()
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


# A file that changes on its way.


@BOTH_WAYS
def test_what_changed_while_it_was_transcribed_is_never_delivered(
    tmp_path: Path, way: dict[str, Any]
) -> None:
    """A file written to while the cloud listens: its old transcript is never delivered, the new one is [C02]."""
    talk = tmp_path / "inbox" / "talk.wav"
    script = Interfering(lambda: talk.write_bytes(wav_bytes(0x0202, seconds=0.6)))
    with a_house(tmp_path, script, **way) as house:
        with house.running():
            talk.write_bytes(wav_bytes(0x0101))
            wait_for(lambda: house.became(State.DELIVERED))
        assert (house.inbox / "talk.txt").read_text() == "content 2\n"
        assert [content[-1] for content in script.heard] == [1, 2]
        assert not house.sandbox.bill.paid_twice
        assert not list(house.inbox.glob("*.new*"))


@BOTH_WAYS
def test_a_change_that_lstat_does_not_show_is_seen(tmp_path: Path, way: dict[str, Any]) -> None:
    """Written through a memory map, with the date put back: the old transcript is not delivered as final [C04]."""
    talk = tmp_path / "inbox" / "talk.wav"

    def second_take(mapped: mmap.mmap) -> None:
        mapped[-1] = 2

    script = Interfering(lambda: put_back(talk, second_take))
    with a_house(tmp_path, script, **way) as house:
        with house.running():
            talk.write_bytes(wav_bytes(0x0101))
            wait_for(lambda: house.became(State.DELIVERED))
        assert (house.inbox / "talk.txt").read_text() == "content 2\n"
        old, new = house.recordings()[b"talk.wav"]
        assert old.failure is not None
        assert old.failure.code == "superseded"
        assert old.fingerprint == new.fingerprint
        assert new.state is State.DELIVERED


def test_what_superseded_a_recording_is_looked_at_after_a_restart(
    store: Store, now: datetime
) -> None:
    """A file whose recording was superseded counts as unknown, so that a crash loses no newer take [C02] [C04]."""
    with store.transaction():
        paid = store.add(a_recording(State.SETTLED, now))
        assert [path for path, _ in store.known("inbox")] == [paid.path]
        failure = Failure.of(Superseded("It changed.", code=SUPERSEDED))
        store.save(paid, paid.fail(failure, now=now))
    assert not list(store.known("inbox"))


def test_a_file_put_back_while_nobody_looked_goes_on(house: Housed) -> None:
    """Gone when it was to be read, and back before the next start: the recording goes on by itself [C13] [X05]."""
    talk = house.inbox / "talk.wav"
    talk.write_bytes(wav_bytes(1))
    with open_store(house.settings()) as store, store.transaction():
        now = datetime.now(tz=UTC)
        fingerprint = fingerprint_of(talk.lstat())
        found = Recording.found(inbox="in", path=raw(talk), fingerprint=fingerprint, now=now)
        added = store.add(found)
        gone = Failure.of(Vanished("It is gone.", code=VANISHED))
        store.save(added, added.fail(gone, now=now))
    with house.running():
        wait_for(lambda: house.became(State.DELIVERED))
    assert house.noted("the file is back")


@BOTH_WAYS
def test_a_file_deleted_after_it_was_sent_is_delivered(tmp_path: Path, way: dict[str, Any]) -> None:
    """What was paid for is kept and delivered although the file is gone, or a link has its name [C13]."""
    talk = tmp_path / "inbox" / "talk.wav"
    with a_house(tmp_path, Interfering(talk.unlink), **way) as house:
        with house.running():
            talk.write_bytes(wav_bytes(0x0101))
            wait_for((house.inbox / "talk.txt").exists)
        assert (house.inbox / "talk.txt").read_text() == "content 1\n"


def test_a_file_replaced_while_it_waits_is_paid_for_once(house: Housed) -> None:
    """Renamed over while its engine is held: only the new content is bought, under the same recording [C12]."""
    house.key_file.touch(mode=0o600)
    house.key_file.write_text("sk-wrong-key")
    talk = house.inbox / "talk.wav"
    with house.running():
        talk.write_bytes(wav_bytes(1))
        wait_for(lambda: house.became(State.STAGED))
        newer = house.inbox / "talk.tmp"
        newer.write_bytes(wav_bytes(2, seconds=1))
        newer.rename(talk)
        wait_for(lambda: house.noted("the file changed and settled again"))
        house.key_file.write_text(house.sandbox.key)
        wait_for(lambda: house.became(State.DELIVERED))
    (recording,) = house.recordings()[b"talk.wav"]
    assert recording.reading is not None
    assert [paid.sha256 for paid in house.sandbox.bill.paid] == [recording.reading.sha256]


def test_a_file_deleted_while_it_waits_costs_nothing(house: Housed) -> None:
    """Gone before anything was paid: the recording says so, and nobody is asked [C13]."""
    house.key_file.touch(mode=0o600)
    house.key_file.write_text("sk-wrong-key")
    with house.running():
        (house.inbox / "talk.wav").write_bytes(wav_bytes())
        wait_for(lambda: house.became(State.STAGED))
        (house.inbox / "talk.wav").unlink()
        house.key_file.write_text(house.sandbox.key)
        wait_for(lambda: house.became(State.FAILED))
    assert not house.sandbox.bill.paid


class Meddling:
    """A storage, and an engine, that lets something happen to the file when half of it was read."""

    name = "meddling"
    copies = True
    streams = False

    def __init__(self, act: Any) -> None:
        self.act = act

    def publish(self, source: Source, *, ask_id: str, model: str) -> Published:
        """Read the file as an upload does."""
        self.read(source.stream)
        return Published(url=f"https://cloud.example/{model}/{ask_id}.wav", expires=None)

    def read(self, stream: BinaryIO) -> None:
        """Half of it, then the rest."""
        stream.read(1_000)
        self.act()
        while stream.read(2**16):
            pass


MEDDLERS: dict[str, Callable[[Path], object]] = {
    "truncated": lambda path: os.truncate(path, 2_000),
    "appended": lambda path: path.write_bytes(path.read_bytes() + b"more"),
    "replaced": lambda path: Path(shutil.copy(path, path.with_suffix(".new"))).replace(path),
    "rewritten without a trace": lambda path: put_back(path, lambda mapped: mapped.__setitem__(-1, 9)),
    "deleted": Path.unlink,
}  # fmt: skip


@pytest.mark.parametrize("how", MEDDLERS)
def test_an_upload_of_what_changed_meanwhile_is_thrown_away(house: Housed, how: str) -> None:
    """Truncated, written to, replaced or deleted during the upload: nothing is asked about it [C14] [C13] [C02]."""
    talk = house.inbox / "talk.wav"
    talk.write_bytes(wav_bytes(seconds=20))
    route = build_parts(house.settings()).routes["in"]
    by_url = replace(route, engine="qwen3-asr-flash-filetrans")
    found = Recording.found(
        inbox="in", path=raw(talk), fingerprint=fingerprint_of(talk.lstat()), now=utc_now()
    )
    read = advance(found, by_url, clock=utc_now)
    assert read.reading is not None
    meddling: Any = Meddling(lambda: MEDDLERS[how](talk))
    with pytest.raises((SourceChanged, Vanished)):
        advance(read, replace(by_url, storage=meddling), clock=utc_now)
    assert not house.sandbox.bill.attempts


# Files that are not whole yet.


def cut_wav() -> bytes:
    """The first half of a WAV."""
    whole = wav_bytes(seconds=2)
    return whole[: len(whole) // 2]


def header_last_wav() -> bytes:
    """A WAV whose header is still to be written over its first bytes."""
    whole = wav_bytes(seconds=2)
    return bytes(44) + whole[44:]


def header_first_wav() -> bytes:
    """A recorder's header, and nothing behind it."""
    return wav_bytes(seconds=2)[:44]


def mp4_without_index() -> bytes:
    """What an MP4 recorder has written before it closes the file."""
    return struct.pack(">I4s", 24, b"ftyp") + b"isom\0\0\2\0isomiso2" + struct.pack(
        ">I4s", 8 + 5_000, b"mdat"
    ) + bytes(range(250)) * 20  # fmt: skip


INCOMPLETE = {
    "cut.wav": cut_wav,
    "header-last.wav": header_last_wav,
    "header-first.wav": header_first_wav,
    "no-index.m4a": mp4_without_index,
}


@pytest.mark.parametrize("name", INCOMPLETE)
def test_a_file_that_is_not_whole_is_told(name: str) -> None:
    """Cut, header still to come, nothing behind the header, no index: said to be incomplete [C06] [C07]."""
    with pytest.raises(Incomplete):
        probe(io.BytesIO(INCOMPLETE[name]()), name.encode(), whole=True)


@pytest.mark.parametrize(
    ("ending", "codec", "container"),
    [("m4a", "aac", "mp4"), ("ogg", "libopus", "ogg"), ("aiff", "pcm_s16be", "aiff"),
     ("mkv", "libopus", "matroska"), ("flac", "flac", "flac"), ("mp3", "libmp3lame", "mp3"),
     ("caf", "pcm_s16le", "caf"), ("au", "pcm_s16be", "au"), ("wma", "wmav2", "asf"), ("w64", "pcm_s16le", "w64")],
)  # fmt: skip
def test_containers_that_were_cut_are_told(ending: str, codec: str, container: str) -> None:
    """A copy that broke off half way is told from the whole file in every container that can tell [C07]."""
    wma: dict[str, Any] = {"rate": 44_100, "bit_rate": 64_000} if codec == "wmav2" else {}
    whole = encode(container, codec, seconds=9, **wma)
    name = f"talk.{ending}".encode()
    probe(io.BytesIO(whole), name, whole=True)
    with pytest.raises(Incomplete):
        probe(io.BytesIO(whole[: len(whole) * 2 // 3]), name, whole=True)


def test_what_follows_a_recording_does_not_make_it_cut() -> None:
    """Tags behind a FLAC or an MP3, and a FLAC that lost a byte, are no half of a recording [C07]."""
    tag = b"TAG" + bytes(125)
    for container, codec in (("flac", "flac"), ("mp3", "libmp3lame")):
        whole = encode(container, codec, seconds=3)
        for content in (whole, whole + tag, whole[:-1], whole + b"\xff\xf8" * 50):
            assert probe(io.BytesIO(content), b"talk", whole=True).duration


def test_a_flac_whose_frames_are_said_to_differ_is_no_half() -> None:
    """Where the header gives no one length of frames, their numbers do not tell how far they reach [C07]."""
    whole = bytearray(encode("flac", "flac", seconds=9))
    assert whole[8:10] == whole[10:12]
    whole[8:10] = (16).to_bytes(2, "big")
    assert probe(io.BytesIO(whole), b"talk", whole=True).duration


def test_a_header_that_cannot_know_the_size_is_no_proof() -> None:
    """Streamed WAVs claim four gigabytes, arecord's nearly two: they are sent [C07]."""
    whole = wav_bytes(seconds=1)
    for claimed in (0xFFFFFFFF, 0xFFFFFFDB, 0x80000000, 0x7FFFFFFF, 0x7FFFF000, 0):
        streamed = whole[:40] + struct.pack("<I", claimed) + whole[44:]
        assert probe(io.BytesIO(streamed), b"talk.wav", whole=True).container == "wav"


def test_half_of_many_gigabytes_is_told() -> None:
    """A WAV of three gigabytes, and an RF64 of nine, of which some have come so far, are not whole [C07]."""
    whole = wav_bytes(seconds=1)
    head = b"WAVE" + b"ds64" + struct.pack("<IQQQI", 28, 9 << 30, 9 << 30, 0, 0)
    wav = whole[:40] + struct.pack("<I", 3 << 30) + whole[44:]
    rf64 = b"RF64" + b"\xff" * 4 + head + whole[12:40] + b"\xff" * 4 + whole[44:]
    for begun in (wav, rf64):
        with pytest.raises(Incomplete):
            probe(io.BytesIO(begun), b"talk.wav", whole=True)


def test_incomplete_files_wait_and_are_sent_when_whole(house: Housed) -> None:
    """Recorders that close their files late cost one payment each, for the whole recording [C05] [C06] [C07]."""
    whole = {"cut.wav": wav_bytes(seconds=2), "header-first.wav": wav_bytes(7, seconds=2)}
    whole["header-last.wav"] = wav_bytes(9, seconds=2)
    with house.running():
        (house.inbox / "cut.wav").write_bytes(cut_wav())
        (house.inbox / "header-first.wav").write_bytes(header_first_wav())
        (house.inbox / "header-last.wav").write_bytes(bytes(44) + whole["header-last.wav"][44:])
        wait_for(lambda: house.noted("ends before its headers"))
        wait_for(lambda: house.noted("no sound follows"))
        wait_for(lambda: house.noted("not written yet"))
        assert not house.sandbox.bill.attempts
        for name, content in whole.items():
            with (house.inbox / name).open("r+b") as file:
                file.write(content)
        wait_for(lambda: len(list(house.inbox.glob("*.txt"))) == 3)
    assert len(house.sandbox.bill.paid) == 3
    assert not house.sandbox.bill.paid_twice


def test_a_cut_file_fails_unpaid_in_the_end(tmp_path: Path) -> None:
    """When `wait_for_rest` is over a cut recording fails as truncated, costs nothing, and heals with its rest [C07]."""
    with a_house(tmp_path, wait_for_rest="1ms") as house:
        talk = house.inbox / "talk.wav"
        with house.running():
            talk.write_bytes(cut_wav())
            wait_for(lambda: house.became(State.FAILED))
            assert not house.sandbox.bill.attempts
            talk.write_bytes(wav_bytes(seconds=2))
            wait_for(lambda: house.became(State.DELIVERED))
        failed = next(
            change.after for change in house.changes if change.after.state is State.FAILED
        )
        assert failed.failure is not None
        assert failed.failure.code == "truncated"
        assert len(house.sandbox.bill.paid) == 1


def test_once_waits_for_no_rest(tmp_path: Path) -> None:
    """`once` ends with a cut file failed, names it, and counts files whose marker is missing [C07] [C16]."""
    with a_house(tmp_path) as house:
        keys = {"done_marker": "{name}.done"}
        world = Installed(
            root=tmp_path, url=house.sandbox.url, key=house.sandbox.key, inbox_keys=keys
        )
        for name, content in {"cut.wav": cut_wav(), "talk.wav": wav_bytes(3)}.items():
            (house.inbox / name).write_bytes(content)
            (house.inbox / f"{name}.done").touch()
        (house.inbox / "unmarked.wav").write_bytes(wav_bytes(4))
        done = world.call("once")
        assert done.returncode == 1
        assert "cut.wav is not whole" in done.stderr
        assert "1 recording transcribed" in done.stdout
        assert "without a marker was left" in done.stdout
        assert len(house.sandbox.bill.paid) == 1


def test_explain_foresees_the_wait(house: Housed) -> None:
    """`explain` says of a cut file that it would wait, for how long, and why [C07]."""
    settings = house.settings()
    (house.inbox / "talk.wav").write_bytes(cut_wav())
    told = foresee(
        os.fsencode(house.inbox / "talk.wav"), settings, lambda: build_parts(settings).routes
    )
    assert "wait for its rest, for 1h" in told.verdict
    assert "ends before its headers" in told.verdict


def test_an_empty_file_is_told_in_the_end(tmp_path: Path) -> None:
    """Zero bytes wait, then fail for a person to see, and are taken up with their first bytes [C08]."""
    with a_house(tmp_path, wait_for_rest="500ms") as house:
        talk = house.inbox / "talk.wav"
        with house.running():
            talk.touch()
            wait_for(lambda: house.became(State.FAILED))
            talk.write_bytes(wav_bytes())
            wait_for(lambda: house.became(State.DELIVERED))
        failed = next(
            change.after for change in house.changes if change.after.state is State.FAILED
        )
        assert failed.failure is not None
        assert failed.failure.code == "no-audio"
        assert len(house.sandbox.bill.paid) == 1


def test_an_empty_file_waits_its_time() -> None:
    """An empty file is held until its time is over, then reported once; a marker holds without end [C08]."""
    deciding = Settler(settle=timedelta(seconds=5), empty_for=timedelta(minutes=10))
    empty = look(size=0)
    for now in (0, 5, 300, 599):
        assert not deciding.look(empty, now)
    assert [waiting.why for waiting in deciding.waiting()] == [Why.EMPTY]
    assert deciding.look(empty, 601)
    assert not deciding.look(empty, 602)


def test_a_file_of_holes_is_never_sent(house: Housed) -> None:
    """A sparse gigabyte without a single written byte waits, is shown, and is not paid for [C09] [C03]."""
    hole = house.inbox / "reserved.wav"
    with house.running():
        with hole.open("wb") as file:
            file.truncate(2**30)
        wait_for(lambda: house.noted("only the size is there"))
    assert not house.sandbox.bill.attempts
    told = explanation_of(house.settings(), raw(hole))
    assert told.story is not None
    assert told.story.state is State.SETTLED
    assert any("only the size is there" in text for _, text in rows_of_explanation(told))


def test_reserved_space_that_is_filled_is_seen(tmp_path: Path) -> None:
    """Size, blocks and a date put back hide nothing: the change of the inode begins the quiet time anew [C03]."""
    path = tmp_path / "talk.wav"
    path.write_bytes(wav_bytes())
    clock, settled = HandClock(), list[Look]()
    rounds = Rounds(
        rule=rule_for(tmp_path),
        recursive=True,
        settler=Settler(settle=timedelta(seconds=5)),
        settled=lambda look, _: settled.append(look),
        clock=clock,
    )
    rounds.whole()
    for _ in range(3):
        clock.forward(4)
        put_back(path, lambda mapped: mapped.write(b"RIFF"))
        rounds.whole()
        assert not settled
    clock.forward(6)
    rounds.whole()
    assert [each.path for each in settled] == [raw(path)]


def test_a_hole_is_told_from_a_file(tmp_path: Path) -> None:
    """Reserved space is a hole, one written byte anywhere makes it a file, and the position stays [C03] [C09]."""
    path = tmp_path / "talk.wav"
    with path.open("w+b") as file:
        os.posix_fallocate(file.fileno(), 0, 2**20)
        with pytest.raises(Incomplete, match="reserved"):
            check_arrived(file, raw(path), None)
        os.pwrite(file.fileno(), b"x", 2**19)
        check_arrived(file, raw(path), None)
        assert file.tell() == 0


# Markers.


@pytest.mark.parametrize("order", ["recording first", "marker first"])
def test_a_recording_is_taken_with_its_marker(tmp_path: Path, order: str) -> None:
    """With `done_marker` both must be there, in whichever order they came; the marker is no recording [C16]."""
    with a_house(tmp_path, done_marker="{name}.done", include=["*"]) as house:
        talk, marker = house.inbox / "talk.wav", house.inbox / "talk.wav.done"
        first, second = (talk, marker) if order == "recording first" else (marker, talk)
        with house.running() as daemon:
            first.write_bytes(wav_bytes() if first is talk else b"")
            lookout = daemon.lookouts["in"]
            whys = [Why.UNMARKED] if first is talk else []
            wait_for(
                lambda: (
                    (last := lookout.snapshot().last) is not None
                    and [each.why for each in last.waiting] == whys
                )
            )
            assert not house.changes
            second.write_bytes(wav_bytes() if second is talk else b"")
            wait_for(lambda: house.became(State.DELIVERED))
        assert set(house.recordings()) == {b"talk.wav"}


def test_a_marker_alone_is_nothing(tmp_path: Path) -> None:
    """A marker without its recording waits for it and is nothing else; why is told in words [C16]."""
    rule = rule_for(tmp_path, include=["*"], marker=Marker("{stem}.ok"))
    assert not rule.wants_file(raw(tmp_path / "talk.ok"))
    assert rule.concerns(raw(tmp_path / "talk.ok"))
    assert "done_marker" in (rule.why_not(raw(tmp_path / "talk.ok")) or "")
    assert rule.wants_file(raw(tmp_path / "talk.wav"))


@pytest.mark.parametrize("pattern", ["done", "{name}", "{stem}", "{name}/done", "{other}.done", ""])
def test_a_marker_names_its_recording(pattern: str) -> None:
    """A pattern without the recording's name, with nothing else, or with a folder is refused [C16]."""
    with pytest.raises(ConfigError, match="name with"):
        Marker(pattern)


def test_names_of_any_bytes_have_markers(tmp_path: Path) -> None:
    """A name that is not UTF-8, or has line feeds and braces, has a marker like any other [C16]."""
    marker = Marker("{name}.done")
    for name in (b"\xff\n.wav", b"{stem}.wav", b"a.wav"):
        path = raw(tmp_path) + b"/" + name
        assert not marker.is_there(path)
        Path(os.fsdecode(path + b".done")).touch()
        assert marker.is_there(path)
        assert marker.is_one(os.fsdecode(name + b".done"))


def test_readers_refuse_what_they_always_refused() -> None:
    """Unless asked whether it is whole, a cut WAV is a recording, as `transcribe FILE` takes it [C07]."""
    assert probe(io.BytesIO(cut_wav()), b"talk.wav").container == "wav"
    with pytest.raises(RecordingError, match="empty"):
        probe(io.BytesIO(b""), b"talk.wav")

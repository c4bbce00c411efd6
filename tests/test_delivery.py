# ruff: noqa: PTH104, PTH106, PTH108, PTH116, PTH123, PTH208, PTH211 - names of any bytes, which pathlib cannot hold
import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asrwatch import files
from asrwatch.errors import OurBug, RecordingError, TemporaryError
from asrwatch.journey.delivery import Original, Rendered, Rules, decide, finish, save, write
from asrwatch.journey.evidence import Fingerprint, Output, Reading
from asrwatch.journey.plan import AudioFacts, Plan
from asrwatch.journey.recording import Recording, State

NOW = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)
SOUND = b"RIFF" + bytes(5_000)
TEXTS = (Rendered.of("txt", "Hello.\n"), Rendered.of("json", '{"text": "Hello."}\n'))


def nobody(path: bytes) -> None:
    """No recording owns any path."""
    del path


def among(owner_of: Callable[[bytes], int | None]) -> Callable[[Sequence[bytes]], frozenset[int]]:
    """Owners of many paths, from who owns one."""

    def owners_of(paths: Sequence[bytes]) -> frozenset[int]:
        return frozenset(owner for path in paths if (owner := owner_of(path)) is not None)

    return owners_of


def rules(
    inbox: bytes,
    *,
    output: Literal["beside"] | bytes = "beside",
    after: Literal["keep", "delete"] | bytes = "keep",
    formats: tuple[str, ...] = ("txt", "json"),
) -> Rules:
    """What an inbox wants."""
    return Rules(inbox=inbox, output=output, formats=formats, after=after)


def transcribed(path: bytes, *, number: int = 1, exists: bool = True) -> Recording:
    """A recording at `path` whose answer is in hand."""
    if exists:
        os.makedirs(os.path.dirname(path), exist_ok=True)  # noqa: PTH103, PTH120 - bytes
        with open(path, "wb") as recorder:
            recorder.write(SOUND)
        fingerprint = files.fingerprint_of(os.lstat(path))
    else:
        fingerprint = Fingerprint(device=1, inode=2, size=3, mtime_ns=4)
    return Recording(
        inbox="inbox",
        path=path,
        fingerprint=fingerprint,
        found_at=NOW,
        changed_at=NOW,
        due=NOW,
        id=number,
        state=State.TRANSCRIBED,
        reading=Reading(
            sha256=hashlib.sha256(SOUND).hexdigest(),
            facts=AudioFacts(),
            plan=Plan(engine="e", model="m"),
        ),
    )


def decided(
    recording: Recording, wanted: Rules, owner_of: Callable[[bytes], int | None] = nobody
) -> Recording:
    """The recording with its outputs named, as the main thread saves it."""
    return recording.owning(decide(recording, wanted, owners_of=among(owner_of)))


def paths(outputs: tuple[Output, ...]) -> list[bytes]:
    """Where outputs lie."""
    return [output.path for output in outputs]


def content(path: bytes) -> bytes:
    """What is in a file."""
    with open(path, "rb") as stream:
        return stream.read()


@pytest.fixture
def inbox(tmp_path: Path) -> bytes:
    """An inbox's folder."""
    (tmp_path / "inbox").mkdir()
    return os.fsencode(tmp_path / "inbox")


# names


def test_outputs_are_named_after_the_stem(inbox: bytes) -> None:
    """`talk.wav` becomes `talk.txt` and `talk.json`, beside it, not written yet."""
    recording = transcribed(inbox + b"/talk.wav", exists=False)
    outputs = decide(recording, rules(inbox), owners_of=among(nobody))
    assert paths(outputs) == [inbox + b"/talk.txt", inbox + b"/talk.json"]
    assert [(output.format, output.sha256) for output in outputs] == [("txt", ""), ("json", "")]


def test_a_name_another_recording_owns_gets_the_ending_in(inbox: bytes) -> None:
    """`talk.mp3` beside `talk.wav` becomes `talk.mp3.txt`, for all formats alike."""
    recording = transcribed(inbox + b"/talk.mp3", exists=False)
    owned = {inbox + b"/talk.json": 7}
    outputs = decide(recording, rules(inbox), owners_of=among(owned.get))
    assert paths(outputs) == [inbox + b"/talk.mp3.txt", inbox + b"/talk.mp3.json"]
    assert paths(decide(replace(recording, id=7), rules(inbox), owners_of=among(owned.get))) == [
        inbox + b"/talk.txt",
        inbox + b"/talk.json",
    ]


def test_a_new_recording_under_an_old_name_gets_names_of_its_own(inbox: bytes) -> None:
    """Recorders reuse names: the third `talk.wav` does not touch the transcripts of the first two."""
    owned = {inbox + b"/talk.txt": 1, inbox + b"/talk.wav.txt": 2}
    third = transcribed(inbox + b"/talk.wav", number=3, exists=False)
    outputs = decide(third, rules(inbox, formats=("txt",)), owners_of=among(owned.get))
    assert paths(outputs) == [inbox + b"/talk.wav.2.txt"]


def test_folders_are_mirrored_into_the_output_folder(inbox: bytes) -> None:
    """A recording deep in the inbox is transcribed as deep in the output folder."""
    recording = transcribed(inbox + b"/2026/07/talk.wav", exists=False)
    outputs = decide(
        recording, rules(inbox, output=b"/out", formats=("txt",)), owners_of=among(nobody)
    )
    assert paths(outputs) == [b"/out/2026/07/talk.txt"]
    outside = transcribed(b"/elsewhere/2026/talk.wav", exists=False)
    outputs = decide(
        outside, rules(inbox, output=b"/out", formats=("txt",)), owners_of=among(nobody)
    )
    assert paths(outputs) == [b"/out/talk.txt"]


def test_decided_paths_stay(inbox: bytes) -> None:
    """What was decided before is kept, whatever the rules say now; new formats are added."""
    before = Output(format="txt", path=b"/old/talk.new.txt", sha256="ab")
    recording = replace(transcribed(inbox + b"/talk.wav", exists=False), outputs=(before,))
    outputs = decide(recording, rules(inbox, formats=("srt", "txt")), owners_of=among(nobody))
    assert outputs == (Output(format="srt", path=inbox + b"/talk.srt", sha256=""), before)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (b"talk", b"talk.txt"),
        (b"talk.2026.07.wav", b"talk.2026.07.txt"),
        (b"..wav", b"..wav.txt"),
        (b"-i.wav", b"-i.txt"),
        (b"%s {0} ${jndi}.wav", b"%s {0} ${jndi}.txt"),
        (b"a\nb\x1b[31m\xff.wav", b"a\nb\x1b[31m\xff.txt"),
        ("e\u0301.wav".encode(), "e\u0301.txt".encode()),
    ],
)
def test_names_are_taken_literally(inbox: bytes, name: bytes, expected: bytes) -> None:
    """No name is a pattern, an option or text: its bytes are kept [N01] [N02] [N07] [N08] [N10]."""
    recording = transcribed(inbox + b"/" + name, exists=False)
    outputs = decide(recording, rules(inbox, formats=("txt",)), owners_of=among(nobody))
    assert paths(outputs) == [inbox + b"/" + expected]


def test_an_output_never_has_the_recordings_own_name(inbox: bytes) -> None:
    """A recording that ends as a format does is not its own transcript."""
    recording = transcribed(inbox + b"/talk.txt", exists=False)
    outputs = decide(recording, rules(inbox, formats=("txt",)), owners_of=among(nobody))
    assert paths(outputs) == [inbox + b"/talk.txt.txt"]


def test_the_names_beside_a_foreign_file_belong_to_one_recording(inbox: bytes) -> None:
    """Two silent recordings of one stem, beside a person's own text, never claim the same `.new` file."""
    only_text, silent = rules(inbox, formats=("txt",)), (Rendered.of("txt", "\n"),)
    files.write_atomically(inbox + b"/talk.txt", b"typed by hand")
    owned: dict[bytes, int] = {}
    for number, name in enumerate([b"talk.wav", b"talk.mp3", b"talk.new.wav"], 1):
        recording = decided(
            transcribed(inbox + b"/" + name, number=number), only_text, owner_of=owned.get
        )
        for path in paths(write(recording, only_text, silent)):
            assert path not in owned
            owned[path] = number
    assert sorted(owned) == [
        inbox + b"/talk.mp3.txt",
        inbox + b"/talk.new.txt",
        inbox + b"/talk.new.wav.txt",
    ]


NAMES = st.binary(min_size=1, max_size=255).filter(
    lambda name: not set(name) & set(b"/\0") and name not in (b".", b"..")
)


@settings(max_examples=200)
@given(st.lists(NAMES, min_size=1, max_size=12, unique=True), st.sampled_from([143, 255]))
def test_no_two_recordings_share_an_output(names: list[bytes], limit: int) -> None:
    """However alike or long the names, every recording has its own outputs, and they fit [N04] [N05]."""
    owned: dict[bytes, int] = {}
    for number, name in enumerate(names, 1):
        recording = transcribed(b"/inbox/" + name, number=number, exists=False)
        outputs = decide(recording, rules(b"/inbox"), owners_of=among(owned.get), limit=limit)
        for path in paths(outputs):
            assert path not in owned
            assert len(os.path.basename(path)) <= limit  # noqa: PTH119 - bytes
            assert path != recording.path
            owned[path] = number


# writing


def test_outputs_are_written_beside_the_recording(inbox: bytes) -> None:
    """Every format's content is in its place, and the outputs carry its hash."""
    recording = decided(transcribed(inbox + b"/talk.wav"), rules(inbox))
    outputs = write(recording, rules(inbox), TEXTS)
    assert [content(path) for path in paths(outputs)] == [piece.content for piece in TEXTS]
    assert [output.sha256 for output in outputs] == [piece.sha256 for piece in TEXTS]
    assert sorted(os.listdir(inbox)) == [b"talk.json", b"talk.txt", b"talk.wav"]


def test_writing_needs_a_decision(inbox: bytes) -> None:
    """Nothing is written to a path that no row holds."""
    with pytest.raises(OurBug, match="txt"):
        write(transcribed(inbox + b"/talk.wav"), rules(inbox), TEXTS)
    assert os.listdir(inbox) == [b"talk.wav"]


def test_writing_again_changes_nothing(inbox: bytes) -> None:
    """A repeat finds its own complete files and leaves them, times included."""
    recording = decided(transcribed(inbox + b"/talk.wav"), rules(inbox))
    first = write(recording, rules(inbox), TEXTS)
    before = [os.stat(path) for path in paths(first)]
    assert write(recording, rules(inbox), TEXTS) == first
    assert write(recording.owning(first), rules(inbox), TEXTS) == first
    after = [os.stat(path) for path in paths(first)]
    assert [(seen.st_ino, seen.st_mtime_ns) for seen in after] == [
        (seen.st_ino, seen.st_mtime_ns) for seen in before
    ]


def test_an_output_of_ours_is_replaced(inbox: bytes) -> None:
    """What we wrote, unedited since, gives way to a newer text."""
    recording = decided(transcribed(inbox + b"/talk.wav"), rules(inbox))
    recording = recording.owning(write(recording, rules(inbox), TEXTS))
    newer = (Rendered.of("txt", "Hello again.\n"),)
    outputs = write(recording, rules(inbox), newer)
    assert paths(outputs) == [inbox + b"/talk.txt"]
    assert content(outputs[0].path) == b"Hello again.\n"


def test_a_file_of_somebody_else_stays(inbox: bytes) -> None:
    """A transcript that lay there before is kept; ours is `talk.new.txt`."""
    recording = decided(transcribed(inbox + b"/talk.wav"), rules(inbox))
    files.write_atomically(inbox + b"/talk.txt", b"typed by hand")
    outputs = write(recording, rules(inbox), TEXTS)
    assert paths(outputs) == [inbox + b"/talk.new.txt", inbox + b"/talk.json"]
    assert content(inbox + b"/talk.txt") == b"typed by hand"
    # a crash before the row was saved: the repeat finds what it wrote
    assert write(recording, rules(inbox), TEXTS) == outputs
    assert b"talk.new2.txt" not in os.listdir(inbox)


def test_an_edited_output_stays(inbox: bytes) -> None:
    """What a person corrected is never overwritten, however often the text is delivered."""
    recording = decided(transcribed(inbox + b"/talk.wav"), rules(inbox, formats=("txt",)))
    expected = [b"talk.txt", b"talk.new.txt", b"talk.new2.txt", b"talk.new3.txt"]
    for number, name in enumerate(expected):
        piece = Rendered.of("txt", f"Take {number}.\n")
        outputs = write(recording, rules(inbox), (piece,))
        assert paths(outputs) == [inbox + b"/" + name]
        recording = recording.owning(outputs)
        with open(outputs[0].path, "ab") as editor:
            editor.write(b"Corrected.\n")
    for number, name in enumerate(expected):
        assert content(inbox + b"/" + name) == b"Take %d.\nCorrected.\n" % number


@pytest.mark.parametrize("way", ["folder", "link", "dangling", "pipe"])
def test_what_is_no_file_stays(inbox: bytes, way: str) -> None:
    """A folder, a link or a pipe under the output's name is left alone, and never opened [S13]."""
    recording = decided(transcribed(inbox + b"/talk.wav"), rules(inbox, formats=("txt",)))
    victim = inbox + b"/victim"
    files.write_atomically(victim, TEXTS[0].content)
    make: dict[str, Callable[[bytes], None]] = {
        "folder": os.mkdir,
        "link": lambda path: os.symlink(victim, path),
        "dangling": lambda path: os.symlink(b"nowhere", path),
        "pipe": os.mkfifo,
    }
    make[way](inbox + b"/talk.txt")
    before = os.lstat(inbox + b"/talk.txt")
    outputs = write(recording, rules(inbox), TEXTS[:1])
    assert paths(outputs) == [inbox + b"/talk.new.txt"]
    assert os.lstat(inbox + b"/talk.txt").st_ino == before.st_ino
    assert content(victim) == TEXTS[0].content


def test_an_output_that_was_deleted_is_written_again(inbox: bytes) -> None:
    """A person who deletes a transcript and asks for it again gets it under the same name."""
    recording = decided(transcribed(inbox + b"/talk.wav"), rules(inbox))
    recording = recording.owning(write(recording, rules(inbox), TEXTS))
    os.unlink(inbox + b"/talk.txt")
    assert write(recording, rules(inbox), TEXTS) == recording.outputs
    assert content(inbox + b"/talk.txt") == TEXTS[0].content


@pytest.mark.parametrize(
    "name",
    [
        b"x" * 251 + b".wav",
        ("录音" * 41).encode() + b".wav",
        b"\xff\n\x1b" * 83 + b".wav",
    ],
)
def test_the_longest_names_are_delivered(inbox: bytes, name: bytes) -> None:
    """A name as long as the file system takes has its outputs too, `.new` ones included [N04]."""
    recording = decided(transcribed(inbox + b"/" + name), rules(inbox))
    first = write(recording, rules(inbox), TEXTS)
    assert [content(path) for path in paths(first)] == [piece.content for piece in TEXTS]
    with open(first[1].path, "ab") as editor:
        editor.write(b"edited")
    second = write(recording.owning(first), rules(inbox), TEXTS)
    assert second[0] == first[0]
    assert second[1].path != first[1].path
    assert len(os.listdir(inbox)) == 4


def test_a_folder_that_went_away_is_made_again(inbox: bytes) -> None:
    """What was paid for is delivered although the recording's folder was deleted meanwhile."""
    recording = decided(transcribed(inbox + b"/day/talk.wav"), rules(inbox))
    os.unlink(inbox + b"/day/talk.wav")
    os.rmdir(inbox + b"/day")
    write(recording, rules(inbox), TEXTS)
    assert sorted(os.listdir(inbox + b"/day")) == [b"talk.json", b"talk.txt"]


def test_a_linked_folder_does_not_lead_outputs_out(inbox: bytes, tmp_path: Path) -> None:
    """A folder that was replaced by a link meanwhile fails the delivery; nothing is written there."""
    (tmp_path / "trap").mkdir()
    recording = decided(transcribed(inbox + b"/day/talk.wav"), rules(inbox))
    os.rename(inbox + b"/day", inbox + b"/gone")
    os.symlink(os.fsencode(tmp_path / "trap"), inbox + b"/day")
    with pytest.raises(RecordingError):
        write(recording, rules(inbox), TEXTS)
    assert list((tmp_path / "trap").iterdir()) == []


def test_saving_without_a_row_never_overwrites(tmp_path: Path) -> None:
    """`transcribe --save` writes beside what lies there, and finds its own text again."""
    folder = os.fsencode(tmp_path / "new")
    assert paths(save(folder, b"talk", TEXTS)) == [folder + b"/talk.txt", folder + b"/talk.json"]
    assert paths(save(folder, b"talk", TEXTS[:1])) == [folder + b"/talk.txt"]
    other = (Rendered.of("txt", "Something else.\n"),)
    assert paths(save(folder, b"talk", other)) == [folder + b"/talk.new.txt"]


def test_saving_again_keeps_the_formats_together(tmp_path: Path) -> None:
    """Where one format's name is taken by other content, all of them move on to the same new stem."""
    folder = os.fsencode(tmp_path)
    save(folder, b"talk", TEXTS)
    again = (TEXTS[0], Rendered.of("json", '{"asked": "again"}\n'))
    beside = [folder + b"/talk.new.txt", folder + b"/talk.new.json"]
    assert paths(save(folder, b"talk", again)) == beside
    assert paths(save(folder, b"talk", again)) == beside
    third = (TEXTS[0], Rendered.of("json", "{}\n"))
    assert paths(save(folder, b"talk", third)) == [
        folder + b"/talk.new2.txt",
        folder + b"/talk.new2.json",
    ]
    assert (tmp_path / "talk.json").read_bytes() == TEXTS[1].content


def test_rendered_text_is_always_utf8() -> None:
    """A lone surrogate in a text is escaped rather than failing a paid recording."""
    assert Rendered.of("txt", "a\udcffb\n").content == b"a\\udcffb\n"


# the original


def test_keep_keeps(inbox: bytes) -> None:
    """Nothing happens to an original that is to be kept."""
    recording = transcribed(inbox + b"/talk.wav")
    assert finish(recording, rules(inbox)) == Original(path=recording.path)
    assert content(recording.path) == SOUND


def test_delete_deletes_once(inbox: bytes) -> None:
    """The original goes, and a repeat after a crash finds nothing to do."""
    recording = transcribed(inbox + b"/talk.wav")
    for _ in range(2):
        assert finish(recording, rules(inbox, after="delete")) == Original(path=None)
    assert os.listdir(inbox) == []


def test_move_mirrors_the_inbox(inbox: bytes, tmp_path: Path) -> None:
    """The original goes to the same place below the folder for the finished, once."""
    done = os.fsencode(tmp_path / "done")
    recording = transcribed(inbox + b"/2026/talk.wav")
    for _ in range(2):
        moved = finish(recording, rules(inbox, after=done))
        assert moved == Original(path=done + b"/2026/talk.wav")
    assert content(done + b"/2026/talk.wav") == SOUND
    assert os.listdir(inbox + b"/2026") == []


@pytest.mark.parametrize("after", ["delete", "move"])
def test_a_changed_original_is_left_alone(inbox: bytes, tmp_path: Path, after: str) -> None:
    """Another take that was recorded over the file meanwhile is neither deleted nor moved."""
    recording = transcribed(inbox + b"/talk.wav")
    files.write_atomically(recording.path, b"another take")
    wanted = rules(inbox, after="delete" if after == "delete" else os.fsencode(tmp_path / "done"))
    left = finish(recording, wanted)
    assert left.path == recording.path
    assert "talk.wav" in left.left_alone
    assert content(recording.path) == b"another take"


def test_an_original_that_is_gone_is_reported(inbox: bytes, tmp_path: Path) -> None:
    """A person who took the recording away first does not fail its delivery."""
    recording = transcribed(inbox + b"/talk.wav")
    os.unlink(recording.path)
    left = finish(recording, rules(inbox, after=os.fsencode(tmp_path / "done")))
    assert left.path is None
    assert "gone" in left.left_alone


def test_two_originals_of_one_name_are_both_kept(inbox: bytes, tmp_path: Path) -> None:
    """A recorder that starts counting again does not replace what was moved before."""
    done = os.fsencode(tmp_path / "done")
    first = transcribed(inbox + b"/talk.wav")
    finish(first, rules(inbox, after=done))
    with open(inbox + b"/talk.wav", "wb") as recorder:
        recorder.write(b"another take")
    fingerprint = files.fingerprint_of(os.lstat(first.path))
    second = replace(first, id=2, fingerprint=fingerprint, reading=None)
    moved = finish(second, rules(inbox, after=done))
    assert moved.path == done + b"/talk (2).wav"
    assert content(done + b"/talk.wav") == SOUND


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_read_only_inbox_waits(tmp_path: Path) -> None:
    """An inbox that cannot be written to makes the delivery wait; then it goes through."""
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "none", inbox], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("mounting is not allowed here")
    try:
        recording = transcribed(os.fsencode(inbox / "talk.wav"))
        wanted = rules(os.fsencode(inbox), after="delete")
        recording = decided(recording, wanted)
        subprocess.run(["mount", "-o", "remount,ro", inbox], check=True)
        with pytest.raises(TemporaryError) as refused:
            write(recording, wanted, TEXTS)
        assert refused.value.code == "read-only"
        with pytest.raises(TemporaryError):
            finish(recording, wanted)
        subprocess.run(["mount", "-o", "remount,rw", inbox], check=True)
        write(recording, wanted, TEXTS)
        assert finish(recording, wanted).path is None
    finally:
        subprocess.run(["umount", inbox], check=True)


# dying at any point


def dies(work: Callable[[], object], *, before: int) -> bool:
    """Run `work` in a child that is killed where it stands, before its n-th system call on files.

    No clean-up of ours runs then, as in a crash. False if the child got through first.
    """
    child = os.fork()
    if child == 0:
        calls = 0

        def count(frame: FrameType, event: str, function: Any) -> None:
            nonlocal calls
            del frame
            if event == "c_call" and getattr(function, "__module__", "") == "posix":
                calls += 1
                if calls == before:
                    os._exit(9)

        try:
            sys.setprofile(count)
            work()
            sys.setprofile(None)
            os._exit(0)
        finally:
            os._exit(1)  # an error must not run the rest of the tests in the child
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in {0, 9}
    return status == 9


@pytest.mark.parametrize("after", ["keep", "delete", "move", "move far"])
def test_dying_at_any_point_of_a_delivery_loses_nothing(tmp_path: Path, after: str) -> None:
    """Killed before any system call, a delivery shows no half-written file, and its repeat completes it."""
    far = Path("/dev/shm")  # noqa: S108 - the one place that is a file system of its own nearly everywhere
    if after == "move far" and (not far.is_dir() or far.stat().st_dev == tmp_path.stat().st_dev):
        pytest.skip("no second file system to write to")
    base = far / f"asrwatch-test-{os.getpid()}" if after == "move far" else tmp_path / "done"
    deaths = 0
    try:
        while delivered_after_death(tmp_path / str(deaths), after, base / str(deaths), deaths + 1):
            deaths += 1
    finally:
        subprocess.run(["rm", "-rf", "--", base], check=True)
    assert deaths > 20


def delivered_after_death(place: Path, after: str, finished: Path, before: int) -> bool:
    """Deliver, die before the n-th system call, look, repeat, look again; False if it did not die."""
    inbox, done = os.fsencode(place / "inbox"), os.fsencode(finished)
    out = inbox + b"/out/day"
    kinds: dict[str, Literal["keep", "delete"] | bytes] = {"keep": "keep", "delete": "delete"}
    wanted = rules(inbox, output=inbox + b"/out", after=kinds.get(after, done))
    recording = decided(transcribed(inbox + b"/day/talk.wav"), wanted)
    moved = done + b"/day/talk.wav"
    # a file of a person's own is in the way of one output
    files.write_atomically(out + b"/talk.json", b"mine")

    def deliver() -> tuple[tuple[Output, ...], Original]:
        return write(recording, wanted, TEXTS), finish(recording, wanted)

    died = dies(deliver, before=before)
    visible = {name for name in os.listdir(out) if not name.startswith(files.TEMPORARY_PREFIX)}
    assert content(out + b"/talk.json") == b"mine"
    for name, piece in ((b"talk.txt", TEXTS[0]), (b"talk.new.json", TEXTS[1])):
        assert name not in visible or content(out + b"/" + name) == piece.content
    lying = [path for path in (recording.path, moved) if os.path.lexists(path)]
    assert all(content(path) == SOUND for path in lying)
    if recording.path not in lying:
        assert lying or after == "delete"
        assert visible == {b"talk.txt", b"talk.json", b"talk.new.json"}

    files.sweep(out)
    outputs, left = deliver()
    assert paths(outputs) == [out + b"/talk.txt", out + b"/talk.new.json"]
    assert [content(path) for path in paths(outputs)] == [piece.content for piece in TEXTS]
    assert sorted(os.listdir(out)) == [b"talk.json", b"talk.new.json", b"talk.txt"]
    assert left == Original(path={"keep": recording.path, "delete": None}.get(after, moved))
    assert os.path.lexists(recording.path) == (after == "keep")
    if after.startswith("move"):
        files.sweep(done + b"/day")
        assert os.listdir(done + b"/day") == [b"talk.wav"]
        assert content(moved) == SOUND
    return died

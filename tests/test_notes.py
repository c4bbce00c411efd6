"""Notes in folders: a recording without a transcript says why, and deleting the note means "try again"."""

import shutil
import time
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from desk_helpers import put
from e2e_helpers import Installed
from wait_helpers import wait_for
from wav_helpers import write_wav

from asrwatch.journey.noting import ASKED_AGAIN, Noting
from asrwatch.journey.recording import Recording, State
from asrwatch.journey.store import Store
from asrwatch.journey.store.notes import Note
from asrwatch.sandbox import Sandbox

ENDING = ".asr-error.txt"


def broken(installed: Installed, name: str = "talk.wav") -> Path:
    """A file that is no recording whatever its name says, and where its note is to lie."""
    (installed.inbox / name).write_bytes(b"this is no sound " * 64)
    return installed.inbox / f"{name}{ENDING}"


def test_a_failed_recording_has_a_note_until_it_succeeds(installed: Installed) -> None:
    """The note names the recording, why it failed and what to do; it goes when the recording is delivered."""
    note = broken(installed)
    daemon = installed.start()
    wait_for(note.exists)
    told = note.read_text(encoding="utf-8")
    assert "Recording: talk.wav" in told
    assert "It failed." in told
    assert "Delete this file" in told
    assert "second time" not in told
    write_wav(installed.inbox / "talk.wav")
    assert installed.text_of("talk") == "Hello world.\n"
    wait_for(lambda: not note.exists())
    assert installed.stop(daemon) == 0
    assert sorted(path.name for path in installed.inbox.iterdir()) == [
        "talk.json",
        "talk.txt",
        "talk.wav",
    ]


@pytest.mark.parametrize("watch", ["events", "poll"])
def test_to_delete_the_note_is_to_try_again(
    installed: Installed, sandbox: Sandbox, watch: str
) -> None:
    """Without touching the recording: a person deletes the note, and the recording is taken up at once."""
    installed.inbox_keys = {"watch": watch, "engine": "qwen3-asr-flash"}
    sandbox.knobs = replace(sandbox.knobs, finish_reason="length")
    write_wav(installed.inbox / "talk.wav")
    note = installed.inbox / f"talk.wav{ENDING}"
    installed.start()
    wait_for(note.exists)
    sandbox.knobs = replace(sandbox.knobs, finish_reason="stop")
    note.unlink()
    assert installed.text_of("talk") == "Hello world.\n"
    assert not note.exists()


def test_the_note_of_a_parked_recording_says_what_deleting_it_may_cost(
    installed: Installed,
) -> None:
    """A lost paid answer is parked; its note says that deleting it may pay a second time, and it is so only then."""
    installed.inbox_keys = {"unknown": "park"}
    write_wav(installed.inbox / "talk.wav")
    daemon = installed.start(ASRWATCH_CRASH="request-sent")
    daemon.wait(60)
    installed.start()
    note = installed.inbox / f"talk.wav{ENDING}"
    wait_for(note.exists)
    assert "may be paid for a second time" in note.read_text(encoding="utf-8")
    note.unlink()
    assert installed.text_of("talk") == "Hello world.\n"
    wait_for(lambda: not note.exists())


def test_a_note_that_somebody_edited_stays(installed: Installed) -> None:
    """What a person wrote into a note is neither overwritten nor deleted by asrwatch."""
    note = broken(installed)
    installed.start()
    wait_for(note.exists)
    note.write_text("My own remarks.", encoding="utf-8")
    write_wav(installed.inbox / "talk.wav")
    installed.text_of("talk")
    wait_for(lambda: "note-left" in installed.log.read_text())
    assert note.read_text(encoding="utf-8") == "My own remarks."


def test_a_file_in_the_notes_place_is_not_ours(installed: Installed) -> None:
    """A file that was there before is left alone; the note takes the next name, and is never transcribed."""
    installed.inbox_keys = {"include": ["*"], "builtin_exclude": False, "formats": ["json"]}
    note = broken(installed)
    note.write_text("Somebody's.", encoding="utf-8")
    installed.start()
    beside = note.with_name(f"talk.wav.2{ENDING}")
    wait_for(beside.exists)
    beside.unlink()
    wait_for(lambda: installed.log.read_text().count('"note-deleted"') == 1)
    wait_for(beside.exists)
    assert note.read_text(encoding="utf-8") == "Somebody's."
    told = installed.call("explain", str(note)).stdout
    assert "note of asrwatch" in told
    assert installed.status()["counts"]["failed"] == 1


def test_forgotten_or_switched_off_there_is_no_note(installed: Installed) -> None:
    """`forget` removes the note, `error_notes: false` removes those there are and writes none."""
    first, second = broken(installed, "one.wav"), broken(installed, "two.wav")
    daemon = installed.start()
    wait_for(lambda: first.exists() and second.exists())
    assert installed.call("forget", str(installed.inbox / "one.wav")).returncode == 0
    wait_for(lambda: not first.exists())
    assert installed.stop(daemon) == 0
    installed.inbox_keys = {"error_notes": False}
    third = broken(installed, "three.wav")
    installed.start()
    wait_for(lambda: not second.exists())
    wait_for(lambda: installed.status()["counts"]["failed"] == 2)
    assert not third.exists()


def test_once_leaves_notes_and_reads_them(installed: Installed) -> None:
    """`asrwatch once` writes notes before it ends, and the next one takes a deleted note for "try again"."""
    note = broken(installed)
    assert installed.call("once").returncode == 1
    assert note.exists()
    assert installed.call("once").returncode == 1
    again = "a person asked for it again"
    assert again not in installed.call("explain", str(installed.inbox / "talk.wav")).stdout
    note.unlink()
    assert installed.call("once").returncode == 1
    assert again in installed.call("explain", str(installed.inbox / "talk.wav")).stdout
    assert note.exists()


def test_a_note_lies_where_the_transcript_would(installed: Installed) -> None:
    """With an output folder the note lies there, in the recording's mirrored folder."""
    out = installed.root / "out"
    installed.inbox_keys = {"output": str(out)}
    (installed.inbox / "calls").mkdir()
    broken(installed, "calls/talk.wav")
    installed.start()
    note = out / "calls" / f"talk.wav{ENDING}"
    wait_for(note.exists)
    assert not list(installed.inbox.rglob(f"*{ENDING}"))
    note.unlink()
    wait_for(lambda: '"note-deleted"' in installed.log.read_text())


def test_a_folder_that_is_gone_is_no_deleted_note(installed: Installed) -> None:
    """Notes that went with their folder, as with a share that is away, ask for nothing."""
    out = installed.root / "out"
    installed.inbox_keys = {"output": str(out)}
    broken(installed)
    daemon = installed.start()
    wait_for((out / f"talk.wav{ENDING}").exists)
    shutil.rmtree(out)
    installed.call("status")
    assert installed.stop(daemon) == 0
    daemon = installed.start()
    wait_for(lambda: installed.status()["inboxes"][0]["looked_at"] is not None)
    assert '"note-deleted"' not in installed.log.read_text()


def test_a_folder_that_takes_no_note_hurts_nothing(installed: Installed) -> None:
    """Where a note cannot be written that is logged once, and recordings go on."""
    out = installed.root / "out"
    out.write_text("a file in the folder's place", encoding="utf-8")
    installed.inbox_keys = {"output": str(out)}
    broken(installed)
    installed.start()
    wait_for(lambda: '"notes-not-written"' in installed.log.read_text())
    out.unlink()
    write_wav(installed.inbox / "good.wav")
    wait_for((out / "good.txt").exists)
    assert installed.log.read_text().count('"notes-not-written"') == 1


@pytest.mark.parametrize(
    "place", ["draft-opened", "draft-written", "draft-synced", "linked", "named", "note-placed"]
)
def test_killed_at_a_note_there_is_one_and_nobody_was_asked(
    installed: Installed, place: str
) -> None:
    """Killed anywhere in writing a note: the next start finds or writes it, whole, and takes nothing for deleted."""
    note = broken(installed)
    installed.start(ASRWATCH_CRASH=place).wait(60)
    daemon = installed.start()
    wait_for(note.exists)
    wait_for(lambda: installed.status()["inboxes"][0]["looked_at"] is not None)
    assert installed.stop(daemon) == 0
    assert "Recording: talk.wav" in note.read_text(encoding="utf-8")
    assert '"note-deleted"' not in installed.log.read_text()
    assert installed.call("once").returncode == 1
    assert sorted(path.name for path in installed.inbox.iterdir()) == ["talk.wav", note.name]


def noted(store: Store, state: State, now: datetime, number: int = 1) -> tuple[Recording, Note]:
    """A recording, and the note about it that lies in its folder."""
    path = b"/inbox/talk-%d.wav" % number
    recording = put(store, state, now, path=path, number=number)
    note = Note(
        recording=recording.id,
        inbox="inbox",
        path=path + ENDING.encode(),
        content="told",
        wanted="a",
        sha256="a",
        device=1,
    )
    store.keep_note(note)
    return recording, note


def test_a_tool_that_deletes_notes_does_not_pay_for_ever(store: Store, now: datetime) -> None:
    """A sync tool deletes the note of a failed recording every few minutes: three tries a day, then `retry` alone."""
    tried: list[Recording] = []
    noting = Noting(store, {}, tried.append)
    recording, note = noted(store, State.FAILED, now)
    for moment in range(8):
        store.keep_note(note)
        before = len(tried)
        noting.deleted((note,), now=now + timedelta(minutes=moment))
        if len(tried) > before:  # what the desk writes into the story
            store.save(recording, recording, note=ASKED_AGAIN)
    assert len(tried) == 3
    kept = store.note_of(recording.id)
    assert kept is not None
    assert kept.is_due
    noting.deleted((note,), now=now + timedelta(days=2))
    assert len(tried) == 4


def test_parked_ones_are_not_paid_again_by_a_tool(store: Store, now: datetime) -> None:
    """Many notes gone at once are a share that was restored, a second time is a tool: neither pays for parked ones."""
    tried: list[int] = []
    noting = Noting(store, {}, lambda recording: tried.append(recording.id))
    first, its_note = noted(store, State.PARKED, now)
    failed, other = noted(store, State.FAILED, now, number=2)
    noting.deleted((its_note, other), now=now)
    assert tried == [failed.id]
    kept = store.note_of(first.id)
    assert kept is not None
    assert kept.is_due
    noting.deleted((its_note,), now=now)
    assert tried == [failed.id, first.id]
    store.save(first, first, note=ASKED_AGAIN)
    store.keep_note(its_note)
    noting.deleted((its_note,), now=now + timedelta(days=9))
    assert tried == [failed.id, first.id]


def test_notes_that_go_before_their_recordings_ask_for_nothing(installed: Installed) -> None:
    """`rm -rf` takes the notes first, and the recordings a moment later: nothing is tried again."""
    notes = [broken(installed, f"talk-{number}.wav") for number in range(5)]
    installed.start()
    wait_for(lambda: all(note.exists() for note in notes))
    for note in notes:
        note.unlink()
    time.sleep(0.4)
    for path in installed.inbox.iterdir():
        path.unlink()
    wait_for(lambda: not list(installed.inbox.iterdir()))
    time.sleep(1.5)
    assert '"note-deleted"' not in installed.log.read_text()

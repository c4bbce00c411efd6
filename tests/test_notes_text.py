"""What a note says and where it lies, and when a missing one was deleted by a person."""

import os
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from desk_helpers import put
from journey_helpers import FAILURE, a_recording

from asrwatch.errors import TemporaryError
from asrwatch.inbox.presence import Presence
from asrwatch.inbox.signs import NOTE_ENDING, is_note
from asrwatch.journey import notes
from asrwatch.journey.delivery import Rules
from asrwatch.journey.evidence import Trouble
from asrwatch.journey.notes import Outcome, text_about
from asrwatch.journey.recording import SUPERSEDED, Recording, State
from asrwatch.journey.store import Store
from asrwatch.journey.store.notes import Note, sha256_of


def rules(inbox: Path, **more: object) -> Rules:
    """Of an inbox whose transcripts lie beside its recordings."""
    return Rules(inbox=bytes(inbox), output="beside", formats=("txt",), **more)  # type: ignore[arg-type] # options of Rules


def failed(inbox: Path, now: datetime, name: str = "talk.wav") -> Recording:
    """A recording that failed, with its file."""
    (inbox / name).touch()
    return replace(a_recording(State.FAILED, now, path=bytes(inbox / name)), id=7)


def a_note(recording: Recording, its: Rules, content: str = "a note") -> Note:
    """A note that is to be written."""
    place = next(notes.places_for(recording, its))
    return Note(
        recording=recording.id,
        inbox="inbox",
        path=place,
        content=content,
        wanted=sha256_of(content),
    )


def test_temporary_trouble_has_a_note_after_an_hour(now: datetime) -> None:
    """A recording that only waits is noted when its trouble lasts, with the next attempt; a delivered one is not."""
    waits = replace(
        a_recording(State.STAGED, now),
        trouble=Trouble(since=now, count=3, last=FAILURE),
        due=now + timedelta(minutes=70),
    )
    assert text_about(waits, now=now + timedelta(minutes=59)) is None
    text = text_about(waits, now=now + timedelta(minutes=60))
    assert text is not None
    assert text.waits
    assert "next attempt" in text.content
    assert FAILURE.message in text.content
    assert text_about(a_recording(State.DELIVERED, now), now=now + timedelta(days=1)) is None


def test_what_needs_nobody_has_no_note(now: datetime) -> None:
    """A recording whose file changed or went is no concern of anybody's."""
    for code in (SUPERSEDED, "vanished"):
        gone = replace(a_recording(State.FAILED, now), failure=replace(FAILURE, code=code))
        assert text_about(gone, now=now) is None


def test_a_note_is_text_whatever_the_name(now: datetime) -> None:
    """A name that is not UTF-8, or holds a line's end, stands escaped in one line of UTF-8."""
    hostile = replace(a_recording(State.FAILED, now), path=b"/inbox/a\xff\nb.wav")
    text = text_about(hostile, now=now)
    assert text is not None
    text.content.encode()
    assert "Recording: a\\xff\\nb.wav\n" in text.content


def test_long_names_are_fitted(tmp_path: Path, now: datetime) -> None:
    """The note of a recording with the longest of names still ends as notes do."""
    recording = failed(tmp_path, now, "x" * 251 + ".wav")
    for place in list(notes.places_for(recording, rules(tmp_path)))[:3]:
        name = os.path.basename(place)  # noqa: PTH119 - bytes
        assert len(name) <= 255
        assert is_note(name.decode())


def test_a_note_is_written_kept_rewritten_and_removed(tmp_path: Path, now: datetime) -> None:
    """Every step may be repeated: what is there as it should be is taken as done."""
    its, recording = rules(tmp_path), failed(tmp_path, now)
    note = a_note(recording, its)
    path = Path(os.fsdecode(note.path))
    first = notes.put(note, recording, its, None)
    assert first.outcome is Outcome.THERE
    assert notes.put(note, recording, its, None).after == first.after
    changed = replace(first.after, content="another", wanted=sha256_of("another"))
    second = notes.put(changed, recording, its, None)
    assert (second.outcome, path.read_text()) == (Outcome.THERE, "another")
    over = replace(second.after, content=None)
    assert notes.take_away(over, its).outcome is Outcome.REMOVED
    assert not path.exists()
    assert notes.take_away(over, its).outcome is Outcome.REMOVED


def test_what_somebody_wrote_is_left(tmp_path: Path, now: datetime) -> None:
    """An edited note is neither overwritten nor removed."""
    its, recording = rules(tmp_path), failed(tmp_path, now)
    note = notes.put(a_note(recording, its), recording, its, None).after
    path = Path(os.fsdecode(note.path))
    path.write_text("mine")
    changed = replace(note, content="another", wanted=sha256_of("another"))
    assert notes.put(changed, recording, its, None).outcome is Outcome.THEIRS
    assert notes.take_away(replace(note, content=None), its).outcome is Outcome.THEIRS
    assert path.read_text() == "mine"


def test_a_missing_note_is_deleted_only_where_its_share_is_there(
    tmp_path: Path, now: datetime
) -> None:
    """Gone with its recording, its folder, or an inbox without its marker, a note was not deleted by anybody."""
    its, recording = rules(tmp_path), failed(tmp_path, now)
    here = Presence(root=bytes(tmp_path))
    note = notes.put(a_note(recording, its), recording, its, here).after
    assert not notes.is_deleted(note, recording, its, here)
    Path(os.fsdecode(note.path)).unlink()
    assert notes.is_deleted(note, recording, its, here)
    changed = replace(note, content="another", wanted=sha256_of("another"))
    assert notes.put(changed, recording, its, here).outcome is Outcome.DELETED
    away = Presence(root=bytes(tmp_path), marker=".mounted")
    assert not notes.is_deleted(note, recording, its, away)
    done = notes.put(changed, recording, its, away)
    assert isinstance(done.error, TemporaryError)
    (tmp_path / "talk.wav").unlink()
    assert not notes.is_deleted(note, recording, its, here)
    out = replace(note, path=bytes(tmp_path / "gone" / f"talk.wav{NOTE_ENDING}"))
    assert not notes.is_deleted(out, recording, its, here)


@pytest.mark.parametrize("device", [0, 1])
def test_a_note_on_another_device_waits_to_be_removed(
    tmp_path: Path, now: datetime, device: int
) -> None:
    """A note that is over and not found is over; on a share that is away it is removed when that is back."""
    note = replace(
        a_note(failed(tmp_path, now), rules(tmp_path)), content=None, sha256="ab", device=device
    )
    done = notes.take_away(note, rules(tmp_path))
    assert (done.error is None) == (device == 0)


def test_dropped_recordings_leave_their_notes_to_be_removed(store: Store, now: datetime) -> None:
    """The row of a note outlives its recording's until the file is gone."""
    recording = put(store, State.FAILED, now)
    note = replace(a_note(recording, rules(Path("/inbox"))), recording=recording.id)
    store.keep_note(replace(note, sha256=note.wanted))
    assert not store.notes_due(limit=9)
    store.forget(recording, now=now)
    (due,) = store.notes_due(limit=9)
    assert (due.recording, due.content) == (recording.id, None)
    assert recording.id in store.note_news

"""The note beside a transcript that is missing: what stands in it, and what a worker does with it.

A note is ours as long as it holds what we wrote; one that somebody edited, or a file that was there before, is neither
overwritten nor deleted. A note that is gone although its folder is there was deleted by a person, who asks by it to try
again.
"""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from asrwatch.crash import crash_point
from asrwatch.errors import AsrwatchError, TemporaryError
from asrwatch.files import split_below
from asrwatch.files.filenames import LONGEST_NAME, fitted, portable
from asrwatch.files.folders import Folder, open_folder
from asrwatch.files.oserrors import trouble
from asrwatch.inbox.presence import Presence
from asrwatch.inbox.scan import nearest_device
from asrwatch.inbox.signs import NOTE_ENDING
from asrwatch.journey import delivery
from asrwatch.journey.away import must_not_be_away
from asrwatch.journey.evidence import Failure
from asrwatch.journey.recording import SUPERSEDED, VANISHED, Recording, State
from asrwatch.journey.store.notes import Note
from asrwatch.values import printable
from asrwatch.words import shown

__all__ = [
    "WAITS_FOR",
    "Done",
    "Outcome",
    "Text",
    "is_deleted",
    "places_for",
    "put",
    "take_away",
    "text_about",
]

WAITS_FOR = timedelta(hours=1)
"""Temporary trouble is worth a note when it has lasted for so long."""
_NOTHING_TO_DO = frozenset({SUPERSEDED, VANISHED})
_ENDING = NOTE_ENDING.encode()
_MOST_TRIED = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class Text:
    """What a note says, and whether its recording goes on by itself."""

    content: str
    waits: bool


class Outcome(StrEnum):
    """What became of a note in its folder."""

    THERE = "there"
    REMOVED = "removed"
    DELETED = "deleted"  # by a person
    THEIRS = "theirs"  # somebody edited it: left alone


@dataclass(frozen=True, kw_only=True, slots=True)
class Done:
    """What a worker did: the note as it is now, or the trouble that kept it from doing anything."""

    before: Note
    after: Note
    outcome: Outcome | None = None
    error: AsrwatchError | None = None


def text_about(recording: Recording, *, now: datetime) -> Text | None:
    """What a note about a recording is to say; None where there is none to be."""
    failure, trouble = recording.failure, recording.trouble
    if recording.piece is not None:  # the recording it is a piece of has one
        return None
    if recording.state in {State.FAILED, State.PARKED}:
        if failure is None or failure.code in _NOTHING_TO_DO:
            return None
        return Text(content=_final(recording, failure), waits=False)
    if trouble is None or recording.state is State.DELIVERED or now - trouble.since < WAITS_FOR:
        return None
    return Text(content=_waiting(recording, trouble.last, trouble.since), waits=True)


def _final(recording: Recording, failure: Failure) -> str:
    parked = recording.state is State.PARKED
    again = "Delete this file, and asrwatch tries again."
    if parked:
        again = (
            "Delete this file, and asrwatch tries again. This may be paid for a second time: nobody knows whether the "
            "first request was accepted. Should this file come back, only `asrwatch retry` does."
        )
    what = "It was asked about, and whether that was paid is unknown." if parked else "It failed."
    return _written(
        recording,
        "There is no transcript of this recording yet.",
        ("What", f"{what} ({_local(recording.changed_at)})"),
        ("Why", f"{failure.message} ({failure.code})"),
        ("To do", failure.advice),
        ("Again", again),
    )


def _waiting(recording: Recording, last: Failure, since: datetime) -> str:
    return _written(
        recording,
        "There is no transcript of this recording yet; asrwatch goes on by itself.",
        ("What", f"It waits since {_local(since)}."),
        ("Why", f"{last.message} ({last.code})"),
        ("To do", last.advice),
        ("Next", f"The next attempt is at {_local(recording.due)}."),
        ("Again", "Delete this file, and asrwatch tries at once."),
    )


def _written(recording: Recording, head: str, *rows: tuple[str, str]) -> str:
    name = printable(os.path.basename(recording.path))  # noqa: PTH119 - bytes
    told = [shown(head), "", f"{shown('Recording')}: {name}"]
    told += [f"{shown(label)}: {shown(printable(text))}" for label, text in rows if text]
    told += ["", shown("The whole story: asrwatch explain, followed by the recording's path."), ""]
    return "\n".join(told)


def _local(moment: datetime) -> str:
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def places_for(recording: Recording, rules: delivery.Rules) -> Iterator[bytes]:
    """Where the note may lie, the best place first: beside where the transcript would be."""
    folder = delivery.output_folder(recording, rules)
    name = os.path.basename(recording.path)  # noqa: PTH119 - bytes
    if rules.portable:
        name = portable(name)
    for number in range(1, _MOST_TRIED):
        tail = _ENDING if number == 1 else b".%d%s" % (number, _ENDING)
        yield os.path.join(folder, fitted(name, tail, LONGEST_NAME))  # noqa: PTH118 - bytes


def put(note: Note, recording: Recording, rules: delivery.Rules, presence: Presence | None) -> Done:
    """Write a note, or what has changed about it; may be repeated after a crash at any point."""
    try:
        return _put(note, recording, rules, presence)
    except AsrwatchError as error:
        return Done(before=note, after=note, error=error)
    except OSError as error:
        return Done(before=note, after=note, error=trouble(error, "write", note.path))


def _put(
    note: Note, recording: Recording, rules: delivery.Rules, presence: Presence | None
) -> Done:
    content = (note.content or "").encode("utf-8", "backslashreplace")
    beside = rules.output == "beside"
    if beside and not os.path.lexists(recording.path):
        must_not_be_away(
            recording, presence
        )  # it would lie under the place where the share is mounted again
    create = not note.sha256 and not beside
    with _folder_of(note, rules.outputs_root, create=create) as folder:
        device = os.fstat(folder.descriptor).st_dev
        name = _name_of(note)
        there = folder.look(name)
        if there is None and note.sha256:
            return _missing(note, recording, folder, presence)
        if there is None and _written_to(folder, name, content, replace=False):
            return _is_there(note, device)
        held = folder.sha256_of(name)
        if held == note.wanted:
            folder.make_durable(name)  # written before a crash: perhaps not on the disk yet
            return _is_there(note, device)
        if note.sha256 and held == note.sha256:
            _written_to(folder, name, content, replace=True)
            return _is_there(note, device)
        if note.sha256:
            return Done(
                before=note, after=replace(note, sha256=note.wanted), outcome=Outcome.THEIRS
            )
    # a file that was there before we came: the next name
    places = iter(places_for(recording, rules))
    following = next((place for each in places if each == note.path for place in places), None)
    if following is None:
        raise TemporaryError("There are a hundred files in the places for a note.", code="no-place")
    return _put(replace(note, path=following), recording, rules, presence)


def _written_to(folder: Folder, name: bytes, content: bytes, *, replace: bool) -> bool:
    if not folder.write(name, content, replace=replace):
        return False
    crash_point("note-placed")
    return True


def _is_there(note: Note, device: int) -> Done:
    after = replace(note, sha256=note.wanted, device=device)
    return Done(before=note, after=after, outcome=Outcome.THERE)


def _missing(note: Note, recording: Recording, folder: Folder, presence: Presence | None) -> Done:
    if not _is_believed(note, recording, folder, presence):
        raise TemporaryError("The folder of the note is not the one it was.", code="share-gone")
    return Done(before=note, after=note, outcome=Outcome.DELETED)


def take_away(note: Note, rules: delivery.Rules | None) -> Done:
    """Remove a note that is over, if it is still what we wrote."""
    try:
        if not os.path.lexists(note.path):
            if note.device not in {0, nearest_device(note.path)}:
                raise TemporaryError(
                    "The folder of the note is not the one it was.", code="share-gone"
                )
            return Done(before=note, after=note, outcome=Outcome.REMOVED)
        root = rules.outputs_root if rules else os.path.dirname(note.path)  # noqa: PTH120 - bytes
        with _folder_of(note, root, create=False) as folder:
            if folder.sha256_of(_name_of(note)) not in {note.sha256, note.wanted}:
                return Done(before=note, after=note, outcome=Outcome.THEIRS)
            folder.remove(_name_of(note))
    except AsrwatchError as error:
        return Done(before=note, after=note, error=error)
    except OSError as error:
        return Done(before=note, after=note, error=trouble(error, "delete", note.path))
    return Done(before=note, after=note, outcome=Outcome.REMOVED)


def is_deleted(
    note: Note, recording: Recording, rules: delivery.Rules, presence: Presence | None
) -> bool:
    """Whether a person deleted a note: it is gone, and its folder and its recording are there."""
    with (
        suppress(AsrwatchError, OSError),
        _folder_of(note, rules.outputs_root, create=False) as folder,
    ):
        gone = folder.look(_name_of(note)) is None
        return gone and _is_believed(note, recording, folder, presence)
    return False


def _is_believed(
    note: Note, recording: Recording, folder: Folder, presence: Presence | None
) -> bool:
    """Whether a note that is not found is really gone: an empty mount point holds no notes either."""
    if presence is not None and presence.proof() is not None:
        return False
    if not os.path.lexists(recording.path):
        return False
    beside = os.path.dirname(recording.path) == os.path.dirname(note.path)  # noqa: PTH120 - bytes
    return beside or os.fstat(folder.descriptor).st_dev == note.device


def _folder_of(note: Note, root: bytes, *, create: bool) -> AbstractContextManager[Folder]:
    return open_folder(*split_below(os.path.dirname(note.path), root), create=create)  # noqa: PTH120 - bytes


def _name_of(note: Note) -> bytes:
    return os.path.basename(note.path)  # noqa: PTH119 - bytes

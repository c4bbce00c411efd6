"""A recording's file during its journey: opened as its inbox demands, and checked for change at every turn."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

from asrwatch.errors import (
    Incomplete,
    RecordingError,
    Skipped,
    SourceChanged,
    Superseded,
    TemporaryError,
)
from asrwatch.files import check_unchanged, fingerprint_of, hash_whole, open_recording
from asrwatch.files.oserrors import trouble
from asrwatch.inbox.presence import Presence
from asrwatch.inbox.signs import skipped_by
from asrwatch.journey.away import must_not_be_away
from asrwatch.journey.evidence import Fingerprint
from asrwatch.journey.recording import SUPERSEDED, Recording
from asrwatch.journey.watched import Watched
from asrwatch.values import printable

__all__ = [
    "Care",
    "check_arrived",
    "check_sent",
    "check_still_current",
    "disk_trouble",
    "must_not_be_skipped",
    "opened",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class Care:
    """What an inbox asks of its files; of a file that a person names himself none of it is asked.

    Below `root` no symbolic link is followed. `foreign_links` lets files with several names belong to
    anybody.
    """

    root: bytes
    foreign_links: bool = False


def must_not_be_skipped(recording: Recording, care: Care | None, skip_marker: str | None) -> None:
    """To be called before anything is done that costs work or money.

    Raises:
        Skipped: a folder above it holds the marker that says "leave this alone".
    """
    folder = skipped_by(recording.path, care.root, skip_marker) if care else None
    if folder is not None:
        raise Skipped(
            f"{printable(folder)} holds {skip_marker} and is left alone.",
            code="left-alone",
            advice=f"Remove {skip_marker}, and it is found anew.",
        )


@contextmanager
def disk_trouble(recording: Recording) -> Iterator[None]:
    """Inside, what a disk or share refuses in the middle of a free step is trouble that passes, and no fault of ours.

    Raises:
        TemporaryError: instead of an `OSError` that nobody nearer to it has a word for.
    """
    try:
        yield
    except OSError as error:
        raise trouble(error, "read", recording.path) from error


def opened(
    recording: Recording, care: Care | None, *, fingerprint: Fingerprint | None = None
) -> BinaryIO:
    """The recording's file; raises as `files.open_recording`, which `fingerprint` is for."""
    return open_recording(recording.path, fingerprint, root=care.root if care else None)


def check_arrived(stream: BinaryIO, path: bytes, care: Care | None) -> None:
    """Refuse what may not be read for its owner's sake, or of which nothing but the size is there.

    Raises:
        Incomplete: not one byte of it was written yet.
        RecordingError: it is another user's file under a second name.
        TemporaryError: it cannot be looked at now.
    """
    try:
        status = os.fstat(stream.fileno())
        foreign = status.st_nlink > 1 and not _may_be_linked(status, care)
        empty = status.st_size > 0 and _is_a_hole(stream.fileno())
    except OSError as error:
        raise TemporaryError(
            f"{printable(path)} cannot be looked at: {error.strerror}.", code="source-unreadable"
        ) from error
    if foreign:
        raise RecordingError(
            f"{printable(path)} is a hard link to a file of another user (uid {status.st_uid}, "
            f"{status.st_nlink} names); it was not read.",
            code="hard-link",
            advice="Copy the file into the inbox; or let the inbox say `hard_links: any`, then retry.",
        )
    if empty:
        raise Incomplete(
            f"Of {printable(path)} only the size is there: it was reserved, and no byte was written.",
            code="truncated",
            advice="Nothing was sent or paid. Copy it once more.",
        )


def check_sent(watched: Watched, stream: BinaryIO, recording: Recording, care: Care | None) -> None:
    """What was uploaded must be what was read when the purchase was decided.

    Raises:
        SourceChanged: it is not, or the file is another one by now.
        Vanished: it is gone.
        TemporaryError: it cannot be looked at now.
    """
    root = care.root if care else None
    check_unchanged(stream, recording.path, recording.fingerprint, root=root)
    if watched.all_read and watched.digest != _sha256(recording):
        raise SourceChanged(
            "The file changed while it was being uploaded.",
            code="changed-while-uploaded",
            advice="It is taken up again once it has settled.",
        )


def check_still_current(recording: Recording, care: Care | None, presence: Presence | None) -> None:
    """A transcript of content that the file no longer has is never delivered as final.

    Nor is one delivered while the share is away: it would lie under the place where that is mounted again.
    The whole file is read once more: programs that write through memory maps, and those that put the date
    back, change a file without a trace in what `lstat` says.

    Raises:
        Superseded: the content is another one.
        TemporaryError: nobody can tell now.
    """
    try:
        with opened(recording, care) as stream:
            if hash_whole(stream) == _sha256(recording):
                return
    except RecordingError:
        # deleted, or moved away by a delivery that a crash cut short; something that is no file may have its
        # name by now: what was paid for is kept
        must_not_be_away(recording, presence)
        return
    except TemporaryError:
        if _looks_unchanged(
            recording
        ):  # unreadable meanwhile, but for all that can be seen the same
            return
        raise
    raise Superseded(
        "The file was changed after it had been sent; the transcript of its earlier content is kept in the "
        "store and not delivered.",
        code=SUPERSEDED,
        advice="Nothing: the new content is a recording of its own.",
    )


def _may_be_linked(status: os.stat_result, care: Care | None) -> bool:
    """Whether nobody gets to read what he may not by giving this file a second name in the inbox.

    The inbox's owner links his own files as he likes, and so do we, unless others can write in the inbox: they
    would have our own files (the key among them) read for them.
    """
    if care is None or care.foreign_links:
        return True
    inbox = os.stat(care.root)  # noqa: PTH116 - bytes, which pathlib cannot hold
    group = inbox.st_gid != os.getegid() and inbox.st_mode & stat.S_IWGRP
    others = group or inbox.st_mode & stat.S_IWOTH
    ours = status.st_uid == os.geteuid()
    return (status.st_uid == inbox.st_uid and not (ours and others)) or (ours and not others)


def _is_a_hole(descriptor: int) -> bool:
    """Whether no byte of the file was ever written; where the file system cannot tell, they all were."""
    try:
        os.lseek(descriptor, 0, os.SEEK_DATA)
    except OSError as error:
        if error.errno == errno.ENXIO:
            return True
        if error.errno not in {errno.EINVAL, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS}:
            raise
    finally:
        os.lseek(descriptor, 0, os.SEEK_SET)
    return False


def _looks_unchanged(recording: Recording) -> bool:
    try:
        return fingerprint_of(os.lstat(recording.path)) == recording.fingerprint
    except OSError:
        return False


def _sha256(recording: Recording) -> str | None:
    return recording.reading.sha256 if recording.reading else None

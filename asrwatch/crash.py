"""Named places where a test may kill the process, or cut its power, to prove that nothing is lost or paid twice there.

Inert unless the environment variable is set when the first place is passed: ASRWATCH_CRASH=NAME, or NAME@3
for the third time that the place is passed. With ASRWATCH_CRASH_POWER=FOLDER the file system of that folder
(ext4, as root) first loses everything that was not synced.
"""

import fcntl
import os
import signal
import struct
import threading
from collections.abc import Iterator, Mapping
from itertools import count
from types import MappingProxyType
from typing import Final

from asrwatch.values import printable

__all__ = ["PLACES", "SHUTDOWN", "WITHOUT_LOG", "crash_point"]

_STATES = (
    "settled",
    "cut",
    "staged",
    "asking",
    "submitted",
    "transcribed",
    "delivered",
    "failed",
    "parked",
)

PLACES: Final[Mapping[str, str]] = MappingProxyType(
    {
        # Start.
        "locked": "the state folder's lock is ours",
        "creating": "a new database has its tables, not committed",
        "migrating": "one step of a migration is done, not committed",
        "migrated": "one step of a migration is committed",
        "store-opened": "the database is open",
        "tidied": "drafts of a killed process are removed",
        "asks-marked": "requests under way at the last end are marked lost, not committed",
        "opened-up": "the same, committed",
        "lookouts-started": "the inboxes are watched",
        "ready": "systemd was told",
        # Inbox.
        "scanned": "a pass over a whole inbox ended",
        "settled-told": "a settled file is in the mailbox",
        # Every save, by the state that it leads to; every transaction; every step.
        **{f"saving:{state}": f"a recording is {state}, not committed" for state in _STATES},
        **{
            f"saved:{state}": f"a recording is {state}, committed, nobody told" for state in _STATES
        },
        "answer-added": "the raw answer has a row, not committed",
        "committing": "a transaction is about to be committed",
        "committed": "a transaction was committed",
        "handed-out": "steps are chosen and announced, none has begun",
        "step-done": "a step has ended, its outcome only in memory",
        # Reading and uploading.
        "read": "a file was read to its end, nothing is planned",
        "planned": "where a recording goes is decided, in memory only",
        "prepared": "a re-encoded copy is complete in the spool, nothing is saved",
        "cut": "copies of all pieces are complete in the spool, nothing is saved",
        "cut-up": "the pieces have their rows, not committed",
        "joined": "all pieces are heard and joined, not committed",
        "piece-published": "a piece's upload was accepted, nothing is saved",
        "policy-got": "the cloud permits an upload",
        "upload-begun": "the first bytes of an upload left",
        "upload-half-sent": "the file left, not the end of its form",
        "upload-sent": "all of an upload left, no answer is read",
        "published": "the upload was accepted, nothing is saved",
        # The paid request.
        "before-request": "the request is announced and saved, not begun",
        "request-begun": "its first bytes left",
        "request-sent": "all of it left",
        "answer-begun": "the head of its answer was read",
        "answer-half-read": "some of its answer's body was read",
        "answer-read": "all of its answer was read, nothing understood",
        "answer-got": "all of a paid request's answer is here, in memory only",
        "answer-kept": "the same, synced to the disk as it came, nothing understood",
        "after-request": "the answer is understood, in memory only",
        # Tasks.
        "polling": "a round of questions begins",
        "queried": "a question about a task was answered",
        "result-fetched": "a task's result is here, in memory only",
        "told": "news of a task is in the mailbox",
        "reconciling": "the search for a lost request begins",
        "listed": "a page of the cloud's list of tasks was read",
        "reconciled": "what became of a lost request is known, in memory only",
        # Delivery.
        "rendered": "the outputs' contents are made",
        "draft-opened": "an empty draft lies beside its target",
        "draft-written": "the draft holds everything, not synced",
        "draft-synced": "the draft is on the disk",
        "linked": "a file has its new name and still its old",
        "named": "a file has its new name, its folder not synced",
        "folder-synced": "a file has its new name for good",
        "output-placed": "one of the outputs is in its place",
        "note-placed": "a note is in its folder, not recorded",
        "written": "all outputs are in their places",
        "original-copied": "the original was copied to another file system, and is still here",
        "original-moved": "the original was renamed",
        "original-deleted": "the original was deleted",
        "finished": "the original is dealt with, nothing saved",
        # Telling.
        "message-kept": "a message is in the outbox, not committed",
        "message-extended": "one tells more than before, not committed",
        "message-going": "a message is about to be sent, nothing of it left",
        "message-answered": "the receiver has it, or not: known in memory only",
        "message-burnt": "a message that was told is out of the outbox, not committed",
        # Commands.
        "retrying": "a person's retry is done, not committed",
        "forgetting": "a person's forget is done, not committed",
        "telling-again": "what nobody took is to be tried again, not committed",
        "control-answered": "a command's work is committed, the person not told",
        # The end.
        "stopping": "an end was asked for",
        "wound-up": "nothing is under way any more",
        "stopped": "everything is saved, the process about to end",
    }
)
"""Every place by its name, and what has just become true there."""

SHUTDOWN: Final = 0x8004587D
"""EXT4_IOC_SHUTDOWN, which is _IOR('X', 125, __u32)."""
WITHOUT_LOG: Final = 2
"""EXT4_GOING_FLAGS_NOLOGFLUSH: what the journal has not on the disk yet is lost, as in a power cut."""

_armed: str | None = None
_passed: Iterator[int] = count(1)
_power = ""
_commit: Final = threading.Lock()
"""With a cut of power only: held while a transaction is committed, and by whoever cuts."""
_A_COMMIT_TAKES: Final = 10.0
"""Seconds, at most; one that failed has not given the lock back."""


def crash_point(name: str) -> None:
    """Die here and now if this is the place that the environment names."""
    if _power and name == "committed":
        _commit.release()
    if name == _armed:
        if next(_passed) >= int(os.environ["ASRWATCH_CRASH"].partition("@")[2] or 1):
            _die()
    elif _armed is None:
        _arm()
        crash_point(name)
        return
    if _power and name == "committing":
        _commit.acquire(timeout=_A_COMMIT_TAKES)


def _arm() -> None:
    """Read the environment, once: a place must cost next to nothing."""
    global _armed, _power  # noqa: PLW0603 - wishes of the process, for tests only
    name = os.environ.get("ASRWATCH_CRASH", "").partition("@")[0]
    if name and name not in PLACES:
        # a test that waits for a death that never comes would pass for the wrong reason
        msg = f"ASRWATCH_CRASH names no place: {printable(name)}"
        raise SystemExit(msg)
    _armed = name
    _power = os.environ.get("ASRWATCH_CRASH_POWER", "")


def _die() -> None:
    if _power:
        # The ioctl races a commit in another thread, which could lose a row that was acknowledged; no power cut does
        # that (reliability.md section 4.2).
        _commit.acquire(timeout=_A_COMMIT_TAKES)
        folder = os.open(_power, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fcntl.ioctl(folder, SHUTDOWN, struct.pack("I", WITHOUT_LOG))
    os.kill(os.getpid(), signal.SIGKILL)

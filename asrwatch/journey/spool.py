"""Answers to paid requests, put on the disk as they came before anybody reads them.

A fault in reading an answer, or a crash before its row is saved, then costs no second payment: the next start, or
the next try, reads it from here. A file goes once the recording's row says what became of the request.
"""

import json
import os
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from asrwatch import logs
from asrwatch.cloud.wire import Reply
from asrwatch.errors import AnswerLost

__all__ = ["FOLDER", "UNREADABLE", "Spool"]

log = logs.get("journey")

FOLDER = "answers"
"""In the state folder."""
UNREADABLE = "spool-unreadable"
"""The code of an answer that is on the disk and cannot be read: nothing may be asked before it can."""

_SUFFIX = ".answer"
_UNFINISHED = ".part"


class Spool:
    """A folder with one file for each answer, named by the request's id. Used from many threads.

    Args:
        folder: on the disk of the database; made when the first answer comes.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, ask_id: str, reply: Reply) -> None:
        """Write an answer and sync it. Where that fails, the row that is saved next is its only place."""
        head = {
            "status": reply.status,
            "headers": dict(reply.headers),
            "whole": reply.whole,
            "oversized": reply.oversized,
        }
        content = json.dumps(head).encode() + b"\n" + reply.body
        target = self._file(ask_id)
        draft = target.with_suffix(_UNFINISHED)
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _write(draft, content)
            draft.rename(target)
            _sync_folder(self._folder)
        except OSError as error:
            log.warning("answer-not-kept", ask_id=ask_id, error=error.strerror)
            with suppress(OSError):
                draft.unlink(missing_ok=True)

    def recall(self, ask_id: str) -> Reply | None:
        """The answer to a request, if one came.

        Raises:
            AnswerLost: there is one, and the disk does not give it back now.
        """
        try:
            content = self._file(ask_id).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise AnswerLost(
                f"An answer that was paid for cannot be read from the disk: {error.strerror}.",
                code=UNREADABLE,
                advice="Mend the disk of the state folder; asrwatch tries again by itself.",
            ) from error
        head, _, body = content.partition(b"\n")
        told = json.loads(head)
        return Reply(
            status=told["status"],
            headers=told["headers"],
            body=body,
            whole=told["whole"],
            oversized=told["oversized"],
        )

    def holds(self, ask_id: str) -> bool:
        """Whether the whole answer to a request may be here: for certain not only where there is none."""
        try:
            reply = self.recall(ask_id)
        except AnswerLost:
            return True
        return reply is not None and reply.whole

    def drop(self, ask_id: str) -> None:
        """What became of the request is in the database."""
        with suppress(OSError):
            self._file(ask_id).unlink(missing_ok=True)

    def sweep(self, wanted: Collection[str]) -> None:
        """At start: remove what a crash left of requests whose end is known, and unfinished drafts."""
        with suppress(OSError):
            for file in tuple(self._folder.iterdir()):
                if file.suffix == _UNFINISHED or file.stem not in wanted:
                    file.unlink(missing_ok=True)

    def _file(self, ask_id: str) -> Path:
        return self._folder / f"{ask_id}{_SUFFIX}"


def _write(file: Path, content: bytes) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""Rows and values: how a recording is written into its row, and read back."""

import zlib
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import Row

from asrwatch.journey.evidence import (
    Answer,
    Asking,
    Delivery,
    Failure,
    Fingerprint,
    Output,
    Reading,
    Staging,
    Task,
    Trouble,
)
from asrwatch.journey.recording import Recording, State

__all__ = ["COLUMNS", "answer_of", "recording_of", "row_of"]

COLUMNS = (
    "inbox",
    "path",
    "device",
    "inode",
    "size",
    "mtime_ns",
    "state",
    "found_at",
    "changed_at",
    "due",
    "attempts",
    "engines_refused",
    "engine_wanted",
    "trouble",
    "sha256",
    "purchase",
    "engine",
    "reading",
    "ask_id",
    "staging",
    "asked_at",
    "asking",
    "ticket",
    "submitted_at",
    "delivered_at",
    "original",
    "failure",
    "audio",
    "part_of",
)
"""The columns that `row_of` fills."""

_reading = TypeAdapter(Reading)
_staging = TypeAdapter(Staging)
_asking = TypeAdapter(Asking)
_trouble = TypeAdapter(Trouble)
_failure = TypeAdapter(Failure)
_names = TypeAdapter(tuple[str, ...])


def row_of(recording: Recording) -> dict[str, Any]:
    """The columns of a recording's row, but for its id and answer."""
    reading, staging, asking = recording.reading, recording.staging, recording.asking
    task, delivery = recording.task, recording.delivery
    return {
        "inbox": recording.inbox,
        "path": recording.path,
        "device": recording.fingerprint.device,
        "inode": recording.fingerprint.inode,
        "size": recording.fingerprint.size,
        "mtime_ns": recording.fingerprint.mtime_ns,
        "state": recording.state.value,
        "found_at": recording.found_at,
        "changed_at": recording.changed_at,
        "due": recording.due,
        "attempts": recording.attempts,
        "engines_refused": _names.dump_json(recording.engines_refused).decode(),
        "engine_wanted": recording.engine_wanted,
        "trouble": _json(_trouble, recording.trouble),
        "sha256": reading.sha256 if reading else None,
        "purchase": reading.purchase if reading else None,
        "engine": reading.plan.engine if reading else None,
        "reading": _json(_reading, reading),
        "ask_id": staging.ask_id if staging else None,
        "staging": _json(_staging, staging),
        "asked_at": asking.asked_at if asking else None,
        "asking": _json(_asking, asking),
        "ticket": task.ticket if task else None,
        "submitted_at": task.submitted_at if task else None,
        "delivered_at": delivery.delivered_at if delivery else None,
        "original": delivery.original if delivery else None,
        "failure": _json(_failure, recording.failure),
        "audio": reading.facts.duration if reading else None,
        "part_of": recording.part_of,
    }


def recording_of(row: Row[Any], written: tuple[Output, ...]) -> Recording:
    """A row, joined with its answer, as the recording it stands for."""
    delivery = None
    if row.state == State.DELIVERED:
        delivery = Delivery(delivered_at=row.delivered_at, outputs=written, original=row.original)
    return Recording(
        id=row.id,
        part_of=row.part_of,
        inbox=row.inbox,
        path=row.path,
        fingerprint=Fingerprint(
            device=row.device, inode=row.inode, size=row.size, mtime_ns=row.mtime_ns
        ),
        state=State(row.state),
        found_at=row.found_at,
        changed_at=row.changed_at,
        due=row.due,
        attempts=row.attempts,
        engines_refused=_names.validate_json(row.engines_refused),
        engine_wanted=row.engine_wanted,
        trouble=_value(_trouble, row.trouble),
        reading=_value(_reading, row.reading),
        staging=_value(_staging, row.staging),
        asking=_value(_asking, row.asking),
        task=Task(ticket=row.ticket, submitted_at=row.submitted_at) if row.ticket else None,
        answer=_answer_of(row),
        outputs=written,
        delivery=delivery,
        failure=_value(_failure, row.failure),
    )


def answer_of(row: Row[Any]) -> Answer:
    """A row of the answers."""
    return Answer(
        raw=zlib.decompress(row.raw),
        received_at=row.received_at,
        billed=row.billed,
        ticket=row.ticket,
        id=row.id,
    )


def _answer_of(row: Row[Any]) -> Answer | None:
    if row.raw is None:
        return None
    return Answer(
        raw=zlib.decompress(row.raw),
        received_at=row.received_at,
        billed=row.billed,
        ticket=row.answered_ticket,
        id=row.answer,
    )


def _json(adapter: TypeAdapter[Any], value: object | None) -> str | None:
    return None if value is None else adapter.dump_json(value).decode()


def _value(adapter: TypeAdapter[Any], stored: str | None) -> Any:
    return None if stored is None else adapter.validate_json(stored)

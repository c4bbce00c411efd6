"""The schema: what the database holds, and what it refuses. How it is changed: `migrations.py`."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    Column,
    Connection,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    text,
)

from asrwatch.journey.recording import State

__all__ = [
    "WORDS",
    "alarms",
    "answers",
    "asks",
    "clock",
    "create",
    "cuts",
    "events",
    "filling",
    "forgotten",
    "holds",
    "moment",
    "notes",
    "outbox",
    "outputs",
    "receivers",
    "recordings",
    "restored",
    "said",
    "stored",
    "tries",
    "waits",
    "windows",
]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SIGN = 1 << 63


class Moment(TypeDecorator[datetime]):
    """An aware date, as whole microseconds since 1970, UTC."""

    impl = Integer
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:  # noqa: ARG002 - SQLAlchemy's signature
        return stored(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - SQLAlchemy's signature
        return moment(value)


def stored(value: datetime | None) -> int | None:
    """A date as it is stored."""
    return None if value is None else (value - _EPOCH) // timedelta(microseconds=1)


def moment(stored: int | None) -> datetime | None:
    """A date as it is stored, read back."""
    return None if stored is None else _EPOCH + timedelta(microseconds=stored)


class Span(TypeDecorator[timedelta]):
    """A span of time, as whole milliseconds."""

    impl = Integer
    cache_ok = True

    def process_bind_param(self, value: timedelta | None, dialect: Dialect) -> int | None:  # noqa: ARG002 - SQLAlchemy's signature
        return None if value is None else value // timedelta(milliseconds=1)

    def process_result_value(self, value: Any, dialect: Dialect) -> timedelta | None:  # noqa: ARG002 - SQLAlchemy's signature
        return None if value is None else timedelta(milliseconds=value)


class Unsigned(TypeDecorator[int]):
    """An unsigned 64-bit number (inode, device) in SQLite's signed one."""

    impl = Integer
    cache_ok = True

    def process_bind_param(self, value: int | None, dialect: Dialect) -> int | None:  # noqa: ARG002 - SQLAlchemy's signature
        return value - 2 * _SIGN if value is not None and value >= _SIGN else value

    def process_result_value(self, value: Any, dialect: Dialect) -> int | None:  # noqa: ARG002 - SQLAlchemy's signature
        if value is None:
            return None
        number = int(value)
        return number + 2 * _SIGN if number < 0 else number


class Flag(TypeDecorator[bool]):
    """Yes or no, as 1 or 0: strict tables know no BOOLEAN."""

    impl = Integer
    cache_ok = True

    def process_bind_param(self, value: bool | None, dialect: Dialect) -> int | None:  # noqa: ARG002 - SQLAlchemy's signature
        return None if value is None else int(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> bool | None:  # noqa: ARG002 - SQLAlchemy's signature
        return None if value is None else bool(value)


class Price(TypeDecorator[Decimal]):
    """Money for one second of audio, as whole billionths."""

    impl = Integer
    cache_ok = True

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> int | None:  # noqa: ARG002 - SQLAlchemy's signature
        return None if value is None else int(value.scaleb(9).to_integral_value())

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:  # noqa: ARG002 - SQLAlchemy's signature
        return None if value is None else Decimal(int(value)).scaleb(-9)


_metadata = MetaData()


def _needs(states: tuple[State, ...], *columns: str) -> CheckConstraint:
    """In these states the row must hold this evidence."""
    named = ", ".join(f"'{state.value}'" for state in states)
    held = " AND ".join(f"{column} IS NOT NULL" for column in columns)
    return CheckConstraint(f"state NOT IN ({named}) OR ({held})")


_STATES = ", ".join(f"'{state.value}'" for state in State)

answers = Table(
    "answers",
    _metadata,
    Column("id", Integer, primary_key=True),
    Column("purchase", Text, nullable=False, index=True),
    Column("raw", LargeBinary, nullable=False),  # zlib
    Column("received_at", Moment, nullable=False),
    Column("billed", Span),
    Column("ticket", Text),
    sqlite_strict=True,
)

recordings = Table(
    "recordings",
    _metadata,
    Column("id", Integer, primary_key=True),
    Column("inbox", Text, nullable=False),
    Column("path", LargeBinary, nullable=False),
    Column("device", Unsigned, nullable=False),
    Column("inode", Unsigned, nullable=False),
    Column("size", Integer, nullable=False),
    Column("mtime_ns", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("found_at", Moment, nullable=False),
    Column("changed_at", Moment, nullable=False),
    Column("due", Moment, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("engines_refused", Text, nullable=False),
    Column("trouble", Text),
    Column("sha256", Text),
    Column("purchase", Text),
    Column("engine", Text),
    Column("reading", Text),
    Column("ask_id", Text),
    Column("staging", Text),
    Column("asked_at", Moment),
    Column("asking", Text),
    Column("ticket", Text),
    Column("submitted_at", Moment),
    Column("answer", Integer, ForeignKey("answers.id")),
    Column("delivered_at", Moment),
    Column("original", LargeBinary),
    Column("failure", Text),
    Column("engine_wanted", Text),  # by a person, whatever the inbox says
    Column("audio", Span),  # as its headers tell it, so that the shortest can be found
    Column(
        "part_of", Integer, ForeignKey("recordings.id")
    ),  # the recording that this is a piece of
    CheckConstraint(f"state IN ({_STATES})"),
    _needs(
        (
            State.CUT,
            State.STAGED,
            State.ASKING,
            State.SUBMITTED,
            State.TRANSCRIBED,
            State.DELIVERED,
        ),
        "sha256",
        "purchase",
        "engine",
        "reading",
    ),
    _needs((State.CUT, State.STAGED, State.ASKING, State.SUBMITTED), "ask_id", "staging"),
    _needs((State.ASKING, State.SUBMITTED), "asked_at", "asking"),
    _needs((State.SUBMITTED,), "ticket", "submitted_at"),
    _needs((State.TRANSCRIBED, State.DELIVERED), "answer"),
    _needs((State.DELIVERED,), "delivered_at"),
    _needs((State.FAILED, State.PARKED), "failure"),
    CheckConstraint("(failure IS NOT NULL) = (state IN ('failed', 'parked'))"),
    # engine and inbox besides: rows that wait for either are passed over without being read
    Index("recordings_by_due", "state", "due", "engine", "inbox"),
    Index("recordings_by_inbox", "state", "inbox", "due", "engine"),
    Index("recordings_by_path", "path", "part_of"),
    Index(  # and so by number: pages of lists, and counts
        "recordings_by_place", "inbox", "state", sqlite_where=text("part_of IS NULL")
    ),
    # What charts add up, and who has waited longest, without reading a row.
    Index(
        "recordings_by_delivery",
        "delivered_at",
        "found_at",
        "audio",
        sqlite_where=text("part_of IS NULL AND delivered_at IS NOT NULL"),
    ),
    Index(
        "recordings_waiting",
        "inbox",
        "found_at",
        sqlite_where=text("part_of IS NULL AND state NOT IN ('delivered', 'failed', 'parked')"),
    ),
    Index(  # where a search begins
        "recordings_by_finding", "found_at"
    ),
    Index("recordings_by_ticket", "ticket", unique=True, sqlite_where=text("ticket IS NOT NULL")),
    Index("recordings_by_purchase", "purchase"),
    Index("pieces_of", "part_of", "state", sqlite_where=text("part_of IS NOT NULL")),
    # The last guard against paying twice: one request per purchase under way, whatever the code does.
    Index(
        "recordings_being_bought",
        "purchase",
        unique=True,
        sqlite_where=text("state IN ('asking', 'submitted')"),
    ),
    sqlite_autoincrement=True,  # the ledger names recordings that are gone
    sqlite_strict=True,
)

outputs = Table(
    "outputs",
    _metadata,
    Column("path", LargeBinary, primary_key=True),
    Column("recording", Integer, ForeignKey("recordings.id"), nullable=False, index=True),
    Column("position", Integer, nullable=False),
    Column("format", Text, nullable=False),
    Column("sha256", Text, nullable=False),
    sqlite_strict=True,
)

events = Table(
    "events",
    _metadata,
    Column("id", Integer, primary_key=True),
    Column("recording", Integer, ForeignKey("recordings.id"), nullable=False, index=True),
    Column("at", Moment, nullable=False),
    Column("from_state", Text),
    Column("to_state", Text, nullable=False),
    Column("note", Text, nullable=False),
    sqlite_strict=True,
)

asks = Table(
    "asks",
    _metadata,
    Column("id", Integer, primary_key=True),
    Column("ask_id", Text, nullable=False),
    Column("recording", Integer, nullable=False, index=True),  # outlives a forgotten recording
    Column("purchase", Text, nullable=False),
    Column("engine", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("path", LargeBinary, nullable=False),
    Column("asked_at", Moment, nullable=False),
    Column("audio", Span),
    Column("outcome", Text, nullable=False),
    Column("outcome_at", Moment),
    Column("billed", Span),
    Column("inbox", Text),
    Column("sha256", Text),
    Column("size", Integer),
    Column("url", Text),
    Column("who", Text),  # host, process, and this run of it
    Column("uptime", Span),  # the machine's own clock, beside asked_at
    Column("expected", Span),  # what it should be billed for, channels counted
    Column("price", Price),  # for a second of it
    Column("sent", Integer),  # bytes of audio that went, or would have gone, to the cloud
    Column("part_of", Integer),  # the recording whose piece was asked about
    Column("piece", Integer),  # its number
    CheckConstraint(
        "outcome IN ('open', 'accepted', 'answered', 'refused', 'unsent', 'lost', 'not_accepted',"
        " 'again', 'bill_unknown')"
    ),
    # With all that sums are made of, so that no row is read for them.
    Index(
        "asks_by_date",
        "asked_at",
        "engine",
        "outcome",
        "billed",
        "expected",
        "audio",
        "price",
        "sent",
    ),
    # Grouped already, so that sums of everything ever asked come in one pass.
    Index("asks_by_engine", "engine", "outcome", "billed", "price", "sent"),
    Index("asks_of_pieces", "part_of", sqlite_where=text("part_of IS NOT NULL")),
    Index(
        "asks_still_out",
        "outcome",
        sqlite_where=text("outcome IN ('open', 'accepted')"),
    ),
    sqlite_strict=True,
)

waits = Table(
    "waits",
    _metadata,
    Column("inbox", Text, primary_key=True),
    Column("at_most", Span, primary_key=True),  # the bucket of a histogram; -1 for what is longer
    Column("number", Integer, nullable=False),
    Column("total", Span, nullable=False),
    sqlite_strict=True,
)

holds = Table(
    "holds",
    _metadata,
    Column("scope", Text, primary_key=True),
    Column("since", Moment, nullable=False),
    Column("until", Moment, nullable=False),
    Column("times", Integer, nullable=False),
    Column("trouble", Text, nullable=False),
    Column("key_digest", Text),
    Column("code", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("advice", Text, nullable=False),
    sqlite_strict=True,
)

forgotten = Table(
    "forgotten",
    _metadata,
    Column("path", LargeBinary, primary_key=True),
    Column("device", Unsigned, nullable=False),
    Column("inode", Unsigned, nullable=False),
    Column("size", Integer, nullable=False),
    Column("mtime_ns", Integer, nullable=False),
    Column("at", Moment, nullable=False),
    sqlite_strict=True,
)

tries = Table(
    "tries",
    _metadata,
    Column("recording", Integer, primary_key=True),
    Column("step", Text),  # under way at this moment
    Column("died_in", Text),
    Column("deaths", Integer, nullable=False),
    sqlite_strict=True,
)

cuts = Table(
    "cuts",
    _metadata,
    Column(
        "purchase", Text, primary_key=True
    ),  # of the whole recording: its content, and the rules
    Column("places", Text, nullable=False),  # of each piece: begin, end, overlap, in milliseconds
    sqlite_strict=True,
)

clock = Table(
    "clock",
    _metadata,
    Column("id", Integer, primary_key=True),  # one row
    Column("boot_id", Text, nullable=False),
    Column("booted", Moment, nullable=False),
    sqlite_strict=True,
)


restored = Table(
    "restored",
    _metadata,
    Column("id", Integer, primary_key=True),
    Column("at", Moment, nullable=False),  # files older than this may have been asked for meanwhile
    Column("missing", Integer, nullable=False),  # how many asks are known to be
    sqlite_strict=True,
)

said = Table(
    "said",
    _metadata,
    Column("recording", Integer, ForeignKey("recordings.id"), primary_key=True),
    Column("said", LargeBinary, nullable=False),  # JSON, zlib: [[begin in ms or null, text], ...]
    sqlite_strict=True,
)

notes = Table(
    "notes",
    _metadata,
    Column("recording", Integer, primary_key=True),  # outlives a forgotten recording
    Column("inbox", Text, nullable=False),
    Column("path", LargeBinary, nullable=False),
    Column("content", Text),  # NULL: to be removed
    Column("wanted", Text, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("device", Unsigned, nullable=False),
    Column("waits", Flag, nullable=False),
    Index("notes_by_path", "path"),
    sqlite_strict=True,
)

filling = Table(
    "filling",
    _metadata,
    Column("id", Integer, primary_key=True),  # one row
    Column("below", Integer, nullable=False),  # recordings up to this one are not in the index yet
    sqlite_strict=True,
)

WORDS = "CREATE VIRTUAL TABLE words USING fts5(said, inbox, content='', tokenize='unicode61 remove_diacritics 2')"
"""The index of what was said; it keeps no text of its own."""


outbox = Table(
    "outbox",
    _metadata,
    Column("id", Integer, primary_key=True),
    Column("message", Text, nullable=False),
    Column("notifier", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("since", Moment, nullable=False),
    Column("due", Moment, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("news", Text, nullable=False),
    Column("dead", Text),  # why it is not tried any more
    Index("outbox_by_due", "notifier", "dead", "due"),
    sqlite_strict=True,
)

receivers = Table(
    "receivers",
    _metadata,
    Column("key", Text, primary_key=True),
    Column("failures", Integer, nullable=False),
    Column("until", Moment),
    Column("told_at", Moment),
    Column("code", Text),
    Column("error", Text),
    Column("advice", Text),
    Column("gone", Moment),
    Column("digest_of", Text),  # a local day
    Column("digest_until", Moment),
    sqlite_strict=True,
)

windows = Table(
    "windows",
    _metadata,
    Column("notifier", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("until", Moment, nullable=False),
    sqlite_strict=True,
)

alarms = Table(
    "alarms",
    _metadata,
    Column("subject", Text, primary_key=True),
    Column("standstill", Text, nullable=False),
    sqlite_strict=True,
)


def create(connection: Connection) -> None:
    """Make every table, inside the caller's transaction."""
    _metadata.create_all(connection)
    connection.exec_driver_sql(WORDS)
    connection.execute(filling.insert().values(id=1, below=0))

"""What was said in every recording: kept beside its row, found by its words.

The sentences lie compressed in `said`; the index `words` holds no text (FTS5, contentless), so that both together
take less than the answers they come from. It knows the inbox, too: who looks for a frequent word in one inbox is not to
wait until all the others were looked through. The invariant: the index holds exactly those rows of `said` whose number
is above `filling.below`. What lies below is filled in from the newest down, in small portions: after an upgrade from
the stored answers, after damage from `said`.
"""

import json
import sqlite3
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from asrwatch import logs
from asrwatch.journey.recording import State
from asrwatch.journey.store import tables
from asrwatch.journey.store.database import Database
from asrwatch.journey.store.searching import Excerpt, Search, excerpt, query, split, token
from asrwatch.journey.transcript import Sentence

__all__ = ["MOST_RANKED", "Finding", "Hit", "Said", "find_in"]

log = logs.get("store")

MOST_RANKED = 5000
"""Of more hits than these the newest are told first: to rank 100,000 takes a fifth of a second."""
_AT_ONCE = 200
_MS = timedelta(milliseconds=1)

_INDEX_DAMAGED = frozenset({"SQLITE_CORRUPT_VTAB", "SQLITE_ERROR"})
"""What FTS5 says of an index that contradicts itself or lacks parts; our statements are constant."""

Told = Sequence[tuple[timedelta | None, str]]
"""Sentences: when each begins in the recording, and its text."""

_WANTED = """
FROM words JOIN recordings AS r ON r.id = words.rowid
WHERE words MATCH :query AND words.rowid >= :first
AND (:inbox IS NULL OR r.inbox = :inbox) AND (:since IS NULL OR r.found_at >= :since)
"""
# of `id` as it is SQLite would look for the least by going through the whole table
_FIRST = "SELECT min(+id) FROM recordings WHERE found_at >= ?"
_COUNT = f"SELECT count(*) FROM (SELECT 1 {_WANTED} LIMIT {MOST_RANKED + 1})"  # noqa: S608 - constants of ours
_HITS = f"""
SELECT r.id, r.inbox, r.path, r.original, r.state, r.found_at, r.delivered_at,
    (SELECT o.path FROM outputs AS o WHERE o.recording = r.id ORDER BY o.format <> 'txt', o.position LIMIT 1),
    (SELECT s.said FROM said AS s WHERE s.recording = r.id)
{_WANTED} ORDER BY {{order}} LIMIT :limit
"""  # noqa: S608 - same
_MISSING = (
    "SELECT CASE below WHEN 0 THEN 0 ELSE"
    " (SELECT count(*) FROM recordings WHERE id <= below AND state = 'delivered' AND part_of IS NULL) END FROM filling"
)
_BY_RANK, _NEWEST_FIRST = _HITS.format(order="words.rank"), _HITS.format(order="words.rowid DESC")
_NONE = 2**62


@dataclass(frozen=True, kw_only=True, slots=True)
class Hit:
    """A recording in which the words were said; `original` is where it lies now, None if it was deleted."""

    recording: int
    inbox: str
    path: bytes
    original: bytes | None
    state: State
    found_at: datetime
    delivered_at: datetime | None
    transcript: bytes | None
    excerpt: Excerpt


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """The best hits, or the newest where there are more than `MOST_RANKED` (`ranked` is False then).

    `count` is of all hits, at most `MOST_RANKED` + 1. `missing` recordings are not in the index yet.
    """

    hits: tuple[Hit, ...]
    count: int
    ranked: bool
    missing: int


def find_in(connection: sqlite3.Connection, search: Search) -> Finding:
    """Look for words in everything that was said; any connection to the database will do, also one that only reads.

    Raises:
        UsageError: there is no word in the search.
        sqlite3.Error: what SQLite says; `Said.find` deals with a damaged index.
    """
    since, first = tables.stored(search.since), 0
    if since is not None:  # recordings are numbered as they are found
        (begin,) = connection.execute(_FIRST, (since,)).fetchone()
        first = _NONE if begin is None else begin
    chosen = {
        "query": query(search.text, search.inbox),
        "inbox": search.inbox,
        "since": since,
        "first": first,
        "limit": search.limit,
    }
    (count,) = connection.execute(_COUNT, chosen).fetchone()
    ranked = count <= MOST_RANKED
    rows = connection.execute(_BY_RANK if ranked else _NEWEST_FIRST, chosen).fetchall()
    (missing,) = connection.execute(_MISSING).fetchone()
    hits = tuple(_hit(row, search.text) for row in rows)
    return Finding(hits=hits, count=count, ranked=ranked, missing=missing)


def _hit(row: Sequence[Any], wanted: str) -> Hit:
    number, inbox, path, original, state, found_at, delivered_at, transcript, said = row
    found = tables.moment(found_at)
    assert found is not None  # noqa: S101 - the column is NOT NULL
    return Hit(
        recording=number,
        inbox=inbox,
        path=path,
        original=original if state == State.DELIVERED else path,
        state=State(state),
        found_at=found,
        delivered_at=tables.moment(delivered_at),
        transcript=transcript,
        excerpt=excerpt(wanted, _unpacked(said)),
    )


class Said(Database):
    """What was said in every recording. See the module.

    Attributes:
        has_gaps: the index may lack recordings, and `fill` has something to do.
    """

    has_gaps = True

    def keep_said(self, recording_id: int, sentences: Iterable[Sentence]) -> None:
        """Remember what was said in a recording, instead of what was remembered before."""
        told = [(each.begin, each.text) for each in sentences]
        packed = _packed(told)
        with self.transaction():
            before = self._packed_said(recording_id)
            if before == packed:
                return
            self._run(
                "INSERT INTO said (recording, said) VALUES (?, ?)"
                " ON CONFLICT (recording) DO UPDATE SET said = excluded.said",
                (recording_id, packed),
            )
            if recording_id > self._below():
                with self._mending():
                    inbox = self._inbox_of(recording_id)
                    if before is not None:
                        self._unindex(recording_id, before, inbox)
                    self._index(recording_id, packed, inbox)

    def said_moves(self, recording_id: int, inbox: str, *, into: str) -> None:
        """What was said in a recording is found in another inbox from now on."""
        with self.transaction():
            packed = self._packed_said(recording_id)
            if packed is not None and recording_id > self._below():
                with self._mending():
                    self._unindex(recording_id, packed, inbox)
                    self._index(recording_id, packed, into)

    def drop_said(self, recording_id: int) -> None:
        """Forget what was said in a recording."""
        with self.transaction():
            before = self._packed_said(recording_id)
            if before is None:
                return
            if recording_id > self._below():
                with self._mending():
                    self._unindex(recording_id, before, self._inbox_of(recording_id))
            self._run("DELETE FROM said WHERE recording = ?", (recording_id,))

    def said_in(self, recording_id: int) -> Told | None:
        """What was said in a recording, if that is known yet."""
        with self.transaction():
            packed = self._packed_said(recording_id)
        return None if packed is None else _unpacked(packed)

    def find(self, search: Search) -> Finding:
        """Look for words in everything that was said, as far as it is committed.

        A damaged index is begun anew, and misses everything first.

        Raises:
            UsageError: there is no word in the search.
            StoreTrouble: the database cannot be read now.
        """
        query(search.text)
        try:
            return self._find(search)
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorname not in {*_INDEX_DAMAGED, "SQLITE_CORRUPT"}:
                raise self.trouble_of(error) from error
            self._mend_search()
            return Finding(hits=(), count=0, ranked=True, missing=self._missing())

    def _find(self, search: Search) -> Finding:
        """On a connection of its own that only reads: SQLite lets one that met damage write nothing more."""
        database = self.state_dir / "asrwatch.db"
        with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as reading:
            reading.execute("PRAGMA trusted_schema=OFF")
            return find_in(reading, search)

    def _mend_search(self) -> None:
        with self.transaction():
            self._begin_anew()

    def _missing(self) -> int:
        with self.transaction():
            return int(self._run(_MISSING).fetchone()[0])

    # The index, filled in afterwards.

    def fill(self, read: Callable[[int], Iterable[Sentence] | None], *, spend: timedelta) -> bool:
        """Put recordings into the index that are not in it yet, the newest of them first.

        Args:
            read: what was said in the recording of this number, by its answer; None where nobody can tell.
            spend: how long at most, but for the last recording.

        Returns:
            Whether there was anything to do.
        """
        end = time.monotonic() + spend.total_seconds()
        with self.transaction():
            below = self._below()
            if not below:
                self.has_gaps = False
                return False
            rows = self._run(
                "SELECT r.id, s.said, r.inbox FROM recordings AS r LEFT JOIN said AS s ON s.recording = r.id"
                " WHERE r.id <= ? AND r.part_of IS NULL AND (s.recording IS NOT NULL OR r.state = 'delivered')"
                " ORDER BY r.id DESC LIMIT ?",
                (below, _AT_ONCE),
            ).fetchall()
            done = below + 1 if rows else 1
            with self._mending() as mended:
                for number, packed, inbox in rows:
                    self._fill_in(number, packed, inbox, read)
                    done = number
                    if time.monotonic() > end:
                        break
                else:
                    done = done if len(rows) == _AT_ONCE else 1
            if not mended.is_set:
                self._run("UPDATE filling SET below = ?", (done - 1,))
        return True

    def _fill_in(
        self,
        number: int,
        packed: bytes | None,
        inbox: str,
        read: Callable[[int], Iterable[Sentence] | None],
    ) -> None:
        if packed is None:
            sentences = read(number)
            if sentences is None:
                return
            packed = _packed([(each.begin, each.text) for each in sentences])
            self._run("INSERT INTO said (recording, said) VALUES (?, ?)", (number, packed))
        self._index(number, packed, inbox)

    def _below(self) -> int:
        return int(self._run("SELECT below FROM filling").fetchone()[0])

    def _packed_said(self, recording_id: int) -> bytes | None:
        row = self._run("SELECT said FROM said WHERE recording = ?", (recording_id,)).fetchone()
        return bytes(row[0]) if row else None

    def _inbox_of(self, recording_id: int) -> str:
        """As it is indexed: whoever changes it says so by `said_moves`."""
        found = self._run("SELECT inbox FROM recordings WHERE id = ?", (recording_id,)).fetchone()
        return str(found[0])

    def _index(self, number: int, packed: bytes, inbox: str) -> None:
        self._run(
            "INSERT INTO words (rowid, said, inbox) VALUES (?, ?, ?)",
            (number, _indexed(packed), token(inbox)),
        )

    def _unindex(self, number: int, packed: bytes, inbox: str) -> None:
        self._run(
            "INSERT INTO words (words, rowid, said, inbox) VALUES ('delete', ?, ?, ?)",
            (number, _indexed(packed), token(inbox)),
        )

    @contextmanager
    def _mending(self) -> Iterator["_Mended"]:
        """Whatever is wrong with the index, it is no reason to keep a transcript waiting: it is begun anew."""
        mended = _Mended()
        self._run("SAVEPOINT words")
        try:
            yield mended
            self._run("RELEASE words")  # only now FTS5 writes what it had gathered
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorname not in _INDEX_DAMAGED:
                raise
            mended.is_set = True
            self._run("ROLLBACK TO words")
            self._begin_anew()
            self._run("RELEASE words")
        except BaseException:
            self._run("ROLLBACK TO words")
            self._run("RELEASE words")
            raise

    def _begin_anew(self) -> None:
        try:
            self._run("DROP TABLE IF EXISTS words")
        except sqlite3.DatabaseError:  # FTS5 opens what it is to remove, and cannot
            self._make_it_open()
            self._run("DROP TABLE IF EXISTS words")
        self._run(tables.WORDS)
        self._run("UPDATE filling SET below = (SELECT coalesce(max(id), 0) FROM recordings)")
        self.has_gaps = True
        log.error("search-index-damaged", advice="It is built anew; no transcript is touched.")

    def _make_it_open(self) -> None:
        """Put the insides of an index that was never used into the place of the damaged ones."""
        self._run(tables.WORDS.replace("TABLE words", "TABLE temp.unused"))
        for name, sql in self._run(
            "SELECT name, sql FROM sqlite_temp_schema WHERE name GLOB 'unused_*' AND type = 'table'"
        ).fetchall():
            damaged = name.replace("unused_", "words_")
            self._run(f'DROP TABLE IF EXISTS main."{damaged}"')
            self._run(sql.replace(name, damaged))
            self._run(f'INSERT INTO main."{damaged}" SELECT * FROM temp."{name}"')  # noqa: S608 - names of SQLite's own
        self._run("DROP TABLE temp.unused")

    def _run(self, sql: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
        return self._driver().execute(sql, values)

    def _driver(self) -> sqlite3.Connection:
        driver: Any = self._connection.connection.driver_connection
        connection: sqlite3.Connection = driver
        return connection


class _Mended:
    """Whether the index had to be begun anew."""

    is_set = False


def _packed(told: Told) -> bytes:
    written = [[None if begin is None else begin // _MS, text] for begin, text in told]
    # what JSON may escape and UTF-8 cannot hold stays escaped
    return zlib.compress(
        json.dumps(written, ensure_ascii=False).encode("utf-8", "backslashreplace")
    )


def _unpacked(packed: bytes) -> list[tuple[timedelta | None, str]]:
    return [
        (None if begin is None else begin * _MS, text)
        for begin, text in json.loads(zlib.decompress(packed))
    ]


def _indexed(packed: bytes) -> str:
    """The text as the index has it: of what is kept, so that it can be taken out of the index again."""
    return split("\n".join(text for _, text in _unpacked(packed)))

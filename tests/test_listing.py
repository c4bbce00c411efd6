"""Lists of recordings: pages, searches, counts and sums, however many there are; read by connections that only read."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from journey_helpers import a_recording

from asrwatch.journey.recording import State
from asrwatch.journey.store import Reader, Readers, Store, StoreTrouble, Wanted
from asrwatch.journey.store.listing import _WAITING_LONGEST
from asrwatch.journey.store.lookups import _COUNT_BY_STATE

pytestmark = pytest.mark.xdist_group("listing")  # what they share is made once

NUMBER = 7_000
"""More than are looked at one by one."""
BEGIN = datetime(2026, 11, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """Of two inboxes: every tenth recording failed, every tenth waits, the newest is a piece of another."""
    folder = tmp_path_factory.mktemp("lists") / "state"
    with Store(folder):
        pass
    rows = []
    for n in range(1, NUMBER + 1):
        state = "failed" if n % 10 == 0 else "settled" if n % 10 == 5 else "delivered"
        inbox = "calls" if n % 2 else "talks"
        found = (BEGIN + timedelta(minutes=n) - EPOCH) // MICROSECOND
        done = found + 60_000_000 if state == "delivered" else None
        failure = (
            '{"error": "RecordingError", "code": "x", "message": "m", "advice": ""}'
            if state == "failed"
            else None
        )
        delivered = ("ab", f"p{n}", "e", "{}", 1) if done else (None,) * 5
        part_of = NUMBER - 1 if n == NUMBER else None
        path = f"/srv/{inbox}/{n:05}{' Needle' if n in {7, 20} else ''}.wav".encode()
        rows.append(
            (n, inbox, path, state, found, found, found, failure, 30_000, done, part_of, *delivered)
        )
    with closing(sqlite3.connect(folder / "asrwatch.db")) as book:
        book.execute("INSERT INTO answers VALUES (1, 'p', x'00', 1, NULL, NULL)")
        book.executemany(
            "INSERT INTO recordings (id, inbox, path, device, inode, size, mtime_ns, state, found_at, changed_at,"
            " due, attempts, engines_refused, failure, audio, delivered_at, part_of, sha256, purchase, engine,"
            " reading, answer) VALUES (?, ?, ?, 1, 1, 1, 1, ?, ?, ?, ?, 0, '[]', ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            rows,
        )
        book.commit()
    with Store(folder), closing(Reader(folder)) as made:
        yield made


def numbers(
    reader: Reader, wanted: Wanted, *, before: int | None = None, most: int = 50
) -> list[int]:
    """Of the recordings on one page."""
    return [line.id for line in reader.page(wanted, before=before, most=most).lines]


def test_pages_hold_everything_once(reader: Reader) -> None:
    """Page after page, newest first, each recording that is wanted comes once; pieces never."""
    wanted = Wanted(states=(State.FAILED, State.SETTLED), inbox="calls")
    seen: list[int] = []
    before: int | None = None
    while True:
        page = reader.page(wanted, before=before, most=333)
        seen += [line.id for line in page.lines]
        before = page.older
        if before is None:
            break
    assert seen == [n for n in range(NUMBER, 0, -1) if n % 10 == 5]
    assert numbers(reader, Wanted(), most=2) == [NUMBER - 1, NUMBER - 2]


def test_a_needle_is_found_wherever_it_lies(reader: Reader) -> None:
    """The oldest are found as the newest are, in any case, with every filter; what fits nothing finds nothing."""
    assert numbers(reader, Wanted(named="needle")) == [20, 7]
    assert numbers(reader, Wanted(named="needle", states=(State.FAILED,))) == [20]
    assert numbers(reader, Wanted(named="needle", states=(State.DELIVERED,))) == [7]
    assert numbers(reader, Wanted(named="needle", inbox="calls")) == [7]
    assert numbers(reader, Wanted(named="needle"), before=20) == [7]
    assert numbers(reader, Wanted(named="needle", inbox="nowhere")) == []
    assert numbers(reader, Wanted(named="06999")) == [NUMBER - 1]
    assert numbers(reader, Wanted(named=f"{NUMBER:05}")) == [], "a piece"
    assert numbers(reader, Wanted(named="%")) == []
    delivered = [n for n in range(NUMBER, 0, -1) if n % 10 not in {0, 5}]
    often = Wanted(named="SRV", states=(State.DELIVERED,))
    assert numbers(reader, often, most=NUMBER) == delivered
    assert numbers(reader, often, before=6000, most=NUMBER) == [n for n in delivered if n < 6000]


def test_counts_and_who_waits_longest(reader: Reader) -> None:
    """Each inbox with its states; of what is not done, the one found longest ago."""
    counts = reader.counts()
    tenth = NUMBER // 10
    assert counts["calls"] == {State.SETTLED: tenth, State.DELIVERED: 4 * tenth}
    assert counts["talks"] == {State.FAILED: tenth - 1, State.DELIVERED: 4 * tenth}
    assert {inbox: number for inbox, (number, _) in reader.waiting_longest().items()} == {
        "calls": 5
    }


def test_sums_come_out_of_their_indexes(reader: Reader) -> None:
    """Whichever index was made last: who waits longest, and how many there are, is told without reading a row."""
    with closing(sqlite3.connect(":memory:")) as book:
        with closing(sqlite3.connect(reader.state_dir / "asrwatch.db")) as there:
            there.backup(book)
        made = (
            "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = 'recordings'"
        )
        for name, sql in book.execute(f"{made} AND sql IS NOT NULL").fetchall():
            book.execute(f"DROP INDEX {name}")
            book.execute(sql)
            told = str(book.execute(f"EXPLAIN QUERY PLAN {_WAITING_LONGEST}").fetchall())
            assert set(re.findall("recordings_[a-z_]+", told)) == {"recordings_waiting"}
            told = str(book.execute(f"EXPLAIN QUERY PLAN {_COUNT_BY_STATE}").fetchall())
            assert set(re.findall("recordings_[a-z_]+", told)) == {"recordings_by_place"}


def test_days_are_summed_up(reader: Reader) -> None:
    """Between two moments: how many were delivered, how much audio, how long they waited."""
    begins = [BEGIN, BEGIN + timedelta(minutes=11), BEGIN + timedelta(minutes=11, seconds=1)]
    day, nothing = reader.days(begins)
    assert (day.delivered, day.audio) == (8, timedelta(seconds=240))
    assert (day.waited, day.longest) == (timedelta(minutes=1), timedelta(minutes=1))
    assert (nothing.delivered, nothing.waited) == (0, None)


def test_a_reader_writes_nothing(tmp_path: Path, now: datetime) -> None:
    """Whatever would write raises, and what another connection saves is seen at once, also by a reader used before."""
    with Store(tmp_path / "state") as store:
        readers = Readers(tmp_path / "state")
        with readers.one() as reader:
            assert reader.page(Wanted()).lines == ()
        store.add(a_recording(State.SETTLED, now))
        with readers.one() as reader:
            assert len(reader.page(Wanted()).lines) == 1
        with pytest.raises(StoreTrouble), readers.one() as reader:
            reader.add(a_recording(State.SETTLED, now))
        with readers.one() as reader:
            assert len(reader.page(Wanted()).lines) == 1
        readers.close()

"""Measure what a scrape costs with many recordings, against a bare count of the same rows, and print one table.

    .venv/bin/python tests/bench/metrics.py             # 200,000 recordings, half a minute
    .venv/bin/python tests/bench/metrics.py 20000

Figures are ratios in the same run: this machine's seconds mean nothing elsewhere.
"""

import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from asrwatch.config import Settings
from asrwatch.desk.reports.status import Health, InboxHealth
from asrwatch.journey.store import Reader, Store
from asrwatch.metrics.exposition import exposition
from asrwatch.metrics.measured import measure

INBOXES = 5
ROUNDS = 15
FILL = (
    "INSERT INTO answers (id, purchase, raw, received_at, billed) VALUES (1, 'p', x'00', 0, 7000)",
    (
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :rows)"
        " INSERT INTO recordings (inbox, path, device, inode, size, mtime_ns, state, found_at, changed_at, due,"
        " attempts, engines_refused, sha256, purchase, engine, reading, answer, delivered_at, audio)"
        " SELECT 'inbox' || (i % :inboxes), CAST('/srv/inbox/2026/' || i || '.wav' AS BLOB), 1, i, 100000, i,"
        " 'delivered', :now - i * 1000000, :now, :now, 1, '[]', hex(randomblob(32)), hex(randomblob(32)),"
        " 'qwen3-asr-flash', '{}', 1, :now, 7000 FROM n"
    ),
    (
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :rows)"
        " INSERT INTO asks (ask_id, recording, purchase, engine, model, path, asked_at, audio, outcome, outcome_at,"
        " billed, inbox, sha256, size, who, expected, price, sent) SELECT hex(randomblob(16)), i, hex(randomblob(32)),"
        " 'qwen3-asr-flash', 'qwen3-asr-flash', CAST('/srv/inbox/2026/' || i || '.wav' AS BLOB),"
        " :now - i * 10000000, 7000, CASE WHEN i % 50 THEN 'answered' ELSE 'refused' END, :now, 7000, 'inbox',"
        " hex(randomblob(32)), 100000, 'bench', 7000, 220000, 100000 FROM n"
    ),
    (
        "INSERT INTO waits SELECT 'inbox' || (i.value % :inboxes), s.value * 1000, 10, 1000 FROM"
        " json_each('[0,1,2,3,4]') i, json_each('[5,10,20,30,60,120,300]') s"
    ),
)


def median(work: Callable[[], Any]) -> float:
    """Milliseconds of processor time that something takes, once it is warm."""
    work()
    spans = []
    for _ in range(ROUNDS):
        begun = time.process_time()
        work()
        spans.append(1000 * (time.process_time() - begun))
    return statistics.median(spans)


def main() -> None:
    """Fill, measure, print."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
    now = datetime.now(tz=UTC)
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder) / "state"
        Store(state).close()
        database = sqlite3.connect(state / "asrwatch.db", isolation_level=None)
        values = {"rows": rows, "inboxes": INBOXES, "now": int(now.timestamp() * 1_000_000)}
        for statement in FILL:
            database.execute("BEGIN")
            database.execute(statement, values if ":" in statement else {})
            database.execute("COMMIT")
        health = Health(
            at=now,
            running=True,
            started_at=now - timedelta(days=1),
            inboxes=tuple(
                InboxHealth(name=f"inbox{n}", path=b"/srv/inbox", health="ok", looked_at=now)
                for n in range(INBOXES)
            ),
            settling=(),
            settling_count=0,
            holds=(),
            shortages=(),
            stuck=(),
        )
        settings = Settings.model_validate({"state_dir": str(state)}, context={"base": state})
        reader = Reader(state)
        measured = measure(reader, health, settings)
        bare = median(
            lambda: database.execute(
                "SELECT outcome, count(*) FROM asks GROUP BY outcome"
            ).fetchall()
        )
        figures: dict[str, float] = {
            "counts by inbox and state": median(reader.counts),
            "requests by engine and outcome": median(reader.requests),
            "spending of the month": median(lambda: reader.ledger(since=now - timedelta(days=30))),
            "waits": median(reader.waits),
            "all figures": median(lambda: measure(reader, health, settings)),
            "text of them": median(lambda: exposition(measured, process=True)),
        }
        print(f"| {rows} recordings | ms of processor | of a bare count of the ledger |")
        print("| --- | --- | --- |")
        print(f"| a bare count of the ledger by outcome | {bare:.1f} | 1 |")
        for what, span in figures.items():
            print(f"| {what} | {span:.1f} | {span / bare:.2f} |")
        reader.close()
        database.close()


if __name__ == "__main__":
    main()

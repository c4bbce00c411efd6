"""Measure the status page with 200,000 recordings, beside a bare SELECT by primary key in the same run.

    .venv/bin/python tests/bench/page.py             # everything, about three minutes
    .venv/bin/python tests/bench/page.py idle help   # only these parts: pages, idle, help

Aims: each page and list query under 100 ms on the CI machine; the idle page costs nothing measurable;
`asrwatch --help` takes at most twice what `python -c "import typer"` takes.
"""

import http.client
import json
import os
import random
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from asrwatch.journey.recording import State
from asrwatch.journey.store import Readers, Store, Wanted

NUMBER = 200_000
ROUNDS = 15
PATIENCE = 120.0
DAY = 86_400_000_000


def print_row(what: str, figure: str, aim: str = "") -> None:
    """One row of the table, as it is known."""
    print(f"| {what} | {figure} | {aim} |", flush=True)


def fill(folder: Path, number: int = NUMBER) -> None:
    """A store with so many recordings of three inboxes over sixty days, most of them delivered, and their ledger."""
    with Store(folder):
        pass
    chance = random.Random(1)  # noqa: S311 - made-up recordings
    now = int(datetime.now(tz=UTC).timestamp() * 1_000_000)
    reading = json.dumps(
        {
            "sha256": "ab" * 32,
            "facts": {"container": "wav", "codec": "pcm", "duration": "PT60S", "channels": 1},
            "plan": {"engine": "qwen3-asr-flash", "model": "qwen3-asr-flash"},
        }
    )
    failure = json.dumps(
        {
            "error": "RecordingError",
            "code": "no-audio",
            "message": "It is empty.",
            "advice": "Look.",
        }
    )
    answer = zlib.compress(b'{"choices": []}')
    with closing(sqlite3.connect(folder / "asrwatch.db")) as book:
        book.execute("PRAGMA synchronous=OFF")
        book.executemany(
            "INSERT INTO answers (id, purchase, raw, received_at) VALUES (?, ?, ?, ?)",
            ((n, f"p{n}", answer, now) for n in range(1, number + 1)),
        )
        rows, asks = [], []
        for n in range(1, number + 1):
            state = "failed" if n % 50 == 0 else "settled" if n % 997 == 0 else "delivered"
            found = now - int(60 * DAY * (1 - n / number)) - 30_000_000
            done = found + chance.randrange(5_000_000, 300_000_000)
            inbox = ("calls", "dictation", "meetings")[n % 3]
            path = f"/srv/{inbox}/2026/{n % 365:03}/recording {n:06} of {chance.choice(NAMES)}.wav"
            delivered = state == "delivered"
            rows.append(
                (n, inbox, path.encode(), 1, n, 1_000_000, 1, state, found, done, done, 1, "[]")
                + (("ab" * 32, f"p{n}", "qwen3-asr-flash", reading) if delivered else (None,) * 4)
                + (n if delivered else None, done if delivered else None)
                + (failure if state == "failed" else None, 60_000)
            )
            asks.append(
                (f"a{n}", n, f"p{n}", path.encode(), found, 60_000, "answered", 60_000, 220_000)
            )
        book.executemany(
            "INSERT INTO recordings (id, inbox, path, device, inode, size, mtime_ns, state, found_at,"  # noqa: S608 - question marks
            " changed_at, due, attempts, engines_refused, sha256, purchase, engine, reading, answer,"
            f" delivered_at, failure, audio) VALUES ({', '.join('?' * 21)})",
            rows,
        )
        book.executemany(
            "INSERT INTO asks (ask_id, recording, purchase, engine, model, path, asked_at, audio,"
            " outcome, billed, price) VALUES (?, ?, ?, 'qwen3-asr-flash', 'qwen3-asr-flash', ?, ?, ?, ?, ?, ?)",
            asks,
        )
        book.commit()


NAMES = ("Ms Okonkwo", "the council", "Weber", "Zhang 会议", "a long day", "Lindström")


def median_ms(what: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    """Milliseconds."""
    taken = []
    for _ in range(ROUNDS):
        begun = clock()
        what()
        taken.append(clock() - begun)
    return statistics.median(taken) * 1000


def cpu_ms(what: Callable[[], object]) -> float:
    """The same in CPU time, which other programs on the machine do not lengthen: a query does nothing but compute."""
    return median_ms(what, time.process_time)


def lists(folder: Path) -> float:
    """The queries by themselves; returns what a bare SELECT takes (ms)."""
    with closing(sqlite3.connect(folder / "asrwatch.db")) as book:
        wanted = random.Random(2)  # noqa: S311 - which row does not matter

        def bare() -> None:
            for _ in range(50):
                number = wanted.randrange(1, NUMBER)
                book.execute("SELECT * FROM recordings WHERE id = ?", (number,)).fetchone()

        base = cpu_ms(bare)
    print_row("bare: 50 rows by primary key", f"{base:.2f} ms", "")
    readers = Readers(folder)
    asked: dict[str, Wanted] = {
        "newest": Wanted(),
        "failed": Wanted(states=(State.FAILED,)),
        "delivered of one inbox": Wanted(states=(State.DELIVERED,), inbox="calls"),
        "search, common": Wanted(named="recording"),
        "search, rare": Wanted(named="recording 000123"),
        "search, nothing": Wanted(named="nowhere at all"),
        "search, rare, delivered": Wanted(named="recording 000123", states=(State.DELIVERED,)),
        "search, common, failed": Wanted(named="Weber", states=(State.FAILED,)),
        "search, waiting": Wanted(named="Weber", states=(State.SETTLED, State.STAGED)),
        "search, common elsewhere": Wanted(named="/srv/meetings", inbox="calls"),
    }
    with readers.one() as reader:
        for what, one in asked.items():
            took = cpu_ms(lambda one=one: reader.page(one))  # type: ignore[misc] # mypy cannot infer it
            print_row(f"list: {what}", f"{took:.1f} ms, {took / base:.1f} x bare", "< 100 ms")
        middle = cpu_ms(lambda: reader.page(Wanted(), before=NUMBER // 2))
        print_row("list: page 2,000", f"{middle:.1f} ms, {middle / base:.1f} x bare", "< 100 ms")
        for what, work in (("counts", reader.counts), ("waits longest", reader.waiting_longest)):
            took = cpu_ms(work)
            print_row(f"query: {what}", f"{took:.1f} ms, {took / base:.1f} x bare", "< 100 ms")
        for span in (1, 30):
            since = datetime.now(tz=UTC) - timedelta(days=span)
            took = cpu_ms(lambda since=since: reader.ledger(since=since))  # type: ignore[misc] # same
            print_row(
                f"query: ledger of {span} days",
                f"{took:.1f} ms, {took / base:.1f} x bare",
                "< 100 ms",
            )
    readers.close()
    return base


@contextmanager
def daemon(folder: Path, web: str) -> Iterator[tuple[psutil.Process, str]]:
    """`asrwatch run` over an empty inbox; yields its process and the page's address."""
    (folder / "inbox").mkdir(exist_ok=True)
    config = folder / "asrwatch.yaml"
    config.write_text(
        f"state_dir: {folder}\nweb: {web}\nbackup:\ncloud: {{base_url: 'http://127.0.0.1:9'}}\n"
        f"inboxes: [{{path: {folder}/inbox, name: calls}}]\n"
    )
    log = folder / "log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "asrwatch", "run", "-c", str(config)],
            stderr=stream,
            env={**os.environ, "DASHSCOPE_API_KEY": "sk-bench"},
        )
    mark = '"started"' if web == "off" else '"url"'
    end = time.monotonic() + PATIENCE
    try:
        while mark not in log.read_text():
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.05)
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        urls = [line["url"] for line in lines if "url" in line]
        yield psutil.Process(process.pid), urls[0] if urls else ""
    finally:
        process.terminate()
        process.wait(PATIENCE)


def pages(folder: Path, base: float) -> None:
    """Whole pages, over HTTP."""
    with daemon(folder, "{listen: '127.0.0.1:0'}") as (process, url):
        _wait_until_calm(process)
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=PATIENCE)

        def get(path: str) -> None:
            connection.request("GET", path)
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 200, (path, answer.status)

        for path in (
            "/",
            "/recordings",
            "/recordings?state=delivered&inbox=calls",
            f"/recordings?before={NUMBER // 2}",
            "/recordings?q=000123",
            "/recordings?q=Weber&state=failed",
            f"/recordings/{NUMBER - 1}",
        ):
            begun = time.perf_counter()
            get(path)
            first = (time.perf_counter() - begun) * 1000
            before = process.cpu_times()
            took = median_ms(lambda path=path: get(path))  # type: ignore[misc] # same
            after = process.cpu_times()
            spent = (after.user + after.system - before.user - before.system) / ROUNDS * 1000
            print_row(
                f"page: {path}",
                f"{took:.0f} ms, {spent:.0f} ms of CPU (first {first:.0f}), {took / base:.0f} x bare",
                "< 100 ms",
            )
        connection.close()


def _wait_until_calm(process: psutil.Process) -> None:
    """A daemon that has just begun takes up its files, which is not what pages are measured for."""
    end = time.monotonic() + PATIENCE
    while process.cpu_percent(2.0) > 10 and time.monotonic() < end:
        pass


def idle() -> None:
    """What the daemon takes of a core when nothing happens: without a page, with one, and while some look at it."""
    for what, web, visitors in (
        ("without a page", "off", 0),
        ("with a page nobody looks at", "{listen: '127.0.0.1:0'}", 0),
        ("with a page that three look at", "{listen: '127.0.0.1:0'}", 3),
    ):
        with tempfile.TemporaryDirectory() as name, daemon(Path(name), web) as (process, url):
            over = threading.Event()
            listeners = [
                threading.Thread(target=_listen, args=(url, over)) for _ in range(visitors)
            ]
            for each in listeners:
                each.start()
            time.sleep(5)
            before = process.cpu_times()
            time.sleep(60)
            after = process.cpu_times()
            over.set()
            spent = after.user + after.system - before.user - before.system
            print_row(f"idle for 60 s, {what}", f"{spent * 1000:.0f} ms of CPU", "")
        for each in listeners:
            each.join()


def _listen(url: str, over: threading.Event) -> None:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=PATIENCE)
    connection.request("GET", "/events")
    answer = connection.getresponse()
    while not over.is_set():
        if not answer.readline():
            return


def command_line() -> None:
    """`asrwatch --help` against a bare import of the library under it."""

    def run(*words: str) -> Callable[[], object]:
        return lambda: subprocess.run(
            [sys.executable, *words], stdout=subprocess.DEVNULL, check=True
        )

    bare = median_ms(run("-c", "import typer"))
    took = median_ms(run("-m", "asrwatch", "--help"))
    print_row(
        "asrwatch --help", f"{took:.0f} ms, {took / bare:.2f} x `import typer`", "at most 2 x"
    )


def main() -> None:
    """Every part that was asked for."""
    asked = sys.argv[1:] or ["pages", "idle", "help"]
    print("| what | measured | aim |\n| --- | --- | --- |")
    if "help" in asked:
        command_line()
    if "pages" in asked:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            fill(folder)
            base = lists(folder)
            pages(folder, base)
    if "idle" in asked:
        idle()


if __name__ == "__main__":
    main()

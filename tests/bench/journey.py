"""Measure the daemon against bare baselines in the same run, and print one table.

    .venv/bin/python tests/bench/journey.py            # everything, about four minutes
    .venv/bin/python tests/bench/journey.py burst      # only rows whose name begins so

The sandbox runs in a process of its own with a scripted recogniser, so that only the daemon is measured.
Figures are ratios or differences: this machine's seconds mean nothing elsewhere.
"""

import base64
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import wave
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

import psutil
import requests

from asrwatch.audio.containers import EXTENSIONS
from asrwatch.clock import utc_now
from asrwatch.files import fingerprint_of
from asrwatch.inbox.ignore import IgnoreRule
from asrwatch.inbox.rounds import Rounds
from asrwatch.inbox.settle import Settler
from asrwatch.journey.evidence import Failure, Fingerprint
from asrwatch.journey.recording import Recording
from asrwatch.journey.store import Store
from asrwatch.sandbox import Knobs, Sandbox, Scripted

FILES = 500
LATENCY = timedelta(milliseconds=300)
PATIENCE = 300.0


@dataclass
class Table:
    """What is printed at the end."""

    rows: list[tuple[str, str, str]] = field(default_factory=list)

    def add(self, what: str, figure: str, aim: str = "") -> None:
        """One row, printed at once too, since the whole takes minutes."""
        self.rows.append((what, figure, aim))
        print(f"  {what}: {figure}", file=sys.stderr, flush=True)

    def show(self) -> None:
        """The table, in Markdown."""
        print("| what | measured | aim |")
        print("| --- | --- | --- |")
        for row in self.rows:
            print(f"| {' | '.join(row)} |")


def _serve(pipe: Connection, latency: timedelta) -> None:
    """The sandbox's process: says its address, then answers what is asked of it."""
    knobs = Knobs(rate_limits=False, latency=latency)
    with Sandbox(recogniser=Scripted(), knobs=knobs) as sandbox:
        pipe.send((sandbox.url, sandbox.key))
        while pipe.recv() == "arrivals":
            pipe.send([seen.at.timestamp() for seen in sandbox.requests if seen.method == "POST"])


@contextmanager
def sandbox_apart(latency: timedelta) -> Iterator[tuple[str, str, Callable[[], list[float]]]]:
    """A sandbox in another process: its URL, a key, and a way to ask when requests arrived."""
    ours, theirs = get_context("spawn").Pipe()
    process = get_context("spawn").Process(target=_serve, args=(theirs, latency))
    process.start()
    url, key = ours.recv()

    def arrivals() -> list[float]:
        ours.send("arrivals")
        return list(ours.recv())

    try:
        yield url, key, arrivals
    finally:
        ours.send("stop")
        process.join()


def write_wav(path: Path, *, seconds: float, number: int) -> None:
    """16 kHz mono, 16 bit, a content of its own per number."""
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(16_000)
        frame = number.to_bytes(4, "little")
        out.writeframes(frame * int(16_000 * seconds / 2))


@contextmanager
def daemon(
    root: Path, url: str, key: str, *, workers: int = 8, settle: str = "100ms", more: str = ""
) -> Iterator[tuple[psutil.Process, Path]]:
    """`asrwatch run` over one inbox below `root`; yields its process and the inbox."""
    inbox = root / "inbox"
    inbox.mkdir(exist_ok=True)
    config = root / "asrwatch.yaml"
    config.write_text(
        f"web: off\nstate_dir: {root}/state\nworkers: {workers}\ncloud: {{base_url: '{url}'}}\n"
        "engines: {qwen3-asr-flash: {requests_per_minute: 1000000}}\n"
        f"inboxes: [{{path: {inbox}, settle: {settle}, formats: [txt]{more}}}]\n"
    )
    environment = {**os.environ, "DASHSCOPE_API_KEY": key}
    log = (root / "log").open("wb")
    process = subprocess.Popen(
        [sys.executable, "-m", "asrwatch", "run", "-c", str(config)], env=environment, stderr=log
    )
    try:
        wait_for(lambda: b'"started"' in (root / "log").read_bytes())
        yield psutil.Process(process.pid), inbox
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE)
        log.close()


def wait_for(what: Callable[[], bool], *, every: float = 0.01) -> None:
    """Until it is true.

    Raises:
        TimeoutError: it did not become true.
    """
    end = time.monotonic() + PATIENCE
    while not what():
        if time.monotonic() > end:
            msg = "the benchmark waited in vain"
            raise TimeoutError(msg)
        time.sleep(every)


def bare_pool(url: str, key: str, files: list[Path], workers: int) -> float:
    """Seconds that a thread pool of `requests` takes to send the same bodies, prepared beforehand."""
    bodies = [
        json.dumps(
            {
                "model": "qwen3-asr-flash",
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {
                                "type": "input_audio",
                                "input_audio": {
                                    "data": "data:audio/wav;base64,"
                                    + base64.b64encode(file.read_bytes()).decode()
                                },
                            }
                        ],
                    }
                ],
                "asr_options": {"enable_itn": False},
            }
        ).encode()
        for file in files
    ]
    local = threading.local()

    def send(body: bytes) -> None:
        if not hasattr(local, "session"):
            local.session = requests.Session()
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        answer = local.session.post(
            f"{url}/compatible-mode/v1/chat/completions", data=body, headers=headers, timeout=60
        )
        answer.raise_for_status()

    begin = time.perf_counter()
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(send, bodies))
    return time.perf_counter() - begin


def burst(table: Table) -> None:
    """500 short recordings moved in at once, against a bare pool sending the same bodies; medians of rounds."""
    for workers, rounds in ((8, 2), (32, 3)):
        measured = [_one_burst(workers) for _ in range(rounds)]
        ratios = sorted(ours / bare for ours, bare, _ in measured)
        ours, bare, cpu = (statistics.median(column) for column in zip(*measured, strict=True))
        table.add(
            f"burst: {FILES} WAVs of 3 s, 300 ms latency, {workers} workers, from the drop to the last "
            "transcript",
            f"{statistics.median(ratios):.2f} x a bare pool ({ratios[0]:.2f} to {ratios[-1]:.2f}; "
            f"{ours:.1f} s against {bare:.1f} s)",
            "at most 1.15",
        )
        table.add(f"burst: CPU per file, {workers} workers", f"{cpu * 1000:.1f} ms")


def _one_burst(workers: int) -> tuple[float, float, float]:
    """Seconds of the daemon, seconds of the bare pool, CPU seconds of the daemon per file."""
    with (
        tempfile.TemporaryDirectory() as folder,
        sandbox_apart(LATENCY) as (url, key, _),
    ):
        root = Path(folder)
        dropped = root / "dropped"
        dropped.mkdir()
        for number in range(FILES):
            write_wav(dropped / f"{number}.wav", seconds=3, number=number)
        bare = bare_pool(url, key, sorted(dropped.iterdir()), workers)
        with daemon(root, url, key, workers=workers) as (process, inbox):
            before = sum(process.cpu_times()[:2])
            begin = time.perf_counter()
            dropped.rename(inbox / "dropped")
            wait_until_there(inbox / "dropped", FILES)
            ours = time.perf_counter() - begin
            return ours, bare, (sum(process.cpu_times()[:2]) - before) / FILES


def wait_until_there(folder: Path, number: int) -> None:
    """Until so many transcripts are in a folder; looked at ten times a second, as looking costs CPU."""
    wait_for(lambda: _transcripts(folder) >= number, every=0.1)


def _transcripts(folder: Path) -> int:
    return sum(1 for _ in folder.glob("*.txt"))


def latency(table: Table) -> None:
    """How long after a file is closed its request leaves, and its transcript lies there."""
    for settle, label in (("5s", "default settle of 5 s"), ("200ms", "settle of 200 ms")):
        requested: list[float] = []
        written: list[float] = []
        with (
            tempfile.TemporaryDirectory() as folder,
            sandbox_apart(timedelta(0)) as (url, key, arrivals),
            daemon(Path(folder), url, key, settle=settle, more=", at_once: false") as (_, inbox),
        ):
            for number in range(3 if settle == "5s" else 10):
                before = len(arrivals())
                write_wav(inbox / f"{number}.wav", seconds=10, number=number)
                closed = time.time()
                wait_for((inbox / f"{number}.txt").exists, every=0.001)
                written.append(time.time() - closed)
                requested.append(arrivals()[before] - closed)
        quiet = 5.0 if settle == "5s" else 0.2
        table.add(
            f"latency: from closing a 10 s WAV to its request, {label}",
            f"settle + {(statistics.median(requested) - quiet) * 1000:.0f} ms",
        )
        table.add(
            f"latency: from closing a 10 s WAV to its transcript, {label}",
            f"settle + {(statistics.median(written) - quiet) * 1000:.0f} ms",
        )


def memory(table: Table) -> None:
    """Resident memory while 32 requests of 7 MB are under way, against the idle daemon."""
    with (
        tempfile.TemporaryDirectory() as folder,
        sandbox_apart(timedelta(seconds=3)) as (url, key, _),
        daemon(Path(folder), url, key, workers=32) as (process, inbox),
    ):
        write_wav(inbox / "first.wav", seconds=1, number=9999)
        wait_for((inbox / "first.txt").exists)
        idle = process.memory_info().rss
        dropped = Path(folder) / "dropped"
        dropped.mkdir()
        for number in range(32):
            write_wav(dropped / f"{number}.wav", seconds=218, number=number)
        peak = idle
        dropped.rename(inbox / "dropped")
        while _transcripts(inbox / "dropped") < 32:
            peak = max(peak, process.memory_info().rss)
            time.sleep(0.01)
    each = (peak - idle) / 32
    table.add(
        "memory: per 7 MB request under way, 32 at once",
        f"{each / 1000:.0f} KB more than idle ({idle / 1e6:.0f} MB)",
        "a few hundred KB",
    )


def idle(table: Table) -> None:
    """20,000 idle files: a pass against bare scandir+lstat, memory, and CPU over a minute."""
    with (
        tempfile.TemporaryDirectory() as folder,
        sandbox_apart(timedelta(0)) as (url, key, _),
    ):
        root = Path(folder)
        with daemon(root, url, key) as (process, inbox):
            time.sleep(2)
            empty = process.memory_info().rss
        table.add("idle: daemon, no recordings", f"{empty / 1e6:.0f} MB resident")
        known = fill(root, inbox, 20_000)
        scan_ratio(table, inbox, known)
        with daemon(root, url, key) as (process, _inbox):
            time.sleep(10)
            before = sum(process.cpu_times()[:2])
            time.sleep(60)
            used = sum(process.cpu_times()[:2]) - before
            grown = process.memory_info().rss - empty
        table.add(
            "idle: CPU over a minute, 20,000 files, scan every 60 s", f"{used / 60:.2%} of a core"
        )
        table.add("idle: memory for 20,000 files", f"{grown / 1e6:.0f} MB more")


def fill(root: Path, inbox: Path, number: int) -> list[tuple[bytes, Fingerprint]]:
    """Files that the store knows already, so that nothing is to be done about them."""
    now = utc_now()
    failure = Failure(error="RecordingError", code="bench", message="Idle.", advice="")
    known: list[tuple[bytes, Fingerprint]] = []
    with Store(root / "state") as store, store.transaction():
        for n in range(number):
            path = inbox / f"{n}.wav"
            path.write_bytes(b"RIFF")
            mark = fingerprint_of(path.lstat())
            found = Recording.found(inbox="inbox", path=bytes(path), fingerprint=mark, now=now)
            added = store.add(found)
            store.save(added, added.fail(failure, now=now))
            known.append((bytes(path), mark))
    return known


def scan_ratio(table: Table, inbox: Path, known: list[tuple[bytes, Fingerprint]]) -> None:
    """Our pass, settler included, against the least that any pass must do."""
    settler = Settler(settle=timedelta(seconds=5), known=known)
    rule = IgnoreRule(root=bytes(inbox), containers=EXTENSIONS)
    rounds = Rounds(
        rule=rule,
        recursive=True,
        settler=settler,
        settled=lambda _look, _evidence: None,
        clock=time.monotonic,
    )
    bare: list[float] = []
    ours: list[float] = []
    for _round in range(7):
        begin = time.perf_counter()
        with os.scandir(bytes(inbox)) as entries:
            for entry in entries:
                os.lstat(entry.path)
        bare.append(time.perf_counter() - begin)
        begin = time.perf_counter()
        rounds.whole()
        ours.append(time.perf_counter() - begin)
    table.add(
        "idle: one pass over 20,000 known files",
        f"{min(ours) / min(bare):.2f} x bare scandir + lstat",
        "at most 2",
    )


PARTS = {"burst": burst, "latency": latency, "memory": memory, "idle": idle}


def main() -> None:
    """Run the parts named, or all."""
    table = Table()
    for name in sys.argv[1:] or PARTS:
        PARTS[name](table)
    table.show()


if __name__ == "__main__":
    main()

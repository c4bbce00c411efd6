"""Measure how long after a recording is closed its request leaves, against the least that anybody could do.

    .venv/bin/python tests/bench/whole.py        # about a minute

The least is a process that hears of the closing from the kernel and posts the same bytes, in the same run, to
the same sandbox. The daemon beside it makes sure that the file is whole, reads and hashes it, decides, and
saves three times to disk with sync before it asks. `closing` fills any table that has `add`.
"""

import base64
import ctypes
import json
import os
import statistics
import struct
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

import journey
import requests

ROUNDS = 30
_CLOSE_WRITE, _MOVED_TO = 0x8, 0x80
_EVENT = struct.Struct("iIII")


def closing(table: journey.Table) -> None:
    """Median and 95th percentile of a 10 s WAV written in place, and of one moved in, both ways."""
    with (
        tempfile.TemporaryDirectory() as folder,
        journey.sandbox_apart(timedelta(0)) as (url, key, arrivals),
        journey.daemon(Path(folder), url, key, settle="5s") as (_, inbox),
        _bare(Path(folder) / "bare", url, key) as bare,
    ):
        outside = Path(folder) / "outside"
        outside.mkdir()
        for how, drop in {"written": _write, "moved in": _move}.items():
            ours: list[float] = []
            least: list[float] = []
            for number in range(ROUNDS + 2):
                for place, took in ((inbox, ours), (bare, least)):
                    before = len(arrivals())
                    name = f"{how}-{number}.wav".replace(" ", "-")
                    content = 4_000 + 2 * number + (place is inbox) + 100 * (how == "written")
                    closed = drop(place / name, outside, content)
                    took.append(_arrival(arrivals, before) - closed)
                    time.sleep(0.05)
            for name, took in (("asrwatch", ours[2:]), ("bare event and POST", least[2:])):
                took.sort()
                table.add(
                    f"whole: from closing a 10 s WAV ({how}) to its request, {name}",
                    f"median {statistics.median(took) * 1000:.0f} ms, 95 % within "
                    f"{took[int(len(took) * 0.95)] * 1000:.0f} ms",
                    "median at most 100 ms" if name == "asrwatch" else "",
                )
            ratio = statistics.median(ours[2:]) / statistics.median(least[2:])
            table.add(f"whole: ratio of the medians ({how})", f"{ratio:.1f} x the bare one")


def _arrival(arrivals: Callable[[], list[float]], before: int) -> float:
    """When the first request came behind those that were there before."""
    journey.wait_for(lambda: len(arrivals()) > before, every=0.005)
    return arrivals()[before]


def _write(path: Path, _outside: Path, number: int) -> float:
    journey.write_wav(path, seconds=10, number=number)
    return time.time()


def _move(path: Path, outside: Path, number: int) -> float:
    journey.write_wav(outside / path.name, seconds=10, number=number)
    (outside / path.name).rename(path)
    return time.time()


@contextmanager
def _bare(folder: Path, url: str, key: str) -> Iterator[Path]:
    """A folder whose closed files are posted at once by a process that does nothing else."""
    folder.mkdir()
    ours, theirs = get_context("spawn").Pipe()
    process = get_context("spawn").Process(
        target=_post_what_is_closed, args=(bytes(folder), url, key, theirs), daemon=True
    )
    process.start()
    ours.recv()
    try:
        yield folder
    finally:
        process.terminate()
        process.join()


def _post_what_is_closed(folder: bytes, url: str, key: str, ready: Connection) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    heard = libc.inotify_init()
    libc.inotify_add_watch(heard, folder, _CLOSE_WRITE | _MOVED_TO)
    session = requests.Session()
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    ready.send("ready")
    while True:
        events, at = os.read(heard, 65_536), 0
        while at < len(events):
            *_, length = _EVENT.unpack_from(events, at)
            name = events[at + _EVENT.size : at + _EVENT.size + length].rstrip(b"\0")
            at += _EVENT.size + length
            path = Path(os.fsdecode(folder + b"/" + name))
            data = "data:audio/wav;base64," + base64.b64encode(path.read_bytes()).decode()
            content = [{"type": "input_audio", "input_audio": {"data": data}}]
            body = {
                "model": "qwen3-asr-flash",
                "messages": [{"role": "user", "content": content}],
                "asr_options": {"enable_itn": False},
            }
            session.post(
                f"{url}/compatible-mode/v1/chat/completions",
                data=json.dumps(body).encode(),
                headers=headers,
                timeout=60,
            )


if __name__ == "__main__":
    shown = journey.Table()
    closing(shown)
    shown.show()

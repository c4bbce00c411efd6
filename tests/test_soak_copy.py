"""A start in the middle of a copy: what is still being written settles as it would have without the start."""

import hashlib
import threading
from functools import partial
from pathlib import Path
from typing import Self

import pytest
from conftest import Keep
from crash_helpers import cloud, said_in
from e2e_helpers import Installed
from wait_helpers import wait_for

FRAME_HEAD = bytes.fromhex("fffb9064")
"""An MPEG-1 layer III frame of 128 kbit/s at 44.1 kHz: 417 bytes. Of an MP3 without a Xing header nobody can tell
whether more frames were to come, so nothing but settling keeps a part of it from being sent."""
FRAMES = 60
AT_ONCE = 20
PIECE = 0.05
SETTLE = 1.0


class Copies:
    """Files that grow frame by frame, all at once, in a thread; `pause` is when none of them grows."""

    def __init__(self, folder: Path, *, first: int) -> None:
        self.files = {folder / f"copy{n:03}.mp3": n for n in range(first, first + AT_ONCE)}
        self.half_way = threading.Event()
        self.go_on = threading.Event()
        self._thread = threading.Thread(target=self._run, name="copies")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.go_on.set()
        self._thread.join()

    def sha256(self) -> set[str]:
        """Of the files as they are to become."""
        return {hashlib.sha256(_frame(n) * FRAMES).hexdigest() for n in self.files.values()}

    def _run(self) -> None:
        out = {path.open("wb", buffering=0): number for path, number in self.files.items()}
        ticking = threading.Event()
        for written in range(FRAMES):
            for stream, number in out.items():
                stream.write(_frame(number))
            if written == FRAMES // 2:
                self.half_way.set()
                self.go_on.wait()
            ticking.wait(PIECE)
        for stream in out:
            stream.close()


def _frame(number: int) -> bytes:
    return FRAME_HEAD + number.to_bytes(4, "big") + bytes(409)


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_a_start_in_the_middle_of_a_copy(tmp_path: Path, promise: Keep) -> None:
    """Killed and started again while files are copied in, the daemon sends none before it is whole [K01] [C15]."""
    whole: set[str] = set()
    with cloud() as sandbox:
        world = Installed(
            root=tmp_path,
            url=sandbox.url,
            key=sandbox.key,
            # its frames hold nothing, which would not be sent
            inbox_keys={"settle": f"{SETTLE}s", "formats": ["txt"], "send_silence": True},
        )
        for batch in range(5):
            first = world.start()
            with Copies(world.inbox, first=batch * AT_ONCE) as copies:
                whole |= copies.sha256()
                assert copies.half_way.wait(60)
                first.kill()
                first.wait(60)
                second = world.start()
                # its first pass finds files that rest, if only for now
                wait_for(lambda: world.status()["settling_count"] == AT_ONCE)
                copies.go_on.set()
            wait_for(partial(_all_done, world.inbox))
            assert world.stop(second) == 0
        world.kill_all()
        sent = {line.sha256 for line in sandbox.bill.lines} | {
            stored.sha256 for stored in sandbox.uploads
        }
        times = len(sandbox.bill.paid)
    promise(
        "P9 started in the middle of a copy",
        promised="0 partial uploads in 100",
        measured=f"{len(sent - whole)} partial uploads in {len(whole)}",
    )
    assert sent == whole
    assert times == len(whole) == 100
    for path in world.inbox.glob("*.mp3"):
        text = path.with_suffix(".txt").read_text()
        assert text == said_in(hashlib.sha256(path.read_bytes()).hexdigest()) + "\n"


def _all_done(inbox: Path) -> bool:
    return all(path.with_suffix(".txt").exists() for path in inbox.glob("*.mp3"))

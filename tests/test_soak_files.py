"""Writers that write badly and people who swap files, many times over: promises P8 and P16."""

import hashlib
import mmap
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Keep
from files_helpers import FILETRANS, Housed, a_house
from inbox_helpers import raw
from swap_helpers import swapping
from wait_helpers import wait_for
from wav_helpers import wav_bytes

from asrwatch.errors import AsrwatchError
from asrwatch.files import fingerprint_of, open_recording, write_atomically
from asrwatch.files.moving import delete
from asrwatch.journey.recording import State
from asrwatch.sandbox.recogniser import Sound

SETTLE = 1.5
"""Seconds; long enough that no writer's short pauses look like quiet on a busy machine."""

CANARY = b"\x00CANARY\x00" * 64

Writer = Callable[[Path, bytes, Callable[[float], None]], None]


def pieces(content: bytes, count: int) -> Iterator[bytes]:
    """The content in so many pieces."""
    size = len(content) // count + 1
    for begin in range(0, len(content), size):
        yield content[begin : begin + size]


def slow(path: Path, content: bytes, pause: Callable[[float], None]) -> None:
    """A little at a time [C01]."""
    with path.open("wb", buffering=0) as file:
        for piece in pieces(content, 20):
            file.write(piece)
            pause(0.1)


def pausing(path: Path, content: bytes, pause: Callable[[float], None]) -> None:
    """Three quiet times of nothing in the middle [C02]."""
    with path.open("wb", buffering=0) as file:
        file.write(content[: len(content) // 2])
        pause(3 * SETTLE)
        file.write(content[len(content) // 2 :])


def reserving(path: Path, content: bytes, pause: Callable[[float], None]) -> None:
    """Space first, the sound later, the header last [C03]."""
    with path.open("wb", buffering=0) as file:
        os.posix_fallocate(file.fileno(), 0, len(content))
        pause(2 * SETTLE)
        for number, piece in enumerate(pieces(content[44:], 10)):
            os.pwrite(file.fileno(), piece, 44 + number * (len(content[44:]) // 10 + 1))
            pause(0.1)
        pause(2 * SETTLE)
        os.pwrite(file.fileno(), content[:44], 0)


def mapping(path: Path, content: bytes, pause: Callable[[float], None]) -> None:
    """Through a memory map, back to front [C04]."""
    with path.open("w+b") as file:
        file.truncate(len(content))
        with mmap.mmap(file.fileno(), len(content)) as mapped:
            half = len(content) // 2
            mapped[half:] = content[half:]
            pause(2 * SETTLE)
            mapped[:half] = content[:half]
            mapped.flush()


def reopening(path: Path, content: bytes, pause: Callable[[float], None]) -> None:
    """Made empty, closed, opened again and appended to, three times [C05]."""
    path.touch()
    for piece in pieces(content, 3):
        pause(2 * SETTLE)
        with path.open("ab") as file:
            file.write(piece)


def header_last(path: Path, content: bytes, pause: Callable[[float], None]) -> None:
    """The sound, and the header when the recorder stops [C06]."""
    with path.open("wb", buffering=0) as file:
        file.write(bytes(44) + content[44:])
        pause(2 * SETTLE)
        file.seek(0)
        file.write(content[:44])


def killed(path: Path, content: bytes, pause: Callable[[float], None]) -> None:
    """Cut off half way, and copied again from the start later [C07]."""
    path.write_bytes(content[: len(content) // 3])
    pause(3 * SETTLE)
    path.write_bytes(content)


def placeholder(path: Path, content: bytes, pause: Callable[[float], None]) -> None:
    """Empty for a while, then there [C08]."""
    path.touch()
    pause(3 * SETTLE)
    path.write_bytes(content)


def sparse(path: Path, content: bytes, pause: Callable[[float], None]) -> None:
    """All holes, then filled from its end [C09]."""
    with path.open("wb", buffering=0) as file:
        file.truncate(len(content))
        pause(2 * SETTLE)
        os.pwrite(file.fileno(), content[100:], 100)
        os.pwrite(file.fileno(), content[:100], 0)


def back_dating(path: Path, content: bytes, pause: Callable[[float], None]) -> None:
    """Dates of 1970 and 2100 put on while it is written [C10]."""
    with path.open("wb", buffering=0) as file:
        for number, piece in enumerate(pieces(content, 8)):
            file.write(piece)
            os.utime(path, (4_102_444_800 * (number % 2),) * 2)
            pause(0.1)
    os.utime(path, (0, 0))


def renaming(path: Path, content: bytes, pause: Callable[[float], None]) -> None:
    """Under a temporary name until it is whole [C11]."""
    temporary = path.with_name(f"{path.name}.part")
    with temporary.open("wb", buffering=0) as file:
        file.write(content[: len(content) // 2])
        pause(2 * SETTLE)
        file.write(content[len(content) // 2 :])
    temporary.rename(path)


def replacing(path: Path, content: bytes, pause: Callable[[float], None]) -> None:
    """Another take first, replaced by rename as soon as it may be on its way [C12]."""
    path.write_bytes(earlier_take(content))
    pause(SETTLE * (0.9 + content[-1] % 8 / 10))
    newer = path.with_name(f".{path.name}.tmp")
    newer.write_bytes(content)
    newer.rename(path)


def earlier_take(content: bytes) -> bytes:
    """Other content, whole as well."""
    return content[:44] + bytes(byte ^ 1 for byte in content[44:])


WRITERS: tuple[Writer, ...] = (
    slow, pausing, reserving, mapping, reopening, header_last, killed, placeholder, sparse,
    back_dating, renaming, replacing,
)  # fmt: skip


class Changing:
    """A cloud that says which content it heard, and now and then the file changes meanwhile."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.once: dict[str, Callable[[], None]] = {}

    def __call__(self, sound: Sound) -> str:
        """Hear one recording."""
        self.heard.append(sound.sha256)
        act = self.once.pop(sound.sha256, None)
        if act is not None:
            act()
        return sound.sha256


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("way", [{}, FILETRANS], ids=["sync", "filetrans"])
def test_no_writer_has_a_part_of_its_file_uploaded(
    tmp_path: Path, way: dict[str, Any], rounds: Callable[[int, int], int], promise: Keep
) -> None:
    """Twelve ways to write a file: the cloud hears whole files only, what changes under way is not final [P8]."""
    each, cloud = rounds(50, 3), Changing()
    whole: dict[Path, bytes] = {}
    with a_house(tmp_path, cloud, settle=f"{SETTLE}s", **way) as house:
        for number in range(each):
            for kind, writer in enumerate(WRITERS):
                path = house.inbox / f"{writer.__name__}-{number}.wav"
                whole[path] = wav_bytes(number * len(WRITERS) + kind + 1, seconds=1)
        last = dict(whole)
        for number in range(each):  # these are written to while the cloud listens to them
            path = house.inbox / f"during-{number}.wav"
            whole[path] = wav_bytes(30_000 + number, seconds=1)
            last[path] = wav_bytes(40_000 + number, seconds=1.2)
            cloud.once[sha256(whole[path])] = lambda at=path: at.write_bytes(last[at])  # type: ignore[misc]
        with house.running():
            threads = [
                threading.Thread(target=writer_of(path), args=(path, content, time.sleep))
                for path, content in whole.items()
            ]
            for batch in range(0, len(threads), 64):
                for thread in threads[batch : batch + 64]:
                    thread.start()
                for thread in threads[batch : batch + 64]:
                    thread.join()
            wait_for(lambda: all(is_final(path, last[path]) for path in last), patience=300)
        allowed = {sha256(content) for content in (*whole.values(), *last.values())}
        allowed |= {sha256(earlier_take(content)) for content in whole.values()}
        parts = [heard for heard in cloud.heard if heard not in allowed]
        wrong = wrongly_delivered(house, last)
    promise(
        f"P8 completeness, {'by task' if way else 'sync'}",
        promised="0 partial uploads, 0 transcripts of what changed on its way",
        measured=f"{len(WRITERS)} writers x {each}: {len(parts)} partial uploads of {len(cloud.heard)}; "
        f"{each} changed meanwhile: {wrong} wrong",
    )
    assert not parts
    assert not wrong
    assert not house.sandbox.bill.paid_twice


def writer_of(path: Path) -> Writer:
    """The writer a file is named after."""
    named = {writer.__name__: writer for writer in WRITERS}
    return named.get(path.name.partition("-")[0], renaming)


def sha256(content: bytes) -> str:
    """In hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def texts_of(path: Path) -> list[Path]:
    """The transcripts of a recording, of all its takes."""
    pattern = re.compile(rf"{re.escape(path.stem)}(\.wav)?(\.\d+)?(\.new\d*)?\.txt")
    return [each for each in path.parent.iterdir() if pattern.fullmatch(each.name)]


def is_final(path: Path, content: bytes) -> bool:
    """Whether the transcript of this content is there."""
    return any(text.read_text().strip() == sha256(content) for text in texts_of(path))


def wrongly_delivered(house: Housed, last: dict[Path, bytes]) -> int:
    """How many recordings whose files changed on their way were delivered all the same."""
    wrong = 0
    for name, takes in house.recordings().items():
        path = house.inbox / os.fsdecode(name)
        if not name.startswith(b"during-"):
            continue
        for take in takes:
            final = take.reading is not None and take.reading.sha256 == sha256(last[path])
            wrong += take.state is State.DELIVERED and not final
    return wrong


# Swaps.


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_no_swap_leads_out_of_the_folders(
    tmp_path: Path, rounds: Callable[[int, int], int], promise: Keep
) -> None:
    """While files and folders are swapped for links as fast as can be, nothing outside is read or made [P16]."""
    count = rounds(20_000, 5_000)
    inbox, outside = tmp_path / "in", tmp_path / "outside"
    (inbox / "sub").mkdir(parents=True)
    outside.mkdir()
    talk = inbox / "sub" / "talk.wav"
    talk.write_bytes(b"mine")
    settled = fingerprint_of(talk.lstat())
    (outside / "talk.wav").write_bytes(CANARY)
    before = {path.name: path.read_bytes() for path in outside.iterdir()}
    escaped = reads = refused = 0

    def read() -> None:
        nonlocal escaped, reads, refused
        try:
            with open_recording(raw(talk), root=raw(inbox)) as stream:
                reads += 1
                escaped += stream.read() != b"mine"
        except AsrwatchError:
            refused += 1

    with swapping(talk, outside / "talk.wav"):
        for _ in range(count):
            read()
    with swapping(inbox / "sub", outside):
        for number in range(count):
            read()
            try:
                write_atomically(
                    raw(inbox / "sub" / f"{number % 50}.txt"), b"text", root=raw(inbox)
                )
                delete(raw(inbox / "sub" / "gone.wav"), settled, root=raw(inbox))
            except AsrwatchError:
                refused += 1
    after = {path.name: path.read_bytes() for path in outside.iterdir()}
    promise(
        "P16 swap races",
        promised="0 bytes read or written outside",
        measured=f"{2 * count} rounds: {reads} reads, {refused} refused, {escaped} outside; "
        f"{len(after) - len(before)} files made outside",
    )
    assert not escaped
    assert after == before
    assert reads
    assert refused


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize("way", [{}, FILETRANS], ids=["sync", "filetrans"])
def test_the_daemon_is_not_led_out(
    tmp_path: Path, way: dict[str, Any], rounds: Callable[[int, int], int], promise: Keep
) -> None:
    """A folder is swapped under the working daemon for a link to others' recordings: the cloud hears none.

    Nothing is written or removed there, and in the end every recording has its transcript [P16] [X05].
    """
    count, cloud = 20, Changing()
    outside = tmp_path / "outside"
    outside.mkdir()
    secrets = []
    for number in range(count):
        secrets.append(wav_bytes(20_000 + number))
        (outside / f"{number}.wav").write_bytes(secrets[-1])
    before = sorted(path.name for path in outside.iterdir())
    with a_house(tmp_path, cloud, after="delete", output=str(tmp_path / "out"), **way) as house:
        (house.inbox / "sub").mkdir()
        for number in range(count):
            (house.inbox / "sub" / f"{number}.wav").write_bytes(wav_bytes(number + 1))
        with house.running():
            with swapping(house.inbox / "sub", outside):
                time.sleep(rounds(60, 5))
            wait_for(lambda: len(list((tmp_path / "out" / "sub").glob("*.txt"))) == count)
    stolen = {sha256(content) for content in secrets} & set(cloud.heard)
    left = sorted(path.name for path in outside.iterdir())
    promise(
        f"P16 a daemon under attack, {'by task' if way else 'sync'}",
        promised="0 foreign recordings heard, 0 files made or removed outside, 0 lost",
        measured=f"{len(stolen)} heard, {len(set(left) ^ set(before))} made or removed, "
        f"{count} of {count} transcribed",
    )
    assert not stolen
    assert left == before
    assert not house.sandbox.bill.paid_twice


AUDITED = """
import sys
from asrwatch.errors import AsrwatchError
from asrwatch.files import open_recording, write_atomically
inbox, rounds = sys.argv[1].encode(), int(sys.argv[2])
open(inbox + b"/begin", "wb").close()
for number in range(rounds):
    try:
        with open_recording(inbox + b"/sub/talk.wav", root=inbox) as stream:
            stream.read()
        write_atomically(inbox + b"/sub/%d.txt" % (number % 20), b"text", root=inbox)
    except AsrwatchError:
        pass
"""


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
def test_the_kernel_says_so_too(
    tmp_path: Path, rounds: Callable[[int, int], int], promise: Keep
) -> None:
    """Every file the process opened below a folder that is being swapped, as strace saw it, lies in it [P16]."""
    inbox, outside = tmp_path / "in", tmp_path / "outside"
    (inbox / "sub").mkdir(parents=True)
    outside.mkdir()
    (inbox / "sub" / "talk.wav").write_bytes(b"mine")
    (outside / "talk.wav").write_bytes(CANARY)
    trace = tmp_path / "trace"
    count = rounds(2_000, 300)
    words = ["strace", "-f", "-y", "-e", "trace=openat,open", "-o", str(trace)]
    with swapping(inbox / "sub", outside):
        done = subprocess.run(
            [*words, sys.executable, "-c", AUDITED, str(inbox), str(count)],
            capture_output=True,
            check=False,
        )
    if not trace.exists() or b"PTRACE" in done.stderr:
        pytest.skip("may not trace here")
    assert done.returncode == 0, done.stderr
    opened = re.findall(r"= \d+<([^>]*)>", trace.read_text().partition("/begin")[2])
    outside_ones = [path for path in opened if path.startswith(str(outside))]
    promise(
        "P16 as strace sees it",
        promised="0 files opened outside",
        measured=f"{len(opened)} opened in {count} rounds, {len(outside_ones)} outside",
    )
    assert opened
    assert not outside_ones

"""Measure what preparing recordings costs and saves, and print one table.

    .venv/bin/python tests/bench/audio.py            # everything, about eight minutes and 3 GB of disk
    .venv/bin/python tests/bench/audio.py memory     # only these rows

The sandbox runs in this process, its recogniser only counts: what is measured is asrwatch. Figures are ratios or
multiples of real time on one core of this machine, in this run.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
import wave
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import av
import journey
import numpy as np
import whole
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from memory_helpers import largest_child
from numpy.typing import NDArray

from asrwatch.audio.orders import RATE, Codec, Encode, Encoded, Piece, Survey
from asrwatch.audio.studio import Studio
from asrwatch.journey.speeds import FILE
from asrwatch.sandbox import LONG_SAMPLE, Knobs, Said, Sandbox, Scripted
from asrwatch.sandbox.recogniser import Listening, Sound

WAV = ("wav",)
FOREVER = 10**10
SPEED = 24.0
"""Seconds of sound that the sandbox recognises in a second, of each request and task: 171 s take the cloud 7."""
UPLINK = 1_000_000.0
"""Bytes a second that the daemon is told it has: 8 Mbit/s."""


class Counting:
    """A recogniser that tells each recording's true length and always hears the same."""

    def start(self) -> None:
        """Nothing to get ready."""

    def close(self) -> None:
        """Nothing to stop."""

    async def listen(
        self, sound: Sound, *, channels: Sequence[int] | None, longest: timedelta
    ) -> Listening:
        """As long as the container says."""
        with av.open(str(sound.path)) as container:
            length = timedelta(microseconds=container.duration or 0)
        said = Said(text="Hello.", seconds=length.total_seconds(), channels=2)
        says = Scripted(otherwise=said)
        return await says.listen(sound, channels=channels, longest=longest)


def speech() -> NDArray[np.int16]:
    """Half a minute of speech with its pauses, 16 kHz, one channel."""
    with av.open(str(LONG_SAMPLE.path)) as source:
        to = AudioResampler(format="s16", layout="mono", rate=RATE)
        frames = [part for frame in source.decode(audio=0) for part in to.resample(frame)]
    return np.concatenate([frame.to_ndarray()[0] for frame in frames]).astype(np.int16)


def write_speech(path: Path, *, seconds: float, rate: int = RATE, channels: int = 1) -> Path:
    """A WAV of 16 bits with speech over and over, in bounded memory."""
    mono = speech()
    if rate != RATE:
        places = np.arange(0, len(mono), RATE / rate)
        mono = np.interp(places, np.arange(len(mono)), mono).astype(np.int16)
    block = np.repeat(mono[:, np.newaxis], channels, axis=1)
    left = round(seconds * rate)
    with wave.open(str(path), "wb") as out:
        out.setnchannels(channels)
        out.setsampwidth(2)
        out.setframerate(rate)
        while left > 0:
            piece = block[:left]
            out.writeframes(piece.tobytes())
            left -= len(piece)
    return path


def write_m4a(path: Path, wav: Path) -> Path:
    """The same as AAC, as telephones record it."""
    with av.open(str(wav)) as source, av.open(str(path), "w") as out:
        stream = out.add_stream("aac", rate=48_000, layout="stereo")
        assert isinstance(stream, AudioStream)
        for frame in source.decode(audio=0):
            assert isinstance(frame, AudioFrame)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def encoded(studio: Studio, wav: Path, out: Path, codec: Codec) -> Encoded:
    """`wav` as `codec`, mixed into one channel."""
    with wav.open("rb") as recording, out.open("wb+") as target:
        order = Encode(
            demuxers=WAV, longest=FOREVER, codec=codec, pieces=(Piece(descriptor=target.fileno()),)
        )
        return studio.encode(recording, order)


def encoding(table: journey.Table) -> None:
    """Each codec from 20 minutes of 48 kHz stereo, against only decoding it."""
    studio, seconds = Studio(), 1200.0
    with tempfile.TemporaryDirectory() as folder:
        wav = write_speech(Path(folder) / "in.wav", seconds=seconds, rate=48_000, channels=2)

        def listen() -> None:
            with wav.open("rb") as recording:
                studio.survey(recording, Survey(demuxers=WAV, longest=FOREVER))

        bare = _took(listen)
        table.add(
            "encoding: only listening (48 kHz stereo WAV)", f"{seconds / bare:.0f} x real time"
        )
        for codec in Codec:
            took = _took(lambda codec=codec: encoded(studio, wav, Path(folder) / "out", codec))  # type: ignore[misc] # its default is the codec
            table.add(
                f"encoding: 16 kHz {codec}, process included",
                f"{seconds / took:.0f} x real time, {took / bare:.1f} x listening",
            )


def _took(what: Callable[[], object]) -> float:
    begun = time.perf_counter()
    what()
    return time.perf_counter() - begun


@contextmanager
def cloud(knobs: Knobs) -> Iterator[Sandbox]:
    """A sandbox that counts."""
    with Sandbox(recogniser=Counting(), knobs=knobs) as sandbox:
        yield sandbox


def once(root: Path, sandbox: Sandbox, **inbox: object) -> float:
    """Seconds that `asrwatch once` takes over `root/inbox`."""
    config = root / "asrwatch.json"
    engines = {
        "qwen3-asr-flash": {"requests_per_minute": 100_000},
        "qwen3-asr-flash-filetrans": {"requests_per_minute": 100_000},
    }
    settings = {
        "web": False,
        "state_dir": str(root / "state"),
        "cloud": {"base_url": sandbox.url},
        "engines": engines,
        "inboxes": [{"path": str(root / "inbox"), "settle": "100ms", **inbox}],
    }
    config.write_text(json.dumps(settings))
    environment = {**os.environ, "DASHSCOPE_API_KEY": sandbox.key}
    command = [sys.executable, "-m", "asrwatch", "once", "-c", str(config)]
    begun = time.perf_counter()
    subprocess.run(command, env=environment, check=True, capture_output=True)
    return time.perf_counter() - begun


def sizes(table: journey.Table) -> None:
    """What filetrans is sent of five minutes, as a share of the original, over a link of 8 Mbit/s."""
    with tempfile.TemporaryDirectory() as folder:
        studio = write_speech(Path(folder) / "w.wav", seconds=300, rate=48_000, channels=2)
        mono = write_speech(Path(folder) / "m.wav", seconds=300)
        phone = write_m4a(Path(folder) / "p.m4a", studio)
        for label, file in (
            ("WAV 48 kHz stereo", studio),
            ("WAV 16 kHz mono", mono),
            ("m4a", phone),
        ):
            shares = [f"{_sent(file, diet):.0%} with diet {diet}" for diet in ("lossless", "small")]
            table.add(
                f"bytes: sent of a {label} ({file.stat().st_size / 1e6:.1f} MB)", ", ".join(shares)
            )


def _sent(file: Path, diet: str) -> float:
    with tempfile.TemporaryDirectory() as folder, cloud(Knobs(rate_limits=False)) as sandbox:
        root = Path(folder)
        for name in ("inbox", "state"):
            (root / name).mkdir()
        (root / "state" / FILE).write_text(json.dumps({"uplink": UPLINK}))
        (root / "inbox" / file.name).write_bytes(file.read_bytes())
        once(root, sandbox, engine="qwen3-asr-flash-filetrans", diet=diet)
        (stored,) = sandbox.uploads
        return stored.size / file.stat().st_size


def memory(table: journey.Table) -> None:
    """The most that the child process holds at any moment, for a short, a long and a very long recording."""
    for codec in (Codec.FLAC, Codec.OPUS):
        peaks = []
        for hours in (2, 12) if codec is Codec.FLAC else (2,):
            with tempfile.TemporaryDirectory() as folder:
                wav = write_speech(Path(folder) / "in.wav", seconds=hours * 3600)
                with largest_child() as peak:
                    encoded(Studio(), wav, Path(folder) / "out", codec)
                peaks.append(f"{hours} hours {peak() / 1e6:.0f} MB")
        table.add(f"memory: re-encoding to {codec}, at most", ", ".join(peaks), "the same")


def pieces(table: journey.Table) -> None:
    """An hour in pieces, eight at a time, against one task, the recogniser as quick for both, uploads for nothing."""
    took = {}
    for how, keys in (
        ("cut", {"cut": True, "engine": "qwen3-asr-flash"}),
        ("task", {"engine": "qwen3-asr-flash-filetrans"}),
    ):
        knobs = Knobs(rate_limits=False, recogniser_speed=SPEED)
        with tempfile.TemporaryDirectory() as folder, cloud(knobs) as sandbox:
            root = Path(folder)
            (root / "inbox").mkdir()
            write_speech(root / "inbox" / "hour.wav", seconds=3600)
            took[how] = once(root, sandbox, **keys)
            paid = len(sandbox.bill.paid)
        table.add(
            f"pieces: an hour as {'pieces, 8 at a time' if how == 'cut' else 'one task'}, "
            f"recogniser at {SPEED:.0f} x real time",
            f"{took[how]:.0f} s, {paid} paid request(s)",
        )
    table.add("pieces: an hour, pieces against one task", f"{took['cut'] / took['task']:.2f} x")


PARTS = {
    "encoding": encoding,
    "bytes": sizes,
    "memory": memory,
    "latency": whole.closing,
    "closing": whole.closing,
    "pieces": pieces,
}


def main() -> None:
    """Run the parts named, or all."""
    table = journey.Table()
    for name in sys.argv[1:] or PARTS:
        PARTS[name](table)
    table.show()


if __name__ == "__main__":
    main()

"""Sound that is not everywhere: gaps, a late beginning, pictures that go on, damage: times stay true, it is told."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from fractions import Fraction
from pathlib import Path

import av
import media_helpers as media
import numpy as np
import pytest
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from e2e_helpers import Installed
from pieces_helpers import Counting

from asrwatch.audio.booth.surveying import survey
from asrwatch.audio.facts import probe
from asrwatch.audio.orders import Survey, Surveyed
from asrwatch.audio.studio import DEMUXERS
from asrwatch.errors import RecordingError
from asrwatch.journey.lacking import check_whole, missing
from asrwatch.journey.plan import AudioFacts
from asrwatch.sandbox import Knobs, Sandbox

RATE = 48_000
SPAN = timedelta(seconds=1)


def write_at(
    path: Path, parts: Sequence[tuple[int, float]], *, codec: str, pictures: float = 0
) -> Path:
    """Tones of so many seconds from such a second on, with nothing between them; with a video, if it has a length."""
    with av.open(str(path), "w") as out:
        video = out.add_stream("mpeg4", rate=5) if pictures else None
        stream = out.add_stream(codec, rate=RATE, layout="mono")
        assert isinstance(stream, AudioStream)
        packets = []
        if video is not None:
            video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
            for number in range(round(pictures * 5)):
                image = av.VideoFrame(64, 48, "yuv420p")
                image.pts, image.time_base = number, Fraction(1, 5)
                packets += video.encode(image)
            packets += video.encode(None)
        stream.codec_context.open()
        size = stream.frame_size
        for start, seconds in parts:
            tone = media.tone(seconds, rate=RATE)
            for begin in range(0, tone.shape[1] - size + 1, size):
                piece = np.ascontiguousarray(tone[:, begin : begin + size])
                wave = AudioFrame.from_ndarray(piece, format="s16", layout="mono")
                wave.sample_rate = RATE
                (frame,) = AudioResampler(format=stream.format).resample(wave)
                frame.sample_rate, frame.time_base = RATE, Fraction(1, RATE)
                frame.pts = start * RATE + begin
                packets += stream.encode(frame)
        packets += stream.encode(None)
        for packet in sorted(packets, key=lambda each: float((each.dts or 0) * each.time_base)):
            out.mux(packet)
    return path


def heard_in(path: Path) -> tuple[AudioFacts, Surveyed]:
    """What its headers tell, and what a booth hears, here without a process of its own."""
    with path.open("rb") as recording:
        facts = probe(recording, bytes(path))
        order = Survey(demuxers=DEMUXERS[facts.container or ""], longest=10**9)
        return facts, survey(recording.fileno(), order, tell=lambda _: None)


@dataclass(frozen=True, kw_only=True)
class Case:
    """A file, and what is heard of it: seconds in all, seconds of them that are filled up."""

    name: str
    parts: Sequence[tuple[int, float]]
    codec: str = "aac"
    pictures: float = 0
    length: float
    filled: float


@pytest.mark.parametrize(
    "case",
    [
        Case(name="muted.webm", codec="libopus", parts=[(0, 2), (6, 2)], length=8, filled=4),
        Case(name="muted.mp4", parts=[(0, 2), (6, 2)], length=8, filled=4),
        Case(name="late.mkv", parts=[(4, 2)], pictures=8, length=6, filled=4),
        Case(name="late.mov", parts=[(4, 2)], pictures=8, length=6, filled=4),
        Case(name="short.mkv", parts=[(0, 2)], pictures=8, length=2, filled=0),
        Case(name="whole.mkv", parts=[(0, 4)], length=4, filled=0),
    ],
    ids=lambda case: case.name,
)
def test_what_is_not_recorded_keeps_its_time(tmp_path: Path, case: Case) -> None:
    """Somebody was muted, the sound begins after the pictures, or ends before: nothing is cut off, times are true."""
    file = write_at(tmp_path / case.name, case.parts, codec=case.codec, pictures=case.pictures)
    facts, heard = heard_in(file)
    check_whole(facts, heard, heard.samples)
    assert heard.samples / 16_000 == pytest.approx(case.length, abs=0.1)
    assert heard.filled / 16_000 == pytest.approx(case.filled, abs=0.1)
    assert heard.pictures == bool(case.pictures)


def test_a_clock_that_jumped_is_no_gap(tmp_path: Path) -> None:
    """Times that jump by hours, or beyond what the container says it lasts: nothing is filled, nobody pays for it."""
    file = write_at(tmp_path / "a.mkv", [(0, 2), (6_000, 2)], codec="aac")
    facts, heard = heard_in(file)
    assert heard.samples / 16_000 == pytest.approx(4, abs=0.2)
    with pytest.raises(RecordingError, match="Only 4s of its 1h 40m"):
        check_whole(facts, heard, heard.samples)
    content = file.read_bytes()
    at = content.index(b"\x44\x89\x88") + 3  # the length, in milliseconds
    file.write_bytes(content[:at] + np.array(4000.0, dtype=">f8").tobytes() + content[at + 8 :])
    facts, heard = heard_in(file)
    assert facts.duration == 4 * SPAN
    assert heard.samples / 16_000 == pytest.approx(4, abs=0.2)
    assert not heard.filled


def test_a_hole_in_the_file_is_no_gap(tmp_path: Path) -> None:
    """A third of a WebM is zeros, which its reader passes over without a word: that is damage, and it is refused."""
    file = write_at(tmp_path / "a.webm", [(0, 30)], codec="libopus")
    content = bytearray(file.read_bytes())
    third = len(content) // 3
    content[third : 2 * third] = bytes(third)
    file.write_bytes(content)
    facts, heard = heard_in(file)
    with pytest.raises(RecordingError, match="can be decoded"):
        check_whole(facts, heard, heard.samples)


def test_silence_in_the_place_of_damage_is_no_sound() -> None:
    """Filled up for its times, a damaged recording is still refused; without damage its gaps are its own."""
    facts = AudioFacts(container="mp4", codec="aac", duration=60 * SPAN)
    heard = Surveyed(
        codec="aac",
        sample_rate=16_000,
        channels=1,
        samples=960_000,
        peak=-3.0,
        silent=False,
        same_channels=False,
        filled=20 * 16_000,
    )
    check_whole(facts, heard, heard.samples)
    assert missing(facts, heard.samples, heard.filled) == 20 * SPAN
    with pytest.raises(RecordingError, match="Only 40s of its 1m 00s"):
        check_whole(facts, replace(heard, broken=3), heard.samples)
    nothing_filled = replace(heard, filled=0)
    with pytest.raises(RecordingError, match="Only 40s"):
        check_whole(facts, nothing_filled, 40 * 16_000)
    video = replace(facts, container="mkv")
    check_whole(video, replace(nothing_filled, pictures=True), 40 * 16_000)
    with pytest.raises(RecordingError):
        check_whole(video, replace(nothing_filled, pictures=True, broken=1), 40 * 16_000)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A cloud that answers at once."""
    with Sandbox(recogniser=Counting(), knobs=Knobs(rate_limits=False)) as sandbox:
        yield sandbox


@pytest.mark.parametrize(
    "cut",
    [False, pytest.param({"target": "12s"}, marks=[pytest.mark.soak, pytest.mark.timeout(120)])],
)
def test_what_could_not_be_decoded_is_told(tmp_path: Path, sandbox: Sandbox, cut: object) -> None:
    """A second of thirty is damaged: it is transcribed all the same, and story and JSON say what is missing."""
    world = Installed(root=tmp_path, url=sandbox.url, key=sandbox.key, inbox_keys={"cut": cut})
    file = media.write(world.inbox / "talk.m4a", media.tone(30, pitch=400), codec="aac")
    content = bytearray(file.read_bytes())
    at = len(content) // 2
    content[at : at + len(content) // 30] = bytes(len(content) // 30)
    file.write_bytes(content)
    done = world.call("once")
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(world.text_of("talk", ".json"))["provenance"]["audio"]["missing_ms"]
    assert 500 <= told <= 2_000
    assert "no sound could be decoded for " in world.call("explain", str(file)).stdout

"""Recordings of tones, noise and pauses, in every container and codec that PyAV writes."""

import math
import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.stream import Disposition
from av.video.stream import VideoStream
from numpy.typing import NDArray

Samples = NDArray[np.int16]


def tone(
    seconds: float, *, rate: int = 16_000, pitch: float = 440.0, loudness: float = 0.3
) -> Samples:
    """One channel of a sine, (1, samples)."""
    time = np.arange(round(seconds * rate)) / rate
    wave = np.sin(2 * math.pi * pitch * time) * loudness * 32_767
    return wave.astype(np.int16)[np.newaxis]


def silence(seconds: float, *, rate: int = 16_000) -> Samples:
    """One channel of nothing."""
    return np.zeros((1, round(seconds * rate)), dtype=np.int16)


def noise(seconds: float, *, rate: int = 16_000, loudness: float = 0.1, seed: int = 1) -> Samples:
    """One channel of white noise."""
    random = np.random.default_rng(seed)
    samples = random.uniform(-1, 1, round(seconds * rate)) * loudness * 32_767
    return samples.astype(np.int16)[np.newaxis]


def joined(*parts: Samples) -> Samples:
    """One after the other."""
    return np.concatenate(parts, axis=1)


def channels(*each: Samples) -> Samples:
    """Side by side."""
    return np.concatenate(each, axis=0)


def write(
    path: Path,
    sound: Samples,
    *,
    codec: str,
    rate: int = 16_000,
    container: str | None = None,
    options: dict[str, str] | None = None,
    video: bool = False,
    bit_rate: int | None = None,
) -> Path:
    """Encode `sound` of `rate` into `path`; PyAV guesses the container from its name unless told."""
    layout = {1: "mono", 2: "stereo"}.get(len(sound), f"{len(sound)}c")
    with av.open(str(path), "w", format=container, options=options or {}) as out:
        picture = out.add_stream("mpeg4", rate=5) if video else None
        stream = out.add_stream(codec, rate=rate, layout=layout)
        assert isinstance(stream, AudioStream)
        stream.options = {"strict": "experimental"}  # FFmpeg's own Vorbis counts as that
        if bit_rate is not None:
            stream.bit_rate = bit_rate
        if picture is not None:
            _picture(out, picture)
        frame = AudioFrame.from_ndarray(sound, format="s16p", layout=layout)
        frame.sample_rate = rate
        frame.pts = 0
        resampler = AudioResampler(
            format=stream.format,
            layout=layout,
            rate=stream.rate,
            frame_size=stream.frame_size or 4096,
        )
        for piece in (*resampler.resample(frame), *resampler.resample(None)):
            out.mux(stream.encode(piece))
        out.mux(stream.encode(None))
    return path


def _picture(out: OutputContainer, stream: VideoStream) -> None:
    stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
    for number in range(5):
        image = av.VideoFrame(64, 48, "yuv420p")
        image.pts, image.time_base = number, Fraction(1, 5)
        out.mux(stream.encode(image))
    out.mux(stream.encode(None))


def write_tracks(
    path: Path,
    tracks: Sequence[Samples],
    *,
    codec: str,
    rate: int = 16_000,
    default: int = 0,
    video: bool = False,
) -> Path:
    """Several streams of sound, one channel each, of which `default` is marked as the one to be played."""
    with av.open(str(path), "w") as out:
        if video:
            _picture(out, out.add_stream("mpeg4", rate=5))
        streams = [out.add_stream(codec, rate=rate, layout="mono") for _ in tracks]
        for number, stream in enumerate(streams):
            stream.disposition = Disposition.default if number == default else Disposition(0)
        for stream, sound in zip(streams, tracks, strict=True):
            assert isinstance(stream, AudioStream)
            frame = AudioFrame.from_ndarray(sound, format="s16", layout="mono")
            frame.sample_rate, frame.pts = rate, 0
            resampler = AudioResampler(
                format=stream.format, layout="mono", rate=rate, frame_size=stream.frame_size or 4096
            )
            for piece in (*resampler.resample(frame), *resampler.resample(None)):
                out.mux(stream.encode(piece))
            out.mux(stream.encode(None))
    return path


def write_long(path: Path, sound: Samples, *, times: int, codec: str, rate: int = 16_000) -> Path:
    """`sound`, of one channel, over and over, in bounded memory."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=rate, layout="mono")
        assert isinstance(stream, AudioStream)
        pts = 0
        for _ in range(times):
            frame = AudioFrame.from_ndarray(sound, format="s16", layout="mono")
            frame.sample_rate, frame.pts = rate, pts
            pts += sound.shape[1]
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def decoded(path: Path) -> tuple[Samples, int]:
    """All samples of a file, channel by channel, as they are, and their rate."""
    with av.open(str(path)) as source:
        stream = source.streams.audio[0]
        resampler = AudioResampler(format="s16")  # of planes PyAV shows no more than seven
        pieces = [
            resampled.to_ndarray().reshape(-1, stream.channels).T
            for frame in source.decode(stream)
            for resampled in resampler.resample(frame)
        ]
        return np.concatenate(pieces, axis=1).astype(np.int16), stream.rate


def wav_header(
    *,
    tag: int = 1,
    channels: int = 1,
    rate: int = 16_000,
    bits: int = 16,
    data: int,
    riff: int | None = None,
    between: Sequence[tuple[bytes, bytes]] = (),
) -> bytes:
    """The head of a WAV that promises `data` bytes of sound, with chunks `between` format and sound."""
    block = channels * bits // 8 & 0xFFFF
    per_second = rate * block & 0xFFFFFFFF
    form = struct.pack("<HHIIHH", tag, channels, rate, per_second, block, bits)
    chunks = [(b"fmt ", form), *between]
    body = b"".join(
        name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)
        for name, content in chunks
    )
    size = min(4 + len(body) + 8 + data, 0xFFFFFFFF) if riff is None else riff
    head = b"RIFF" + struct.pack("<I", size) + b"WAVE"
    return head + body + b"data" + struct.pack("<I", data)

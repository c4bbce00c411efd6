"""Recordings made for the tests: WAV byte by byte, the other containers by PyAV."""

import array
import io
import math
import struct
import sys
from collections.abc import Sequence
from fractions import Fraction
from typing import cast

import av

__all__ = ["chunk", "encode", "pcm", "riff", "video", "wav"]


def pcm(seconds: float, *, rate: int = 16_000, channels: int = 1) -> bytes:
    """A quiet 220 Hz tone, 16 bits, little endian, interleaved."""
    wave = array.array(
        "h",
        (
            round(3_000 * math.sin(2 * math.pi * 220 * number / rate))
            for number in range(round(seconds * rate))
            for _ in range(channels)
        ),
    )
    if sys.byteorder == "big":
        wave.byteswap()
    return wave.tobytes()


def chunk(name: bytes, content: bytes, *, size: int | None = None) -> bytes:
    """A RIFF chunk, padded; `size` may lie."""
    length = len(content) if size is None else size
    return name + struct.pack("<I", length) + content + b"\0" * (len(content) % 2)


def riff(*chunks: bytes, kind: bytes = b"WAVE", magic: bytes = b"RIFF") -> bytes:
    """A RIFF file of these chunks."""
    body = kind + b"".join(chunks)
    size = 0xFFFFFFFF if magic == b"RF64" else len(body)
    return magic + struct.pack("<I", size) + body


def wav(
    sound: bytes,
    *,
    size: int | None = None,
    rate: int = 16_000,
    channels: int = 1,
    bits: int = 16,
    tag: int = 1,
    before: Sequence[bytes] = (),
    after: bytes = b"",
) -> bytes:
    """A WAV file around `sound`; `size` is what its data chunk claims."""
    block = channels * bits // 8
    layout = struct.pack("<HHIIHH", tag, channels, rate, rate * block, block, bits)
    return riff(chunk(b"fmt ", layout), *before, chunk(b"data", sound, size=size) + after)


def encode(
    container: str,
    codec: str,
    seconds: float,
    *,
    rate: int = 16_000,
    channels: int = 1,
    bit_rate: int | None = None,
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
) -> bytes:
    """A tone in a container, as ffmpeg's libraries write it to a file one can seek in."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container, options={**(container_options or {})}) as output:
        stream = cast("av.AudioStream", output.add_stream(codec, rate=rate, options=options or {}))
        stream.layout = {1: "mono", 2: "stereo"}[channels]
        if bit_rate is not None:
            stream.bit_rate = bit_rate
        _encode_tone(output, stream, seconds, rate=rate, channels=channels)
    return buffer.getvalue()


def video(container: str, codec: str, *, sound: str | None, seconds: float = 1.0) -> bytes:
    """A grey video, with a tone if `sound` names a codec."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as output:
        pictures = cast("av.VideoStream", output.add_stream(codec, rate=10))
        pictures.width, pictures.height, pictures.pix_fmt = 64, 64, "yuv420p"
        stream: av.AudioStream | None = None
        if sound is not None:
            rate = 48_000 if sound == "libopus" else 44_100
            stream = cast("av.AudioStream", output.add_stream(sound, rate=rate))
            stream.layout = "mono"
        for number in range(round(seconds * 10)):
            frame = av.VideoFrame(64, 64, "yuv420p")
            for plane in frame.planes:
                plane.update(bytes([128]) * plane.buffer_size)
            frame.pts, frame.time_base = number, Fraction(1, 10)
            output.mux(pictures.encode(frame))
        output.mux(pictures.encode(None))
        if stream is not None:
            _encode_tone(output, stream, seconds, rate=stream.rate, channels=1)
    return buffer.getvalue()


def _encode_tone(
    output: av.container.OutputContainer,
    stream: av.AudioStream,
    seconds: float,
    *,
    rate: int,
    channels: int,
) -> None:
    layout = {1: "mono", 2: "stereo"}[channels]
    wave = pcm(seconds, rate=rate, channels=channels)
    resampler = av.AudioResampler(stream.format, layout, rate, stream.frame_size or 0)
    width = 2 * channels
    for begin in range(0, len(wave) // width, 4_096):
        part = wave[begin * width : (begin + 4_096) * width]
        frame = av.AudioFrame(format="s16", layout=layout, samples=len(part) // width)
        frame.planes[0].update(part.ljust(frame.planes[0].buffer_size, b"\0"))
        frame.sample_rate, frame.pts, frame.time_base = rate, begin, Fraction(1, rate)
        for ready in resampler.resample(frame):
            output.mux(stream.encode(ready))
    for ready in resampler.resample(None):
        output.mux(stream.encode(ready))
    output.mux(stream.encode(None))

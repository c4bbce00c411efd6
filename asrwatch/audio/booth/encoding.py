"""Decodes a recording once and writes pieces of it: 16 kHz, mixed into one channel or channel by channel."""

import os
from collections.abc import Callable
from dataclasses import dataclass

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import OutputContainer
from numpy.typing import NDArray

from asrwatch.audio.booth.mixing import Mixer
from asrwatch.audio.booth.opening import RefusedError, Source, opened
from asrwatch.audio.orders import RATE, Codec, Encode, Encoded, Piece, Progress, Report

__all__ = ["encode"]

_ENCODERS = {Codec.FLAC: "flac", Codec.OPUS: "libopus", Codec.MP3: "libmp3lame"}
_FORMATS = {Codec.FLAC: "s16", Codec.OPUS: "s16", Codec.MP3: "s16p"}
_LAYOUTS = {1: "mono", 2: "stereo"}
MOST_APART = 8
"""FLAC has no more."""
PROGRESS_EVERY = 60 * RATE


def encode(descriptor: int, order: Encode, *, tell: Callable[[Report], None]) -> Encoded:
    """Write every piece of `order`.

    Raises:
        RefusedError: it cannot be decoded, or has not the channels that are wanted.
    """
    with opened(descriptor, order.demuxers, order.track) as source:
        channels = _check_channels(source, order)
        writers, mixer = _Writers(order, channels), Mixer()
        done, told = 0, 0
        for sound in source.sound():
            writers.take(_chosen(sound, order, mixer), begins=done)
            done += sound.shape[1]
            if done >= order.longest or writers.full:
                break
            if done - told >= PROGRESS_EVERY:
                told = done
                tell(Progress(done=done))
        sizes, counts = writers.finish()
        return Encoded(
            sizes=sizes,
            samples=counts,
            channels=channels,
            broken=source.broken,
            filled=source.filled,
            pictures=source.pictures,
            tracks=source.tracks,
        )


def _check_channels(source: Source, order: Encode) -> int:
    if order.channels is None:
        return 1
    if missing := [channel for channel in order.channels if channel >= source.channels]:
        raise RefusedError(
            "no-such-channel",
            f"channel {missing[0]} is wanted (the first is 0), and it has {source.channels}",
        )
    if len(order.channels) > MOST_APART:
        raise RefusedError(
            "too-many-channels",
            f"{len(order.channels)} channels are to be kept apart, and a copy holds {MOST_APART} at most",
        )
    return len(order.channels)


def _chosen(sound: NDArray[np.int16], order: Encode, mixer: Mixer) -> NDArray[np.int16]:
    if order.channels is not None:
        return np.stack([sound[channel] for channel in order.channels])
    return sound if len(sound) == 1 else mixer.mixed(sound)


class _Writers:
    """All pieces of an order; an encoder is there only while its piece is being written, however many there are."""

    def __init__(self, order: Encode, channels: int) -> None:
        self._order = order
        self._channels = channels
        self._waiting = sorted(range(len(order.pieces)), key=lambda one: order.pieces[one].start)
        self._open: dict[int, _Writer] = {}
        self._done: dict[int, tuple[int, int]] = {}

    @property
    def full(self) -> bool:
        """Whether no piece wants anything more."""
        return not self._waiting and not self._open

    def take(self, sound: NDArray[np.int16], *, begins: int) -> None:
        """Give each piece what belongs to it."""
        ends = begins + sound.shape[1]
        while self._waiting and self._order.pieces[self._waiting[0]].start < ends:
            self._begin(self._waiting.pop(0))
        for number, writer in tuple(self._open.items()):
            writer.take(sound, begins=begins)
            if writer.full(ends):
                self._end(number)

    def finish(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Bytes and samples of each piece; one that begins after the end has none."""
        while self._waiting:
            self._begin(self._waiting.pop(0))
        for number in tuple(self._open):
            self._end(number)
        told = [self._done[number] for number in range(len(self._order.pieces))]
        return tuple(size for size, _ in told), tuple(count for _, count in told)

    def _begin(self, number: int) -> None:
        self._open[number] = _Writer.of(self._order.pieces[number], self._order, self._channels)

    def _end(self, number: int) -> None:
        writer = self._open.pop(number)
        self._done[number] = writer.finish(), writer.written


@dataclass
class _Writer:
    """One piece on its way into its file."""

    piece: Piece
    container: OutputContainer
    stream: AudioStream
    format: str
    layout: str
    written: int = 0

    @classmethod
    def of(cls, piece: Piece, order: Encode, channels: int) -> "_Writer":
        layout = _LAYOUTS.get(channels, f"{channels}c")
        # unbuffered: the encoder hands over whole packets, and what it has written can be counted
        file = os.fdopen(piece.descriptor, "wb", buffering=0, closefd=False)
        container = av.open(file, "w", format=order.codec.container)
        stream = container.add_stream(_ENCODERS[order.codec], rate=RATE, layout=layout)
        if not isinstance(stream, AudioStream):
            msg = f"{order.codec} is no codec for sound"
            raise TypeError(msg)
        if order.codec is not Codec.FLAC:
            stream.bit_rate = order.bit_rate * channels
        if order.codec is Codec.OPUS and channels not in _LAYOUTS:
            stream.options = {
                "mapping_family": "255"
            }  # channels that are no loudspeakers in a room
        return cls(
            piece=piece,
            container=container,
            stream=stream,
            format=_FORMATS[order.codec],
            layout=layout,
        )

    def full(self, done: int) -> bool:
        return self.piece.end is not None and done >= self.piece.end

    def take(self, sound: NDArray[np.int16], *, begins: int) -> None:
        """As much of `sound`, whose first sample is number `begins`, as belongs to this piece."""
        first = max(self.piece.start - begins, 0)
        last = (
            sound.shape[1]
            if self.piece.end is None
            else min(self.piece.end - begins, sound.shape[1])
        )
        if first >= last:
            return
        mine = np.ascontiguousarray(sound[:, first:last])
        if self.format == "s16":  # interleaved
            mine = np.ascontiguousarray(mine.T.reshape(1, -1))
        frame = AudioFrame.from_ndarray(mine, format=self.format, layout=self.layout)
        frame.sample_rate = RATE
        frame.pts = self.written
        self.written += last - first
        self.container.mux(self.stream.encode(frame))

    def finish(self) -> int:
        """The end: everything written out; how many bytes there are."""
        self.container.mux(self.stream.encode(None))
        self.container.close()
        return os.fstat(self.piece.descriptor).st_size

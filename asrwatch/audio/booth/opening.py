"""Opens a recording for decoding, and yields its sound: 16-bit samples at 16 kHz, channel by channel."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import cast

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from av.audio.fifo import AudioFifo
from av.audio.format import AudioFormat
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Disposition
from numpy.typing import NDArray

from asrwatch.audio.booth.gaps import Gaps
from asrwatch.audio.orders import RATE, READ_FAILED

__all__ = ["RefusedError", "Source", "opened"]

MOST_CHANNELS = 64
AT_ONCE = 10
"""Seconds that are decoded before anybody looks at them."""
RATHER_FINE = 16
UNREADABLE = frozenset(
    {errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.EHOSTDOWN, errno.ETIMEDOUT, errno.EACCES}
)
"""What a disk or a share says, and not the recording."""
MOST_BROKEN = 10_000
"""Packets that cannot be decoded before a recording is given up; a scratch has a few, noise has nothing else."""


class RefusedError(Exception):
    """It cannot be decoded, and that lies in the recording."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@cache
def _audio_decoders() -> str:
    """Every decoder of sound, and none of pictures, playlists' subtitles or anything else."""
    names = []
    for name in sorted(av.codecs_available):
        try:
            codec = av.Codec(name, "r")
        except ValueError:
            continue  # only writes
        if codec.type == "audio":
            names.append(codec.name)
    return ",".join(dict.fromkeys(names))


class Source:
    """One of an open recording's streams of sound."""

    def __init__(self, container: InputContainer, stream: AudioStream) -> None:
        self._container = container
        self._stream = stream
        self._gaps = Gaps(container)
        self.broken = 0
        self.filled = 0
        """Samples at `RATE` of silence that stand where the recording holds nothing."""
        context = stream.codec_context
        self.codec: str = context.name
        self.sample_rate: int = context.sample_rate
        self.channels: int = context.channels
        self._decoded = 0
        """How many channels there really are, once something was decoded."""
        self.tracks = len(container.streams.audio)
        self.track = container.streams.audio.index(stream)
        self.pictures = any(
            not each.disposition & Disposition.attached_pic for each in container.streams.video
        )
        """Whether it is a video; the cover of an album is none."""
        format_ = cast("AudioFormat | None", stream.format)  # none where nothing can decode it
        self.is_fine = format_ is not None and format_.bits > RATHER_FINE
        """Whether its samples tell more than those of `sound` can hold."""

    def sound(self) -> Iterator[NDArray[np.int16]]:
        """Arrays of (channels, samples) at `RATE`, to the end; what cannot be decoded is left out and counted.

        Where its times say that something is missing, there is silence, so that everything else keeps its place.

        The first is as short as a frame, so that whoever waits for a first sound has it at once; the others hold
        seconds, since arrays are quick only where they are long.

        Raises:
            RefusedError: nothing, or too little, of it can be decoded.
        """
        # interleaved: PyAV 18 crashes over planes of eight and more channels (films in 7.1, mixing desks)
        resampler = AudioResampler(format="s16", rate=RATE)
        for frame in self._gathered():
            if isinstance(frame, float):
                yield from self._silence(frame)
                continue
            for resampled in resampler.resample(frame):
                yield _samples(resampled)
        for resampled in resampler.resample(None):
            yield _samples(resampled)

    def _silence(self, seconds: float) -> Iterator[NDArray[np.int16]]:
        left = round(seconds * RATE)
        self.filled += left
        while left > 0:
            piece = min(left, AT_ONCE * RATE)
            yield np.zeros((self._decoded, piece), dtype=np.int16)
            left -= piece

    def _gathered(self) -> Iterator[AudioFrame | float]:
        """Frames joined into longer ones: each costs a tenth of a millisecond on its way, however short it is.

        Between them, as seconds, what is missing.
        """
        fifo = AudioFifo()
        enough = 0
        for frame in self._frames():
            if not self._decoded:
                self._decoded = frame.layout.nb_channels
            elif frame.layout.nb_channels != self._decoded:
                # a stream that changes its mind: what follows is not the recording that was announced
                raise RefusedError("channels-change", "the number of its channels changes half-way")
            if gap := self._gaps.before(frame):
                yield from _rest(fifo)
                yield gap
            frame.pts = None
            try:
                fifo.write(frame)
            except ValueError:  # another rate or sample format from here on: the resampler copes, the queue does not
                yield from _rest(fifo)
                fifo = AudioFifo()
                fifo.write(frame)
            if fifo.samples > enough:
                yield from _rest(fifo)
                enough = AT_ONCE * frame.sample_rate
        if not self._decoded:
            raise RefusedError("cut-off", "nothing in it can be decoded")
        yield from _rest(fifo)

    def _frames(self) -> Iterator[AudioFrame]:
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except av.error.FFmpegError as error:
                _must_be_readable(error)
                self.broken += 1  # the rest makes no sense: what there is counts
                return
            self.broken += self._gaps.skipped(packet)
            try:
                yield from packet.decode()
            except av.error.FFmpegError as error:
                _must_be_readable(error)
                self.broken += 1
                if self.broken > MOST_BROKEN:
                    raise RefusedError("cut-off", "hardly anything in it can be decoded") from error


def _must_be_readable(error: av.error.FFmpegError) -> None:
    """A share that does not answer is no damage: the same file may be whole a minute later."""
    if error.errno in UNREADABLE:
        raise RefusedError(READ_FAILED, f"it cannot be read: {error.strerror}") from error


def _rest(fifo: AudioFifo) -> Iterator[AudioFrame]:
    frame = fifo.read()
    if frame is not None:
        yield frame


def _samples(frame: AudioFrame) -> NDArray[np.int16]:
    """A frame's samples, channel by channel."""
    interleaved = frame.to_ndarray().reshape(-1, frame.layout.nb_channels)
    return np.ascontiguousarray(interleaved.T, dtype=np.int16)


@contextmanager
def opened(
    descriptor: int, demuxers: tuple[str, ...], track: int | None = None
) -> Iterator[Source]:
    """The recording behind an open descriptor, for one pass over one of its streams of sound (see `Survey.track`).

    Nothing but local files, these demuxers and decoders of sound can be used, whatever the content asks for:
    a playlist disguised as a recording would otherwise have other files read (reliability 0.13, section 8).

    Raises:
        RefusedError: there is no sound in it, or none that can be decoded.
    """
    options = {
        "protocol_whitelist": "file",
        "format_whitelist": ",".join(demuxers),
        "codec_whitelist": _audio_decoders(),
    }
    path = f"file:/proc/self/fd/{descriptor}"
    one = demuxers[0] if len(demuxers) == 1 else None
    try:
        with av.open(path, format=one, options=options, metadata_errors="replace") as container:
            yield Source(container, _stream(container, track))
    except av.error.FFmpegError as error:
        _must_be_readable(error)
        raise RefusedError("cut-off", f"it cannot be opened as sound: {error.strerror}") from error


def _stream(container: InputContainer, track: int | None) -> AudioStream:
    tracks = container.streams.audio
    if not tracks:
        raise RefusedError("no-audio", "there is no sound in it")
    if track is None:
        can_be = [each for each in tracks if _has_decoder(each)] or [tracks[0]]
        marked = (each for each in can_be if each.disposition & Disposition.default)
        stream = next(marked, can_be[0])
    elif track < len(tracks):
        stream = tracks[track]
    else:
        raise RefusedError("no-such-track", f"it has no track of sound number {track + 1}")
    if not _has_decoder(stream):
        raise RefusedError(
            "unknown-codec", "its sound is coded in a way that nothing here can decode"
        )
    if not 0 < stream.codec_context.channels <= MOST_CHANNELS:
        raise RefusedError("channels", f"it claims {stream.codec_context.channels} channels")
    if stream.codec_context.sample_rate <= 0:
        raise RefusedError("sample-rate", "it claims no sample rate")
    return stream


def _has_decoder(stream: AudioStream) -> bool:
    return cast("AudioCodecContext | None", stream.codec_context) is not None

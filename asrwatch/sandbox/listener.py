"""The worker process: decodes a recording, cuts it into stretches of speech, recognises each.

Run as a file, so that it loads nothing but the decoder and the recogniser. One JSON object per line in,
one out; it ends when its input does.
"""

import json
import os
import re
import sys
from collections.abc import Iterator
from typing import Any, Final

import av
import pocketsphinx
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler

_RATE: Final = 16_000
_BYTES_PER_SECOND: Final = 2 * _RATE
# Speech without a pause is cut here, so that one utterance fits into memory and into the decoder.
_LONGEST_UTTERANCE: Final = 30 * _BYTES_PER_SECOND
_FRAMES_PER_SECOND: Final = 100
_VARIANT: Final = re.compile(r"\(\d+\)$")

Json = dict[str, Any]


class Refused(Exception):
    """The recording is not for us; carries the answer."""

    def __init__(self, **answer: Any) -> None:
        super().__init__(str(answer))
        self.answer = answer


class Ear:
    """Listens to one channel: feed it 16 kHz samples, then finish it."""

    def __init__(self, decoder: Any) -> None:
        self._decoder = decoder
        self._endpointer = pocketsphinx.Endpointer(sample_rate=_RATE)
        self._frame = int(self._endpointer.frame_bytes)
        self._waiting = bytearray()
        self._speech = bytearray()
        self._begin = 0.0
        self.utterances: list[Json] = []

    def feed(self, samples: bytes) -> None:
        """Take some samples; recognises whenever a stretch of speech is over."""
        self._waiting += samples
        position = 0
        # The last frame is held back, for the endpointer wants to know that it is the last.
        while len(self._waiting) - position > self._frame:
            frame = bytes(self._waiting[position : position + self._frame])
            position += self._frame
            self._take(self._endpointer.process(frame))
        del self._waiting[:position]

    def finish(self) -> None:
        """The recording is over."""
        if self._waiting:
            self._take(self._endpointer.end_stream(bytes(self._waiting)))
        self._recognise()

    def _take(self, speech: bytes | None) -> None:
        if speech is not None:
            if not self._speech:
                self._begin = float(self._endpointer.speech_start)
            self._speech += speech
        if self._speech and not self._endpointer.in_speech:
            self._recognise()
        elif len(self._speech) >= _LONGEST_UTTERANCE:
            end = self._begin + len(self._speech) / _BYTES_PER_SECOND
            self._recognise()
            self._begin = end

    def _recognise(self) -> None:
        if not self._speech:
            return
        self._decoder.start_utt()
        self._decoder.process_raw(bytes(self._speech), full_utt=True)
        self._decoder.end_utt()
        words = [
            {
                "text": _VARIANT.sub("", segment.word),
                "begin": self._begin + segment.start_frame / _FRAMES_PER_SECOND,
                "end": self._begin + (segment.end_frame + 1) / _FRAMES_PER_SECOND,
            }
            for segment in self._decoder.seg() or ()
            if segment.word[0] not in "<[+"
        ]
        if words:
            self.utterances.append(
                {
                    "begin": self._begin,
                    "end": self._begin + len(self._speech) / _BYTES_PER_SECOND,
                    "words": words,
                }
            )
        self._speech.clear()


def frames_of(container: av.container.InputContainer) -> Iterator[AudioFrame]:
    """The decodable frames of the first audio stream; damaged packets are left out, as players do."""
    stream = container.streams.audio[0]
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except (StopIteration, av.error.FFmpegError):
            return
        try:
            yield from packet.decode()
        except av.error.FFmpegError:
            continue


def channels_of(frame: AudioFrame, resampler: AudioResampler) -> Iterator[list[bytes]]:
    """The frame's samples at 16 kHz, one piece per channel."""
    for each in resampler.resample(frame):
        yield [bytes(plane)[: each.samples * 2] for plane in each.planes]


def measure(path: str, longest: float) -> Json:
    """The decoded duration and what the headers say; reads the file once.

    Raises:
        Refused: it is not audio, or longer than `longest` seconds.
    """
    try:
        with av.open(path, metadata_errors="ignore") as container:
            if not container.streams.audio:
                raise Refused(error="unreadable", why="there is no audio stream")
            stream = container.streams.audio[0]
            seconds = sum(frame.samples / frame.sample_rate for frame in frames_of(container))
            facts = {
                "seconds": seconds,
                "container": container.format.name,
                "sample_rate": stream.rate,
                "channels": stream.channels,
            }
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise Refused(error="unreadable", why=str(error)) from error
    if not seconds and facts["container"] != "wav":
        # A WAV may be empty and say so; anything else without a frame was never audio.
        raise Refused(error="unreadable", why="nothing in it can be decoded")
    if seconds > longest:
        raise Refused(error="too-long", seconds=seconds)
    return facts


def listen(decoder: Any, path: str, channels: list[int] | None, longest: float) -> Json:
    """Everything about a recording.

    Raises:
        Refused: it is not audio, too long, or a channel is not there.
    """
    facts = measure(path, longest)
    if channels is not None and any(channel >= facts["channels"] for channel in channels):
        raise Refused(error="unreadable", why=f"it has {facts['channels']} channels")
    resampler = (
        AudioResampler(format="s16", layout="mono", rate=_RATE)
        if channels is None
        else AudioResampler(format="s16p", rate=_RATE)
    )
    wanted = [0] if channels is None else channels
    ears = {channel: Ear(decoder) for channel in wanted}
    with av.open(path, metadata_errors="ignore") as container:
        for frame in frames_of(container):
            for pieces in channels_of(frame, resampler):
                for channel, ear in ears.items():
                    ear.feed(pieces[channel])
        for each in resampler.resample(None):
            for channel, ear in ears.items():
                ear.feed(bytes(each.planes[channel])[: each.samples * 2])
    for ear in ears.values():
        ear.finish()
    tracks = [{"channel": channel, "utterances": ear.utterances} for channel, ear in ears.items()]
    return {**facts, "tracks": tracks}


def main() -> None:
    """Answer requests until there are no more."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever a codec prints must not end up among the answers
    # `batch` makes each utterance independent of what this process heard before.
    decoder = pocketsphinx.Decoder(loglevel="FATAL", cmn="batch")
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            answer = listen(decoder, asked["path"], asked["channels"], asked["longest"])
        except Refused as refused:
            answer = refused.answer
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()

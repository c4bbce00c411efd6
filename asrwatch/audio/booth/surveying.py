"""Listens to a whole recording: how long, how loud, whether its channels differ, where nobody speaks."""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from asrwatch.audio.booth.opening import opened
from asrwatch.audio.orders import RATE, SILENT_BELOW, Progress, Report, Survey, Surveyed

__all__ = ["pauses", "survey"]

FULL_SCALE = 32_768
HEARD = 10 ** (SILENT_BELOW / 20) * FULL_SCALE
SAME_BELOW = 10 ** (-50 / 20)
"""Channels are the same if their difference has less than this share of their sound (-50 dB)."""
WINDOW = RATE // 50
"""Loudness is taken every 20 ms."""
SHORTEST_PAUSE = RATE * 3 // 10
FLOOR, SPEECH = 10, 95
"""Percentiles of loudness that stand for the room and for whoever speaks in it."""
LEAST_SPEECH = 15
"""Windows that a speaker is heard in at least, who has a channel of his own."""
REACH = 40.0
"""Decibels below a channel's speaker: what is fainter comes from elsewhere, such as the other end of the line."""
RARE_FLOOR = 1
"""The same percentile where pauses are too few to be a tenth of the recording."""
LEAST_CONTRAST = 10.0
"""Decibels between the two below which there are no pauses to be told from speech."""
PAUSE_SHARE = 0.25
"""How far above the room's loudness, as a share of the contrast, still counts as a pause."""
PROGRESS_EVERY = 60 * RATE
QUIETEST = -100.0


def survey(descriptor: int, order: Survey, *, tell: Callable[[Report], None]) -> Surveyed:
    """Decode up to `order.longest` samples and say what is heard.

    Raises:
        RefusedError: it cannot be decoded, or there is no sound in it.
    """
    with opened(descriptor, order.demuxers, order.track) as source:
        loud = 1 if source.is_fine else HEARD
        count, peak = 0, 0
        peaks = np.zeros(1, dtype=np.int32)  # as many as the first sound has
        power, difference = 0.0, 0.0
        loudness: list[NDArray[np.uint8]] = []
        rest = np.zeros(0, dtype=np.float32)
        ears: list[_Ear] = []
        told, early = 0, False
        for sound in source.sound():
            count += sound.shape[1]
            peaks = np.maximum(peaks, np.abs(sound.astype(np.int32)).max(axis=1, initial=0))
            peak = int(peaks.max())
            if order.until_sound and peak >= loud:
                early = True
                break
            wide = sound.astype(np.float32)
            power += float(np.square(wide[0]).sum())
            if len(wide) > 1:
                difference += float(np.square(wide[1:] - wide[0]).sum(axis=1).max())
            if order.by_channel:
                ears = ears or [_Ear() for _ in wide]
                for ear, channel in zip(ears, wide, strict=True):
                    ear.hear(np.square(channel))
            rest = np.concatenate([rest, np.square(wide).max(axis=0)])
            whole = len(rest) // WINDOW * WINDOW
            loudness.append(_decibels(rest[:whole].reshape(-1, WINDOW).mean(axis=1)))
            rest = rest[whole:]
            if count >= order.longest:
                early = True
                break
            if count - told >= PROGRESS_EVERY:
                told = count
                tell(Progress(done=count))
        heard = np.concatenate(loudness) if loudness else np.zeros(0, dtype=np.uint8)
        return Surveyed(
            codec=source.codec,
            sample_rate=source.sample_rate,
            channels=len(peaks) if count else source.channels,
            samples=count,
            peak=20 * math.log10(peak / FULL_SCALE) if peak else None,
            silent=peak < loud and not source.broken,
            same_channels=len(peaks) > 1 and difference <= power * SAME_BELOW**2,
            silent_channels=tuple(int(each) for each in np.flatnonzero(peaks < loud)),
            pauses=pauses(heard, count),
            broken=source.broken,
            tracks=source.tracks,
            track=source.track,
            pictures=source.pictures,
            channel_pauses=tuple(ear.pauses(count) for ear in ears),
            ended_early=early,
        )


class _Ear:
    """Hears one channel by itself."""

    def __init__(self) -> None:
        self._loudness: list[NDArray[np.uint8]] = []
        self._rest = np.zeros(0, dtype=np.float32)

    def hear(self, power: NDArray[np.float32]) -> None:
        """The next samples, squared."""
        self._rest = np.concatenate([self._rest, power])
        whole = len(self._rest) // WINDOW * WINDOW
        self._loudness.append(_decibels(self._rest[:whole].reshape(-1, WINDOW).mean(axis=1)))
        self._rest = self._rest[whole:]

    def pauses(self, count: int) -> tuple[tuple[int, int], ...]:
        """Where nobody speaks in it; somebody may speak seldom there, and others be heard faintly."""
        heard = np.concatenate(self._loudness) if self._loudness else np.zeros(0, dtype=np.uint8)
        seldom = 100 * (1 - LEAST_SPEECH / max(len(heard), 1))
        return pauses(heard, count, speech_at=max(SPEECH, seldom), reach=REACH)


def _decibels(power: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Decibels above `QUIETEST` of full scale, in a byte each, so that twelve hours take two megabytes."""
    with np.errstate(divide="ignore"):
        level = 10 * np.log10(power / FULL_SCALE**2) - QUIETEST
    return np.clip(level, 0, 255).astype(np.uint8)


def pauses(
    loudness: NDArray[np.uint8],
    count: int,
    *,
    speech_at: float = SPEECH,
    reach: float = math.inf,
) -> tuple[tuple[int, int], ...]:
    """Where nobody speaks, in samples; nothing where speech cannot be told.

    Args:
        loudness: of each window.
        count: samples in all.
        speech_at: the percentile of loudness that stands for whoever speaks.
        reach: decibels below that which are a pause in any case.
    """
    if not len(loudness):
        return ()
    room, rarely, speech = np.percentile(loudness, (FLOOR, RARE_FLOOR, speech_at))
    if speech - room < LEAST_CONTRAST:
        room = rarely  # somebody speaks nearly all the time
    if speech - room < LEAST_CONTRAST:
        return ()
    quiet = loudness < max(room + max((speech - room) * PAUSE_SHARE, 3.0), speech - reach)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], quiet, [False]]).astype(np.int8)))
    found = []
    for start, end in zip(edges[::2] * WINDOW, edges[1::2] * WINDOW, strict=True):
        if end - start >= SHORTEST_PAUSE:
            found.append((int(start), min(int(end), count)))
    return tuple(found)

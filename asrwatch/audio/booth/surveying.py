"""Listens to a whole recording: how long, how loud, whether its channels differ, where nobody speaks."""

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from asrwatch.audio.booth.opening import opened
from asrwatch.audio.orders import RATE, SILENT_BELOW, Progress, Report, Survey, Surveyed

__all__ = ["pauses", "survey"]

FULL_SCALE = 32_768
HEARD = 10 ** (SILENT_BELOW / 20) * FULL_SCALE
A_LAW_HEARD = 16
"""A-law knows no zero: its silence is 8 or -8, and the next it knows is 24 (ITU-T G.711)."""
SAME_BELOW = 10 ** (-50 / 20)
"""Channels are the same if their difference has nowhere more than this share of their sound (-50 dB)."""
WINDOW = RATE // 50
"""Loudness is taken every 20 ms."""
SHORTEST_PAUSE = RATE * 3 // 10
FLOOR, SPEECH = 10, 95
"""Percentiles of loudness that stand for the room and for whoever speaks in it."""
LEAST_SPEECH = 15
"""Windows that a speaker is heard in at least, who has a channel of his own."""
REACH = 40.0
"""Decibels below a channel's speaker: what is fainter, while another channel is loud, comes from there."""
RARE_FLOOR = 1
"""The same percentile where pauses are too few to be a tenth of the recording."""
LEAST_CONTRAST = 10.0
"""Decibels between the two below which there are no pauses to be told from speech."""
PAUSE_SHARE = 0.25
"""How far above the room's loudness, as a share of the contrast, still counts as a pause."""
MOST_ABOVE = 12.0
"""And in decibels: a beep that is ever so loud makes no pause of somebody who speaks softly."""
ELSEWHERE = 20.0
"""Decibels by which the other channel is louder where something faint comes from there."""
ECHO = RATE // WINDOW // 2
"""So many windows later, or earlier, the other end of the line is still heard."""
PROGRESS_EVERY = 60 * RATE
QUIETEST = -100.0


def survey(descriptor: int, order: Survey, *, tell: Callable[[Report], None]) -> Surveyed:
    """Decode up to `order.longest` samples and say what is heard.

    Raises:
        RefusedError: it cannot be decoded, or there is no sound in it.
    """
    with opened(descriptor, order.demuxers, order.track) as source:
        loud = 1 if source.is_fine else A_LAW_HEARD if source.codec == "pcm_alaw" else HEARD
        count, peak = 0, 0
        peaks = np.zeros(1, dtype=np.int32)  # as many as the first sound has
        likeness = _Likeness()
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
            if len(wide) > 1:
                likeness.hear(wide)
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
        heard = _all_of(loudness, rest)
        return Surveyed(
            codec=source.codec,
            sample_rate=source.sample_rate,
            channels=len(peaks) if count else source.channels,
            samples=count,
            peak=20 * math.log10(peak / FULL_SCALE) if peak else None,
            silent=peak < loud and not source.broken,
            same_channels=len(peaks) > 1 and likeness.same,
            silent_channels=tuple(int(each) for each in np.flatnonzero(peaks < loud)),
            pauses=pauses(heard, count),
            broken=source.broken,
            filled=source.filled,
            tracks=source.tracks,
            track=source.track,
            pictures=source.pictures,
            channel_pauses=tuple(
                ear.pauses(count, others=[other for other in ears if other is not ear])
                for ear in ears
            ),
            ended_early=early,
        )


class _Likeness:
    """Compares channels with the first, moment by moment: a word that only one of them holds is heard in no average."""

    def __init__(self) -> None:
        self._power, self._count, self._apart = 0.0, 0, 0.0
        self._rest = np.zeros((2, 0), dtype=np.float32)

    def hear(self, wide: NDArray[np.float32]) -> None:
        """The next samples, channel by channel."""
        loud, apart = np.square(wide).max(axis=0), np.square(wide[1:] - wide[0]).max(axis=0)
        self._power += float(loud.sum())
        self._count += len(loud)
        self._rest = np.concatenate([self._rest, np.stack([loud, apart])], axis=1)
        whole = self._rest.shape[1] // WINDOW * WINDOW
        loud, apart = self._rest[:, :whole].reshape(2, -1, WINDOW).mean(axis=2)
        self._rest = self._rest[:, whole:]
        other = apart[apart > loud * SAME_BELOW**2]
        self._apart = max(self._apart, float(other.max(initial=0)))

    @property
    def same(self) -> bool:
        """Whether what they differ in is nowhere loud enough to be anything."""
        usual = self._power / max(self._count, 1)
        return self._apart <= max(usual * SAME_BELOW**2, HEARD**2 / 2)


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

    @property
    def loudness(self) -> NDArray[np.uint8]:
        """Of each window."""
        return _all_of(self._loudness, self._rest)

    def pauses(self, count: int, *, others: Sequence["_Ear"]) -> tuple[tuple[int, int], ...]:
        """Where nobody speaks in it; somebody may speak seldom there, and others be heard faintly."""
        heard = self.loudness
        seldom = 100 * (1 - LEAST_SPEECH / max(len(heard), 1))
        elsewhere = np.zeros(len(heard), dtype=np.uint8)
        for other in others:
            elsewhere = np.maximum(elsewhere, other.loudness)
        return pauses(heard, count, speech_at=max(SPEECH, seldom), elsewhere=elsewhere)


def _all_of(loudness: Sequence[NDArray[np.uint8]], rest: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The loudness of every window, the last of which may be shorter: else each recording would end in a scrap."""
    last = [_decibels(rest.mean(keepdims=True))] if len(rest) else []
    return np.concatenate([np.zeros(0, dtype=np.uint8), *loudness, *last])


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
    elsewhere: NDArray[np.uint8] | None = None,
) -> tuple[tuple[int, int], ...]:
    """Where nobody speaks, in samples; nothing where speech cannot be told.

    Args:
        loudness: of each window.
        count: samples in all.
        speech_at: the percentile of loudness that stands for whoever speaks.
        elsewhere: the loudness of other channels, which may be heard here, too.
    """
    if not len(loudness):
        return ()
    room, rarely, speech = np.percentile(loudness, (FLOOR, RARE_FLOOR, speech_at))
    if speech - room < LEAST_CONTRAST:
        room = rarely  # somebody speaks nearly all the time
    if speech - room < LEAST_CONTRAST:
        return ()
    quiet = loudness < room + min(max((speech - room) * PAUSE_SHARE, 3.0), MOST_ABOVE)
    if elsewhere is not None:
        around = sliding_window_view(np.pad(elsewhere, ECHO), 2 * ECHO + 1).max(axis=1)
        quiet |= (loudness < speech - REACH) & (loudness + ELSEWHERE < around)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], quiet, [False]]).astype(np.int8)))
    found = []
    for start, end in zip(edges[::2] * WINDOW, edges[1::2] * WINDOW, strict=True):
        if end - start >= SHORTEST_PAUSE:
            found.append((int(start), min(int(end), count)))
    return tuple(found)

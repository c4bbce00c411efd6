"""Mixes the channels of a recording into one, so that nothing is lost where they carry one sound in opposite phase."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["Mixer"]

OPPOSITE = 0.5
"""Correlation from which on two channels carry one sound; of different speakers it is near 0."""


class Mixer:
    """Mixes stretch by stretch, in order.

    A channel that carries another's sound upside down (a balanced cable wired as two channels, a microphone with its
    poles changed) would cancel it: it is turned over first, and stays so until it carries the same sound upright.
    """

    def __init__(self) -> None:
        self._signs: dict[int, int] = {}

    def mixed(self, sound: NDArray[np.int16]) -> NDArray[np.int16]:
        """One channel, (1, samples), of all of them, (channels, samples): their mean."""
        mix = sound[0].astype(np.int32)
        for number, channel in enumerate(sound[1:], start=1):
            alike = _correlation(mix, channel)
            if abs(alike) > OPPOSITE:
                self._signs[number] = 1 if alike > 0 else -1
            mix += self._signs.get(number, 1) * channel.astype(np.int32)
        return np.asarray(mix[np.newaxis] // len(sound), dtype=np.int16)


def _correlation(one: NDArray[np.int32], other: NDArray[np.int16]) -> float:
    """From -1 (opposite) to 1 (the same); 0 where one of them is silent."""
    first, second = one.astype(np.float64), other.astype(np.float64)
    power = float(first @ first) * float(second @ second)
    return float(first @ second) / power**0.5 if power else 0.0

"""Speech that can be counted: each stretch is a tone whose pitch is its number, with pauses between."""

import threading

import media_helpers as media
import numpy as np

from asrwatch.sandbox import Said, Scripted
from asrwatch.sandbox.recogniser import Sound

WORDS = (
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
)
FIRST, STEP = 400, 150


def talk(stretches: int, *, seconds: float = 9, pause: float = 2) -> media.Samples:
    """So many stretches of sound, each followed by a pause; the first is "one"."""
    return media.joined(
        *(
            part
            for number in range(stretches)
            for part in (
                media.tone(seconds, pitch=FIRST + number * STEP),
                media.silence(pause),
            )
        )
    )


def words_in(sound: media.Samples) -> list[str]:
    """The words of all stretches in a sound, in order, each once for every stretch it is heard in."""
    heard: list[str] = []
    window = 1_600  # a tenth of a second
    for begin in range(0, sound.shape[1] - window + 1, window):
        part = sound[0, begin : begin + window].astype(float)
        if np.abs(part).max() < 500:
            heard.append("")
            continue
        pitch = np.abs(np.fft.rfft(part)).argmax() * 16_000 / window
        heard.append(WORDS[round((pitch - FIRST) / STEP)])
    changes = [one for one, before in zip(heard, ["", *heard], strict=False) if one != before]
    return [word for word in changes if word]


class Counting(Scripted):
    """A recogniser that decodes what arrives, remembers it, and says the words it holds."""

    def __init__(self) -> None:
        super().__init__(self._words_of)
        self.arrived: list[media.Samples] = []
        self.seconds = 0.0
        self._lock = threading.Lock()

    def _words_of(self, sound: Sound) -> Said:
        samples, rate = media.decoded(sound.path)
        with self._lock:
            self.arrived.append(samples)
            self.seconds += samples.shape[1] / rate
        text = " ".join(words_in(samples)) if rate == 16_000 else "rain"
        return Said(text=text, seconds=samples.shape[1] / rate)

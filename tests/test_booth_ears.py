"""Nothing that somebody said is lost in mixing, in comparing channels, or in looking for pauses."""

from pathlib import Path

import media_helpers as media
import numpy as np
import pytest

from asrwatch.audio.booth.encoding import encode
from asrwatch.audio.booth.surveying import survey
from asrwatch.audio.orders import RATE, Codec, Encode, Piece, Survey, Surveyed


def _surveyed(path: Path) -> Surveyed:
    with path.open("rb") as file:
        order = Survey(demuxers=("wav", "flac"), longest=3600 * RATE, by_channel=True)
        return survey(file.fileno(), order, tell=lambda _: None)


def _heard(tmp_path: Path, *channels: media.Samples) -> Surveyed:
    sound = media.channels(*channels)
    return _surveyed(media.write(tmp_path / "heard.wav", sound, codec="pcm_s16le"))


def _mixed(tmp_path: Path, *channels: media.Samples) -> Surveyed:
    path = media.write(tmp_path / "apart.wav", media.channels(*channels), codec="pcm_s16le")
    with path.open("rb") as file, (tmp_path / "mixed.flac").open("wb") as into:
        pieces = (Piece(descriptor=into.fileno()),)
        order = Encode(demuxers=("wav",), longest=3600 * RATE, codec=Codec.FLAC, pieces=pieces)
        encode(file.fileno(), order, tell=lambda _: None)
    return _surveyed(tmp_path / "mixed.flac")


@pytest.mark.parametrize("louder", [1.0, 0.9])
def test_opposite_phase_is_not_cancelled(tmp_path: Path, louder: float) -> None:
    """Stereo whose channels carry one voice in opposite phase is mixed into that voice, and not into silence."""
    voice = media.joined(media.silence(1), media.tone(2, loudness=0.3))
    opposite = (-voice * louder).astype(np.int16)
    mixed = _mixed(tmp_path, voice, opposite)
    assert mixed.peak is not None
    assert mixed.peak > -12
    assert mixed.channels == 1


def test_two_voices_are_both_in_the_mix(tmp_path: Path) -> None:
    """Of two who speak at different times, or at once, both are heard in the mix, as loud as each other."""
    one = media.joined(media.noise(2, seed=1), media.silence(2), media.noise(1, seed=2))
    other = media.joined(media.silence(2), media.noise(2, seed=3), media.noise(1, seed=4))
    mixed = _mixed(tmp_path, one, other)
    assert not mixed.pauses
    assert mixed.peak is not None
    assert -30 < mixed.peak < -20


def test_a_word_in_one_channel_is_no_fake_stereo(tmp_path: Path) -> None:
    """One word that only the second channel holds, soft beside a minute of the same sound in both, keeps them two."""
    agent = media.noise(60, loudness=0.3)
    customer = agent.copy()
    customer[:, 30 * RATE : 30 * RATE + RATE // 4] += media.tone(0.25, loudness=0.008)
    assert not _heard(tmp_path, agent, customer).same_channels


def test_noise_of_the_converter_is_no_difference(tmp_path: Path) -> None:
    """The last bit, which differs by chance, makes no second channel of fake stereo, in its pauses neither."""
    voice = media.joined(media.tone(2), media.silence(2), media.tone(2))
    second = voice + np.random.default_rng(1).integers(-1, 2, voice.shape).astype(np.int16)
    assert _heard(tmp_path, voice, second).same_channels


@pytest.mark.parametrize("rate", [8_000, 16_000])
def test_the_silence_of_a_law_is_silence(tmp_path: Path, rate: int) -> None:
    """A-law knows no zero: a leg of a call that holds its silence is silent, one that holds a whisper is not."""
    quiet, whisper = media.silence(3), media.tone(3, loudness=0.002)
    for name, other, silent in (("nobody", quiet, (0, 1)), ("whisper", whisper, (0,))):
        sound = media.channels(quiet, other)
        heard = _surveyed(media.write(tmp_path / f"{name}.wav", sound, codec="pcm_alaw", rate=rate))
        assert heard.silent_channels == silent
        assert heard.silent is (len(silent) == 2)


def test_a_beep_makes_no_pause_of_soft_speech(tmp_path: Path) -> None:
    """Somebody who speaks softly, alone on the line, is no pause because a loud beep came before."""
    beep = media.tone(0.6, loudness=0.9)
    soft = media.noise(3, loudness=0.005)
    room = media.noise(4, loudness=0.0002, seed=2)
    line = media.joined(beep, room, soft, room[:, : 2 * RATE])
    told = _heard(tmp_path, line, media.silence(line.shape[1] / RATE))
    for pauses in (told.pauses, told.channel_pauses[0]):
        assert all(end <= 4.7 * RATE or begin >= 7.5 * RATE for begin, end in pauses)
        assert len(pauses) == 2


def test_a_pause_lasts_to_the_very_end(tmp_path: Path) -> None:
    """What is less than a window at the end is part of the pause before it, and no scrap that is sent and paid for."""
    line = media.joined(media.noise(2), media.silence(2), media.noise(2, seed=2), media.silence(2))
    for more in (0.0001, 0.008, 0.0199):
        longer = media.joined(line, media.silence(more))
        told = _heard(tmp_path, longer, longer)
        for pauses in (told.pauses, *told.channel_pauses):
            assert pauses[-1][1] == told.samples == longer.shape[1]

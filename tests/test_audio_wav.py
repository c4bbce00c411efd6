import io
import struct
from datetime import timedelta

import pytest
from audio_helpers import chunk, encode, pcm, riff, wav

from asrwatch.audio.facts import probe
from asrwatch.errors import RecordingError
from asrwatch.journey.plan import AudioFacts

SECOND = timedelta(seconds=1)


def facts(content: bytes, name: bytes = b"talk.wav") -> AudioFacts:
    """Probe some bytes."""
    return probe(io.BytesIO(content), name)


def refusal(content: bytes, name: bytes = b"talk.wav") -> RecordingError:
    """Probe some bytes that must be refused."""
    with pytest.raises(RecordingError) as caught:
        facts(content, name)
    return caught.value


def test_plain_wav() -> None:
    """A plain WAV file tells everything there is to know."""
    assert facts(wav(pcm(1.5, channels=2), channels=2)) == AudioFacts(
        container="wav",
        codec="pcm_s16le",
        duration=1.5 * SECOND,
        sample_rate=16_000,
        channels=2,
    )


def test_chunks_before_and_after_the_sound_do_not_count() -> None:
    """Chunks around the sound, of odd length and padded, change nothing about its duration."""
    notes = chunk(b"LIST", b"INFOINAM\x05\0\0\0talk\0")
    content = wav(pcm(1), before=[notes, chunk(b"bext", b"x" * 603)], after=notes + notes)
    assert facts(content).duration == SECOND


def test_odd_sound_is_padded() -> None:
    """A padding byte after sound of odd length is not sound."""
    content = wav(b"\x80" * 8_001, rate=8_000, bits=8, after=chunk(b"LIST", b"INFO"))
    assert facts(content).duration == timedelta(seconds=8_001 / 8_000)


def test_forgotten_padding_is_forgiven() -> None:
    """Writers that forget the padding byte before the next chunk are understood."""
    layout = struct.pack("<HHIIHH", 1, 1, 8_000, 8_000, 1, 8)
    content = riff(
        chunk(b"fmt ", layout), b"data" + struct.pack("<I", 8_001) + b"\x80" * 8_001,
        chunk(b"LIST", b"INFO" * 500),
    )  # fmt: skip
    assert facts(content).duration == timedelta(seconds=8_001 / 8_000)


@pytest.mark.parametrize("claimed", [0, 0xFFFFFFFF, 0x7FFFFFFF, 40_000])
def test_placeholder_and_cut_off_sizes(claimed: int) -> None:
    """A size that was never written, or is more than there is, gives way to what is really there."""
    assert facts(wav(pcm(1), size=claimed)).duration == SECOND


def test_size_zero_before_other_chunks_is_no_sound() -> None:
    """A sound of zero bytes that is followed by whole chunks really is no sound."""
    error = refusal(wav(b"", after=chunk(b"LIST", b"INFO" * 3)))
    assert error.code == "no-audio"


def test_sound_behind_the_declared_end_is_unknown() -> None:
    """A header that a recorder has not updated since does not shorten the recording: unknown."""
    told = facts(wav(pcm(5), size=32_000))
    assert told.duration is None
    assert told.sample_rate == 16_000


def test_header_only() -> None:
    """A call that was never answered leaves headers only: refused in plain words, before anything is paid."""
    for content in (wav(b""), wav(b"", size=0xFFFFFFFF), wav(b"\0"), wav(b"")[:40], wav(b"")[:36]):
        error = refusal(content, b"calls/1234.wav")
        assert error.code == "no-audio"
        assert "calls/1234.wav" in str(error)
        assert "Nothing was sent or paid" in str(error)


def test_empty_file() -> None:
    """A file of zero bytes holds no sound."""
    assert refusal(b"").code == "no-audio"


def test_extensible() -> None:
    """WAVE_FORMAT_EXTENSIBLE is read through to the format it extends."""
    guid = b"\x00\x00\x00\x00\x10\x00\x80\x00\x00\xaa\x00\x38\x9b\x71"
    layout = struct.pack("<HHIIHHHHI", 0xFFFE, 4, 48_000, 48_000 * 12, 12, 24, 22, 24, 15)
    layout += struct.pack("<H", 1) + guid
    told = facts(riff(chunk(b"fmt ", layout), chunk(b"data", bytes(12 * 24_000))))
    assert told == AudioFacts(
        container="wav",
        codec="pcm_s24le",
        duration=SECOND / 2,
        sample_rate=48_000,
        channels=4,
    )


def test_mu_law() -> None:
    """Telephone recordings in mu-law, one byte a sample, are timed right."""
    told = facts(
        wav(b"\xff" * 8_000, tag=7, bits=8, rate=8_000, before=[chunk(b"fact", b"\0" * 4)])
    )
    assert (told.codec, told.duration) == ("pcm_mulaw", SECOND)


def gsm(blocks: int, *, samples: int | None = None, size: int | None = None) -> bytes:
    """GSM 6.10 as Asterisk writes it: blocks of 65 bytes."""
    layout = struct.pack("<HHIIHHHH", 0x31, 1, 8_000, 1_625, 65, 0, 2, 320)
    fact = [chunk(b"fact", struct.pack("<I", samples))] if samples is not None else []
    return riff(chunk(b"fmt ", layout), *fact, chunk(b"data", bytes(65 * blocks), size=size))


def test_gsm() -> None:
    """Asterisk's wav49 (GSM, 65 bytes for 320 samples) is timed by its blocks, cut off or not."""
    assert facts(gsm(50), b"CALL.WAV").codec == "gsm_ms"
    assert facts(gsm(50), b"CALL.WAV").duration == 2 * SECOND
    assert facts(gsm(50, size=0xFFFFFFFF)).duration == 2 * SECOND
    assert facts(gsm(50, samples=15_990)).duration == timedelta(seconds=15_990 / 8_000)
    assert facts(gsm(50, samples=0)).duration == 2 * SECOND


def test_rf64() -> None:
    """RF64 keeps its real sizes in a chunk of their own; placeholders there are placeholders too."""
    layout = struct.pack("<HHIIHH", 1, 1, 16_000, 32_000, 2, 16)
    for size in (32_000, 0, 2**40):
        sizes = struct.pack("<QQQI", 32_100, size, 16_000, 0)
        content = riff(
            chunk(b"ds64", sizes), chunk(b"fmt ", layout),
            chunk(b"data", pcm(1), size=0xFFFFFFFF), magic=b"RF64",
        )  # fmt: skip
        assert facts(content).duration == SECOND


def test_big_endian() -> None:
    """RIFX is RIFF with its numbers the other way round."""
    layout = struct.pack(">HHIIHH", 1, 1, 16_000, 32_000, 2, 16)
    sound = pcm(1)
    body = b"WAVEfmt " + struct.pack(">I", 16) + layout + b"data" + struct.pack(">I", len(sound))
    told = facts(b"RIFX" + struct.pack(">I", len(body) + len(sound)) + body + sound)
    assert (told.codec, told.duration) == ("pcm_s16be", SECOND)


def test_wave64() -> None:
    """Wave64 is read, cut off or not."""
    whole = encode("w64", "pcm_s16le", 2)
    assert facts(whole, b"talk.w64").duration == 2 * SECOND
    assert facts(whole[:-32_000], b"talk.w64").duration == SECOND


@pytest.mark.parametrize("codec", ["adpcm_ima_wav", "adpcm_ms", "libmp3lame"])
def test_compressed_wav(codec: str) -> None:
    """Compressed sound in WAV is timed by its blocks, or by two claims that agree."""
    told = facts(encode("wav", codec, 4))
    assert told.duration is not None
    # One block or frame of either coder, filled up at the end.
    assert timedelta(0) <= told.duration - 4 * SECOND < 0.15 * SECOND


def test_compressed_wav_cut_off_is_unknown() -> None:
    """MP3 in WAV that was cut off has no blocks to count: unknown."""
    content = encode("wav", "libmp3lame", 4)
    assert facts(content[: len(content) // 2]).duration is None


@pytest.mark.parametrize(
    ("rate", "channels", "bits"),
    [(1, 1, 16), (0, 1, 16), (4_000_000_000, 1, 16), (16_000, 0, 16), (16_000, 60_000, 16)],
)
def test_absurd_headers(rate: int, channels: int, bits: int) -> None:
    """1 Hz, no channels, sixty thousand channels: no such recording, so the duration is unknown."""
    layout = struct.pack("<HHIIHH", 1, channels, rate, 32_000, channels * bits // 8 & 0xFFFF, bits)
    told = facts(riff(chunk(b"fmt ", layout), chunk(b"data", bytes(200_000))))
    assert told.container == "wav"
    assert told.duration is None


def test_missing_format_is_unknown() -> None:
    """Sound without a format chunk tells nothing."""
    assert facts(riff(chunk(b"data", pcm(1)))) == AudioFacts(container="wav")


def test_lying_chunk_is_not_silence() -> None:
    """A chunk that claims to reach beyond the file hides the sound; that is unknown, not `no-audio`."""
    layout = struct.pack("<HHIIHH", 1, 1, 16_000, 32_000, 2, 16)
    content = riff(
        chunk(b"fmt ", layout), chunk(b"LIST", b"INFO", size=10**9), chunk(b"data", pcm(1))
    )
    assert facts(content) == AudioFacts(container="wav")

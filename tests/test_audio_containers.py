import contextlib
import io
import struct
from datetime import timedelta
from typing import Any

import av
import pytest
from audio_helpers import encode, video

from asrwatch.audio.facts import probe
from asrwatch.errors import RecordingError
from asrwatch.journey.plan import AudioFacts

SECONDS = 3.7
CLOSE = timedelta(milliseconds=50)


def facts(content: bytes, name: bytes = b"talk") -> AudioFacts:
    """Probe some bytes."""
    return probe(io.BytesIO(content), name)


def decoded(content: bytes) -> timedelta:
    """How long the sound really is: every sample decoded and counted, up to where it is broken."""
    samples = 0
    with av.open(io.BytesIO(content), "r") as recording:
        stream = recording.streams.audio[0]
        with contextlib.suppress(av.error.InvalidDataError):
            for frame in recording.decode(stream):
                samples += frame.samples
        return timedelta(seconds=samples / stream.rate)


# Container and encoder as ffmpeg calls them, sample rate, more for the encoder; container and codec as told.
CASES: dict[str, tuple[str, str, int, dict[str, Any], tuple[str, str]]] = {
    "mp3 with a count": ("mp3", "libmp3lame", 16_000, {}, ("mp3", "mp3")),
    "mp3 without a count": (
        "mp3",
        "libmp3lame",
        16_000,
        {"container_options": {"write_xing": "0"}},
        ("mp3", "mp3"),
    ),
    "mp3 of variable rate": (
        "mp3",
        "libmp3lame",
        44_100,
        {"options": {"flags": "+qscale", "global_quality": "472"}},
        ("mp3", "mp3"),
    ),
    "mp2": ("mp2", "mp2", 44_100, {"bit_rate": 64_000}, ("mp3", "mp2")),
    "aac": ("adts", "aac", 44_100, {}, ("aac", "aac")),
    "flac": ("flac", "flac", 16_000, {}, ("flac", "flac")),
    "ogg flac": ("ogg", "flac", 16_000, {}, ("ogg", "flac")),
    "ogg opus": ("ogg", "libopus", 48_000, {}, ("ogg", "opus")),
    "ogg vorbis": (
        "ogg",
        "vorbis",
        44_100,
        {"channels": 2, "options": {"strict": "experimental"}},
        ("ogg", "vorbis"),
    ),
    "m4a": ("ipod", "aac", 44_100, {}, ("mp4", "aac")),
    "alac": ("ipod", "alac", 44_100, {}, ("mp4", "alac")),
    "mov": ("mov", "pcm_s16le", 16_000, {}, ("mp4", "pcm_s16le")),
    "3gp": ("3gp", "libopencore_amrnb", 8_000, {"bit_rate": 12_200}, ("mp4", "amr_nb")),
    "amr": ("amr", "libopencore_amrnb", 8_000, {"bit_rate": 12_200}, ("amr", "amr_nb")),
    "wma": ("asf", "wmav2", 44_100, {"bit_rate": 64_000}, ("asf", "wmav2")),
    "aiff": ("aiff", "pcm_s16be", 16_000, {"channels": 2}, ("aiff", "pcm_s16be")),
    "mka": ("matroska", "libopus", 48_000, {}, ("mkv", "opus")),
    "webm": ("webm", "libopus", 48_000, {}, ("webm", "opus")),
    "flv": ("flv", "libmp3lame", 44_100, {}, ("flv", "mp3")),
    "avi": ("avi", "libmp3lame", 44_100, {}, ("avi", "mp3")),
    "wavpack": ("wv", "wavpack", 16_000, {}, ("wavpack", "wavpack")),
    "tta": ("tta", "tta", 16_000, {}, ("tta", "tta")),
    "ac3": ("ac3", "ac3", 44_100, {}, ("ac3", "ac3")),
}


def sample(case: str, seconds: float = SECONDS) -> bytes:
    """The recording of a case."""
    container, codec, rate, more, _ = CASES[case]
    return encode(container, codec, seconds, rate=rate, **more)


@pytest.mark.parametrize("case", CASES)
def test_duration_is_what_a_decoder_hears(case: str) -> None:
    """The duration from the headers is within 50 ms of what decoding every sample gives."""
    content = sample(case)
    told = facts(content)
    assert (told.container, told.codec) == CASES[case][4]
    assert told.duration is not None
    assert abs(told.duration - decoded(content)) < CLOSE
    if case != "flv":
        assert told.sample_rate == CASES[case][2]
    if case not in {"flv", "tta", "ac3"}:
        assert told.channels == CASES[case][3].get("channels", 1)


@pytest.mark.parametrize("case", CASES)
def test_cut_off_is_shorter_or_unknown(case: str) -> None:
    """A recording that was cut in the middle is told as long as it still sounds, or is unknown.

    FLAC, and containers no engine takes, are the exception: they are as long as they say (audio/flac.py).
    """
    content = sample(case, 8)
    half = content[: len(content) // 2]
    if case in {"m4a", "alac", "mov", "3gp"}:
        with pytest.raises(RecordingError) as caught:
            facts(half)
        assert caught.value.code == "cut-off"
        return
    told = facts(half)
    assert told.container == CASES[case][4][0]
    if case in {"flac", "wavpack", "tta"}:
        return
    if told.duration is not None:
        assert abs(told.duration - decoded(half)) < timedelta(seconds=0.15)
        assert told.duration < timedelta(seconds=6)


@pytest.mark.parametrize(
    ("container", "codec", "sound"),
    [
        ("mp4", "libx264", "aac"),
        ("matroska", "libx264", "aac"),
        ("webm", "libvpx", "libopus"),
        ("avi", "mpeg4", "libmp3lame"),
        ("flv", "flv", "libmp3lame"),
    ],
)
def test_video(container: str, codec: str, sound: str) -> None:
    """A video is as long as its sound; without sound it is refused."""
    content = video(container, codec, sound=sound, seconds=2)
    told = facts(content)
    assert told.duration is not None
    assert abs(told.duration - decoded(content)) < CLOSE
    with pytest.raises(RecordingError, match="video without sound") as caught:
        facts(video(container, codec, sound=None))
    assert caught.value.code == "no-audio"


@pytest.mark.parametrize(
    ("container", "codec"), [("asf", "wmv2"), ("mov", "mpeg4"), ("ogg", "libvpx")]
)
def test_video_without_sound(container: str, codec: str) -> None:
    """A video without sound is refused in every container that says so."""
    with pytest.raises(RecordingError, match="no sound") as caught:
        facts(video(container, codec, sound=None))
    assert caught.value.code == "no-audio"


def test_fragments_are_unknown() -> None:
    """An MP4 made of fragments writes its duration nowhere for certain."""
    content = encode(
        "mp4", "aac", 3, rate=44_100, container_options={"movflags": "frag_keyframe+empty_moov"}
    )
    told = facts(content)
    assert (told.container, told.codec, told.duration) == ("mp4", "aac", None)


def test_mp4_with_its_index_first_and_cut_off_is_unknown() -> None:
    """An index written first still claims the whole length when the sound was cut off: unknown."""
    content = encode("mp4", "aac", 4, rate=44_100)
    index = content.rindex(b"moov") - 4
    whole = content[index:] + content[:index]
    assert facts(whole).duration is not None
    assert facts(whole[:-5_000]).duration is None


def test_encrypted_sound_is_refused() -> None:
    """Protected sound is refused in plain words, before anything is paid."""
    content = sample("m4a").replace(b"mp4a", b"enca")
    with pytest.raises(RecordingError, match="encrypted") as caught:
        facts(content)
    assert caught.value.code == "protected"


def test_live_matroska_is_unknown() -> None:
    """A Matroska file whose recorder never came back to write its duration is unknown."""
    content = encode("matroska", "libopus", 3, rate=48_000, container_options={"live": "1"})
    told = facts(content)
    assert (told.container, told.sample_rate, told.duration) == ("mkv", 48_000, None)


def frames_of(bit_rate: int, seconds: float) -> bytes:
    """Bare MP3 frames: no tag, no count."""
    content = encode(
        "mp3",
        "libmp3lame",
        seconds,
        bit_rate=bit_rate,
        container_options={"write_xing": "0", "id3v2_version": "0"},
    )
    return content[content.find(b"\xff") :]


def test_long_mp3_of_constant_rate() -> None:
    """Beyond the frames that are counted, a constant bit rate tells the rest."""
    content = frames_of(64_000, 20) * 100
    told = facts(content).duration
    assert told is not None
    # Twenty seconds are 558 frames of 36 ms.
    assert abs(told - timedelta(seconds=558 * 0.036 * 100)) < timedelta(seconds=1)


def test_long_mp3_of_variable_rate_is_unknown() -> None:
    """A long file whose bit rate changes anywhere is unknown: a guess would be wrong by minutes."""
    assert facts(frames_of(64_000, 20) * 70 + frames_of(32_000, 20) * 30).duration is None


def test_joined_mp3s() -> None:
    """Two MP3s in one file are as long as both, although the first one's count knows only itself."""
    one = sample("mp3 with a count", 3)
    told = facts(one + one[one.find(b"\xff\xf3") :]).duration
    assert told is None or told > timedelta(seconds=5.9)


def test_vbri_header() -> None:
    """A VBRI header, which Fraunhofer's encoder leaves in the first frame, is believed if the size agrees."""
    sound = frames_of(64_000, 5)
    # 64 kbit/s at 16 kHz: frames of 288 bytes, of which the first holds the header.
    first, frames = sound[:288], len(sound) // 288 - 1
    vbri = b"VBRI" + struct.pack(">HHHII", 1, 0, 75, len(sound), frames)
    content = (first[:36] + vbri).ljust(288, b"\0") + sound[288:]
    assert facts(content).duration == timedelta(seconds=frames * 0.036)
    # Cut off, the header is wrong, and the frames behind it are counted.
    half = content[: len(content) // 2]
    assert facts(half).duration == timedelta(seconds=(len(half) // 288 - 1) * 0.036)


def test_other_forms_of_aac_are_unknown() -> None:
    """AAC as ADIF or LATM has no frames that could be counted; that is unknown, not a refusal."""
    assert facts(b"ADIF" + bytes(500), b"a.aac") == AudioFacts(container="aac")
    assert facts(b"\x56\xe0\x20\xff" * 200, b"a.aac") == AudioFacts(container="aac")


def page(flags: int, position: int, packet: bytes) -> bytes:
    """An Ogg page with one packet."""
    lacing = bytes([255] * (len(packet) // 255) + [len(packet) % 255])
    return (
        struct.pack("<4sBBqIIIB", b"OggS", 0, flags, position, 1, 0, 0, len(lacing))
        + lacing
        + packet
    )


def test_speex() -> None:
    """Speex, which old voice recorders write into Ogg, is timed by its rate."""
    head = b"Speex   1.2".ljust(28, b"\0") + struct.pack("<iiiiiii", 1, 80, 8_000, 0, 4, 1, 0)
    content = (
        page(2, 0, head.ljust(80, b"\0")) + page(0, 0, b"comment") + page(4, 24_000, b"x" * 600)
    )
    assert facts(content) == AudioFacts(
        container="ogg",
        codec="speex",
        duration=timedelta(seconds=3),
        sample_rate=8_000,
        channels=1,
    )


def test_amr_with_several_channels_is_unknown() -> None:
    """The multichannel form of AMR is rare enough to be left to the cloud."""
    assert facts(b"#!AMR_MC1.0\n" + bytes(100)) == AudioFacts(container="amr")


def test_a_tag_before_other_containers_is_not_understood() -> None:
    """An ID3 tag before a container that has no place for one tells the container and nothing more."""
    content = b"ID3\x04\0\0\0\0\0\x05abcde" + sample("m4a", 1)
    assert facts(content) == AudioFacts(container="mp4")


def test_tags_do_not_count() -> None:
    """Twenty megabytes of album art before the sound and tags behind it change nothing."""
    art = 20 * 2**20
    size = bytes(art >> shift & 0x7F for shift in (21, 14, 7, 0))
    tag = b"ID3\x04\0\0" + size + bytes(art)
    ape = b"x" * 1_000 + b"APETAGEX" + struct.pack("<IIII8x", 2_000, 1_032, 1, 0)
    sound = frames_of(64_000, 3)
    assert facts(tag + sound + ape + b"TAG" + bytes(125)) == facts(sound)


def test_tag_alone_is_no_sound() -> None:
    """A file that is nothing but a tag holds no sound."""
    with pytest.raises(RecordingError) as caught:
        facts(b"ID3\x04\0\0\0\0\0\x05abcde", b"a.mp3")
    assert caught.value.code == "no-audio"


@pytest.mark.parametrize("case", ["amr", "flac", "aiff"])
def test_headers_alone_are_no_sound(case: str) -> None:
    """Headers with no sound behind them are refused."""
    content = {
        "amr": b"#!AMR\n",
        "flac": b"fLaC\x80\0\0\x22" + sample("flac")[8:42],
        "aiff": b"FORM\0\0\0\x1eAIFFCOMM\0\0\0\x12\0\x01\0\0\0\0\0\x10\x40\x0c\xfa" + bytes(8),
    }[case]
    with pytest.raises(RecordingError) as caught:
        facts(content)
    assert caught.value.code == "no-audio"


def test_flac_of_unknown_length() -> None:
    """A FLAC encoder that could not go back leaves a count of zero, which is unknown."""
    content = bytearray(sample("flac"))
    content[21] &= 0xF0
    content[22:26] = bytes(4)
    assert facts(bytes(content)).duration is None


def test_absurd_flac_length() -> None:
    """A header that claims two months is not believed."""
    content = bytearray(sample("flac"))
    content[21] |= 0x0F
    content[22:26] = b"\xff" * 4
    told = facts(bytes(content))
    assert told.duration is None
    assert told.sample_rate == 16_000


def test_live_ogg_is_unknown() -> None:
    """What was recorded from the middle of a stream does not count from zero: unknown."""
    content = bytearray(sample("ogg opus"))
    at = content.find(b"OggS")
    while at >= 0:
        (position,) = struct.unpack_from("<q", content, at + 6)
        if position > 0:
            struct.pack_into("<q", content, at + 6, position + 48_000 * 3_600)
        at = content.find(b"OggS", at + 1)
    told = facts(bytes(content))
    assert (told.codec, told.duration) == ("opus", None)


def test_chained_ogg_is_unknown() -> None:
    """Two Ogg streams one after the other are not as long as either."""
    assert facts(sample("ogg opus") + sample("ogg vorbis")).duration is None


def test_amr_with_pauses_is_counted() -> None:
    """AMR frames of different sizes (pauses) are counted one by one."""
    speech, pause = b"\x3c" + bytes(31), b"\x44" + bytes(5)
    content = b"#!AMR\n" + (speech * 50 + pause * 50) * 3
    assert facts(content).duration == timedelta(seconds=6)


def test_long_amr() -> None:
    """A long AMR file without pauses is divided, one with pauses is unknown."""
    speech, pause = b"\x3c" + bytes(31), b"\x44" + bytes(5)
    assert facts(b"#!AMR\n" + speech * 60_000).duration == timedelta(seconds=1_200)
    assert facts(b"#!AMR\n" + speech * 40_000 + pause * 40_000).duration is None

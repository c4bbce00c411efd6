import io
import struct
import time
from collections.abc import Callable
from functools import cache

import pytest
from audio_helpers import encode, pcm, wav
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asrwatch.audio.closing import is_closed
from asrwatch.audio.containers import CONTAINERS
from asrwatch.audio.facts import probe
from asrwatch.audio.flac_end import _crc8
from asrwatch.audio.magic import HEAD
from asrwatch.audio.reader import MOST_BYTES, MOST_READS, HeaderError, HeaderReader
from asrwatch.errors import RecordingError
from asrwatch.journey.plan import AudioFacts

SLOWEST = 5.0
STARTS = [
    b"RIFF\xff\xff\xff\xffWAVEfmt ",
    b"RIFF\0\0\0\0AVI LIST",
    b"RF64\xff\xff\xff\xffWAVEds64",
    bytes.fromhex("726966662e91cf11a5d628db04c10000"),
    b"FORM\0\0\0\0AIFFCOMM",
    b"fLaC\0\0\0\x22",
    b"OggS\0\x02",
    b"\0\0\0\x18ftypM4A ",
    b"\0\0\0\x08moov",
    b"\x1a\x45\xdf\xa3\x80\x18\x53\x80\x67\xff",
    bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c"),
    b"#!AMR\n",
    b"#!AMR-WB\n",
    b"FLV\x01\x05\0\0\0\x09\0\0\0\0",
    b"\xff\xfb\x90\xc4",
    b"\xff\xf1\x50\x80\x02\x1f\xfc",
    b"ID3\x04\0\0\0\0\0\0",
    b"MAC \x96\x0f",
    b"wvpk",
    b"TTA1",
    b"MPCK",
    b"MP+\x07",
    b"\x0b\x77",
    b"\x02dss",
    b"",
]
NAMES = st.sampled_from([b"a." + k.extension.encode() for k in CONTAINERS.values()] + [b"a", b""])


def survived(content: bytes, name: bytes) -> AudioFacts | None:
    """Probe and check what every answer promises; None for a refusal."""
    stream = io.BytesIO(content)
    begin = time.thread_time()
    told: AudioFacts | None = None
    refusal: RecordingError | None = None
    try:
        told = probe(stream, name)
    except RecordingError as error:
        refusal = error
    assert time.thread_time() - begin < SLOWEST
    assert stream.tell() == 0
    if told is None:
        assert refusal is not None
        assert refusal.code in {"not-audio", "no-audio", "cut-off", "protected"}
        assert str(refusal).isprintable()
        return None
    assert told.container is None or told.container in CONTAINERS
    assert told.duration is None or told.duration.total_seconds() > 0
    assert told.sample_rate is None or told.sample_rate > 0
    assert told.channels is None or told.channels > 0
    return told


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(STARTS), st.binary(max_size=2_000), NAMES)
def test_random_bytes_behind_every_mark(start: bytes, rest: bytes, name: bytes) -> None:
    """Random bytes behind any container's mark give facts or a refusal, never anything else."""
    survived(start + rest, name)


@cache
def samples() -> tuple[bytes, ...]:
    """A small real recording in every container the engines take."""
    return (
        wav(pcm(0.3)),
        encode("w64", "pcm_s16le", 0.3),
        encode("wav", "adpcm_ms", 0.3),
        encode("aiff", "pcm_s16be", 0.3),
        encode("flac", "flac", 0.3),
        encode("mp3", "libmp3lame", 0.3),
        encode("adts", "aac", 0.3, rate=44_100),
        encode("ogg", "libopus", 0.3, rate=48_000),
        encode("ipod", "aac", 0.3, rate=44_100),
        encode("amr", "libopencore_amrnb", 0.3, rate=8_000, bit_rate=12_200),
        encode("asf", "wmav2", 0.3, rate=44_100, bit_rate=64_000),
        encode("matroska", "libopus", 0.3, rate=48_000),
        encode("flv", "libmp3lame", 0.3, rate=44_100),
        encode("avi", "libmp3lame", 0.3, rate=44_100),
        encode("wv", "wavpack", 0.3),
        encode("tta", "tta", 0.3),
        encode("ac3", "ac3", 0.3, rate=44_100),
    )


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_mutated_and_cut_off_headers(data: st.DataObject) -> None:
    """Real recordings with broken headers, cut anywhere, give facts or a refusal, never anything else."""
    content = bytearray(data.draw(st.sampled_from(samples())))
    for _ in range(data.draw(st.integers(0, 6))):
        at = data.draw(st.integers(0, min(len(content) - 1, 400)))
        content[at] = data.draw(st.sampled_from([0, 1, 0x7F, 0x80, 0xFF]) | st.integers(0, 255))
    length = data.draw(st.integers(0, len(content)) | st.just(len(content)))
    survived(bytes(content[:length]), data.draw(NAMES))


def nested(name: bytes, depth: int) -> bytes:
    """Boxes inside each other."""
    size = 8 * depth
    return b"".join((size - 8 * level).to_bytes(4, "big") + name for level in range(depth))


def last_frames() -> bytes:
    """A FLAC of nothing but headers of the frame that its own header says is the last, none of which is one."""
    header = b"\xff\xf8\xc9\x08\x00"
    header += bytes([_crc8(header)])
    promised = (44_100 << 44 | 15 << 36 | 4096).to_bytes(8, "big")
    info = struct.pack(">HH", 4096, 4096) + bytes(6) + promised + b"m" * 16
    return b"fLaC" + struct.pack(">I", 0x80000000 | 34) + info + header * 50_000


BOMBS: dict[str, Callable[[], bytes]] = {
    "a million empty chunks": lambda: b"RIFF\0\0\0\0WAVE" + b"JUNK\0\0\0\0" * 2**20,
    "a million empty boxes": lambda: b"\0\0\0\x08ftyp" + b"\0\0\0\x08free" * 2**20,
    "boxes in boxes": lambda: b"\0\0\0\x08ftyp" + nested(b"moov", 100_000),
    "a million syncs": lambda: b"\xff\xfb\x90\xc4" * 2**20,
    "a million short frames": lambda: b"#!AMR\n" + b"\x7c" * 2**22,
    "a million pages": lambda: (b"OggS\0\x02" + bytes(21)) * 2**18,
    "a million elements": lambda: b"\x1a\x45\xdf\xa3\x80\x18\x53\x80\x67\xff" + b"\xec\x80" * 2**20,
    "a million tags": lambda: b"ID3\x04\0\0\0\0\0\0" * 2**18,
    "a million FLAC blocks": lambda: b"fLaC" + b"\x01\0\0\0" * 2**20,
    "a million FLV tags": lambda: b"FLV\x01\x05\0\0\0\x09\0\0\0\0" + bytes(15) * 2**18,
    "many last FLAC frames": last_frames,
    "a million FLAC syncs": lambda: last_frames()[:42] + b"\xff\xf8" * 2**20,
    "a million packets": lambda: b"wvpk" * 2**20,
    "zeros": lambda: bytes(2**24),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_bombs(bomb: str) -> None:
    """Files built to keep a reader busy are given up within bounded time, and are not taken for closed [M05]."""
    content = BOMBS[bomb]()
    survived(content, b"a.wav")
    survived(content, b"a.mp3")
    begun = time.process_time()
    assert is_closed(io.BytesIO(content)) is not True
    assert time.process_time() - begun < 5


def test_random_noise_is_not_audio() -> None:
    """Megabytes of noise under an MP3's name are refused, quickly."""
    noise = b"\xff\xfb\x90\xc4" + bytes(range(256)) * 20_000
    assert survived(noise, b"a.mp3") is None


class Failing(io.BytesIO):
    """A disk that fails behind the first bytes."""

    def read(self, size: int | None = -1) -> bytes:
        """Fail there, and for anything large."""
        if self.tell() >= HEAD // 2 or (size is not None and size > HEAD):
            raise OSError(5, "Input/output error")
        return super().read(size)


@pytest.mark.parametrize("case", range(17))
def test_disk_errors_are_not_facts(case: int) -> None:
    """When the disk fails, that is said as it is: nothing is concluded about the recording."""
    content = samples()[case]
    trouble: int | None = None
    told: AudioFacts | None = None
    try:
        told = probe(Failing(content), b"a")
    except OSError as error:
        trouble = error.errno
    # Either the trouble came through, or there was no need to read that far.
    assert trouble == 5 or told == probe(io.BytesIO(content), b"a")


class Dripping(io.BytesIO):
    """A stream that answers a byte or two at a time, as raw streams may."""

    def read(self, size: int | None = -1) -> bytes:
        """At most two bytes."""
        return super().read(min(size or 0, 2))


def test_short_reads() -> None:
    """A stream that answers with less than was asked for is asked again."""
    assert probe(Dripping(samples()[4]), b"a") == probe(io.BytesIO(samples()[4]), b"a")


def test_reader_is_bounded() -> None:
    """Whatever a header claims, reading ends after a fixed number of bytes and reads."""
    reader = HeaderReader(io.BytesIO(bytes(2**20)))
    for _ in range(MOST_BYTES // 2**20):
        reader.some(0, 2**20)
    with pytest.raises(HeaderError, match="too long"):
        reader.some(0, 1)
    reader = HeaderReader(io.BytesIO(bytes(16)))
    for _ in range(MOST_READS):
        reader.some(0, 0)
    with pytest.raises(HeaderError, match="too long"):
        reader.some(0, 0)


def test_reader_is_exact() -> None:
    """`at` answers with all bytes asked for, or says that they are not there; as a file it has a position."""
    reader = HeaderReader(io.BytesIO(b"0123456789"))
    assert reader.at(8, 2) == b"89"
    with pytest.raises(HeaderError):
        reader.at(8, 3)
    with pytest.raises(HeaderError):
        reader.some(-1, 3)
    assert (reader.seek(-4, 2), reader.read(2), reader.tell(), reader.read()) == (
        6,
        b"67",
        8,
        b"89",
    )
    assert reader.seek(-5, 1) == 5
    with pytest.raises(HeaderError):
        reader.seek(-1)

"""Recordings that are in order and yet trip programs up: each of a tone, in a container that is read the hard way."""

import os
import struct
from pathlib import Path
from typing import Any

import av
import media_helpers as media
import numpy as np
from av.audio.stream import AudioStream
from mutagen import flac, id3, mp4

SECONDS = 3
RATE = 16_000
# mutagen has no types
_flac: Any = flac
_id3: Any = id3
_mp4: Any = mp4


def _tone(pitch: float, *, rate: int = RATE, seconds: float = SECONDS) -> media.Samples:
    return media.tone(seconds, rate=rate, pitch=pitch)


def _frames(path: Path, sound: media.Samples, bit_rate: int, *, rate: int) -> bytes:
    """MP3 frames alone: no tag, no Xing or Info frame."""
    with av.open(str(path), "w", options={"write_xing": "0", "id3v2_version": "0"}) as out:
        stream = out.add_stream("libmp3lame", rate=rate, layout="mono")
        assert isinstance(stream, AudioStream)
        stream.bit_rate = bit_rate
        frame = av.AudioFrame.from_ndarray(sound, format="s16p", layout="mono")
        frame.sample_rate, frame.pts = rate, 0
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    content = path.read_bytes()
    path.unlink()
    return content


def vbr_without_xing(path: Path, pitch: float) -> Path:
    """An MP3 of 32 kbit/s, then 320, that says so nowhere: guessed by its start, it is ten times as long."""
    slow = _frames(
        path.with_suffix(".1.mp3"), _tone(pitch, rate=44_100, seconds=1), 32_000, rate=44_100
    )
    fast = _frames(
        path.with_suffix(".2.mp3"), _tone(pitch, rate=44_100, seconds=2), 320_000, rate=44_100
    )
    path.write_bytes(slow + fast)
    return path


def index_last(path: Path, pitch: float) -> Path:
    """An M4A whose index lies behind its sound, as recorders that write as they go leave it."""
    media.write(path, _tone(pitch), codec="aac")
    content = path.read_bytes()
    assert content.index(b"mdat") < content.index(b"moov")
    return path


def index_first(path: Path, pitch: float) -> Path:
    """An M4A made for streaming: its index first."""
    media.write(path, _tone(pitch), codec="aac", options={"movflags": "faststart"})
    content = path.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")
    return path


def cut_in_half(path: Path) -> Path:
    """The first half of a file."""
    os.truncate(path, path.stat().st_size // 2)
    return path


def list_before_data(path: Path, pitch: float) -> Path:
    """A WAV with notes, of odd length and otherwise, before its sound."""
    sound = _tone(pitch).tobytes()
    notes = [(b"LIST", b"INFOISFT\x0e\0\0\0Some Recorder\0"), (b"bext", b"x" * 603), (b"JUNK", b"")]
    path.write_bytes(media.wav_header(data=len(sound), between=notes) + sound)
    return path


def rf64(path: Path, pitch: float) -> Path:
    """A WAV that may outgrow four gigabytes: its sizes lie in a chunk of their own."""
    media.write(path, _tone(pitch), codec="pcm_s16le", container="wav", options={"rf64": "always"})
    assert path.read_bytes().startswith(b"RF64")
    return path


def extensible(path: Path, pitch: float) -> Path:
    """WAVE_FORMAT_EXTENSIBLE of 16 bits: the codec's number lies at the end of a longer format chunk."""
    sound = _tone(pitch).tobytes()
    sub_format = struct.pack("<H", 1) + bytes.fromhex("000000001000800000aa00389b71")
    form = struct.pack("<HHIIHHHHI", 0xFFFE, 1, RATE, RATE * 2, 2, 16, 22, 16, 4) + sub_format
    body = (
        b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", len(sound))
    )
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body) + len(sound)) + body + sound)
    return path


def surround(path: Path, pitch: float) -> Path:
    """Six channels, of which the cloud gets one mix."""
    return media.write(
        path, media.channels(*[_tone(pitch, rate=48_000)] * 6), codec="pcm_s24le", rate=48_000
    )


def adpcm(path: Path, pitch: float) -> Path:
    """Four bits a sample, as dictation machines write."""
    return media.write(path, _tone(pitch), codec="adpcm_ima_wav")


_ART = np.random.default_rng(1).bytes(20_000_000)


def art_in_mp3(path: Path, pitch: float) -> Path:
    """A song's worth of tag: twenty megabytes of picture before three seconds of sound."""
    media.write(path, _tone(pitch), codec="libmp3lame")
    tag = _id3.ID3()
    tag.add(_id3.APIC(encoding=3, mime="image/jpeg", type=3, desc="", data=_ART))
    tag.save(path)
    return path


def art_in_m4a(path: Path, pitch: float) -> Path:
    """The same in an M4A."""
    media.write(path, _tone(pitch), codec="aac")
    tagged = _mp4.MP4(path)
    tagged["covr"] = [_mp4.MP4Cover(_ART, imageformat=_mp4.MP4Cover.FORMAT_JPEG)]
    tagged.save()
    return path


def art_in_flac(path: Path, pitch: float) -> Path:
    """The same in a FLAC, whose blocks of notes may have sixteen megabytes at most."""
    media.write(path, _tone(pitch), codec="flac")
    picture = _flac.Picture()
    picture.data, picture.mime, picture.type = _ART[:16_000_000], "image/jpeg", 3
    tagged = _flac.FLAC(path)
    tagged.add_picture(picture)
    tagged.save()
    return path


def chained_ogg(path: Path, pitch: float, *, codec: str = "libopus", rate: int = 48_000) -> Path:
    """Two Ogg streams one behind the other, as a recorder that was paused writes them."""
    parts = []
    for number, seconds in enumerate((1, 2)):
        part = path.with_suffix(f".{number}.ogg")
        tone = _tone(pitch, rate=rate, seconds=seconds)
        media.write(part, media.channels(tone, tone), codec=codec, rate=rate)
        parts.append(part.read_bytes())
        part.unlink()
    path.write_bytes(b"".join(parts))
    return path


def gsm(path: Path) -> Path:
    """A telephone exchange's `.WAV`: GSM, of noise, since nothing here encodes it."""
    blocks = SECONDS * 50 // 2
    sound = bytearray(np.random.default_rng(2).bytes(65 * blocks))
    form = struct.pack("<HHIIHHHH", 0x31, 1, 8_000, 1_625, 65, 0, 2, 320)
    fact = b"fact" + struct.pack("<II", 4, blocks * 320)
    body = b"WAVEfmt " + struct.pack("<I", len(form)) + form + fact
    body += b"data" + struct.pack("<I", len(sound)) + sound
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    return path


def dss(path: Path) -> Path:
    """A dictation machine's DSS, standard play, of noise, since nothing here encodes it."""
    head = bytearray(1024)
    head[:4] = b"\x02dss"
    head[0x26:0x32] = head[0x32:0x3E] = b"261122100000"
    block = 512
    frames = np.random.default_rng(3).integers(0, 256, size=(40, block), dtype=np.uint8)
    frames[:, :6] = 0
    frames[:, 2] = 12
    path.write_bytes(bytes(head) + frames.tobytes())
    return path


def ds2(path: Path) -> Path:
    """Its successor, which FFmpeg does not read."""
    path.write_bytes(b"\x03ds2" + np.random.default_rng(4).bytes(20_000))
    return path

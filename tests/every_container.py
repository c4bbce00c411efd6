"""Every container that PyAV writes sound into, with the codecs people meet there, each file with a pitch of its own."""

from dataclasses import dataclass
from pathlib import Path

import av
import media_helpers as media

__all__ = ["EVERY", "Written", "pitches", "write_every"]

SECONDS = 3
LOUDNESS = 0.3


@dataclass(frozen=True, kw_only=True, slots=True)
class Written:
    """One kind of file: its ending, codec, rate and container as PyAV calls it (None: by the ending)."""

    ending: str
    codec: str
    rate: int = 44_100
    container: str | None = None
    channels: int = 2
    video: bool = False

    @property
    def name(self) -> str:
        """A file name that tells all of it."""
        picture = "-video" if self.video else ""
        return f"{self.container or self.ending}-{self.codec}-{self.rate}{picture}.{self.ending}"


def _pcm(ending: str, *codecs: str, rate: int = 44_100) -> tuple[Written, ...]:
    return tuple(Written(ending=ending, codec=codec, rate=rate) for codec in codecs)


EVERY: tuple[Written, ...] = (
    *_pcm(
        "wav",
        *("pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_u8", "pcm_f32le", "pcm_f64le"),
        *("pcm_alaw", "pcm_mulaw", "adpcm_ms", "adpcm_ima_wav", "adpcm_yamaha", "adpcm_swf"),
        *("libmp3lame", "mp2", "wmav2", "ac3", "flac"),
    ),
    Written(ending="wav", codec="pcm_s24le", rate=96_000),
    Written(ending="wav", codec="pcm_mulaw", rate=8_000, channels=1),
    Written(ending="wav", codec="g726", rate=8_000, channels=1),
    *_pcm("w64", "pcm_s16le", "pcm_s24le", "pcm_f32le"),
    *_pcm("aiff", "pcm_s16be", "pcm_s24be", "pcm_f32be"),
    *_pcm("caf", "pcm_s16le", "pcm_s24be", "alac", "pcm_mulaw", "adpcm_ima_qt"),
    *_pcm("au", "pcm_s16be", "pcm_mulaw", "pcm_f32be"),
    *_pcm("flac", "flac"),
    Written(ending="flac", codec="flac", rate=96_000),
    *_pcm("mp3", "libmp3lame"),
    *_pcm("mp2", "mp2"),
    *_pcm("aac", "aac"),
    *_pcm("ac3", "ac3", rate=48_000),
    *_pcm("m4a", "aac", "alac"),
    *_pcm("m4b", "aac"),
    *_pcm("mp4", "aac", "libmp3lame", "ac3", "alac", "flac"),
    Written(ending="mp4", codec="libopus", rate=48_000),
    Written(ending="mp4", codec="aac", video=True),
    *_pcm("mov", "aac", "pcm_s16le", "pcm_s24le", "alac", "pcm_mulaw"),
    Written(ending="mov", codec="pcm_s16be", video=True),
    *_pcm("3gp", "aac"),
    Written(ending="3gp", codec="libopencore_amrnb", rate=8_000, channels=1),
    *_pcm("3g2", "aac"),
    Written(ending="amr", codec="libopencore_amrnb", rate=8_000, channels=1),
    *_pcm("mkv", "aac", "flac", "libmp3lame", "pcm_s16le", "vorbis", "ac3"),
    Written(ending="mkv", codec="aac", video=True),
    Written(ending="mka", codec="libopus", rate=48_000, container="matroska"),
    *_pcm("webm", "vorbis"),
    Written(ending="webm", codec="libopus", rate=48_000),
    *_pcm("ogg", "vorbis", "flac"),
    *_pcm("oga", "flac"),
    Written(ending="opus", codec="libopus", rate=48_000),
    Written(ending="wav", codec="g722", rate=16_000, channels=1),
    *_pcm("wma", "wmav1", "wmav2"),
    Written(ending="wmv", codec="wmav2", video=True),
    *_pcm("avi", "pcm_s16le", "libmp3lame", "ac3"),
    Written(ending="avi", codec="libmp3lame", video=True),
    *_pcm("flv", "libmp3lame", "aac"),
    *_pcm("mpg", "mp2"),
    Written(ending="vob", codec="ac3", rate=48_000),
    *_pcm("mts", "aac", "mp2"),
    *_pcm("m2ts", "aac"),
    *_pcm("tta", "tta"),
    *_pcm("wv", "wavpack"),
)
"""Each kind is written if this PyAV has its encoder."""


def pitches() -> dict[str, float]:
    """Each file's pitch, by its name: far enough apart to be told after a telephone's codec."""
    return {one.name: 300.0 + 20 * number for number, one in enumerate(EVERY)}


def write_every(folder: Path, *, step: int = 1) -> dict[str, Path]:
    """Write every `step`th of them, and say which could be."""
    made = {}
    for name, one in list(zip(pitches(), EVERY, strict=True))[::step]:
        if one.codec not in av.codecs_available:
            continue
        tone = media.tone(SECONDS, rate=one.rate, pitch=pitches()[name], loudness=LOUDNESS)
        sound = media.channels(*[tone] * one.channels)
        made[name] = media.write(
            folder / name,
            sound,
            codec=one.codec,
            rate=one.rate,
            container=one.container,
            video=one.video,
            bit_rate=128_000 if one.codec.startswith("wma") else None,
        )
    return made

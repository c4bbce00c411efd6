"""What a recording is, as rows that people read."""

from collections.abc import Iterator

from asrwatch.cli._printing import Row
from asrwatch.desk.reports.lines import SoundLine
from asrwatch.journey.channels import ordinal
from asrwatch.values import counted, format_duration

__all__ = ["rows_of_sound"]


def rows_of_sound(sound: SoundLine | None, size: str = "") -> Iterator[Row]:
    """What its headers tell, and what was heard in it; None is not read yet."""
    told = "not read yet" if sound is None else _by_headers(sound)
    yield "audio", f"{told}, {size}" if size else told
    for number, said in enumerate(_heard(sound) if sound is not None else ()):
        yield ("" if number else "heard"), said


def _by_headers(sound: SoundLine) -> str:
    told = [sound.container or "unknown container"]
    if sound.codec and sound.codec != sound.container:
        told.append(sound.codec)
    if sound.duration is None:
        told.append("unknown length")
    else:
        by = "counted by decoding" if sound.duration_from == "decoding" else "by its headers"
        told.append(f"{format_duration(sound.duration)} {by}")
    if sound.sample_rate is not None:
        told.append(f"{sound.sample_rate / 1000:g} kHz")
    if sound.channels is not None:
        told.append(counted(sound.channels, "channel"))
    return ", ".join(told)


def _heard(sound: SoundLine) -> Iterator[str]:
    if sound.pictures:
        yield "a video with sound"
    if sound.tracks is not None and sound.tracks > 1:
        yield f"{sound.tracks} tracks of sound, of which the {ordinal(sound.track)} is meant"
    if sound.silent is None:
        yield "whether it is silent throughout is unknown: nobody listened to it"
    else:
        yield "silent throughout" if sound.silent else "not silent"
    if sound.channels is not None and sound.channels > 1 and not sound.silent:
        if sound.same_channels is None:
            yield "whether its channels carry the same sound is unknown"
        else:
            same = "carry the same sound" if sound.same_channels else "differ"
            yield f"its {sound.channels} channels {same}"
        for channel in sound.silent_channels:
            yield f"nobody can be heard in channel {channel}"

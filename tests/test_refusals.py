"""Recordings that nobody can transcribe, or that an inbox does not take: refused in words, before anything is paid."""

import io
import os
import struct
from pathlib import Path

import pytest
from audio_helpers import encode, pcm, video, wav
from files_helpers import a_house
from inbox_helpers import raw
from wait_helpers import wait_for
from wav_helpers import wav_bytes

from asrwatch.audio.containers import EXTENSIONS
from asrwatch.audio.facts import probe
from asrwatch.bootstrap import build_parts
from asrwatch.desk.foresight import foresee
from asrwatch.errors import RecordingError
from asrwatch.journey.recording import State


def bad_input() -> dict[str, tuple[bytes, str, str]]:
    """Files, each with its code and what must be said of it."""
    m4a = encode("ipod", "aac", seconds=2)
    return {
        "pictures.mp4": (video("mp4", "mpeg4", sound=None), "no-audio", "a video without sound"),
        "protected.m4a": (m4a.replace(b"mp4a", b"enca"), "protected", "its sound is encrypted"),
        "bought.m4p": (m4a.replace(b"mp4a", b"drms"), "protected", "its sound is encrypted"),
        "cut.m4a": (m4a[: len(m4a) // 2], "cut-off", "its index is missing"),
        "cut.wav": (wav_bytes(seconds=2)[:9_000], "truncated", "ends before its headers say"),
        "strange.wav": (wav(pcm(2), tag=0x1234), "unknown-codec", "wav_0x1234, which nothing here"),
        "strange.mkv": (
            encode("matroska", "libopus", seconds=2).replace(b"A_OPUS", b"A_FOOX"),
            "unknown-codec",
            "A_FOOX, which nothing here",
        ),
        "long.wav": (wav_bytes(seconds=7), "longer-than-allowed", "7s, and `longest` is 5s"),
        "long.aac": (encode("adts", "aac", seconds=7), "longer-than-allowed", "`longest` is 5s"),
        "text.mp3": (b"Only words.\n" * 100, "not-audio", "it is text"),
    }


def test_bad_input_is_refused_in_words_and_unpaid(tmp_path: Path) -> None:
    """No sound, encrypted, cut, an unknown codec, too long: each fails with its reason, none is sent [M08]."""
    bad = bad_input()
    with a_house(tmp_path, longest="5s", wait_for_rest="1ms") as house:
        for name, (content, _, _) in bad.items():
            (house.inbox / name).write_bytes(content)
        (house.inbox / "good.wav").write_bytes(wav_bytes(9, seconds=3))
        with house.running():
            wait_for(lambda: all(house.became(State.FAILED, name) for name in bad))
            wait_for(lambda: house.became(State.DELIVERED, "good.wav"))
        assert len(house.sandbox.bill.attempts) + len(house.sandbox.bill.paid) == 1
        known = house.recordings()
        settings = house.settings()
        for name, (_, code, said) in bad.items():
            (failed,) = known[os.fsencode(name)]
            assert failed.failure is not None
            assert (name, failed.failure.code) == (name, code)
            assert said in failed.failure.message, name
            assert "Nothing was sent or paid." in failed.failure.advice, name
            told = foresee(raw(house.inbox / name), settings, lambda: build_parts(settings).routes)
            assert said in told.verdict, name


def test_by_default_no_recording_is_too_long(tmp_path: Path) -> None:
    """`longest` is nothing unless the inbox says so; what has exactly that length is taken."""
    with a_house(tmp_path) as house:
        assert house.settings().inboxes[0].longest is None
    with a_house(tmp_path, longest="3s") as house:
        (house.inbox / "talk.wav").write_bytes(wav_bytes(seconds=3))
        with house.running():
            wait_for(lambda: house.became(State.DELIVERED))


def test_protected_files_of_shops_are_looked_for() -> None:
    """Bought music and audio books are no strangers that are silently left alone: they are refused in words."""
    assert {"m4p", "aax"} <= EXTENSIONS
    for mark in (b"drms", b"aavd", b"enca"):
        content = encode("ipod", "aac", seconds=1).replace(b"mp4a", mark)
        with pytest.raises(RecordingError, match="encrypted"):
            probe(io.BytesIO(content), b"book.aax")


def test_encrypted_windows_media_is_refused() -> None:
    """A WMA whose header holds an object about its encryption is refused in words; without it, it is a recording."""
    whole = encode("asf", "wmav2", seconds=1, rate=44_100, bit_rate=64_000)
    assert probe(io.BytesIO(whole), b"talk.wma").codec == "wmav2"
    mark = bytes.fromhex("fbb31122 23bdd211b4b700a0c955fc6e")
    size, count = struct.unpack("<QI", whole[16:28])
    locked = (
        whole[:16]
        + struct.pack("<QI", size + 24, count + 1)
        + whole[28:30]
        + mark
        + struct.pack("<Q", 24)
        + whole[30:]
    )
    with pytest.raises(RecordingError, match="encrypted"):
        probe(io.BytesIO(locked), b"talk.wma")

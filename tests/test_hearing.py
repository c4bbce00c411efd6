"""`asrwatch explain FILE` shows what a recording is, whether it is known already or not."""

import json
from pathlib import Path
from typing import Any

from audio_helpers import encode, pcm, video, wav
from files_helpers import Housed, a_house
from inbox_helpers import raw
from wait_helpers import wait_for
from wav_helpers import wav_bytes

from asrwatch.cli.explain import explanation_of, rows_of_explanation
from asrwatch.desk.reports import to_json
from asrwatch.desk.reports.lines import SoundLine
from asrwatch.journey.recording import State


def two(left: bytes, right: bytes) -> bytes:
    """A WAV of two channels."""
    mixed = b"".join(left[n : n + 2] + right[n : n + 2] for n in range(0, len(left), 2))
    return wav(mixed, channels=2)


TONE = pcm(1)
NOTHING = bytes(len(TONE))
FILES: dict[str, bytes] = {
    "mono.wav": wav(TONE),
    "silent.wav": wav(NOTHING),
    "fake.wav": two(TONE, TONE),
    "one-sided.wav": two(TONE, NOTHING),
    "live.mkv": encode("matroska", "libopus", seconds=1, container_options={"live": "1"}),
    "talk.mp4": video("mp4", "mpeg4", sound="aac", seconds=1),
    "pictures.mp4": video("mp4", "mpeg4", sound=None),
}
TOLD: dict[str, list[str]] = {
    "mono.wav": ["wav, pcm_s16le, 1s by its headers, 16 kHz, 1 channel", "not silent"],
    "silent.wav": ["silent throughout"],
    "fake.wav": ["16 kHz, 2 channels", "its 2 channels carry the same sound"],
    "one-sided.wav": ["its 2 channels differ", "nobody can be heard in channel 1"],
    "live.mkv": ["mkv, opus, 1s counted by decoding", "not silent"],
    "talk.mp4": ["mp4, aac, ", "a video with sound", "not silent"],
    "pictures.mp4": ["a video without sound"],
}


def rows(house: Housed, path: Path) -> str:
    """What `explain` prints."""
    told = explanation_of(house.settings(), raw(path))
    return "\n".join(f"{label}: {text}" for label, text in rows_of_explanation(told))


def sound_of(house: Housed, path: Path) -> SoundLine:
    """What `explain` knows."""
    told = explanation_of(house.settings(), raw(path))
    found = told.story or told.foresight
    assert found is not None
    assert found.sound is not None
    return found.sound


def test_facts_are_told_of_files_before_and_after(tmp_path: Path) -> None:
    """Length and where it is from, codec, rate, channels, silence, fake stereo, sound in a video: of both [M08]."""
    with a_house(tmp_path) as house:
        for name, content in FILES.items():
            (house.inbox / name).write_bytes(content)
        before = {name: rows(house, house.inbox / name) for name in FILES}
        with house.running():
            wait_for(lambda: house.became(State.FAILED, "pictures.mp4"))
            wait_for(lambda: len(list(house.inbox.glob("*.txt"))) == len(FILES) - 1)
        for name, parts in TOLD.items():
            after = rows(house, house.inbox / name)
            for part in parts:
                assert part in before[name], name
                assert part in after, name
        assert "a video with sound" not in before["live.mkv"]
        assert "why: " in before["mono.wav"]
        assert "why: " in rows(house, house.inbox / "mono.wav")


def test_facts_are_told_to_machines(tmp_path: Path) -> None:
    """`--json` holds the same facts by name, where the length is from among them."""
    with a_house(tmp_path) as house:
        path = house.inbox / "fake.wav"
        path.write_bytes(FILES["fake.wav"])
        told: Any = json.loads(json.dumps(to_json(explanation_of(house.settings(), raw(path)))))
        assert told["foresight"]["sound"] == {
            "container": "wav", "codec": "pcm_s16le", "duration": 1.0, "duration_from": "headers",
            "sample_rate": 16_000, "channels": 2, "silent": False, "same_channels": True,
            "silent_channels": [], "tracks": 1, "track": 0, "pictures": False,
        }  # fmt: skip


def test_a_file_in_no_inbox_is_known_for_what_it_is(tmp_path: Path) -> None:
    """Nothing happens to it, but what it is can be asked; what is no recording is none."""
    with a_house(tmp_path) as house:
        stranger, text = tmp_path / "talk.mkv", tmp_path / "talk.txt"
        stranger.write_bytes(FILES["live.mkv"])
        text.write_text("Only words.\n" * 100)
        assert sound_of(house, stranger).duration_from == "decoding"
        assert "lies in no inbox" in rows(house, stranger)
        assert "audio:" not in rows(house, text)


def test_a_file_that_changed_is_not_taken_for_the_recording(tmp_path: Path) -> None:
    """Of a recording whose file is gone, or another one, what was found out on its way is told, and no more."""
    with a_house(tmp_path) as house:
        path = house.inbox / "fake.wav"
        path.write_bytes(FILES["fake.wav"])
        with house.running():
            wait_for(lambda: house.became(State.DELIVERED))
        assert sound_of(house, path).same_channels is True
        path.write_bytes(wav_bytes(3, seconds=9))
        assert sound_of(house, path).channels == 2
        path.unlink()
        assert sound_of(house, path).same_channels is None


def test_long_recordings_are_not_decoded_while_somebody_waits(tmp_path: Path) -> None:
    """More than an hour is told by its headers alone; whether its channels differ is then unknown, and said so."""
    with a_house(tmp_path) as house:
        path = house.inbox / "long.wav"
        path.write_bytes(wav(b"\x10\x27" * 2_000 * 3_700, rate=1_000, channels=2))
        assert sound_of(house, path).same_channels is None
        assert "whether its channels carry the same sound is unknown" in rows(house, path)

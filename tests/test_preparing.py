"""Recordings that no engine takes as they are get re-encoded: whatever people have, it is heard."""

import io
import json
import os
import threading
import wave
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import av
import media_helpers as media
import numpy as np
import pytest
from conftest import Keep
from e2e_helpers import Installed
from fake_engine import FakeOptions, fake_cloud
from journey_helpers import STAGING, a_recording
from memory_helpers import largest_child
from test_daemon import Scripted as Quiet
from test_daemon import World

from asrwatch.audio.studio import Studio
from asrwatch.errors import RecordingError, SourceChanged
from asrwatch.journey.gate import Gate
from asrwatch.journey.keeper import SWEEP_EVERY, Keeper
from asrwatch.journey.plan import AudioFacts, Prepared
from asrwatch.journey.preparing import Preparer
from asrwatch.journey.recording import State
from asrwatch.journey.store import Store
from asrwatch.sandbox import Knobs, Said, Sandbox, Scripted
from asrwatch.sandbox.recogniser import Listening, Sound


class Attentive(Scripted):
    """A recogniser that decodes what arrives and remembers it; what it answers is scripted."""

    def __init__(self, *, channels: int = 2) -> None:
        super().__init__(otherwise=Said(text="Hello.", channels=channels))
        self.arrived: list[tuple[str, media.Samples, int, int]] = []
        self._lock = threading.Lock()

    async def listen(
        self, sound: Sound, *, channels: Sequence[int] | None, longest: timedelta
    ) -> Listening:
        """Decode, then say what the script says."""
        try:
            samples, rate = media.decoded(sound.path)
        except av.error.InvalidDataError:  # damaged on purpose; it did arrive
            samples, rate = media.silence(0), 16_000
        with self._lock:
            self.arrived.append((sound.path.read_bytes()[:4].hex(), samples, rate, sound.size))
        return await super().listen(sound, channels=channels, longest=longest)


@pytest.fixture
def heard() -> Attentive:
    """What arrived at the cloud."""
    return Attentive()


@pytest.fixture
def world(tmp_path: Path, heard: Attentive) -> Iterator[Installed]:
    """The program and a cloud that decodes what it is sent."""
    knobs = Knobs(rate_limits=False, queue_time=timedelta(0), work_time=timedelta(0))
    with Sandbox(recogniser=heard, knobs=knobs) as sandbox:
        yield Installed(root=tmp_path, url=sandbox.url, key=sandbox.key)


STEREO = media.channels(media.tone(2), media.tone(2, pitch=300))
AS_IT_IS = ("o.mp3", "p.webm", "h.opus", "n.amr", "m.mka")
RE_ENCODED = ("a.m4a", "b.wav", "c.wav", "d.caf", "e.w64", "f.mp4", "j.wav", "t.au")


def _everything(folder: Path) -> None:
    wide, phone = media.tone(2, rate=48_000), media.tone(2, rate=8_000)
    fast = media.channels(media.tone(2, rate=96_000), media.tone(2, rate=96_000))
    media.write(folder / "a.m4a", STEREO, codec="aac")
    media.write(folder / "b.wav", fast, codec="pcm_s24le", rate=96_000)
    media.write(folder / "c.wav", phone, codec="pcm_mulaw", rate=8_000)
    media.write(folder / "d.caf", STEREO, codec="pcm_s16le")
    media.write(folder / "e.w64", STEREO, codec="pcm_s16le")
    media.write(folder / "f.mp4", STEREO, codec="aac", video=True)
    media.write(folder / "h.opus", wide, codec="libopus", rate=48_000)
    media.write(folder / "j.wav", STEREO, codec="adpcm_ms")
    media.write(folder / "m.mka", STEREO, codec="flac")
    media.write(folder / "n.amr", phone, codec="libopencore_amrnb", rate=8_000)
    media.write(folder / "o.mp3", STEREO, codec="libmp3lame")
    media.write(folder / "p.webm", wide, codec="libopus", rate=48_000)
    media.write(folder / "t.au", STEREO, codec="pcm_s16be")


def test_whatever_people_have_is_heard(world: Installed, heard: Attentive) -> None:
    """Each container and codec arrives as something the sync model takes, whole; the spool is empty after it."""
    _everything(world.inbox)
    world.inbox_keys = {"include": ["*.*"]}
    done = world.call("once")
    assert done.returncode == 0, done.stdout + done.stderr + world.log.read_text()
    names = {*AS_IT_IS, *RE_ENCODED}
    for name in names:
        stem = name.partition(".")[0]
        assert world.text_of(stem).strip()
    assert len(heard.arrived) == len(names)
    for _, samples, rate, _ in heard.arrived:
        assert samples.shape[1] / rate == pytest.approx(2, abs=0.1)
    flac = [one for one in heard.arrived if bytes.fromhex(one[0]) == b"fLaC"]
    assert len(flac) == len(RE_ENCODED)
    for _, samples, rate, _ in flac:
        assert (len(samples), rate) == (1, 16_000)
        assert np.abs(samples).max() > 1_000
    assert not list((world.root / "state" / "spool").iterdir())


def test_five_minutes_of_studio_quality_fit(world: Installed, heard: Attentive) -> None:
    """A WAV of 300 s, 48 kHz, stereo, 24 bits (86 MB) goes through the sync model whole, to the sample."""
    second = np.concatenate([media.tone(0.5, rate=48_000), media.silence(0.5, rate=48_000)], axis=1)
    sound = np.tile(np.concatenate([second, second]), 300)
    file = media.write(world.inbox / "talk.wav", sound, codec="pcm_s24le", rate=48_000)
    assert file.stat().st_size > 86_000_000
    done = world.call("once", patience=100)
    assert done.returncode == 0, done.stdout + done.stderr
    ((magic, samples, rate, size),) = heard.arrived
    assert bytes.fromhex(magic) == b"fLaC"
    assert (samples.shape[1], rate) == (300 * 16_000, 16_000)
    assert size < 7_500_000


def test_what_no_lossless_copy_fits_is_sent_small(world: Installed, heard: Attentive) -> None:
    """Noise, which FLAC can hardly make smaller, goes as Opus when its FLAC is over the limit."""
    world.engines = {"qwen3-asr-flash": {"largest": "200kB"}}
    media.write(world.inbox / "rain.wav", media.noise(20), codec="pcm_s16le")
    assert world.call("once").returncode == 0
    ((magic, samples, rate, size),) = heard.arrived
    assert bytes.fromhex(magic) == b"OggS"
    assert samples.shape[1] / rate == pytest.approx(20, abs=0.1)
    assert size <= 150_000


def test_channels_stay_apart(world: Installed, heard: Attentive) -> None:
    """For the task model, re-encoding keeps the channels that are wanted separately."""
    world.inbox_keys = {
        "include": ["*.caf"],
        "channels": [0, 1],
        "engine": "qwen3-asr-flash-filetrans",
    }
    media.write(world.inbox / "call.caf", STEREO, codec="pcm_s16le")
    assert world.call("once").returncode == 0
    ((_, samples, _, _),) = heard.arrived
    first, second = np.abs(np.fft.rfft(samples.astype(float))).argmax(axis=1) / 2
    assert (first, second) == (pytest.approx(440, abs=2), pytest.approx(300, abs=2))


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("cut.mp4", b"\0\0\0\x18ftypisom\0\0\0\0isommp42\0\0\x10\0mdat" + b"\0" * 4000, "cut-off"),
        ("text.wav", b"To be transcribed, one day.\n" * 20, "not-audio"),
        ("noise.mp3", bytes(range(7, 256)) * 40, "not-audio"),
    ],
)
def test_what_cannot_be_decoded_is_refused(
    world: Installed, heard: Attentive, name: str, content: bytes, code: str
) -> None:
    """Nothing is sent or paid for a file that is no recording, and the reason is told [M01]."""
    (world.inbox / name).write_bytes(content)
    assert world.call("once").returncode == 1
    told = world.call("explain", str(world.inbox / name), "--json").stdout
    assert code in told
    assert not heard.arrived


@pytest.mark.parametrize(
    ("name", "codec"), [("a.wav", "pcm_s16le"), ("b.wav", "pcm_s24le"), ("c.m4a", "aac")]
)
def test_silence_is_not_paid_for(world: Installed, heard: Attentive, name: str, codec: str) -> None:
    """A recording silent throughout is delivered as `no_speech` with the reason, and nothing is sent."""
    media.write(world.inbox / name, media.silence(3), codec=codec)
    assert world.call("once").returncode == 0
    stem = name.partition(".")[0]
    told = json.loads(world.text_of(stem, ".json"))
    assert told["no_speech"] is True
    assert told["text"] == ""
    assert "-80 dB" in json.dumps(told["raw"])
    assert not heard.arrived
    assert "-80 dB" in world.call("explain", str(world.inbox / name)).stdout


def _with_behind(sound: bytes, behind: bytes) -> bytes:
    """A WAV of 16 kHz with something behind its sound."""
    memory = io.BytesIO()
    with wave.open(memory, "wb") as out:
        out.setparams((1, 2, 16_000, 0, "NONE", ""))
        out.writeframes(sound)
    whole = memory.getvalue() + behind
    return whole[:4] + (len(whole) - 8).to_bytes(4, "little") + whole[8:]


def test_what_lies_behind_silence_is_told_from_sound(world: Installed, heard: Attentive) -> None:
    """A silent WAV with notes of a program behind it is not paid for; one in whose sizes a loud part lacks is sent."""
    notes = b"LIST\x16\0\0\0INFOISFT\x0a\0\0\0Recorder 1"
    (world.inbox / "notes.wav").write_bytes(_with_behind(bytes(64_000), notes))
    loud = media.noise(3).tobytes()
    (world.inbox / "stale.wav").write_bytes(_with_behind(bytes(64_000), loud))
    assert world.call("once").returncode == 0
    assert json.loads(world.text_of("notes", ".json"))["no_speech"] is True
    assert json.loads(world.text_of("stale", ".json"))["no_speech"] is False
    assert len(heard.arrived) == 1


def test_silence_is_sent_where_the_inbox_says_so(world: Installed, heard: Attentive) -> None:
    """With `send_silence: true` a silent recording is sent like any other."""
    world.inbox_keys = {"send_silence": True}
    media.write(world.inbox / "a.wav", media.silence(3), codec="pcm_s16le")
    assert world.call("once").returncode == 0
    assert len(heard.arrived) == 1


def test_the_quietest_word_is_sent(world: Installed, heard: Attentive) -> None:
    """A recording with one quiet sound at its very end is not silent."""
    faint = media.joined(media.silence(20), media.tone(0.2, loudness=0.0003))
    media.write(world.inbox / "a.wav", faint, codec="pcm_s16le")
    media.write(world.inbox / "b.flac", faint, codec="flac")
    assert world.call("once").returncode == 0
    assert len(heard.arrived) == 2


def test_a_damaged_recording_is_not_silent(world: Installed, heard: Attentive) -> None:
    """Silence at its start and damage after it: it is sent, since nobody could listen to all of it [M07]."""
    file = world.inbox / "talk.ogg"
    media.write(
        file, media.joined(media.silence(20), media.noise(40)), codec="libopus", container="ogg"
    )
    damage(file, 5)
    world.call("once")
    assert heard.arrived


def test_the_second_track_may_be_the_one(world: Installed, heard: Attentive) -> None:
    """Two tracks, the first silent, as cameras write them: it is not taken for silent [M08]."""
    media.write_tracks(world.inbox / "talk.mkv", [media.silence(10), media.noise(10)], codec="aac")
    assert world.call("once").returncode == 0
    assert len(heard.arrived) == 1


def test_a_damaged_recording_is_not_delivered_as_whole(world: Installed, heard: Attentive) -> None:
    """Of sixty seconds seven can be decoded: it fails unpaid, and the original stays [M07]."""
    world.inbox_keys = {"after": "delete"}
    file = world.inbox / "talk.m4a"
    media.write(file, media.noise(60), codec="aac")
    content = bytearray(file.read_bytes())
    first, last = len(content) // 10, len(content) * 97 // 100
    content[first:last] = bytes(last - first)
    file.write_bytes(content)
    assert world.call("once").returncode == 1
    assert file.exists()
    assert not heard.arrived
    assert "can be decoded" in world.call("explain", str(file)).stdout


def test_a_silent_original_is_not_deleted(world: Installed) -> None:
    """With `after: delete` a recording that nobody listened to stays, and its story says why."""
    world.inbox_keys = {"after": "delete"}
    file = media.write(world.inbox / "a.wav", media.silence(2), codec="pcm_s16le")
    assert world.call("once").returncode == 0
    assert file.exists()
    assert "stays" in world.call("explain", str(file)).stdout


def test_a_copy_is_of_what_was_bought(tmp_path: Path) -> None:
    """A copy that is not the one that was prepared is prepared afresh [C04]."""
    preparer = Preparer(Studio(), tmp_path / "spool")
    file = media.write(tmp_path / "a.caf", media.tone(1), codec="pcm_s16le")
    facts = AudioFacts(container="caf", duration=timedelta(seconds=1))
    with file.open("rb") as stream:
        made = preparer.re_encode(stream, facts, name="x", channels=None, largest=10**7)
    (tmp_path / "spool" / made.name).write_bytes(bytes(made.size))
    with pytest.raises(SourceChanged):
        preparer.open(made)
    preparer.discard(made)
    with pytest.raises(SourceChanged):
        preparer.open(made)


def test_copies_that_are_left_behind_go(tmp_path: Path, store: Store, now: datetime) -> None:
    """A copy goes with a failure at once, and once a day with whatever else; what is needed or new stays."""
    spool = tmp_path / "spool"
    spool.mkdir()
    made = World(root=tmp_path, engine=Quiet(FakeOptions(), fake_cloud()))
    route = replace(made.house(store).routes["inbox"], preparer=Preparer(Studio(), spool))
    keeper = Keeper(
        store=store,
        routes={"inbox": route},
        gate=Gate({"some-engine": 100}, (), chance=lambda: 0.5),
        key_digest=lambda: None,
        chance=lambda: 0.5,
    )
    waiting = {}
    for name in ("needed", "fails", "left", "new"):
        (spool / name).touch()
        copy = Prepared(
            name=name, container="flac", size=0, sha256="", duration=timedelta(0), channels=1
        )
        one = a_recording(State.STAGED, now, path=f"/inbox/{name}".encode())
        if name in {"needed", "fails"}:
            staging = replace(STAGING, prepared=copy, ask_id=name)
            added = store.add(a_recording(State.SETTLED, now, path=one.path))
            waiting[name] = store.save(added, replace(one, id=added.id, staging=staging))
    keeper.suffered(waiting["fails"], RecordingError("It broke.", code="broke"), now=now)
    assert not (spool / "fails").exists()
    for name in ("needed", "left"):
        os.utime(spool / name, (0, 0))
    keeper.sweep(1.0)
    assert {path.name for path in spool.iterdir()} == {"needed", "new"}
    os.utime(spool / "new", (0, 0))
    keeper.sweep(2.0)
    assert (spool / "new").exists(), "once a day"
    keeper.sweep(1.0 + SWEEP_EVERY.total_seconds())
    assert {path.name for path in spool.iterdir()} == {"needed"}


def damage(path: Path, promille: int) -> None:
    """Overwrite all but the beginning and the end."""
    content = bytearray(path.read_bytes())
    first, last = len(content) * promille // 1000, len(content) * 97 // 100
    content[first:last] = np.random.default_rng(3).bytes(last - first)
    path.write_bytes(content)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_memory_does_not_grow_with_a_recording(
    tmp_path: Path, promise: Keep, rounds: Callable[[int, int], int]
) -> None:
    """Re-encoding holds as much of a recording of twelve hours as of one of two: a few seconds of sound."""
    peaks = []
    for minutes in (rounds(120, 20), rounds(720, 120)):
        length = timedelta(minutes=minutes)
        file = tmp_path / f"{minutes}.wav"
        minute = media.noise(60, rate=8_000, loudness=0.01).astype("<i2")
        with file.open("wb") as out:
            out.write(media.wav_header(tag=7, bits=8, rate=8_000, data=minutes * 60 * 8_000))
            for _ in range(minutes):
                out.write((minute[0] >> 4).astype(np.uint8).tobytes())
        facts = AudioFacts(container="wav", duration=length)
        preparer = Preparer(Studio(), tmp_path / "spool")
        with file.open("rb") as recording, largest_child() as largest:
            made = preparer.re_encode(
                recording, facts, name=str(minutes), channels=None, largest=10**10
            )
        assert made.duration == length
        preparer.discard(made)
        file.unlink()
        peaks.append(largest())
    promise(
        "memory of re-encoding",
        promised="the same for a short and a long recording (5 MB more at most), below 150 MB",
        measured=", ".join(f"{peak / 1e6:.0f} MB" for peak in peaks),
    )
    assert peaks[1] < peaks[0] + 5e6
    assert peaks[1] < 150e6

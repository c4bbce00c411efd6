"""What is uploaded is small where that saves time: a copy in FLAC or Opus, or the original, and the reason is told."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import media_helpers as media
import numpy as np
import pytest
from e2e_helpers import Installed
from test_preparing import Attentive, damage

from asrwatch.audio.diet import CLEARLY, Diet, Speeds, Upload, judge
from asrwatch.audio.orders import Codec
from asrwatch.journey.plan import AudioFacts
from asrwatch.journey.speeds import FILE, LEAST_UPLOADED, Speedometer
from asrwatch.sandbox import Knobs, Sandbox

HOUR = timedelta(hours=1)
SLOW_LINK = Speeds(uplink=300_000, measured=True)
SECONDS = 2


def upload(
    codec: str, rate: int, *, duration: timedelta | None = HOUR, channels: int = 1
) -> Upload:
    """An hour at so many bytes a second."""
    size = round((duration or HOUR).total_seconds() * rate)
    return Upload(facts=AudioFacts(codec=codec, duration=duration), size=size, channels=channels)


@pytest.mark.parametrize(
    ("diet", "what", "codec"),
    [
        (Diet.LOSSLESS, upload("pcm_s24le", 288_000), Codec.FLAC),
        (Diet.LOSSLESS, upload("pcm_s16le", 32_000), Codec.FLAC),
        (Diet.LOSSLESS, upload("A_FLAC", 90_000), Codec.FLAC),
        (Diet.LOSSLESS, upload("aac", 400_000), Codec.FLAC),  # most of it is pictures
        (Diet.SMALL, upload("pcm_s16le", 32_000), Codec.OPUS),
        (Diet.SMALL, upload("flac", 14_000), Codec.OPUS),
        (Diet.LOSSLESS, upload("pcm_s16le", 192_000, channels=2), Codec.FLAC),
        (Diet.OFF, upload("pcm_s24le", 288_000), None),
        (Diet.LOSSLESS, upload("flac", 14_000), None),
        (Diet.LOSSLESS, upload("pcm_s16le", 16_000), None),  # a telephone's: FLAC has more
        (Diet.LOSSLESS, upload("pcm_s16le", 32_000, channels=2), None),
        (Diet.LOSSLESS, upload("pcm_s24le", 288_000, duration=None), None),
        *((Diet.SMALL, upload(lossy, 16_000), None) for lossy in ("mp3", "aac", "vorbis", "opus")),
    ],
)
def test_only_what_is_clearly_smaller_is_encoded(
    diet: Diet, what: Upload, codec: Codec | None
) -> None:
    """Sound as it was recorded is; what is compressed already, or would hardly be smaller, is not."""
    verdict = judge(what, diet, SLOW_LINK)
    assert verdict.codec is codec, verdict.reason
    if codec is None:
        assert verdict.sends == what.size
    else:
        assert verdict.sends <= what.size * CLEARLY


def test_encoding_must_take_less_time_than_it_saves() -> None:
    """A quick uplink or a slow machine and the original goes; where both overlap, only the longer one counts."""
    what = upload("pcm_s16le", 32_000)
    slow = Speeds(uplink=1_000_000, encoding={Codec.FLAC: 70.0}, measured=True)
    assert judge(what, Diet.LOSSLESS, slow).codec is None
    assert "more than its upload spares" in judge(what, Diet.LOSSLESS, slow).reason
    at_once = Upload(facts=what.facts, size=what.size, channels=1, overlaps=True)
    assert judge(at_once, Diet.LOSSLESS, slow).codec is Codec.FLAC
    assert judge(what, Diet.LOSSLESS, Speeds(uplink=10**8, measured=True)).codec is None


def test_a_short_recording_is_not_worth_a_process() -> None:
    """Before anything is measured, ten seconds of WAV are uploaded as they are."""
    short = upload("pcm_s16le", 192_000, duration=timedelta(seconds=10))
    assert judge(short, Diet.LOSSLESS).codec is None


def test_the_reason_tells_bytes_before_and_after() -> None:
    """Bytes, time saved, time spent, and whether the uplink was measured."""
    told = judge(upload("pcm_s24le", 288_000), Diet.LOSSLESS, SLOW_LINK).reason
    for part in ("64.8 MB instead of 1.0 GB", "54m 00s less", "36s of encoding", "measured"):
        assert part in told
    assert "assumed" in judge(upload("pcm_s24le", 288_000), Diet.LOSSLESS).reason


def test_speeds_are_learned_and_remembered(tmp_path: Path) -> None:
    """A few uploads and encodings tell how quick both are, also the next run."""
    file = tmp_path / FILE
    meter = Speedometer(file)
    assert not meter.speeds().measured
    for _ in range(20):
        meter.uploaded(8_000_000, took=timedelta(seconds=4))
        meter.encoded(Codec.FLAC, HOUR, took=timedelta(seconds=6.5))
    told = Speedometer(file).speeds()
    assert told.measured
    assert told.uplink == pytest.approx(2_000_000, rel=0.1)
    assert told.encoding[Codec.FLAC] == pytest.approx(600, rel=0.1)
    for _ in range(20):
        meter.uploaded(8_000_000, took=timedelta(seconds=80))
    assert meter.speeds().uplink == pytest.approx(100_000, rel=0.1)


@pytest.mark.parametrize("held", ["", "[]", '{"uplink": -1, "flac": "x", "else": 3}', "\0"])
def test_a_spoilt_memory_of_speeds_is_no_trouble(tmp_path: Path, held: str) -> None:
    """What is remembered is a help, no more."""
    (tmp_path / FILE).write_text(held)
    assert Speedometer(tmp_path / FILE).speeds() == Speeds()


def test_small_uploads_tell_nothing_of_the_uplink() -> None:
    """They take as long as asking for leave does."""
    meter = Speedometer()
    meter.uploaded(LEAST_UPLOADED - 1, took=timedelta(seconds=1))
    assert not meter.speeds().measured


@pytest.fixture
def heard() -> Attentive:
    """What arrived at the cloud."""
    return Attentive()


@pytest.fixture
def cloud(heard: Attentive) -> Iterator[Sandbox]:
    """A cloud that decodes what it is sent."""
    knobs = Knobs(rate_limits=False, max_file_size_mb=1)
    with Sandbox(recogniser=heard, knobs=knobs) as sandbox:
        yield sandbox


@pytest.fixture
def world(tmp_path: Path, cloud: Sandbox) -> Installed:
    """The program behind an uplink of 20 kB/s, as it was measured."""
    made = Installed(root=tmp_path, url=cloud.url, key=cloud.key)
    made.inbox_keys = {"engine": "qwen3-asr-flash-filetrans"}
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / FILE).write_text(json.dumps({"uplink": 20_000.0}))
    return made


def studio(seconds: float = SECONDS) -> media.Samples:
    """What a studio records: 48 kHz, two channels, two pitches."""
    return media.channels(
        media.tone(seconds, rate=48_000), media.tone(seconds, rate=48_000, pitch=300)
    )


def test_a_large_recording_is_uploaded_as_flac(world: Installed, heard: Attentive) -> None:
    """24 bits at 48 kHz arrive as 16 kHz FLAC of the channel that is wanted; the story tells the bytes."""
    file = media.write(world.inbox / "talk.wav", studio(), codec="pcm_s24le", rate=48_000)
    (planned,) = json.loads(world.call("plan", "--json").stdout)["files"]
    assert planned["preparation"] == "diet"
    assert planned["sends"] < planned["bytes"] * CLEARLY
    assert "instead of" in planned["why"]
    assert world.call("once").returncode == 0
    ((magic, samples, rate, size),) = heard.arrived
    assert bytes.fromhex(magic) == b"fLaC"
    assert (len(samples), rate) == (1, 16_000)
    assert samples.shape[1] / rate == pytest.approx(SECONDS, abs=0.05)
    assert np.abs(np.fft.rfft(samples[0].astype(float))).argmax() / SECONDS == 440
    told = world.call("explain", str(file)).stdout
    assert "instead of 576.1 KB" in told.replace("\n", " ")
    assert size < file.stat().st_size / 4
    assert not list((world.root / "state" / "spool").iterdir())


def test_each_inbox_has_its_diet_and_content_is_bought_once(
    world: Installed, heard: Attentive
) -> None:
    """Off sends what lies there, small sends Opus; the same content under another diet is not paid for again."""
    keys = {"settle": "100ms", **world.inbox_keys}
    paths = {diet: world.root / diet for diet in ("off", "small", "lossless", "apart")}
    for path in paths.values():
        path.mkdir()
    inboxes = [{"path": str(paths[diet]), **keys, "diet": diet} for diet in paths]
    inboxes[0]["diet"] = False  # what YAML makes of a bare off
    inboxes[3] |= {"diet": "lossless", "channels": [0, 1]}
    world.more = {"inboxes": inboxes}
    media.write(paths["off"] / "a.wav", studio(), codec="pcm_s16le", rate=48_000)
    media.write(paths["small"] / "b.wav", studio(3), codec="pcm_s16le", rate=48_000)
    media.write(paths["apart"] / "c.wav", studio(4), codec="pcm_s16le", rate=48_000)
    assert world.call("once").returncode == 0
    kinds = {bytes.fromhex(magic): samples for magic, samples, *_ in heard.arrived}
    assert sorted(kinds) == [b"OggS", b"RIFF", b"fLaC"]
    first, second = np.abs(np.fft.rfft(kinds[b"fLaC"].astype(float))).argmax(axis=1) / 4
    assert (first, second) == (440, 300), "channels that are wanted apart stay apart"
    (paths["lossless"] / "again.wav").write_bytes((paths["off"] / "a.wav").read_bytes())
    assert world.call("once").returncode == 0
    assert len(heard.arrived) == 3
    assert (paths["lossless"] / "again.txt").exists()


@pytest.mark.soak
@pytest.mark.timeout(60)
def test_what_has_no_whole_copy_is_uploaded_as_it_is(world: Installed, heard: Attentive) -> None:
    """A recording of which only a part can be decoded goes to the cloud itself, which may make more of it."""
    file = media.write(
        world.inbox / "talk.flac", media.noise(9, rate=48_000), codec="flac", rate=48_000
    )
    damage(file, 100)
    assert world.call("once").returncode == 0
    ((_, _, _, size),) = heard.arrived
    assert size == file.stat().st_size
    assert "no smaller copy came of it" in world.call("explain", str(file)).stdout


@pytest.mark.soak
@pytest.mark.timeout(60)
def test_what_the_storage_does_not_take_is_made_smaller(world: Installed, heard: Attentive) -> None:
    """Over the storage's limit a copy goes, whatever the diet: FLAC where that fits, else Opus."""
    world.inbox_keys = {**world.inbox_keys, "diet": "off"}
    media.write(world.inbox / "a.wav", studio(6), codec="pcm_s16le", rate=48_000)
    media.write(world.inbox / "b.wav", media.noise(40), codec="pcm_s16le")
    assert world.call("once").returncode == 0
    assert sorted(bytes.fromhex(magic) for magic, *_ in heard.arrived) == [b"OggS", b"fLaC"]

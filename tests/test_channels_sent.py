"""What arrives at the cloud, and on the bill, of recordings with several channels or tracks."""

import json
import wave
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import media_helpers as media
import numpy as np
import pytest
from e2e_helpers import Installed
from fake_engine import FakeOptions, fake_cloud
from journey_helpers import a_recording
from pieces_helpers import FIRST, STEP, Counting
from test_daemon import Scripted as Quiet
from test_daemon import World
from test_preparing import Attentive
from transcribe_helpers import Bench

from asrwatch.audio.orders import RATE, Codec, Survey, Surveyed, samples
from asrwatch.audio.studio import Studio
from asrwatch.engines.qwen3_asr_flash_filetrans import FiletransOptions, Qwen3AsrFlashFiletrans
from asrwatch.errors import RecordingError
from asrwatch.journey.evidence import Reading
from asrwatch.journey.journey import announce
from asrwatch.journey.plan import AudioFacts, Plan, Wishes
from asrwatch.journey.preparing import Preparer
from asrwatch.journey.recording import State
from asrwatch.journey.speeds import FILE
from asrwatch.journey.store import Store
from asrwatch.sandbox import LONG_SAMPLE, SHORT_SAMPLE, Knobs, PocketSphinx, Sandbox

KNOBS = Knobs(rate_limits=False, queue_time=timedelta(0), work_time=timedelta(0))


@pytest.fixture
def heard() -> Attentive:
    """What arrived at the cloud, which hears three seconds and up to six channels in everything."""
    return Attentive(channels=6)


@pytest.fixture
def sandbox(heard: Attentive) -> Iterator[Sandbox]:
    """A cloud that decodes what it is sent."""
    with Sandbox(recogniser=heard, knobs=KNOBS) as running:
        yield running


@pytest.fixture
def world(tmp_path: Path, sandbox: Sandbox) -> Installed:
    """The program and that cloud."""
    return Installed(root=tmp_path, url=sandbox.url, key=sandbox.key)


def a_call(path: Path, *, codec: str = "pcm_s16le") -> Path:
    """Two people on two channels: the second says something between the first one's two sentences."""
    welcome, rate = media.decoded(SHORT_SAMPLE.path)
    meeting, _ = media.decoded(LONG_SAMPLE.path)
    cut = round(2.9 * rate)
    agent = media.joined(welcome[:, :cut], media.silence(3.1), welcome[:, cut:])
    customer = media.joined(media.silence(3.2), meeting[:, round(29.2 * rate) : round(31.7 * rate)])
    rest = media.silence((agent.shape[1] - customer.shape[1]) / rate)
    both = media.channels(agent, media.joined(customer, rest))
    return media.write(path, both, codec=codec, rate=rate)


@pytest.mark.soak
@pytest.mark.timeout(180)
def test_a_call_becomes_a_conversation(tmp_path: Path) -> None:
    """Each channel of a call is heard by itself, named, and put into one timeline; both are billed, as was said."""
    with Sandbox(recogniser=PocketSphinx(workers=1), knobs=KNOBS) as sandbox:
        world = Installed(root=tmp_path, url=sandbox.url, key=sandbox.key)
        world.inbox_keys = {
            "channels": "split",
            "speakers": ["agent", "customer"],
            "formats": ["txt", "md", "srt", "vtt", "json"],
        }
        file = a_call(world.inbox / "call.wav")
        world.more = {"budget": {"day": {"audio": "15s"}}}
        said = world.call("explain", str(file)).stdout
        assert "each of 2 channels is transcribed, and billed: 2 x 10s" in said
        assert "an hour to qwen3-asr-flash-filetrans" in world.call("check").stdout
        priced = json.loads(world.call("plan", "--json").stdout)["files"][0]
        done = world.call("once")
        assert done.returncode == 0, done.stdout + done.stderr
        assert sandbox.bill.seconds == 20 == priced["billed_seconds"]
        assert len(sandbox.bill.paid) == 1
    story = world.call("explain", str(file), "--json").stdout
    notes = [event["note"] for event in json.loads(story)["story"]["events"]]
    assert any("each of 2 channels is transcribed, and billed: 2 x 10s" in note for note in notes)
    books = world.status()
    assert books["ever"]["billed"] == books["budget"][0]["audio"]
    assert books["budget"][0]["spent"]
    first, second = SHORT_SAMPLE.sentences
    between = LONG_SAMPLE.sentences[-1]
    turns = [("agent", first), ("customer", between), ("agent", second)]
    assert world.text_of("call") == "\n\n".join(f"{who}:\n{what}" for who, what in turns) + "\n"
    told = json.loads(world.text_of("call", ".json"))
    assert told["text"] == "\n".join(what for _, what in turns)
    assert [(each["speaker"], each["text"]) for each in told["sentences"]] == turns
    assert [each["speaker"] for each in told["channels"]] == ["agent", "customer"]
    assert told["provenance"]["billed_seconds"] == 20
    for ending, pattern in ((".md", "**{}:** {}"), (".srt", "{}: {}"), (".vtt", "<v {}>{}")):
        text = " ".join(world.text_of("call", ending).split())
        places = [text.index(pattern.format(who, what)) for who, what in turns]
        assert places == sorted(places)


def test_a_call_at_once(tmp_path: Path) -> None:
    """With `cut: true` each channel goes to the sync model turn by turn: one timeline; only what is said is paid."""
    one, two, three = (media.tone(3, pitch=FIRST + number * STEP) for number in range(3))
    agent = media.joined(one, media.silence(7), three, media.silence(1))
    customer = media.joined(media.silence(5), two, media.silence(6))
    both = media.channels(agent, customer)
    with Sandbox(recogniser=Counting(), knobs=KNOBS) as sandbox:
        world = Installed(root=tmp_path, url=sandbox.url, key=sandbox.key)
        world.inbox_keys = {
            "channels": "split",
            "speakers": ["agent", "customer"],
            "cut": True,
            "formats": ["txt", "srt", "json"],
        }
        file = media.write(world.inbox / "call.wav", both, codec="pcm_s16le")
        priced = json.loads(world.call("plan", "--json").stdout)["files"][0]
        done = world.call("once")
        assert done.returncode == 0, done.stdout + done.stderr
        assert {line.model for line in sandbox.bill} == {"qwen3-asr-flash"}
        assert not sandbox.bill.paid_twice
        assert sandbox.bill.seconds <= 12 < priced["billed_seconds"] == 28 + priced["pieces"]
        paid = sandbox.bill.seconds
    story = world.call("explain", str(file)).stdout
    assert "each of one channel, so that it is known who speaks when" in story
    assert "each of 2 channels is transcribed, and billed: about 2 x 14s" in story
    turns = [("agent", "one"), ("customer", "two"), ("agent", "three")]
    assert world.text_of("call") == "\n\n".join(f"{who}:\n{what}" for who, what in turns) + "\n"
    told = json.loads(world.text_of("call", ".json"))
    assert [(each["speaker"], each["text"]) for each in told["sentences"]] == turns
    begins = [each["begin_ms"] / 1000 for each in told["sentences"]]
    assert begins == [pytest.approx(time, abs=0.5) for time in (0, 5, 10)]
    assert told["provenance"]["billed_seconds"] == paid
    assert told["provenance"]["options_left_out"] == []
    srt = world.text_of("call", ".srt")
    assert srt.index("agent: one") < srt.index("customer: two") < srt.index("agent: three")


def test_what_is_not_worth_sending_is_not_sent(
    world: Installed, sandbox: Sandbox, heard: Attentive
) -> None:
    """Split: of fake stereo one channel is billed, and so it is where the other is silent; one channel stays one."""
    world.inbox_keys = {
        "channels": "split",
        "speakers": ["agent", "customer"],
        "diet": "off",  # so that the bill shows each file's own sha256
    }
    tone, other = media.tone(3), media.tone(3, pitch=300)
    billed = {}
    for name, sound in {
        "fake": media.channels(tone, tone),
        "half": media.channels(tone, media.silence(3)),
        "one": tone,
        "six": media.channels(tone, other, *[media.silence(3)] * 4),
    }.items():
        file = media.write(world.inbox / f"{name}.wav", sound, codec="pcm_s16le")
        billed[name] = sha256(file.read_bytes()).hexdigest()
    assert world.call("once").returncode == 0
    paid = {line.sha256: line.seconds for line in sandbox.bill.paid}
    assert {name: paid[digest] for name, digest in billed.items()} == {
        "fake": 3,
        "half": 3,
        "one": 3,
        "six": 6,
    }
    assert len(heard.arrived) == 4

    def explained(name: str) -> str:
        return world.call("explain", str(world.inbox / f"{name}.wav")).stdout

    assert "its 2 channels carry the same sound: one is sent, and billed" in explained("fake")
    assert "the second channel is silent throughout: it is not sent, nor billed" in explained(
        "half"
    )
    assert "each of 2 channels is transcribed, and billed: 2 x 3s" in explained("six")
    assert world.text_of("half").startswith("agent:\n")
    assert not world.text_of("fake").startswith("agent:\n")
    told = json.loads(world.text_of("half", ".json"))
    assert told["provenance"]["audio"]["silent_channels"] == [1]
    assert told["channels"][1] == {"channel": 1, "speaker": "customer", "text": ""}


@pytest.mark.soak
@pytest.mark.timeout(180)
def test_channels_by_number(world: Installed, sandbox: Sandbox) -> None:
    """`channels: [0, 1]` of fake stereo, sent as it is, is paid for once; of one channel it fails unpaid."""
    world.inbox_keys = {"channels": [0, 1], "formats": ["srt"], "include": ["*.*"]}
    tone = media.tone(3)
    media.write(world.inbox / "fake.flac", media.channels(tone, tone), codec="flac")
    one = media.write(world.inbox / "one.flac", tone, codec="flac")
    assert "would fail: The second channel is wanted" in world.call("plan").stdout
    assert world.call("once").returncode == 1
    assert sandbox.bill.seconds == 3
    failed = world.call("explain", str(one)).stdout
    assert (
        "The second channel is wanted (`channels` counts from 0), and it has 1 channel." in failed
    )
    assert "Nothing was sent or paid." in failed


@pytest.mark.soak
@pytest.mark.timeout(180)
def test_split_channels_stay_apart(world: Installed, heard: Attentive) -> None:
    """Re-encoded for the task model, or on a diet: each channel arrives by itself, a silent one in its place."""
    world.inbox_keys = {"channels": "split", "include": ["*.*"]}
    (world.root / "state").mkdir()
    (world.root / "state" / FILE).write_text(json.dumps({"uplink": 20_000.0}))
    for name, rate in (("needed.caf", 16_000), ("diet.wav", 48_000)):
        sound = media.channels(
            media.silence(2, rate=rate),
            media.tone(2, rate=rate),
            media.tone(2, rate=rate, pitch=300),
        )
        media.write(world.inbox / name, sound, codec="pcm_s16le", rate=rate)
    assert world.call("once").returncode == 0
    assert len(heard.arrived) == 2
    for magic, sound, _, _ in heard.arrived:
        assert bytes.fromhex(magic) == b"fLaC"
        assert not sound[0].any()
        first, second = np.abs(np.fft.rfft(sound[1:].astype(float))).argmax(axis=1) / 2
        assert (first, second) == (pytest.approx(440, abs=2), pytest.approx(300, abs=2))


@pytest.mark.soak
@pytest.mark.timeout(180)
def test_many_channels(tmp_path: Path) -> None:
    """Sixteen channels are told apart, and any of them is taken; up to eight fit into a copy, of Opus, too."""
    pitches = [300 + 100 * number for number in range(16)]
    sound = np.concatenate([media.tone(1, pitch=pitch) for pitch in pitches])
    sound[2] = 0
    file = tmp_path / "desk.wav"
    with wave.open(str(file), "wb") as out:
        out.setnchannels(16)
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes(np.ascontiguousarray(sound.T).tobytes())
    preparer = Preparer(Studio(), tmp_path / "spool")
    facts = AudioFacts(container="wav", duration=timedelta(seconds=1))

    def copied(*channels: int, codec: Codec = Codec.FLAC) -> list[int]:
        with file.open("rb") as stream:
            made = preparer.re_encode(
                stream, facts, name="x", channels=channels, largest=10**7, codecs=(codec,)
            )
        samples, rate = media.decoded(tmp_path / "spool" / made.name)
        preparer.discard(made)
        return [int(each) for each in np.abs(np.fft.rfft(samples[:, :rate])).argmax(axis=1)]

    with file.open("rb") as stream:
        told = preparer.listen(stream, facts)
    assert (told.channels, told.same_channels, told.silent_channels) == (16, False, (2,))
    assert copied(15) == [pitches[15]]
    assert copied(*range(8, 16)) == pitches[8:]
    assert copied(3, 4, 5, codec=Codec.OPUS) == pitches[3:6]
    with pytest.raises(RecordingError, match="a copy holds 8 at most"):
        copied(*range(9))


class OfTracks(Studio):
    """Hears tracks without decoding: "silent", "sound", or "broken"."""

    def __init__(self, *tracks: str) -> None:
        super().__init__(codecs=lambda: True)
        self._tracks = tracks

    def survey(
        self, recording: BinaryIO, order: Survey, *, progress: Callable[[int], None] | None = None
    ) -> Surveyed:
        """What the track was made to be."""
        del recording, progress
        track = order.track or 0
        if self._tracks[track] == "broken":
            raise RecordingError("It cannot be decoded.", code="cut-off")
        return Surveyed(
            codec="aac",
            sample_rate=RATE,
            channels=1,
            samples=samples(timedelta(minutes=1)),
            peak=None,
            silent=self._tracks[track] == "silent",
            same_channels=False,
            tracks=len(self._tracks),
            track=track,
        )


@pytest.mark.parametrize(
    ("tracks", "track", "silent"),
    [
        (("silent", "sound"), 1, False),
        (("silent", "silent"), 0, True),
        (("silent", "broken"), 0, False),
        (("silent", "broken", "sound"), 2, False),
        (("silent",) * 17, 0, False),
        (("sound", "broken"), 0, False),
    ],
)
def test_silence_is_of_every_track(
    tmp_path: Path, tracks: tuple[str, ...], track: int, *, silent: bool
) -> None:
    """A recording is silent only if every one of its tracks was heard to be [M08]."""
    preparer = Preparer(OfTracks(*tracks), tmp_path / "spool")
    facts = AudioFacts(container="mkv", duration=timedelta(minutes=1), channels=1)
    told = preparer.until_sound(BytesIO(), facts)
    assert (told.track, told.silent) == (track, silent)


@pytest.mark.soak
@pytest.mark.timeout(180)
def test_one_of_eight_tracks_is_used(world: Installed, heard: Attentive) -> None:
    """Of eight tracks the first that has a sound is sent, alone, and explain and JSON say which [M08]."""
    tracks = [media.silence(3), *(media.tone(3, pitch=200 + 100 * n) for n in range(7))]
    file = media.write_tracks(world.inbox / "film.mkv", tracks, codec="aac")
    said = "it has 8 tracks of sound, of which the second is sent"
    assert world.call("once").returncode == 0
    ((_, samples, rate, _),) = heard.arrived
    pitch = np.abs(np.fft.rfft(samples[0, : 2 * rate].astype(float))).argmax() / 2
    assert pitch == pytest.approx(200, abs=2)
    assert said in world.call("explain", str(file)).stdout
    told = json.loads(world.text_of("film", ".json"))["provenance"]["audio"]
    assert (told["tracks"], told["track"]) == (8, 1)


def test_video_without_sound_is_refused(world: Installed, heard: Attentive) -> None:
    """A film without a track of sound fails, unpaid, and says why [M08]."""
    world.inbox_keys = {"channels": "split"}
    film = media.write_tracks(world.inbox / "film.mkv", [], codec="aac", video=True)
    assert world.call("once").returncode == 1
    assert "it is a video without sound" in world.call("explain", str(film)).stdout
    assert not heard.arrived


def test_the_track_that_is_marked_is_the_one(tmp_path: Path) -> None:
    """The track marked as the default goes before the first; where all are silent, so is the recording."""
    preparer = Preparer(Studio(), tmp_path / "spool")
    facts = AudioFacts(container="mkv", duration=timedelta(seconds=2), channels=1)
    marked = media.write_tracks(
        tmp_path / "a.mkv", [media.tone(2), media.tone(2)], codec="flac", default=1
    )
    with marked.open("rb") as stream:
        told = preparer.until_sound(stream, facts)
    assert (told.tracks, told.track, told.silent) == (2, 1, False)
    silent = media.write_tracks(
        tmp_path / "b.mkv", [media.silence(2), media.silence(2)], codec="flac"
    )
    with silent.open("rb") as stream:
        told = preparer.until_sound(stream, facts)
    assert (told.tracks, told.track, told.silent) == (2, 0, True)


def test_each_channel_has_its_own_pauses(tmp_path: Path) -> None:
    """Who speaks seldom is heard all the same, and what comes faintly from the other channel is a pause."""
    often = media.joined(media.noise(10), media.silence(2), media.noise(10), media.silence(2))
    seldom = media.joined(media.silence(11), media.noise(0.6), media.silence(12.4))
    faint = (seldom.astype(float) + often * 0.002).astype(np.int16)
    file = media.write(tmp_path / "a.wav", media.channels(often, faint), codec="pcm_s16le")
    with file.open("rb") as stream:
        order = Survey(demuxers=("wav",), longest=samples(timedelta(hours=1)), by_channel=True)
        told = Studio().survey(stream, order)
    assert not told.same_channels
    assert _seconds(told.channel_pauses) == [[(10, 12), (22, 24)], [(0, 11), (11.6, 24)]]
    assert _seconds([told.pauses]) == [[(10, 11), (11.6, 12), (22, 24)]]


def _seconds(channels: Sequence[Sequence[tuple[int, int]]]) -> list[list[tuple[float, float]]]:
    return [
        [(round(begin / RATE, 1), round(end / RATE, 1)) for begin, end in pauses]
        for pauses in channels
    ]


def test_the_books_count_each_channel(tmp_path: Path, store: Store, now: datetime) -> None:
    """A request is announced with what each of the channels that were chosen will cost, not those that are wanted."""
    engine = Qwen3AsrFlashFiletrans(FiletransOptions(), fake_cloud())
    made = World(root=tmp_path, engine=Quiet(FakeOptions(), fake_cloud()))
    route = replace(
        made.house(store).routes["inbox"],
        engines={engine.name: engine},
        wishes=Wishes(split=True),
    )
    facts = AudioFacts(container="wav", duration=timedelta(seconds=9.2), channels=3)
    for channels, seconds in (((0, 1), 20), ((0,), 10), ((1, 2), 20)):
        plan = Plan(engine=engine.name, model="", channels=channels)
        one = a_recording(State.STAGED, now)
        asked = announce(
            replace(one, reading=Reading(sha256="", facts=facts, plan=plan)), route, now=now
        )
        assert asked.asking is not None
        assert asked.asking.expected == timedelta(seconds=seconds)


def test_one_call_now(tmp_path: Path, sandbox: Sandbox) -> None:
    """`transcribe --channels split` names the speakers, too; channels that are not there are refused, unpaid."""
    config = tmp_path / "asrwatch.yaml"
    config.write_text(
        f"cloud: {{base_url: '{sandbox.url}'}}\n"
        "engines: {qwen3-asr-flash-filetrans: {first_poll: 50ms}}\n"
    )
    bench = Bench(sandbox=sandbox, config=config, folder=tmp_path)
    file = media.write(
        tmp_path / "call.wav",
        media.channels(media.tone(3), media.tone(3, pitch=300)),
        codec="pcm_s16le",
    )
    asked = ("--channels", "split", "--speakers", "agent,customer", "--model", "auto")
    done = bench.run(file, *asked, "--format", "txt")
    assert done.stdout == "agent:\nHello.\n\ncustomer:\nHello.\n"
    assert sandbox.bill.seconds == 6
    assert "2 channels are transcribed, and each of them is billed" in done.stderr
    alike = bench.run(file, "--channels", "split", "--speakers", "a,b,a", "--model", "auto")
    assert "names a twice" in alike.stderr
    assert alike.returncode == 2
    missing = bench.run(file, "--channels", "0,2", "--model", "auto")
    assert "The third channel is wanted" in missing.stderr
    assert missing.returncode == 1
    assert bench.run(file, "--channels", "both").returncode == 2
    assert sandbox.bill.seconds == 6

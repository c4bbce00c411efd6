import array
import asyncio
import itertools
import math
import wave
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import TypeAlias

import av
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sandbox_helpers import FILETRANS, RESOLVE, Customer, chat_body, data_uri, order_body

from asrwatch.sandbox import (
    LONG_SAMPLE,
    SAMPLES,
    SHORT_SAMPLE,
    Knobs,
    PocketSphinx,
    Said,
    Sample,
    Sandbox,
    Scripted,
    Sound,
)
from asrwatch.sandbox.recogniser import Listening, TooLong, Unreadable

pytestmark = pytest.mark.xdist_group("listening")  # what they share is made once

Samples: TypeAlias = "array.array[int]"
HOURS = timedelta(hours=12)


@pytest.fixture(scope="module")
def sphinx() -> Iterator[PocketSphinx]:
    """A recogniser that really listens, shared by these tests."""
    recogniser = PocketSphinx()
    recogniser.start()
    yield recogniser
    recogniser.close()


def listen(
    recogniser: PocketSphinx | Scripted,
    path: Path,
    channels: list[int] | None = None,
    longest: timedelta = HOURS,
) -> Listening:
    """What is heard in a file."""
    sound = Sound(path=path, sha256="", size=path.stat().st_size, name=path.name)
    return asyncio.run(recogniser.listen(sound, channels=channels, longest=longest))


def samples_of(sample: Sample) -> Samples:
    """A sample recording as 16-bit numbers."""
    numbers = array.array("h")
    with av.open(str(sample.path)) as container:
        for frame in container.decode(audio=0):
            numbers.frombytes(bytes(frame.planes[0])[: frame.samples * 2])
    return numbers


def write_wav(path: Path, *channels: Samples, rate: int = 16_000) -> Path:
    """A WAV of these channels, the shorter ones filled up with silence."""
    numbers = array.array("h")
    for each in itertools.zip_longest(*channels, fillvalue=0):
        numbers.extend(each)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(len(channels))
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(numbers.tobytes())
    return path


@pytest.mark.parametrize(
    "sample",
    [SHORT_SAMPLE, pytest.param(LONG_SAMPLE, marks=pytest.mark.soak)],
    ids=lambda sample: sample.name,
)
def test_samples_word_for_word(sphinx: PocketSphinx, sample: Sample) -> None:
    """Both recordings are heard word for word, each sentence an utterance, its times inside the file."""
    heard = listen(sphinx, sample.path)
    assert heard.text == sample.text
    assert heard.duration.total_seconds() == pytest.approx(sample.seconds, abs=0.3)
    (track,) = heard.tracks
    assert tuple(utterance.text for utterance in track.utterances) == sample.sentences
    last = timedelta(0)
    for utterance in track.utterances:
        assert last <= utterance.begin < utterance.end <= heard.duration
        last = utterance.begin
        for word in utterance.words:
            assert last <= word.begin < word.end <= utterance.end
            last = word.end
        spoken = " ".join(f"{word.text}{word.punctuation}" for word in utterance.words)
        assert spoken == utterance.text
    assert (heard.container, heard.sample_rate, heard.channels) == ("flac", 16_000, 1)


def test_samples_are_small() -> None:
    """Both recordings together are well under a megabyte, one short, one of about half a minute."""
    assert sum(sample.path.stat().st_size for sample in SAMPLES) < 700_000
    assert SHORT_SAMPLE.seconds < 8
    assert 25 < LONG_SAMPLE.seconds < 40


def test_channels_are_heard_apart(sphinx: PocketSphinx, tmp_path: Path) -> None:
    """Each channel asked for has its own words; all of them mixed are one channel."""
    speech = samples_of(SHORT_SAMPLE)
    first, second = array.array("h", speech[: 16_000 * 3]), array.array("h", speech[16_000 * 3 :])
    path = write_wav(tmp_path / "two.wav", second, first)
    heard = listen(sphinx, path, [1, 0])
    assert [track.channel for track in heard.tracks] == [1, 0]
    assert [track.text for track in heard.tracks] == list(SHORT_SAMPLE.sentences)
    assert heard.channels == 2
    assert len(listen(sphinx, path).tracks) == 1
    with pytest.raises(Unreadable):
        listen(sphinx, path, [2])


def test_other_rates_and_containers(sphinx: PocketSphinx, tmp_path: Path) -> None:
    """What is decoded need not be a 16 kHz FLAC."""
    path = tmp_path / "talk.ogg"
    with av.open(str(SHORT_SAMPLE.path)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream("libopus", rate=48_000)
        stream.bit_rate = 64_000
        resampler = av.AudioResampler(format="s16", layout="mono", rate=48_000)
        for frame in [*source.decode(audio=0), None]:
            for each in resampler.resample(frame):
                target.mux(stream.encode(each))
        target.mux(stream.encode(None))
    heard = listen(sphinx, path)
    assert heard.container == "ogg"
    assert heard.sample_rate == 48_000
    assert heard.text.split()[:4] == ["Good", "morning", "and", "welcome."]


def test_silence_has_no_words(sphinx: PocketSphinx, tmp_path: Path) -> None:
    """Silence has a duration and no words, whether digital or a faint hum."""
    digital = array.array("h", bytes(2 * 16_000 * 3))
    hum = array.array("h", (round(20 * math.sin(n / 50)) for n in range(16_000 * 3)))
    for numbers in (digital, hum):
        heard = listen(sphinx, write_wav(tmp_path / "silence.wav", numbers))
        assert heard.text == ""
        assert heard.duration == timedelta(seconds=3)


def test_no_samples(sphinx: PocketSphinx, tmp_path: Path) -> None:
    """A WAV without samples is readable and lasts no time."""
    heard = listen(sphinx, write_wav(tmp_path / "empty.wav", array.array("h")))
    assert (heard.duration, heard.text) == (timedelta(0), "")


def test_what_is_not_audio(sphinx: PocketSphinx, tmp_path: Path) -> None:
    """Bytes that no decoder reads are unreadable, and the next recording is heard as ever."""
    for content in (b"", b"not audio at all", b"RIFF\0\0\0\0WAVE", b"\xff" * 9999):
        (tmp_path / "bad.wav").write_bytes(content)
        with pytest.raises(Unreadable):
            listen(sphinx, tmp_path / "bad.wav")
    assert listen(sphinx, SHORT_SAMPLE.path).text == SHORT_SAMPLE.text


def test_cut_off_recording(sphinx: PocketSphinx, tmp_path: Path) -> None:
    """A file that was cut off is heard as far as it goes."""
    content = SHORT_SAMPLE.path.read_bytes()
    (tmp_path / "half.flac").write_bytes(content[: len(content) // 2])
    heard = listen(sphinx, tmp_path / "half.flac")
    assert timedelta(seconds=2) < heard.duration < timedelta(seconds=5)
    assert heard.text.startswith("Good morning")


def test_too_long_is_refused_unheard(sphinx: PocketSphinx) -> None:
    """A recording over the limit is refused, with its decoded duration."""
    with pytest.raises(TooLong) as refused:
        listen(sphinx, LONG_SAMPLE.path, longest=timedelta(seconds=30))
    assert refused.value.duration.total_seconds() == pytest.approx(LONG_SAMPLE.seconds, abs=0.3)


def test_dead_worker_is_replaced() -> None:
    """A process that dies costs the recording it listened to, and no other."""
    recogniser = PocketSphinx(workers=1)
    recogniser.start()
    try:
        for child in psutil.Process().children():
            if any("listener.py" in word for word in child.cmdline()):
                process = recogniser._workers[0]._process
                if child.pid == process.pid:
                    child.kill()
                    child.wait()
        with pytest.raises(Unreadable):
            listen(recogniser, SHORT_SAMPLE.path)
        assert listen(recogniser, SHORT_SAMPLE.path).text == SHORT_SAMPLE.text
    finally:
        recogniser.close()


def test_no_process_is_left() -> None:
    """Closing ends the processes, also twice, also while they load."""
    recogniser = PocketSphinx()
    recogniser.start()
    processes = [worker._process.pid for worker in recogniser._workers]
    assert all(psutil.pid_exists(pid) for pid in processes)
    recogniser.close()
    recogniser.close()
    assert not any(psutil.pid_exists(pid) for pid in processes)
    with pytest.raises(Unreadable):
        listen(recogniser, SHORT_SAMPLE.path)


def test_really_listening_over_http() -> None:
    """The whole way: a data URI and an uploaded file in, the words that were said out."""
    with Sandbox(knobs=Knobs(rate_limits=False)) as sandbox:
        customer = Customer(sandbox=sandbox)
        content = SHORT_SAMPLE.path.read_bytes()
        answer = customer.chat(chat_body(data_uri(content, "audio/flac"))).json()
        assert answer["choices"][0]["message"]["content"] == SHORT_SAMPLE.text
        assert answer["usage"]["seconds"] == 7
        url = customer.upload(content, FILETRANS, "a.flac")
        body = order_body(url, parameters={"enable_words": True})
        result = customer.result(customer.finished(customer.submitted(body, headers=RESOLVE)))
        assert result["audio_info"] == {"format": "flac", "sample_rate": 16_000}
        (track,) = result["transcripts"]
        assert track["text"] == SHORT_SAMPLE.text
        assert [each["sentence_id"] for each in track["sentences"]] == [0, 1]
        assert track["sentences"][1]["words"][0]["begin_time"] > 3000
        assert customer.chat(chat_body(data_uri(b"not audio"))).status_code == 400


def test_script_by_content_name_and_function(tmp_path: Path) -> None:
    """A script knows recordings by content, then by name, or asks a function; else it says the usual."""
    path = tmp_path / "a.wav"
    path.write_bytes(b"")
    by_name = Scripted({"a.wav": Said(text="By name.", seconds=9)}, otherwise="Else.")
    assert listen(by_name, path).text == "By name."
    assert listen(by_name, path).duration == timedelta(seconds=9)
    assert listen(Scripted({"": "By content.", "a.wav": "no"}), path).text == "By content."
    assert listen(Scripted(lambda sound: sound.name), path).text == "a.wav"
    assert listen(Scripted(otherwise="Else."), path).text == "Else."


@given(st.text(max_size=60), st.floats(0.1, 500), st.integers(1, 3))
def test_scripted_times_are_in_order(text: str, seconds: float, channels: int) -> None:
    """Whatever is said, sentences and words follow each other inside the recording, nothing is lost."""
    said = Said(text=text, seconds=seconds, channels=channels)
    sound = Sound(path=Path("none"), sha256="", size=0)
    heard = asyncio.run(
        Scripted(otherwise=said).listen(sound, channels=list(range(channels)), longest=HOURS)
    )
    assert len(heard.tracks) == channels
    for track in heard.tracks:
        assert track.text == text
        last = timedelta(0)
        for utterance in track.utterances:
            assert last <= utterance.begin <= utterance.end <= heard.duration
            for word in utterance.words:
                assert utterance.begin <= word.begin <= word.end <= utterance.end
            last = utterance.end

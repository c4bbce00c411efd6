"""Recordings that trip programs up, and every container there is, arrive at the cloud as they were made."""

import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import edge_cases as edge
import every_container as every
import media_helpers as media
import numpy as np
import pytest
from conftest import Keep
from e2e_helpers import Installed
from test_preparing import Attentive

from asrwatch.audio.facts import probe
from asrwatch.audio.studio import Studio
from asrwatch.errors import Incomplete, RecordingError
from asrwatch.journey.preparing import Preparer
from asrwatch.sandbox import Knobs, Sandbox

Make = Callable[[Path, float], Path]

CASES: dict[str, Make] = {
    "vbr.mp3": edge.vbr_without_xing,
    "list.wav": edge.list_before_data,
    "rf64.wav": edge.rf64,
    "extensible.wav": edge.extensible,
    "chained.ogg": edge.chained_ogg,
    "last.m4a": edge.index_last,
    "first.m4a": edge.index_first,
    "surround.wav": edge.surround,
    "adpcm.wav": edge.adpcm,
    "art.mp3": edge.art_in_mp3,
    "art.m4a": edge.art_in_m4a,
    "art.flac": edge.art_in_flac,
    "chained-vorbis.ogg": lambda path, pitch: edge.chained_ogg(path, pitch, codec="vorbis"),
    "chained-flac.oga": lambda path, pitch: edge.chained_ogg(path, pitch, codec="flac"),
}
QUICK = tuple(CASES)[:5]
"""Those that hardly need another process."""
TELEPHONES = 4.0
"""Decibels by which AMR changes a tone's loudness."""


def pitch_of(name: str) -> float:
    """Each case's own."""
    return 300.0 + 40 * list(CASES).index(name)


@pytest.fixture
def heard() -> Attentive:
    """What arrived at the cloud."""
    return Attentive()


@pytest.fixture
def world(tmp_path: Path, heard: Attentive) -> Iterator[Installed]:
    """The program and a cloud that decodes what it is sent."""
    with Sandbox(recogniser=heard, knobs=Knobs(rate_limits=False)) as sandbox:
        yield Installed(root=tmp_path, url=sandbox.url, key=sandbox.key)


def heard_pitches(heard: Attentive) -> dict[int, tuple[float, float]]:
    """Of everything that arrived, by its pitch in whole Hertz: seconds, and loudness in decibels of full scale."""
    told = {}
    for _, samples, rate, _ in heard.arrived:
        sound = samples[0].astype(float)
        seconds = len(sound) / rate
        pitch = np.abs(np.fft.rfft(sound)).argmax() / seconds
        told[round(pitch)] = (seconds, 20 * np.log10(np.sqrt(np.square(sound).mean()) / 32_768))
    return told


def unlike(wanted: dict[str, float], heard: Attentive) -> dict[str, object]:
    """What did not arrive as three seconds of its pitch, as loud as it was written."""
    told = heard_pitches(heard)
    loud = 20 * np.log10(every.LOUDNESS / np.sqrt(2))
    wrong: dict[str, object] = {}
    for name, pitch in wanted.items():
        near = [at for at in told if abs(at - pitch) <= 4]
        if len(near) != 1:
            wrong[name] = f"heard as {near}"
            continue
        seconds, level = told[near[0]]
        slack = TELEPHONES if "amr" in name else 1.5
        if abs(seconds - every.SECONDS) > 0.15 or abs(level - loud) > slack:
            wrong[name] = f"{seconds:.2f} s, {level - loud:.1f} dB"
    return wrong


def test_edge_cases_arrive_as_they_were_made(world: Installed, heard: Attentive) -> None:
    """MP3 of changing rate, WAV of three odd kinds, chained Ogg: duration, pitch and loudness hold."""
    for name in QUICK:
        CASES[name](world.inbox / name, pitch_of(name))
    done = world.call("once")
    assert done.returncode == 0, done.stdout + done.stderr
    assert not unlike({name: pitch_of(name) for name in QUICK}, heard)


@pytest.mark.parametrize("name", sorted({*CASES} - {"art.m4a", "art.flac"}))
def test_headers_of_edge_cases_are_understood(tmp_path: Path, name: str) -> None:
    """The length is told right from the headers, or said to be unknown; nothing is taken for cut or silent."""
    path = CASES[name](tmp_path / name, 500)
    with path.open("rb") as stream:
        facts = probe(stream, os.fsencode(path), whole=True)
    assert facts.codec is not None
    if "chained" in name:  # each chain link tells its own length only
        assert facts.duration is None
    else:
        assert facts.duration is not None
        assert abs(facts.duration - timedelta(seconds=3)) < timedelta(seconds=0.1)


def test_half_an_mp4_waits_for_its_rest(tmp_path: Path) -> None:
    """Cut in the middle it is not whole, wherever its index lies; nothing is paid for half [C06, C07]."""
    for make, code in ((edge.index_first, "truncated"), (edge.index_last, "cut-off")):
        path = edge.cut_in_half(make(tmp_path / "talk.m4a", 500))
        with path.open("rb") as stream, pytest.raises(Incomplete) as refused:
            probe(stream, os.fsencode(path), whole=True)
        assert refused.value.code == code


def test_what_nothing_decodes_is_refused_by_its_name(tmp_path: Path) -> None:
    """DS2, and a WAV of a codec that nobody knows: the reason names them [M01]."""
    second = edge.ds2(tmp_path / "dictation.ds2")
    with second.open("rb") as stream, pytest.raises(RecordingError, match="DS2") as refused:
        probe(stream, os.fsencode(second))
    assert refused.value.code == "unknown-codec"
    odd = tmp_path / "odd.wav"
    odd.write_bytes(media.wav_header(tag=0x7001, bits=0, data=4000) + bytes(range(250)) * 16)
    with odd.open("rb") as stream, pytest.raises(RecordingError, match="wav_0x7001"):
        Preparer(Studio(), tmp_path / "spool").until_sound(stream, probe(stream, b"odd.wav"))


@pytest.mark.soak
@pytest.mark.timeout(300)
def test_every_container_arrives_as_it_was_made(
    world: Installed, heard: Attentive, promise: Keep, rounds: Callable[[int, int], int]
) -> None:
    """Every container and codec that PyAV writes, and every edge case: duration, pitch and loudness are the same."""
    step = rounds(1, 4)
    world.inbox_keys = {"include": ["*.*"]}
    wanted = {name: every.pitches()[name] for name in every.write_every(world.inbox, step=step)}
    assert len(wanted) > 60 / step
    done = world.call("once", patience=200)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    wrong = unlike(wanted, heard)
    promise(
        "every container is heard",
        promised="length to 0.15 s, pitch to 4 Hz, loudness to 1.5 dB (AMR 4 dB)",
        measured=f"{len(wanted) - len(wrong)} of {len(wanted)} containers and codecs",
    )
    assert not wrong


@pytest.mark.soak
@pytest.mark.timeout(120)
def test_every_edge_case_arrives_as_it_was_made(world: Installed, heard: Attentive) -> None:
    """Tags of twenty megabytes, six channels, ADPCM, chains of every codec: duration, pitch and loudness hold [M09]."""
    for name, make in CASES.items():
        make(world.inbox / name, pitch_of(name))
    edge.gsm(world.inbox / "EXCHANGE.WAV")
    edge.dss(world.inbox / "dictation.dss")
    done = world.call("once", patience=100)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert not unlike({name: pitch_of(name) for name in CASES}, heard)
    assert len(heard.arrived) == len(CASES) + 2
    lengths = sorted(samples.shape[1] / rate for _, samples, rate, _ in heard.arrived)
    assert lengths[-1] == pytest.approx(11.8, abs=0.1)  # the DSS

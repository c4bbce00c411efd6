"""Hostile recordings meet the booth: no other file is opened, nobody is called, and every limit holds."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import media_helpers as media
import numpy as np
import psutil
import pytest
from conftest import Keep
from e2e_helpers import Installed
from hostile_media import crafted
from test_dispatch import candidates

from asrwatch.audio.orders import RATE, Codec, Encode, Piece, Survey
from asrwatch.audio.studio import DIED, Limits, Studio
from asrwatch.cli._finding import Level
from asrwatch.cli._findings import codecs_finding
from asrwatch.errors import AsrwatchError, RecordingError, StartupError, TemporaryError
from asrwatch.journey.dispatch import Question, choose
from asrwatch.journey.plan import AudioFacts, Preparation, Wishes
from asrwatch.journey.preparing import Preparer
from asrwatch.sandbox import Knobs, Sandbox, Scripted

HERE = Path(__file__).parent
LONG = 10**9


@pytest.mark.soak
@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace, to see what is opened")
@pytest.mark.timeout(120)
def test_no_recording_has_another_file_opened_or_anybody_called(
    tmp_path: Path, promise: Keep
) -> None:
    """Over forty crafted files: whatever they name, the booth opens nothing else, calls nobody [M02, M03, M07, M09]."""
    neighbour = tmp_path / "neighbour.mp3"
    neighbour.write_bytes(b"\xff\xfb\x90\x00" + b"\0" * 413)
    folder = tmp_path / "inbox"
    folder.mkdir()
    paths = crafted(folder, url="http://127.0.0.1:9", neighbour=neighbour)
    trace = tmp_path / "trace"
    watched = ["strace", "-f", "-qq", "-e", "trace=open,openat,connect,socket", "-o", str(trace)]
    done = subprocess.run(
        [*watched, sys.executable, "-I", str(HERE / "survey_all.py"), str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if "ptrace" in done.stderr.lower():
        pytest.skip("strace may not trace here")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert len(told) == len(paths) >= 40
    lines = trace.read_text(errors="replace").splitlines()
    calls = [line for line in lines if "connect(" in line or "socket(" in line]
    foreign = [line for line in lines if str(neighbour) in line or "stolen" in line]
    promise(
        "P17 hostile media reach nothing",
        promised="0 connections, 0 foreign files opened, over 40 files",
        measured=f"{len(calls)} connections, {len(foreign)} foreign files, {len(told)} files",
    )
    assert not calls
    assert not foreign


@pytest.mark.soak
@pytest.mark.timeout(240)
def test_hostile_files_in_an_inbox_cost_nothing(tmp_path: Path) -> None:
    """Lists, liars and torn files in an inbox: each is refused or heard, and its neighbour finishes [M01, M02, M07]."""
    with Sandbox(recogniser=Scripted(), knobs=Knobs(rate_limits=False)) as sandbox:
        world = Installed(root=tmp_path, url=sandbox.url, key=sandbox.key)
        neighbour = media.write(world.inbox / "neighbour.flac", media.tone(2), codec="flac")
        paths = crafted(world.inbox, url=sandbox.url, neighbour=neighbour)
        world.call("once", patience=200)
        assert world.text_of("neighbour").strip()
        counts = world.status()["counts"]
        assert counts["failed"] + counts["delivered"] == len(paths) + 1
        named = [path for path in paths if path.name.startswith(("hls", "key", "concat", "dash"))]
        for path in named:
            told = json.loads(world.call("explain", str(path), "--json").stdout)
            assert "failed" in json.dumps(told)
        assert not any("stolen" in str(one) for one in sandbox.bill.paid)


def _order(**more: object) -> Survey:
    return Survey(demuxers=("flac",), longest=LONG, **more)  # type: ignore[arg-type] # its own fields


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A recording of two seconds."""
    return media.write(tmp_path / "small.flac", media.tone(2), codec="flac")


def test_a_booth_that_runs_out_of_memory_is_one_failed_preparation(small: Path) -> None:
    """With too little memory nothing is decoded, nothing else is harmed, and the error says so [M06]."""
    with small.open("rb") as recording, pytest.raises(AsrwatchError):
        Studio(Limits(memory=60 << 20)).survey(recording, _order())


def test_a_booth_that_writes_too_much_is_ended(tmp_path: Path, small: Path) -> None:
    """A file may have so many bytes and no more."""
    with small.open("rb") as recording, (tmp_path / "out").open("wb") as out:
        order = Encode(
            demuxers=("flac",),
            longest=LONG,
            codec=Codec.FLAC,
            pieces=(Piece(descriptor=out.fileno()),),
        )
        with pytest.raises(TemporaryError):
            Studio(Limits(output=1_000)).encode(recording, order)
    assert (tmp_path / "out").stat().st_size <= 1_000


def test_a_full_disk_is_not_the_recording_s_fault(small: Path) -> None:
    """No room for the copy: it is tried again until there is, and does not count as a death of the booth [S03]."""
    with small.open("rb") as recording, Path("/dev/full").open("wb") as full:
        order = Encode(
            demuxers=("flac",),
            longest=LONG,
            codec=Codec.FLAC,
            pieces=(Piece(descriptor=full.fileno()),),
        )
        with pytest.raises(TemporaryError) as refused:
            Studio().encode(recording, order)
    assert refused.value.code == "disk-full"
    assert "state folder" in refused.value.advice


def test_a_booth_of_another_version_is_not_the_recording_s_fault(small: Path) -> None:
    """Asrwatch was updated while it runs: nothing fails for that, and it says that it wants to be restarted."""
    with small.open("rb") as recording, pytest.raises(TemporaryError) as refused:
        Studio(version="0.0.1").survey(recording, _order())
    assert refused.value.code == "updated"
    assert "Restart" in refused.value.advice


def test_a_booth_ends_with_its_daemon(small: Path) -> None:
    """Once the daemon stops, a booth is killed at once, and nothing of it is left."""
    begun = time.monotonic()
    with small.open("rb") as recording, pytest.raises(TemporaryError) as ended:
        Studio(stopping=lambda: True).survey(recording, _order())
    assert ended.value.code == DIED
    assert time.monotonic() - begun < 30
    assert not [
        one
        for one in psutil.Process().children(recursive=True)
        if "asrwatch.audio.booth" in " ".join(one.cmdline())
    ]


def test_a_booth_sees_no_environment_and_no_arguments_of_ours(small: Path) -> None:
    """Neither the key nor the file's name is in what a booth is given [M06]."""
    seen: list[tuple[list[str], dict[str, str]]] = []

    def look() -> bool:
        seen.extend(
            (child.cmdline(), child.environ())
            for child in psutil.Process().children()
            if "asrwatch.audio.booth" in " ".join(child.cmdline())
        )
        return False

    with small.open("rb") as recording:
        Studio(stopping=look).survey(recording, _order())
    assert seen
    for words, environment in seen:
        assert str(small) not in " ".join(words)
        assert set(environment) <= {"OPENBLAS_NUM_THREADS"}


@pytest.mark.soak
@pytest.mark.timeout(240)
def test_every_limit_of_the_booth_holds(
    tmp_path: Path, promise: Keep, rounds: Callable[[int, int], int]
) -> None:
    """A day of silence in a few megabytes is bounded in CPU, memory and time, and leaves no process [M04, M06]."""
    hours = rounds(30, 25)
    whole = tmp_path / "night.flac"
    minute = np.zeros((1, RATE * 60), dtype=np.int16)
    media.write_long(whole, minute, times=hours * 60, codec="flac")
    preparer = Preparer(Studio(), tmp_path / "spool")
    begun = os.times()
    with whole.open("rb") as recording, pytest.raises(RecordingError) as refused:
        preparer.listen(recording, AudioFacts(container="flac"))
    spent = os.times()
    cpu = spent.children_user - begun.children_user
    strict = Studio(Limits(start=1, slowest=10_000_000))
    with whole.open("rb") as recording, pytest.raises(TemporaryError) as killed:
        strict.survey(recording, _order())
    left = [
        one
        for one in psutil.Process().children(recursive=True)
        if "booth" in " ".join(one.cmdline())
    ]
    promise(
        "P18 decoding is bounded",
        promised="ends by itself, 0 processes left",
        measured=f"{hours} h in {whole.stat().st_size / 1e6:.0f} MB refused after {cpu:.0f} s of CPU; "
        f"killed at its limit: {killed.value.code}; {len(left)} left",
    )
    assert refused.value.code == "too-long"
    assert timedelta(seconds=cpu) < timedelta(minutes=3)
    assert not left


def test_claims_are_capped(tmp_path: Path) -> None:
    """A billion seconds, a million channels, 1 Hz, a codec nobody knows: each is refused, or heard as it is [M05]."""
    folder = tmp_path / "liars"
    folder.mkdir()
    for path in crafted(folder, url="http://127.0.0.1:9", neighbour=tmp_path / "neighbour.mp3"):
        if not path.name.endswith(".wav") or path.name.startswith(("hls", "concat")):
            path.unlink()
    done = subprocess.run(
        [sys.executable, "-I", str(HERE / "survey_all.py"), str(folder)],
        capture_output=True,
        text=True,
        check=True,
    )
    told = json.loads(done.stdout)
    assert told["endless.wav"] == "1.0 s"
    assert told["channels.wav"] == told["no-channels.wav"] == "channels"
    assert told["unknown-codec.wav"] == told["bits.wav"] == "unknown-codec"
    assert told["zeros.wav"] == told["text.wav"] == "cut-off"
    assert told["fast.wav"] == told["no-rate.wav"] == "cut-off"


def test_without_codecs_only_what_needs_them_fails(small: Path, tmp_path: Path) -> None:
    """Where PyAV is missing nothing is decoded, `check` says so, and what needs no decoding goes as before [M10]."""
    preparer = Preparer(Studio(codecs=lambda: False), tmp_path / "spool")
    assert not preparer.can_encode
    with small.open("rb") as recording, pytest.raises(StartupError) as missing:
        preparer.listen(recording, AudioFacts(container="flac"))
    assert missing.value.code == "no-codecs"
    assert codecs_finding(present=False).level is Level.WARN
    facts = AudioFacts(
        container="caf", codec="pcm_s16le", duration=timedelta(seconds=1), channels=1
    )
    question = Question(facts=facts, size=10_000, wishes=Wishes(), region="beijing")
    with pytest.raises(RecordingError) as refused:
        choose(question, candidates())
    assert "caf" in refused.value.message
    taken = replace(question, facts=replace(facts, container="wav"))
    assert choose(taken, candidates()).preparation is Preparation.AS_IT_IS

"""Recordings are cut at pauses where that is wanted or needed: pieces are paid one by one, and joined."""

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import media_helpers as media
import numpy as np
import pytest
from e2e_helpers import Installed
from pieces_helpers import WORDS, Counting, talk
from wait_helpers import wait_for

from asrwatch.sandbox import Fault, Knobs, Route, Sandbox, Wire
from asrwatch.sandbox.models import Region


@pytest.fixture
def heard() -> Counting:
    """A recogniser that hears which minute is spoken."""
    return Counting()


@pytest.fixture
def sandbox(heard: Counting) -> Iterator[Sandbox]:
    """A cloud that answers at once."""
    knobs = Knobs(rate_limits=False, queue_time=timedelta(0), work_time=timedelta(0))
    with Sandbox(recogniser=heard, knobs=knobs) as sandbox:
        yield sandbox


@pytest.fixture
def world(tmp_path: Path, sandbox: Sandbox) -> Installed:
    """The program, whose inbox wants everything cut into pieces of twelve seconds."""
    world = Installed(root=tmp_path, url=sandbox.url, key=sandbox.key)
    world.inbox_keys = {"cut": {"target": "12s"}}
    return world


def test_what_is_to_be_cut_is_cut_and_joined(
    world: Installed, sandbox: Sandbox, heard: Counting
) -> None:
    """Two pieces, cut in a pause, each paid once; their words are joined in order, their places told."""
    file = media.write(world.inbox / "talk.wav", talk(2), codec="pcm_s16le")
    (planned,) = json.loads(world.call("plan", "--json").stdout)["files"]
    done = world.call("once")
    assert done.returncode == 0, done.stdout + done.stderr + world.log.read_text()
    told = json.loads(world.text_of("talk", ".json"))
    assert told["text"] == "one two"
    assert sum(sound.shape[1] for sound in heard.arrived) == talk(2).shape[1]
    assert sandbox.bill.seconds == sum(
        piece["billed_seconds"] for piece in told["provenance"]["pieces"]
    )
    assert np.isclose(sandbox.bill.seconds, talk(2).shape[1] / 16_000, atol=2)
    assert sandbox.bill.seconds <= planned["billed_seconds"]
    assert "qwen3-asr-flash, piece 2: answered, " in world.call("explain", str(file)).stdout
    assert [sentence["text"] for sentence in told["sentences"]] == ["one", "two"]
    assert told["sentences"][1]["begin_ms"] == told["provenance"]["pieces"][1]["begin_ms"]
    (hit,) = json.loads(world.call("transcripts", "two", "one", "--json").stdout)["transcripts"]
    assert hit["recording"] == str(world.inbox / "talk.wav")


def test_subtitles_need_no_task(world: Installed, sandbox: Sandbox) -> None:
    """With `cut: true` an inbox that wants srt is heard by the sync model: a cue for each stretch of speech."""
    world.inbox_keys = {"cut": True, "formats": ["srt", "json"]}
    media.write(world.inbox / "talk.wav", talk(3, seconds=4, pause=5), codec="pcm_s16le")
    done = world.call("once")
    assert done.returncode == 0, done.stdout + done.stderr
    cues = world.text_of("talk", ".srt").strip().split("\n\n")
    assert [cue.splitlines()[-1] for cue in cues] == ["one", "two", "three"]
    begins = [cue.splitlines()[1][:8] for cue in cues]
    assert begins == ["00:00:00", "00:00:08", "00:00:17"]
    assert {line.task_id for line in sandbox.bill} == {""}
    assert sandbox.bill.seconds < 3 * 6  # the pauses are not paid for


@pytest.mark.soak
@pytest.mark.timeout(300)
def test_what_no_engine_takes_whole_is_cut(tmp_path: Path, heard: Counting) -> None:
    """In the US, where only the sync model is, a recording of twenty minutes is cut below 295 s."""
    knobs = Knobs(region=Region.US, rate_limits=False)
    with Sandbox(recogniser=heard, knobs=knobs) as sandbox:
        world = Installed(root=tmp_path, url=sandbox.url, key=sandbox.key)
        world.more = {"cloud": {"region": "us", "base_url": sandbox.url}}
        sound = talk(12, seconds=80, pause=20)
        media.write(world.inbox / "talk.flac", sound, codec="flac")
        done = world.call("once", patience=120)
        assert done.returncode == 0, done.stdout + done.stderr
        assert world.text_of("talk").split() == list(WORDS[:12])
        assert sum(one.shape[1] for one in heard.arrived) == sound.shape[1]
        assert max(one.shape[1] for one in heard.arrived) <= 295 * 16_000
        assert len(heard.arrived) == 5
        assert sandbox.bill.seconds == pytest.approx(1200, abs=5)


@pytest.mark.soak
@pytest.mark.timeout(300)
def test_longer_than_the_longest_is_cut_for_tasks(world: Installed, heard: Counting) -> None:
    """Longer than the task model takes (here a minute), it is cut for that: as few tasks as there must be."""
    world.inbox_keys = {"engine": "qwen3-asr-flash-filetrans", "words": True}
    world.engines = {"qwen3-asr-flash-filetrans": {"longest": "60s"}}
    media.write(world.inbox / "talk.wav", talk(10), codec="pcm_s16le")
    done = world.call("once")
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(world.text_of("talk", ".json"))
    assert told["text"].split() == list(WORDS[:10])
    assert len({piece["task_id"] for piece in told["provenance"]["pieces"]}) == len(heard.arrived)
    times = [sentence["begin_ms"] for sentence in told["sentences"]]
    assert times == sorted(times)
    assert max(times) > 50_000


@pytest.mark.soak
@pytest.mark.timeout(300)
def test_a_piece_that_fails_is_the_only_one_asked_again(world: Installed, sandbox: Sandbox) -> None:
    """A refused piece fails its recording with its place; a retry asks for it, and for what was not asked, alone."""
    file = media.write(world.inbox / "talk.wav", talk(3), codec="pcm_s16le")
    sandbox.fault(Fault(what=Wire.REFUSE, code="DataInspectionFailed", route=Route.CHAT, times=1))
    assert world.call("once").returncode == 1
    story = world.call("explain", str(file)).stdout
    assert re.search(r"Piece \d of 3, 0:\d\d-0:\d\d: ", story)
    assert world.status()["counts"]["failed"] == 1
    heard_before = len(sandbox.bill.paid)
    assert world.call("retry", str(file)).returncode == 0
    assert world.call("once").returncode == 0
    assert world.text_of("talk").split() == ["one", "two", "three"]
    assert len(sandbox.bill.paid) == 3
    assert heard_before < 3
    told = json.loads(world.call("explain", str(file), "--json").stdout)["story"]
    assert [piece["state"] for piece in told["pieces"]] == ["delivered"] * 3
    assert sum(paid["outcome"] == "answered" for paid in told["paid"]) == 3


@pytest.mark.soak
@pytest.mark.timeout(300)
def test_the_same_recording_again_is_not_paid_again(world: Installed, sandbox: Sandbox) -> None:
    """A copy of what was cut is delivered from the pieces' answers, and so is one of another target's, where alike."""
    media.write(world.inbox / "talk.wav", talk(2), codec="pcm_s16le")
    assert world.call("once").returncode == 0
    paid = len(sandbox.bill.paid)
    shutil.copy(world.inbox / "talk.wav", world.inbox / "copy.wav")
    world.inbox_keys = {"cut": {"target": "11s"}}
    shutil.copy(world.inbox / "talk.wav", world.inbox / "other.wav")
    assert world.call("once").returncode == 0
    assert world.text_of("copy") == world.text_of("talk") == world.text_of("other")
    assert len(sandbox.bill.paid) == paid


@pytest.mark.soak
@pytest.mark.timeout(300)
def test_a_recording_that_changes_meanwhile_is_not_paid_further(
    world: Installed, sandbox: Sandbox
) -> None:
    """The original changes while its pieces are on their way: no more of them are asked, what it became is heard."""
    world.more = {"workers": 1}
    file = media.write(world.inbox / "talk.wav", talk(4), codec="pcm_s16le")
    sandbox.knobs = replace(sandbox.knobs, latency=timedelta(seconds=1))
    daemon = world.start()
    wait_for(lambda: len(sandbox.bill.paid) >= 1)
    media.write(file, talk(2, seconds=8), codec="pcm_s16le")
    sandbox.knobs = replace(sandbox.knobs, latency=timedelta(0))
    assert world.text_of("talk").split() == ["one", "two"]
    world.stop(daemon)
    assert len(sandbox.bill.paid) <= 3 + 2


@pytest.mark.soak
@pytest.mark.timeout(300)
def test_a_recording_that_is_deleted_meanwhile_is_not_paid_further(
    world: Installed, sandbox: Sandbox
) -> None:
    """The original is taken away while its pieces are on their way: it fails, and comes back with what was paid."""
    world.more = {"workers": 1}
    file = media.write(world.inbox / "talk.wav", talk(4), codec="pcm_s16le")
    aside = world.root / "aside.wav"
    sandbox.knobs = replace(sandbox.knobs, latency=timedelta(seconds=1))
    daemon = world.start()
    wait_for(lambda: len(sandbox.bill.paid) >= 1)
    file.rename(aside)
    wait_for(lambda: world.status()["counts"]["cut"] == 0)
    paid = len(sandbox.bill.paid)
    assert paid < 4
    sandbox.knobs = replace(sandbox.knobs, latency=timedelta(0))
    aside.rename(file)
    assert world.text_of("talk").split() == ["one", "two", "three", "four"]
    world.stop(daemon)
    assert len(sandbox.bill.paid) == 4


@pytest.mark.soak
@pytest.mark.timeout(300)
def test_a_restart_in_the_middle_goes_on(world: Installed, sandbox: Sandbox) -> None:
    """Stopped while pieces are on their way, the next start asks for the others alone."""
    world.more = {"workers": 1}
    file = media.write(world.inbox / "talk.wav", talk(4), codec="pcm_s16le")
    sandbox.knobs = replace(sandbox.knobs, latency=timedelta(milliseconds=500))
    daemon = world.start()
    wait_for(lambda: len(sandbox.bill.paid) >= 1)
    assert world.stop(daemon) == 0
    assert 1 <= len(sandbox.bill.paid) < 4
    told = json.loads(world.call("explain", str(file), "--json").stdout)["story"]
    assert told["state"] == "cut"
    assert len(told["pieces"]) == 4
    refused = world.call("forget", str(file))
    assert refused.returncode in {0, 1}
    if refused.returncode == 0:
        world.call("retry", str(file))
    sandbox.knobs = replace(sandbox.knobs, latency=timedelta(0))
    assert world.call("once").returncode == 0
    assert world.text_of("talk").split() == ["one", "two", "three", "four"]
    assert len(sandbox.bill.paid) == 4
    assert not list((world.root / "state" / "spool").iterdir())


@pytest.mark.soak
@pytest.mark.timeout(300)
def test_pieces_do_not_keep_others_waiting(world: Installed, sandbox: Sandbox) -> None:
    """While many pieces of one recording wait, a short one that comes later has its turn."""
    world.more = {"workers": 1}
    media.write(world.inbox / "talk.wav", talk(14, seconds=8), codec="pcm_s16le")
    sandbox.knobs = replace(sandbox.knobs, latency=timedelta(milliseconds=300))
    daemon = world.start()
    wait_for(lambda: len(sandbox.bill.paid) >= 2)
    media.write(world.inbox / "short.wav", talk(1, seconds=3), codec="pcm_s16le")
    world.text_of("short")
    assert len(sandbox.bill.paid) < 13
    world.text_of("talk")
    world.stop(daemon)


def test_plan_tells_pieces_and_price(world: Installed) -> None:
    """`plan` and `explain` of a file that waits name the pieces, what they cost, and nothing is sent."""
    file = media.write(world.inbox / "talk.wav", talk(2), codec="pcm_s16le")
    planned = world.call("plan", "--json")
    assert '"cut"' in planned.stdout
    assert "qwen3-asr-flash, about 2 pieces\n" in world.call("plan").stdout
    assert "about 2 pieces" in planned.stdout
    assert "about 2 pieces" in world.call("explain", str(file)).stdout


@pytest.mark.soak
@pytest.mark.timeout(300)
def test_a_held_engine_holds_its_pieces(world: Installed, sandbox: Sandbox) -> None:
    """The key goes bad half-way: pieces wait with the reason, nothing fails, and a good key asks for the rest alone."""
    world.more = {"workers": 1}
    media.write(world.inbox / "talk.wav", talk(4), codec="pcm_s16le")
    fault = Fault(what=Wire.REFUSE, code="InvalidApiKey", status=401, route=Route.CHAT, times=None)
    sandbox.knobs = replace(sandbox.knobs, latency=timedelta(milliseconds=500))
    daemon = world.start()
    wait_for(lambda: len(sandbox.bill.paid) >= 1)
    sandbox.fault(fault)
    wait_for(lambda: bool(world.status()["holds"]))
    world.stop(daemon)
    assert 1 <= len(sandbox.bill.paid) < 4
    done = world.call("once")
    assert done.returncode == 1
    assert "talk.wav" in done.stdout + done.stderr
    assert world.status()["counts"]["failed"] == 0
    sandbox.faults.clear()
    sandbox.knobs = replace(sandbox.knobs, latency=timedelta(0), keys={"sk-good": "1"})
    world.key = "sk-good"
    assert world.call("once").returncode == 0
    assert world.text_of("talk").split() == ["one", "two", "three", "four"]
    assert len(sandbox.bill.paid) == 4


@pytest.mark.soak
@pytest.mark.timeout(300)
def test_a_parked_piece_parks_its_recording(world: Installed, sandbox: Sandbox) -> None:
    """With `unknown: park` a piece whose answer a crash lost is a person's question; a retry asks for it alone."""
    world.inbox_keys = {**world.inbox_keys, "unknown": "park"}
    world.more = {"workers": 1}
    file = media.write(world.inbox / "talk.wav", talk(3), codec="pcm_s16le")
    died = world.call("once", ASRWATCH_CRASH="answer-got@2")
    assert died.returncode == -9
    assert len(sandbox.bill.paid) == 2
    assert world.call("once").returncode == 1
    told = json.loads(world.call("explain", str(file), "--json").stdout)["story"]
    assert told["state"] == "parked"
    assert re.search(r"Piece 2 of 3", told["failure"]["message"])
    assert world.call("retry", str(file)).returncode == 0
    assert world.call("once").returncode == 0
    assert world.text_of("talk").split() == ["one", "two", "three"]
    assert len(sandbox.bill.paid) == 4
    ledger = [paid["outcome"] for paid in told["paid"]]
    assert sorted(ledger) == ["answered", "lost"]


@pytest.mark.soak
@pytest.mark.timeout(300)
def test_a_piece_that_the_storage_does_not_take_is_made_smaller(
    world: Installed, sandbox: Sandbox, heard: Counting
) -> None:
    """A piece whose copy is larger than the storage takes goes as Opus, whole."""
    world.inbox_keys = {"engine": "qwen3-asr-flash-filetrans", "cut": {"target": "60s"}}
    sandbox.knobs = replace(sandbox.knobs, max_file_size_mb=1)
    noise = media.joined(
        *(media.noise(50, seed=n) if part else media.silence(8) for n in (1, 2) for part in (1, 0))
    )
    media.write(world.inbox / "rain.wav", noise, codec="pcm_s16le")
    done = world.call("once", patience=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert all(stored.size <= 1_000_000 for stored in sandbox.uploads)
    assert heard.seconds == pytest.approx(noise.shape[1] / 16_000, abs=0.5)

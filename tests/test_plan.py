"""`asrwatch plan` says what everything that waits would cost, and sends nothing."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import media_helpers as media
import pytest
from e2e_helpers import Installed
from wav_helpers import write_wav

from asrwatch.sandbox import Knobs, Sandbox, Scripted


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """The judge: what it was not asked cost nothing."""
    with Sandbox(recogniser=Scripted(), knobs=Knobs(rate_limits=False)) as running:
        yield running


@pytest.fixture
def world(tmp_path: Path, sandbox: Sandbox) -> Installed:
    """An inbox with one file of each kind."""
    world = Installed(root=tmp_path, url=sandbox.url, key=sandbox.key)
    write_wav(world.inbox / "short.wav", seconds=10)
    write_wav(world.inbox / "long.wav", seconds=400)
    media.write(world.inbox / "other.caf", media.tone(5), codec="pcm_s16le")
    (world.inbox / "notes.wav").write_text("To do: record something.\n" * 40)
    (world.inbox / "readme.txt").write_text("not looked at")
    return world


def _plan(world: Installed, *folders: Path) -> dict[str, Any]:
    done = world.call("plan", "--json", *map(str, folders))
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def test_everything_that_waits_is_planned(world: Installed, sandbox: Sandbox) -> None:
    """Each file has its engine, bytes before and after, seconds and prices, or why it fails; nothing is sent."""
    told = _plan(world)
    files = {Path(one["path"]).name: one for one in told["files"]}
    assert set(files) == {"short.wav", "long.wav", "other.caf", "notes.wav"}
    assert files["short.wav"]["engine"] == "qwen3-asr-flash"
    assert files["long.wav"]["engine"] == "qwen3-asr-flash-filetrans"
    assert files["other.caf"]["preparation"] == "re_encode"
    assert files["other.caf"]["sends"] < files["other.caf"]["bytes"]
    assert files["notes.wav"]["engine"] is None
    assert "text" in files["notes.wav"]["why"]
    assert told["totals"]["files"] == 4
    assert told["totals"]["failing"] == 1
    assert told["totals"]["billed_seconds"] == 415
    assert told["totals"]["prices"]["beijing"] == {"sum": "0.09130", "currency": "CNY"}
    assert set(told["totals"]["prices"]) == {"beijing", "singapore", "us"}
    assert not sandbox.bill.paid


def test_silence_costs_nothing(tmp_path: Path, sandbox: Sandbox) -> None:
    """A silent file is no failure: it is listed as not sent and free, unless the inbox sends silence."""
    world = Installed(root=tmp_path, url=sandbox.url, key=sandbox.key)
    media.write(world.inbox / "silent.wav", media.silence(30), codec="pcm_s16le")
    write_wav(world.inbox / "short.wav", seconds=10)
    told = _plan(world)
    (silent,) = (one for one in told["files"] if one["path"].endswith("silent.wav"))
    assert (silent["engine"], silent["silent"], silent["sends"]) == (None, True, 0)
    assert (silent["billed_seconds"], silent["prices"]) == (0, {})
    assert "-80 dB" in silent["why"]
    totals = told["totals"]
    assert (totals["files"], totals["failing"], totals["silent"]) == (2, 0, 1)
    assert totals["billed_seconds"] == 10
    said = world.call("plan").stdout
    assert "silent.wav: 30s, not sent: nothing in it is louder" in said
    assert "would fail" not in said
    assert "empty transcript" in world.call("explain", str(world.inbox / "silent.wav")).stdout
    world.inbox_keys = {"send_silence": True}
    assert _plan(world)["totals"]["billed_seconds"] == 40


def test_people_read_a_sum(world: Installed) -> None:
    """Without --json a line for each file and a sum, prices in the region's currency."""
    said = world.call("plan").stdout
    assert "would fail" in said
    assert "CNY" in said
    assert "USD" in said


def test_what_was_asked_about_costs_nothing_more(world: Installed) -> None:
    """After everything was transcribed nothing is planned, until a file is new."""
    world.call("once")
    assert _plan(world)["files"] == []
    write_wav(world.inbox / "new.wav", seconds=3)
    assert [Path(one["path"]).name for one in _plan(world)["files"]] == ["new.wav"]
    assert world.call("forget", str(world.inbox / "short.wav")).returncode == 0
    assert [Path(one["path"]).name for one in _plan(world)["files"]] == ["new.wav"]
    write_wav(world.inbox / "short.wav", seconds=4)
    assert {Path(one["path"]).name for one in _plan(world)["files"]} == {"new.wav", "short.wav"}


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to make a file of another user")
def test_what_may_not_be_read_is_not_planned(world: Installed, tmp_path: Path) -> None:
    """A second name of another user's file would fail, as it does on its way; nobody reads it to plan it [X02]."""
    private = write_wav(tmp_path / "private.wav", seconds=3)
    os.chown(private, 4711, 4711)
    os.link(private, world.inbox / "linked.wav")
    (told,) = (one for one in _plan(world)["files"] if one["path"].endswith("linked.wav"))
    assert told["engine"] is None
    assert "hard link" in told["why"]


def test_folders_of_an_inbox_are_planned_as_that_inbox_is(world: Installed, tmp_path: Path) -> None:
    """An inbox's own wishes decide, be it, a folder of it or nothing named; other folders have the defaults."""
    world.inbox_keys = {"formats": ["srt"]}
    for folder in (world.inbox / "day" / "deep", tmp_path / "elsewhere"):
        folder.mkdir(parents=True)
        write_wav(folder / "call.wav", seconds=5)
    named = (world.inbox / "day", world.inbox / "day" / "deep", tmp_path / "elsewhere")
    inside, outside = sorted(
        _plan(world, *named)["files"], key=lambda one: one["path"], reverse=True
    )
    assert (inside["inbox"], inside["engine"]) == ("inbox", "qwen3-asr-flash-filetrans")
    assert (outside["inbox"], outside["engine"]) == ("elsewhere", "qwen3-asr-flash")
    assert _plan(world, world.inbox) == _plan(world)

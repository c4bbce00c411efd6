"""Where PyAV is missing, asrwatch says so and does everything that needs no decoding."""

import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import media_helpers as media
import pytest
from e2e_helpers import Installed
from wait_helpers import wait_for

from asrwatch.audio.orders import RATE, Survey
from asrwatch.audio.studio import Studio
from asrwatch.errors import TemporaryError
from asrwatch.sandbox import Knobs, Sandbox, Scripted


@pytest.fixture
def cloud() -> Iterator[Sandbox]:
    """A cloud that answers at once."""
    knobs = Knobs(rate_limits=False, queue_time=timedelta(0), work_time=timedelta(0))
    with Sandbox(recogniser=Scripted(), knobs=knobs) as sandbox:
        yield sandbox


@pytest.fixture
def world(tmp_path: Path, cloud: Sandbox) -> Iterator[Installed]:
    """The program, and a Python in which `import av` fails."""
    without = tmp_path / "without"
    without.mkdir()
    (without / "sitecustomize.py").write_text("import sys\nsys.modules['av'] = None\n")
    made = Installed(root=tmp_path, url=cloud.url, key=cloud.key)
    yield made
    made.kill_all()


def test_without_pyav_everything_works_that_needs_none(world: Installed, cloud: Sandbox) -> None:
    """`run` and `check` say what is missing; WAV, MP3 and long recordings are heard, CAF fails with its name [M10]."""
    python = str(world.root / "without")
    world.engines = {"qwen3-asr-flash": {"longest": "5s"}}
    daemon = world.start(PYTHONPATH=python)
    media.write(world.inbox / "short.wav", media.tone(2), codec="pcm_s16le")
    media.write(world.inbox / "song.mp3", media.tone(2), codec="libmp3lame")
    media.write(world.inbox / "long.m4a", media.tone(8), codec="aac")
    media.write(
        world.inbox / "studio.wav", media.tone(2, rate=96_000), codec="pcm_s24le", rate=96_000
    )
    media.write(world.inbox / "mac.caf", media.tone(2), codec="pcm_s16le")
    for stem in ("short", "song", "long", "studio"):
        assert world.text_of(stem).strip()
    wait_for(lambda: "does not take caf files" in world.log.read_text())
    assert world.stop(daemon) == 0
    assert {work.model for work in cloud.bill.paid} == {
        "qwen3-asr-flash",
        "qwen3-asr-flash-filetrans",
    }
    (warned,) = (line for line in world.lines() if line["event"] == "no-codecs")
    assert "PyAV is not installed" in warned["error"]
    assert "pip install av" in warned["advice"]
    checked = world.call("check", PYTHONPATH=python)
    assert "PyAV is not installed" in " ".join((checked.stdout + checked.stderr).split())


def test_a_pyav_that_cannot_be_loaded_counts_as_missing(tmp_path: Path) -> None:
    """A wheel for another machine: the first recording tells, and from then on nothing is decoded."""
    python = tmp_path / "python"
    python.write_text(
        f"#!{sys.executable}\nimport runpy, sys\nsys.modules['av'] = None\ndel sys.argv[1:4]\n"
        "runpy.run_module('asrwatch.audio.booth', run_name='__main__', alter_sys=True)\n"
    )
    python.chmod(0o755)
    studio = Studio(python=str(python))
    file = media.write(tmp_path / "a.flac", media.tone(1), codec="flac")
    with (
        file.open("rb") as recording,
        pytest.raises(TemporaryError, match="cannot be loaded") as told,
    ):
        studio.survey(recording, Survey(demuxers=("flac",), longest=RATE))
    assert told.value.code == "no-codecs"
    assert not studio.has_codecs

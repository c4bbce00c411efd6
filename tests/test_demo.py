"""The demo, as somebody runs it who has just installed asrwatch."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from cli_helpers import asrwatch, environment

pytest.importorskip("pocketsphinx")


@pytest.mark.timeout(260)
def test_the_demo_shows_two_transcripts(tmp_path: Path) -> None:
    """Without key or network, both recordings are heard for real, by both models, however busy the machine is."""
    told = asrwatch("demo", "--keep", cwd=tmp_path, patience=240, TMPDIR=str(tmp_path))
    assert (told.returncode, told.stderr) == (0, "")
    for step in ("is copied in", "moved in", "welcome.flac is done", "meeting.flac is done"):
        assert step in told.stdout
    assert "the limit is lowered to 10 s" in told.stdout
    (folder,) = tmp_path.glob("asrwatch-demo-*")
    for name, model, words in (
        ("welcome", "qwen3-asr-flash", "put your recordings in this folder"),
        ("meeting", "qwen3-asr-flash-filetrans", "the garden is very large"),
    ):
        text = (folder / "recordings" / f"{name}.txt").read_text()
        assert words in text
        assert words in told.stdout
        raw = json.loads((folder / "recordings" / f"{name}.json").read_text())
        assert model in json.dumps(raw)
    assert str(folder) in told.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_demo_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    """Ctrl-C, a kill or a closed terminal stops daemon and sandbox and removes the folder, without a traceback."""
    demo = subprocess.Popen(
        [sys.executable, "-m", "asrwatch", "demo"],
        env=environment(tmp_path, TMPDIR=str(tmp_path)),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert demo.stdout is not None
        while "is copied in" not in demo.stdout.readline():
            assert demo.poll() is None
        state = next(tmp_path.glob("asrwatch-demo-*")) / "state"
        demo.send_signal(number)
        _, errors = demo.communicate(timeout=30)
    finally:
        demo.kill()
        demo.wait()
    assert demo.returncode == 128 + number
    assert "Traceback" not in errors
    assert list(tmp_path.glob("asrwatch-*")) == []
    assert not any(str(state) in words for words in _command_lines())


def _command_lines() -> list[str]:
    """Of every process there is."""
    found = []
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(os.fsdecode(each.read_bytes()))
        except OSError:
            continue
    return found


@pytest.mark.parametrize(
    ("command", "missing"), [("demo", "pocketsphinx"), ("demo", "starlette"), ("sandbox", "av")]
)
def test_without_the_extra_it_says_what_to_install(
    tmp_path: Path, command: str, missing: str
) -> None:
    """Without a part of the extra nothing is started: the message is the command that installs it."""
    # Python's own way to say that a module is not there.
    (tmp_path / "sitecustomize.py").write_text(f"import sys\nsys.modules[{missing!r}] = None\n")
    told = asrwatch(command, cwd=tmp_path, PYTHONPATH=str(tmp_path), TMPDIR=str(tmp_path))
    assert told.returncode == 1
    assert missing in told.stderr
    assert "pip install 'asrwatch[sandbox]'" in told.stderr
    assert "Traceback" not in told.stderr
    assert list(tmp_path.glob("asrwatch-*")) == []


def test_a_demo_that_fails_explains_itself(tmp_path: Path) -> None:
    """Where a transcript does not come, the end is 1 and `explain` has the word."""
    package = tmp_path / "broken"
    package.mkdir()
    # A recogniser that can be loaded and hears nothing it is given: every request fails.
    (package / "sitecustomize.py").write_text(
        "import asrwatch.sandbox.pocket as pocket\n"
        "from asrwatch.sandbox.recogniser import Unreadable\n"
        "async def listen(self, sound, *, channels, longest):\n"
        "    raise Unreadable('the demo test says so')\n"
        "pocket.PocketSphinx.listen = listen\n"
    )
    told = asrwatch("demo", cwd=tmp_path, PYTHONPATH=str(package), TMPDIR=str(tmp_path))
    assert told.returncode == 1
    assert "asrwatch explain says" in told.stderr
    assert re.search(r"state +failed", told.stderr)
    assert "Traceback" not in told.stderr
    assert list(tmp_path.glob("asrwatch-*")) == []

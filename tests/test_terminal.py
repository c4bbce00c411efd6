"""What people read in a terminal: transcripts found, what happened lately, the status that stays."""

import json
import sqlite3
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from e2e_helpers import Installed
from wait_helpers import wait_for
from wav_helpers import write_wav

from asrwatch.sandbox import Knobs, Sandbox, Scripted


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """A cloud that answers at once, without rate limits, "Hello world." to everything."""
    knobs = Knobs(rate_limits=False, queue_time=timedelta(0), work_time=timedelta(0))
    with Sandbox(recogniser=Scripted(), knobs=knobs) as running:
        yield running


@pytest.fixture
def installed(tmp_path: Path, sandbox: Sandbox) -> Iterator[Installed]:
    """The program, with a key the sandbox accepts."""
    world = Installed(root=tmp_path, url=sandbox.url, key=sandbox.key)
    yield world
    world.kill_all()


def test_transcripts_are_found_while_the_daemon_runs_and_after(installed: Installed) -> None:
    """`asrwatch transcripts` finds what was just delivered, with the text and where it lies; also without a daemon."""
    daemon = installed.start()
    talk = write_wav(installed.inbox / "talk.wav")
    installed.text_of("talk")
    wait_for(lambda: installed.call("transcripts", "hello").returncode == 0)
    told = installed.call("transcripts", "hello", "--inbox", "inbox", "--since", "1h").stdout
    assert "Hello world." in told
    assert f"transcript: {talk.with_suffix('.txt')}" in told
    assert f"recording: {talk}" in told
    assert installed.stop(daemon) == 0
    (found,) = json.loads(installed.call("transcripts", "hello", "--json").stdout)["transcripts"]
    assert found["recording"] == str(talk)
    assert {"text": "Hello", "found": True} in found["excerpt"]
    nothing = installed.call("transcripts", "goodbye")
    assert (nothing.returncode, nothing.stderr) == (1, "Nothing was found.\n")


def test_a_search_that_cannot_be_is_told_so(installed: Installed) -> None:
    """No word in it, a date that is none, an inbox there is not: each is said, and nothing is an error of SQL."""
    for words, said in (
        (('"',), "no word in the search"),
        (("hello", "--since", "yesterdayish"), "neither how long ago"),
    ):
        refused = installed.call("transcripts", *words)
        assert refused.returncode == 2
        assert said in refused.stderr
    assert "has no inbox calls" in installed.call("transcripts", "a", "--inbox", "calls").stderr


def test_the_log_tells_one_line_for_each_recording(installed: Installed) -> None:
    """`asrwatch log` tells what happened to each recording last, and why one failed; the newest at the end."""
    good = write_wav(installed.inbox / "good.wav")
    assert installed.call("once").returncode == 0
    bad = installed.inbox / "bad.wav"
    bad.write_bytes(b"no audio at all " * 100)
    assert installed.call("once").returncode == 1
    first, second = installed.call("log").stdout.splitlines()
    assert "delivered" in first
    assert str(good) in first
    assert "failed" in second
    assert str(bad) in second
    assert installed.call("log", "-n", "1").stdout.splitlines() == [second]
    (line,) = installed.call("log", "-n", "1", "--json").stdout.splitlines()
    assert json.loads(line)["code"]
    assert installed.call("log", "--inbox", "calls").stdout == ""


def test_the_log_is_followed(installed: Installed) -> None:
    """`asrwatch log --follow` tells what happens next as it happens, also over a restart of the daemon."""
    write_wav(installed.inbox / "old.wav")
    assert installed.call("once").returncode == 0
    following, out = installed.follow("log", "--follow")
    wait_for(lambda: "old.wav" in out.read_text())
    daemon = installed.start()
    write_wav(installed.inbox / "new.wav", seconds=2)
    wait_for(lambda: "new.wav" in out.read_text() and "delivered" in out.read_text())
    assert installed.stop(daemon) == 0
    assert out.read_text().count("old.wav") == 1
    following.terminate()
    following.wait()


def test_what_an_older_version_delivered_is_found_once_the_daemon_has_read_it(
    installed: Installed,
) -> None:
    """After an upgrade the daemon reads stored answers in the background; until then it says what is missing."""
    write_wav(installed.inbox / "talk.wav")
    assert installed.call("once").returncode == 0
    with sqlite3.connect(installed.root / "state" / "asrwatch.db") as raw:
        raw.execute("DELETE FROM said")
        raw.execute("INSERT INTO words (words) VALUES ('delete-all')")
        raw.execute("UPDATE filling SET below = 1")
    raw.close()
    installed.start()
    wait_for(lambda: installed.call("transcripts", "hello").returncode == 0)

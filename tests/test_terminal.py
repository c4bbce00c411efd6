"""What people read in a terminal: transcripts found, what happened lately, the status that stays."""

import fcntl
import json
import os
import select
import signal
import sqlite3
import struct
import subprocess
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

import pytest
import start_helpers
from e2e_helpers import Installed
from wait_helpers import PATIENCE, wait_for
from wav_helpers import write_wav


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


class Screen:
    """A terminal of our own, and what is drawn on it."""

    def __init__(self, *, columns: int = 80, lines: int = 24) -> None:
        self._ours, self.theirs = os.openpty()
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.drawn = ""

    def look(self) -> str:
        """Everything drawn until now."""
        while select.select([self._ours], [], [], 0)[0]:
            self.drawn += os.read(self._ours, 65_536).decode(errors="replace")
        return self.drawn

    def press(self, keys: bytes) -> None:
        """Type."""
        os.write(self._ours, keys)

    @property
    def echoes(self) -> bool:
        """Whether it is in the mode in which it was."""
        return bool(termios.tcgetattr(self.theirs)[3] & termios.ICANON)

    def close(self) -> None:
        """Take it away."""
        os.close(self._ours)
        os.close(self.theirs)


@pytest.fixture
def screen() -> Iterator[Screen]:
    """A terminal of ten lines."""
    made = Screen(columns=60, lines=10)
    yield made
    made.close()


def watching(installed: Installed, screen: Screen) -> "subprocess.Popen[bytes]":
    """`asrwatch status --watch` on a terminal of ours."""
    process = start_helpers.start(
        "status",
        "--watch",
        "-c",
        str(installed.config()),
        env=installed.environment(TERM="xterm", COLUMNS="60", LINES="10"),
        cwd=installed.root,
        stdin=screen.theirs,
        stdout=cast("IO[bytes]", screen.theirs),
        stderr=cast("IO[bytes]", screen.theirs),
    )
    wait_for(lambda: "q to quit" in screen.look())
    return process


@pytest.mark.parametrize("end", ["q", "interrupt", "terminate"])
def test_the_status_stays_and_moves_until_it_is_left(
    installed: Installed, screen: Screen, end: str
) -> None:
    """`status --watch` shows recordings as they come, fits a small screen, and leaves the terminal as it was."""
    process = watching(installed, screen)
    assert "none yet" in screen.look()
    assert "more lines" in screen.look()
    if end == "q":
        daemon = installed.start()
        write_wav(installed.inbox / "talk.wav")
        wait_for(lambda: "1 delivered" in screen.look())
        assert installed.stop(daemon) == 0
        wait_for(lambda: "No daemon runs" in screen.look())
        screen.press(b"x\x1b[A")
        screen.press(b"q")
    else:
        process.send_signal(signal.SIGINT if end == "interrupt" else signal.SIGTERM)
    assert process.wait(PATIENCE) == (143 if end == "terminate" else 0)
    assert screen.look().rstrip().endswith(("\x1b[?1049l\x1b[?25h", "\x1b[?25h\x1b[?1049l"))
    assert screen.echoes


def test_without_a_terminal_the_status_is_shown_once(installed: Installed) -> None:
    """`status --watch` into a pipe or a file prints once and says so; with --json it is refused."""
    shown = installed.call("status", "--watch")
    assert (shown.returncode, shown.stderr) == (0, "This is no terminal: shown once.\n")
    assert shown.stdout.startswith("asrwatch")
    refused = installed.call("status", "--watch", "--json")
    assert refused.returncode == 2
    assert "choose one" in refused.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_are_told_how_to_complete(tmp_path: Path, shell: str) -> None:
    """`--show-completion` prints a script for each shell, which asks asrwatch itself."""
    told = start_helpers.run(
        "--show-completion",
        shell,
        env=start_helpers.environment(tmp_path, _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1"),
        cwd=tmp_path,
    )
    if (
        told.returncode
    ):  # imported before, with the shell looked for: then the shell is bash's parent
        pytest.skip("the shell is looked for among the parents of this process")
    assert "_ASRWATCH_COMPLETE" in told.stdout


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("sta", {"status"}),
        ("transcripts --inbox di", {"dictation"}),
        ("log --inbox ", {"calls", "dictation"}),
        ("transcribe --model qwen3-asr-flash-", {"qwen3-asr-flash-filetrans"}),
        ("transcribe --format s", {"srt"}),
        ("parts dash", {"dashscope-temp"}),
        ("status --wa", {"--watch"}),
    ],
)
def test_names_are_completed(tmp_path: Path, typed: str, offered: set[str]) -> None:
    """Commands, options, inboxes of the configuration, engines and formats are completed."""
    config = tmp_path / "asrwatch.yaml"
    inboxes = [{"path": str(tmp_path / name)} for name in ("dictation", "calls")]
    config.write_text(json.dumps({"inboxes": inboxes, "state_dir": str(tmp_path / "state")}))
    told = start_helpers.run(
        env=start_helpers.environment(
            tmp_path,
            ASRWATCH_CONFIG=str(config),
            COMP_WORDS=f"asrwatch {typed}",
            COMP_CWORD=str(len(f"asrwatch {typed}x".split()) - 1),
            _ASRWATCH_COMPLETE="complete_bash",
        ),
        cwd=tmp_path,
    )
    assert set(told.stdout.split()) == offered


def test_a_configuration_that_is_none_completes_to_nothing(tmp_path: Path) -> None:
    """Whatever is wrong with the configuration, a shell that asks for names is not bothered with it."""
    (tmp_path / "asrwatch.yaml").write_text("inboxes: [")
    told = start_helpers.run(
        env=start_helpers.environment(
            tmp_path,
            COMP_WORDS="asrwatch log --inbox ",
            COMP_CWORD="3",
            _ASRWATCH_COMPLETE="complete_bash",
        ),
        cwd=tmp_path,
    )
    assert told.stdout.strip() == ""
    assert told.stderr == ""

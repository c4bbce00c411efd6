"""Foresight: what would happen to a file nobody has taken up yet, without paying."""

import os
import wave
from pathlib import Path
from typing import Any

import pytest
from desk_helpers import settings_of

from asrwatch.bootstrap import build_parts
from asrwatch.cli.explain import rows_of_explanation
from asrwatch.desk.foresight import foresee
from asrwatch.desk.reports.explanation import Explanation, Foresight


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    """An inbox's folder."""
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder


def foreseen(path: Path, root: Path, **inbox: Any) -> Foresight:
    """What would happen to a path."""
    settings = settings_of(root, **inbox)
    return foresee(os.fsencode(path), settings, lambda: build_parts(settings).routes)


def write_wav(path: Path, *, seconds: float = 2.0) -> Path:
    """A WAV of a steady sound."""
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(8_000)
        out.writeframes(b"\0\x10" * int(8_000 * seconds))
    return path


def test_a_short_recording_would_be_answered_at_once(tmp_path: Path, inbox: Path) -> None:
    """The engine, its reasons and the options that would be sent are known before anything is paid."""
    told = foreseen(write_wav(inbox / "a.wav"), tmp_path, language="en")
    assert (told.taken, told.inbox, told.engine) == (True, "inbox", "qwen3-asr-flash")
    assert told.options["language"] == "en"
    assert "2 s of at most 295 s" in told.reasons[-1]


def test_wishes_decide_the_engine(tmp_path: Path, inbox: Path) -> None:
    """An inbox that wants subtitles sends even a short file to the engine that gives times."""
    told = foreseen(write_wav(inbox / "a.wav"), tmp_path, formats=["srt"])
    assert told.engine == "qwen3-asr-flash-filetrans"
    assert any("no timestamps" in reason for reason in told.reasons)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("notes.doc", "no engine takes .doc files"),
        (".hidden.wav", "built-in ignore rule"),
        ("talk.wav.part", "built-in ignore rule"),
        ("private.wav", "the inbox's `exclude` names it"),
        ("noname", "its name has no extension"),
    ],
)
def test_ignored_files_say_why(tmp_path: Path, inbox: Path, name: str, why: str) -> None:
    """A file that is left alone names the rule that leaves it alone."""
    told = foreseen(write_wav(inbox / name), tmp_path, exclude=["private*"])
    assert not told.taken
    assert why in told.verdict


def test_what_was_forgotten_is_left_alone(tmp_path: Path, inbox: Path) -> None:
    """A forgotten file is told once what becomes of it: nothing by itself, and what `retry` would cost."""
    path = write_wav(inbox / "a.wav")
    settings = settings_of(tmp_path)
    told = foresee(
        os.fsencode(path), settings, lambda: build_parts(settings).routes, forgotten=True
    )
    assert not told.taken
    assert "Once it has settled" not in told.verdict
    assert "left alone until it changes" in told.verdict
    assert "asrwatch retry" in told.verdict
    assert "qwen3-asr-flash" in told.advice
    assert "costs nothing" in told.advice
    rows = list(
        rows_of_explanation(
            Explanation(path=os.fsencode(path), running=True, forgotten=True, foresight=told)
        )
    )
    assert ("state", "forgotten: a person had it forgotten.") in rows
    assert not any("not taken it up" in text or "not a recording" in text for _, text in rows)


def test_forgotten_files_that_are_ignored_say_so(tmp_path: Path, inbox: Path) -> None:
    """Having been forgotten changes nothing for a file that no inbox takes."""
    path = write_wav(inbox / ".a.wav")
    settings = settings_of(tmp_path)
    told = foresee(
        os.fsencode(path), settings, lambda: build_parts(settings).routes, forgotten=True
    )
    assert "built-in ignore rule" in told.verdict


def test_files_outside_are_in_no_inbox(tmp_path: Path, inbox: Path) -> None:
    """A file elsewhere is told where the inboxes are, and what to do with a single file."""
    told = foreseen(write_wav(tmp_path / "a.wav"), tmp_path)
    assert not told.taken
    assert str(inbox) in told.verdict
    assert "asrwatch transcribe" in told.advice


def test_flat_inboxes_leave_subfolders_alone(tmp_path: Path, inbox: Path) -> None:
    """A file in a sub-folder of an inbox that is not recursive says so."""
    (inbox / "sub").mkdir()
    told = foreseen(write_wav(inbox / "sub" / "a.wav"), tmp_path, recursive=False)
    assert "not recursive" in told.verdict
    assert foreseen(write_wav(inbox / "a.wav"), tmp_path, recursive=False).taken


def test_special_files_are_never_opened(tmp_path: Path, inbox: Path) -> None:
    """Links, pipes and missing files are named for what they are."""
    os.mkfifo(inbox / "pipe.wav")
    (inbox / "link.wav").symlink_to(write_wav(inbox / "a.wav"))
    assert "named pipe" in foreseen(inbox / "pipe.wav", tmp_path).verdict
    assert "symbolic link" in foreseen(inbox / "link.wav", tmp_path).verdict
    assert "There is no such file" in foreseen(inbox / "gone.wav", tmp_path).verdict


def test_what_would_fail_says_so(tmp_path: Path, inbox: Path) -> None:
    """Text with an audio name, and a file without bytes, are told before anything happens."""
    (inbox / "text.wav").write_text("Dear diary, this is not audio at all.")
    (inbox / "empty.wav").touch()
    assert "It would fail" in foreseen(inbox / "text.wav", tmp_path).verdict
    assert "no bytes yet" in foreseen(inbox / "empty.wav", tmp_path).verdict


def test_folders_are_told_apart(tmp_path: Path, inbox: Path) -> None:
    """The inbox itself, its folders, and folders that are left out each have their sentence."""
    (inbox / "sub").mkdir()
    (inbox / ".git").mkdir()
    assert foreseen(inbox, tmp_path).verdict == "It is the inbox 'inbox'."
    assert "recordings in it are taken up" in foreseen(inbox / "sub", tmp_path).verdict
    assert "left alone" in foreseen(inbox / ".git", tmp_path).verdict
    assert "in no inbox" in foreseen(tmp_path, tmp_path).verdict

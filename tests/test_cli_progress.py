"""The tally behind the progress bar, and the plain lines."""

import io
from contextlib import redirect_stdout
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from journey_helpers import FAILURE, STAGING, a_recording

from asrwatch.cli._progress import Lines, Tally, line_of_change
from asrwatch.journey.book import Change
from asrwatch.journey.evidence import Staging, Trouble
from asrwatch.journey.recording import Recording, State


def changed(before: Recording | None, after: Recording) -> Change:
    """A change without a note."""
    return Change(before=before, after=after, note="")


def test_the_tally_counts_files_and_audio(now: datetime) -> None:
    """Files count from when they are found, audio from when its length is known, both once."""
    tally = Tally()
    settled = a_recording(State.SETTLED, now)
    tally.take(changed(None, settled))
    assert (tally.files, tally.ended, tally.audio) == (1, 0, timedelta())
    staged = a_recording(State.STAGED, now)
    tally.take(changed(settled, staged))
    assert (tally.files, tally.audio, tally.audio_ended) == (1, timedelta(seconds=3), timedelta())
    tally.take(changed(staged, a_recording(State.DELIVERED, now)))
    assert (tally.ended, tally.delivered, tally.audio_ended) == (1, 1, timedelta(seconds=3))


def test_the_tally_knows_what_was_left(now: datetime) -> None:
    """What an earlier run left to do is part of the whole from the beginning."""
    tally = Tally(left=[a_recording(State.SUBMITTED, now)])
    assert (tally.files, tally.audio) == (1, timedelta(seconds=3))


def test_what_starts_over_is_not_done(now: datetime) -> None:
    """A recording that failed and is taken up again counts as open once more."""
    tally = Tally()
    failed = a_recording(State.FAILED, now)
    tally.take(changed(None, failed))
    assert (tally.ended, tally.failed) == (1, 1)
    tally.take(changed(failed, failed.retry(now=now)))
    assert (tally.ended, tally.failed) == (0, 0)


@pytest.mark.parametrize(
    ("staging", "before", "after", "uploaded"),
    [
        (Staging(ask_id="a"), State.ASKING, State.TRANSCRIBED, True),
        (Staging(ask_id="a"), State.SETTLED, State.STAGED, False),
        (STAGING, State.SETTLED, State.STAGED, True),
        (STAGING, State.ASKING, State.SUBMITTED, False),
        (Staging(ask_id="a", url="https://here/a.wav"), State.SETTLED, State.STAGED, False),
    ],
)
def test_bytes_count_when_they_leave(
    now: datetime, *, staging: Staging, before: State, after: State, uploaded: bool
) -> None:
    """Bytes are sent with the request or to the cloud's storage, once, and not where the file is published already."""
    first, second = (
        replace(a_recording(state, now), staging=None if state is State.SETTLED else staging)
        for state in (before, after)
    )
    tally = Tally()
    tally.take(changed(first, second))
    assert tally.uploaded == (second.fingerprint.size if uploaded else 0)


def test_lines_are_only_for_ends(now: datetime) -> None:
    """Who reads plain lines gets one per recording that came to its end, names made harmless."""
    for state in State:
        recording = a_recording(state, now, path=b"/in/\x1b[2J\n.wav")
        line = line_of_change(changed(None, recording))
        assert bool(line) is (state in {State.DELIVERED, State.FAILED, State.PARKED})
        assert "\x1b" not in line
        assert "\n" not in line


def test_setbacks_are_told_once(now: datetime, capsys: pytest.CaptureFixture[str]) -> None:
    """Trouble on the way is told when it begins, on stderr, and not for every recording and attempt."""
    asking = a_recording(State.ASKING, now, path=b"/in/a\x1b.wav")
    lines = Lines()
    for number in (1, 2, 3):
        trouble = Trouble(since=now, count=number, last=FAILURE)
        later = asking.unsend(now=now, due=now).postpone(trouble, due=now)
        lines.tell(Change(before=replace(asking, id=number), after=later, note="It broke."))
    lines.tell(Change(before=asking, after=asking.unsend(now=now, due=now), note="Too many."))
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err == "waits   /in/a\\x1b.wav: It broke.\nwaits   /in/a\\x1b.wav: Too many.\n"


def test_progress_is_no_setback(now: datetime, capsys: pytest.CaptureFixture[str]) -> None:
    """Steps forward have notes too, and are not told as trouble; nor is a file that was touched."""
    settled, staged, asking, submitted = (
        a_recording(state, now)
        for state in (State.SETTLED, State.STAGED, State.ASKING, State.SUBMITTED)
    )
    touched = replace(staged.fingerprint, mtime_ns=7)
    lines = Lines()
    for before, after in (
        (None, settled),
        (settled, staged),
        (staged, asking),
        (asking, submitted),
        (settled, replace(settled, reading=staged.reading)),
        (staged, staged.refreshed(touched)),
    ):
        lines.tell(Change(before=before, after=after, note="a note"))
    assert capsys.readouterr().err == ""


def test_machines_get_setbacks_only(now: datetime, capsys: pytest.CaptureFixture[str]) -> None:
    """With --json the ends are in the report; trouble is told meanwhile, beside it."""
    asking = a_recording(State.ASKING, now)
    lines = Lines(ends=False)
    lines.tell(changed(None, a_recording(State.DELIVERED, now)))
    lines.tell(Change(before=asking, after=asking.unsend(now=now, due=now), note="Too many."))
    told = capsys.readouterr()
    assert told.out == ""
    assert "Too many." in told.err


class BrokenPipe(io.StringIO):
    """Nobody reads it any more."""

    def write(self, text: str) -> int:
        """Refuse."""
        raise BrokenPipeError(text)


def test_work_goes_on_when_nobody_reads(now: datetime) -> None:
    """`once | head` ends the telling, not the daemon with paid requests under way."""
    with redirect_stdout(BrokenPipe()):
        Lines().tell(changed(None, a_recording(State.DELIVERED, now)))

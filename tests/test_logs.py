import io
import json
import logging
import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asrwatch import logs
from asrwatch.loglines import for_machines, for_people
from asrwatch.values import Secret

KEY = "sk-0123456789abcdef"
HOSTILE = "a\nb\r\x1b[31m\x00\u2028\u202e\udcff\x7f\x9b.wav"
log = logs.get("test")


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """Leave the process's logging as it was."""
    logging.captureWarnings(
        capture=False
    )  # a daemon of another test in this process may have begun it
    before = logs._state.setup, logs._state.secrets, list(logging.getLogger().handlers)
    yield
    logs._state.setup, logs._state.secrets = before[:2]
    logging.getLogger().handlers = before[2]
    logging.captureWarnings(capture=False)


@pytest.fixture
def out() -> io.StringIO:
    """A log for machines, everything shown."""
    stream = io.StringIO()
    logs.configure("debug", stream=stream, terminal=False)
    return stream


def throw(error: BaseException, *, cause: BaseException | None = None) -> None:
    """Raise it, from a frame of its own."""
    raise error from cause


def events(stream: io.StringIO) -> list[dict[str, Any]]:
    """Every line, read back as JSON."""
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_one_json_object_per_event(out: io.StringIO) -> None:
    """An event is one line of JSON: its name, its level, who said it, when in UTC, and its values."""
    before = datetime.now(UTC)
    log.info("delivered", outputs=2, took=timedelta(seconds=1.5))
    (event,) = events(out)
    assert before <= datetime.fromisoformat(event.pop("timestamp")) <= datetime.now(UTC)
    assert event == {
        "level": "info",
        "logger": "test",
        "event": "delivered",
        "outputs": 2,
        "took": 1.5,
    }


def test_hostile_names_are_harmless_to_machines(out: io.StringIO) -> None:
    """No name breaks the line, and what comes back is the name itself; bytes come back escaped."""
    log.warning("found", text=HOSTILE, raw=b"\xff\n.wav", path=Path(os.fsdecode(b"\xfe.wav")))
    line = out.getvalue()
    assert line.count("\n") == 1
    assert line.isascii()
    assert line.rstrip("\n").isprintable()
    (event,) = events(out)
    assert event["text"] == HOSTILE
    assert event["raw"] == "\\xff\\n.wav"
    assert event["path"] == "\\xfe.wav"


def test_hostile_names_are_harmless_to_people() -> None:
    """On a terminal a name cannot break the line, steer the terminal or forge an event [X07] [N03]."""
    stream = io.StringIO()
    logs.configure("debug", stream=stream, terminal=True)
    event = f"event {HOSTILE}"
    log.info(event, **{f"k{HOSTILE}": HOSTILE}, inner={"name": [HOSTILE]})
    line = stream.getvalue()
    assert line.count("\n") == 1
    assert line.rstrip("\n").isprintable()


def test_exceptions_cannot_forge_lines() -> None:
    """On a terminal every line of an exception stands behind a margin, whatever its message says."""
    stream = io.StringIO()
    logs.configure(stream=stream, terminal=True)
    try:
        throw(ValueError(f"first\n2026-01-01T00:00:00Z [info] all is well\x1b[2J{HOSTILE}"))
    except ValueError:
        log.exception("crashed")
    first, *rest = stream.getvalue().splitlines()
    assert "crashed" in first
    assert rest
    assert all(line.startswith("    | ") and line.isprintable() for line in rest)


def test_exceptions_are_text_without_variables(out: io.StringIO) -> None:
    """An exception comes with its chain and frames, and without any local variable's value."""
    local = "value-of-a-local-variable"[::-1]
    try:
        try:
            len(local) / 0
        except ZeroDivisionError as error:
            raise KeyError("outer") from error
    except KeyError as error:
        log.warning("crashed", exc_info=error)
    (event,) = events(out)
    assert "ZeroDivisionError" in event["exception"]
    assert "direct cause" in event["exception"]
    assert "test_logs.py" in event["exception"]
    assert local not in out.getvalue()


@pytest.mark.parametrize("terminal", [False, True])
def test_no_secret_in_any_line(terminal: bool) -> None:
    """A registered key appears nowhere: not in values, keys, nested, bytes, objects, exceptions, libraries."""
    stream = io.StringIO()
    logs.configure("debug", stream=stream, terminal=terminal)
    logs.register_secret(Secret(KEY))
    logs.register_secret(Secret('odd/key"with\nall+of it'))

    class Shows:
        def __repr__(self) -> str:
            return f"<session {KEY}>"

    event = f"event {KEY}"
    log.info(
        event,
        secret=Secret(KEY),
        header=f"Bearer {KEY}",
        nested=[{"a": (KEY, {KEY: KEY})}],
        raw=KEY.encode(),
        shows=Shows(),
        path=Path(KEY),
        error=ValueError(KEY),
        odd='odd/key"with\nall+of it',
        quoted="https://host/?key=odd%2Fkey%22with%0Aall%2Bof%20it",
        **{f"key{KEY}": 1},
    )
    try:
        cause = ValueError(f'odd/key"with\nall+of it{KEY}')
        throw(RuntimeError(f"refused with {KEY}"), cause=cause)
    except RuntimeError:
        log.exception("crashed")
    logging.getLogger("urllib3").warning("sent %s", KEY)
    text = stream.getvalue()
    assert "***" in text
    assert KEY not in text
    assert "all+of" not in text
    assert "all%2Bof" not in text


def test_short_secrets_do_not_shred_the_log(out: io.StringIO) -> None:
    """A secret of less than four characters is no key, and masking it would leave nothing to read."""
    logs.register_secret(Secret("e"))
    logs.register_secret(Secret(""))
    log.info("delivered")
    assert events(out)[0]["event"] == "delivered"


def test_bound_values(out: io.StringIO) -> None:
    """A recording is bound once at the door, in its thread only, and let go behind it."""
    with logs.bound(recording=7, file="talk.wav"):
        log.info("inside")
        other = threading.Thread(target=log.info, args=("elsewhere",))
        other.start()
        other.join()
    log.info("outside")
    inside, elsewhere, outside = events(out)
    assert (inside["recording"], inside["file"]) == (7, "talk.wav")
    assert "recording" not in elsewhere
    assert "recording" not in outside


def test_levels() -> None:
    """Only what is at least as grave as the level is shown; an unknown level is refused with the list."""
    stream = io.StringIO()
    logs.configure("warning", stream=stream, terminal=False)
    log.debug("a")
    log.info("b")
    log.warning("c")
    log.error("d")
    log.critical("e")
    assert [event["event"] for event in events(stream)] == ["c", "d", "e"]
    with pytest.raises(ValueError, match="debug, info, warning"):
        logs.configure("loud")


def test_libraries_speak_through_the_same_pipeline(out: io.StringIO) -> None:
    """What libraries log from warnings up, and Python's own warnings, become events like ours, once."""
    logs.configure("debug", stream=out, terminal=False)
    logging.getLogger("urllib3.pool").warning("retrying %s", "x\ny")
    logging.getLogger("urllib3.pool").info("chatter")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=True)
        warnings.warn("getting old", stacklevel=1)
    told = events(out)
    assert [(event["event"], event["logger"]) for event in told] == [
        ("library-said", "urllib3.pool"),
        ("library-said", "py.warnings"),
    ]
    assert told[0]["message"] == "retrying x\ny"
    assert told[0]["level"] == "warning"
    assert "getting old" in told[1]["message"]


def test_library_exceptions_keep_their_traceback(out: io.StringIO) -> None:
    """An exception that a library logs is shown as ours are."""
    try:
        throw(OSError(28, "No space left on device"))
    except OSError:
        logging.getLogger("sqlalchemy").exception("rollback")
    assert "No space left" in events(out)[0]["exception"]


def test_a_library_that_logs_badly(out: io.StringIO) -> None:
    """A library whose message and arguments do not fit together is heard all the same."""
    record = logging.LogRecord("watchdog", logging.WARNING, "", 1, "%d of %d", ("three",), None)
    logs._Library().emit(record)
    assert events(out)[0]["message"] == "%d of %d ('three',)"


class Broken(io.StringIO):
    """A stream whose reader has gone."""

    def write(self, _text: str, /) -> int:
        """Fail as a pipe does."""
        raise BrokenPipeError


@pytest.mark.parametrize("terminal", [False, True, None])
def test_a_lost_reader_does_not_stop_the_work(terminal: bool | None) -> None:
    """A closed stream, a broken pipe or no stderr at all lose the line and nothing else."""
    closed = io.StringIO()
    closed.close()
    for stream in (closed, Broken()):
        logs.configure(stream=stream, terminal=terminal)
        log.info("nobody reads this")


def test_no_stderr(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that was started without stderr can log all the same."""
    monkeypatch.setattr(sys, "stderr", None)
    logs.configure()
    log.info("nobody reads this")


def test_narrow_encoding() -> None:
    """A terminal that knows ASCII only shows the rest escaped."""
    raw = io.BytesIO()
    logs.configure(stream=io.TextIOWrapper(raw, encoding="ascii"), terminal=True)
    log.info("found", file="Bücher.wav")
    assert b"B\\xfccher.wav" in raw.getvalue()


def test_lines_of_many_threads_stay_whole(out: io.StringIO) -> None:
    """Lines written by many threads at once do not mix."""

    def speak(number: int) -> None:
        for _ in range(100):
            log.info("line", number=number, filler="x" * 200)

    threads = [threading.Thread(target=speak, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(events(out)) == 800


def test_real_process_with_a_reader_that_leaves() -> None:
    """A process whose stderr is closed by its reader goes on, and what it said before was JSON."""
    program = (
        "from asrwatch import logs\n"
        "logs.configure()\n"
        "log = logs.get('x')\n"
        "log.info('first', name=b'\\xff\\n')\n"
        "input()\n"
        "for _ in range(2000): log.info('later', filler='x' * 500)\n"
        "print('done')\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parent.parent,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        event = json.loads(process.stderr.readline())
        assert (event["event"], event["name"]) == ("first", "\\xff\\n")
        process.stderr.close()
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.read() == "done\n"
        assert process.wait(timeout=30) == 0


def test_unconfigured_is_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    """A program that only imports asrwatch hears its warnings on stderr and nothing on stdout."""
    logs._state.setup = logs._Setup()
    log.info("chatter")
    log.warning("heed this")
    told = capsys.readouterr()
    assert told.out == ""
    assert json.loads(told.err)["event"] == "heed this"


class Mute:
    """An object that cannot show itself."""

    def __repr__(self) -> str:
        raise RuntimeError

    __str__ = __repr__


class Wordless(Exception):
    """An exception that cannot show itself."""

    def __str__(self) -> str:
        raise RuntimeError


def test_values_of_any_kind(out: io.StringIO) -> None:
    """Whatever is logged, even what cannot show itself, comes out as valid JSON."""
    circle: list[object] = []
    circle.append(circle)
    log.info(
        "odd", mute=Mute(), wordless=Wordless(), circle=circle, nan=float("nan"), big=10**6000,
        when=datetime(2026, 1, 2, tzinfo=UTC), none=None, yes=True, group={3},
    )  # fmt: skip
    (event,) = events(out)
    assert (event["nan"], event["none"], event["yes"], event["group"]) == ("nan", None, True, [3])
    assert event["when"] == "2026-01-02T00:00:00+00:00"
    assert "Mute" in event["mute"]
    assert "Wordless" in event["wordless"]


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(st.dictionaries(st.text(min_size=1), anything, max_size=5))
def test_every_event_is_one_line(event: dict[str, Any]) -> None:
    """Any event whatsoever is one line of ASCII JSON for machines and one printable line for people [X07]."""
    line = for_machines(event, ())
    assert line.isascii()
    assert line.isprintable()
    assert isinstance(json.loads(line), dict)
    del_free = {key: value for key, value in event.items() if key not in {"exception", "stack"}}
    assert for_people({"event": "x", **del_free}, (), colours=False).isprintable()

"""Hostile names, end to end: through the daemon, the log, the outputs and every command (catalogue F-N, P15)."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from conftest import Keep
from e2e_helpers import Installed
from files_helpers import a_house
from inbox_helpers import raw, rule_for
from journey_helpers import FINGERPRINT
from wait_helpers import wait_for
from wav_helpers import wav_bytes

from asrwatch import logs
from asrwatch.cli._house import consult
from asrwatch.cli._printing import show
from asrwatch.cli.explain import explanation_of, rows_of_explanation
from asrwatch.cli.status import rows_of_status
from asrwatch.config import load
from asrwatch.desk.questions import AskStatus
from asrwatch.desk.reports import to_json
from asrwatch.desk.reports.status import Status
from asrwatch.files.filenames import LONGEST_NAME, portable
from asrwatch.inbox.scan import Folder, scan
from asrwatch.journey.delivery import Rules, decide
from asrwatch.journey.recording import Recording, State
from asrwatch.sandbox import Fault, Knobs, Route, Sandbox, Scripted, Wire
from asrwatch.values import printable

NOW = datetime(2026, 11, 22, tzinfo=UTC)
TRANSCRIBED = (
    # what breaks lines and steers terminals [N01]
    b"line\nfeed.wav",
    b"carriage\rreturn.wav",
    b"tab\tin the middle.wav",
    b"\x1b[31mred\x1b[0m.wav",
    b"\x1b]0;title\x07.wav",
    b"bell\x07.wav",
    b"backspace\x08\x08.wav",
    b"delete\x7f.wav",
    b"\x01\x02\x03.wav",
    b"unit\x1fseparator.wav",
    "c1 \x9b31m.wav".encode(),
    "override \u202evaw.exe.wav".encode(),
    "isolate \u2066x\u2069.wav".encode(),
    "line \u2028separator.wav".encode(),
    "paragraph \u2029separator.wav".encode(),
    "next\x85line.wav".encode(),
    "zero\u200bwidth\ufeff.wav".encode(),
    b'forged"}\n{"event": "delivered", "level": "info.wav',
    b"\n.wav",
    b" .wav",
    # bytes that are not UTF-8 [N02]
    b"\xff.wav",
    b"\xfe\xff.wav",
    b"latin1 \xe9t\xe9.wav",
    b"half \xe2\x82.wav",
    b"overlong \xc0\xaf.wav",
    b"surrogate \xed\xa0\x80.wav",
    b"\x80\x81\x82\xff\xfe\n\x1b.wav",
    # long ones [N04]
    b"a" * 251 + b".wav",
    b"a" * 250 + b"b.wav",
    "ü".encode() * 125 + b".wav",
    b"\xff" * 251 + b".wav",
    # twins, one of each kind [N07]
    "caf\u00e9.wav".encode(),
    "cafe\u0301.wav".encode(),
    b"Twin.wav",
    b"twin.wav",
    b"TWIN.WAV",
    b"talk.wav",
    b"talk.WAV",
    b"talk.wav.wav",
    b"talk.txt.wav",
    b"talk.new.wav",
    # for programs: options, URLs, patterns [N08]
    b"-i.wav",
    b"--help.wav",
    b"-c asrwatch.yaml.wav",
    b"concat:a|b.wav",
    b"http:x.wav",
    b"file:talk.wav",
    b"pipe:0.wav",
    b"%03d.wav",
    b"[a-z]*?.wav",
    b"file.wav\n-y.wav",
    b"$(touch pwned).wav",
    b"`touch pwned`; rm -rf x.wav",
    b"&|<>'\"\\.wav",
    # what other systems refuse [N09]
    b"con.wav",
    b"NUL.tar.wav",
    b"colon: and? star*.wav",
    b"trailing. .wav",
    b"trailing space .wav",
    # what templates replace [N10]
    b"%s%n%x.wav",
    b"{0} {name} {stem}.wav",
    b"${jndi:ldap:__x}.wav",
    b"{{7*7}}.wav",
    b"$HOME ~ !!.wav",
    b"[bold red]markup[].wav",
    b"<script>alert(1)<\\script>.wav",
    b"=cmd|' \\C calc'!A0.wav",
    "\U0001f399\ufe0f\u200d\U0001f525.wav".encode(),
    "录音 الصوت.wav".encode(),
)
LEFT_ALONE = (
    # hidden, temporary and system files [N12] [C11]
    b".hidden.wav",
    b"._talk.wav",
    b".talk.wav.Xy12ab",
    b"talk.wav.part",
    b"talk.wav.crdownload",
    b"talk.wav~",
    b"~talk.wav",
    b"Thumbs.db",
    b".DS_Store",
    b"noextension",
    b"..wav",
)
FOLDERS_LEFT_ALONE = (b"@eaDir", b"#recycle", b".stversions")


def at(folder: Path, name: bytes) -> Path:
    """A name of any bytes in a folder."""
    return folder / os.fsdecode(name)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A cloud that answers at once, with a text that would steer a terminal."""
    knobs = Knobs(rate_limits=False, queue_time=timedelta(0), work_time=timedelta(0))
    with Sandbox(recogniser=Scripted(otherwise=HOSTILE_TEXT), knobs=knobs) as running:
        yield running


HOSTILE_TEXT = "One \x1b]0;pwned\x07 two\u202e\u2028 \x00 three."


def test_every_name_is_transcribed_and_logged(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Seventy hostile names in one folder: each has its transcript, and every line of the log is JSON.

    [N01] [N02] [N04] [N07] [N08] [N10] [N12]
    """
    with a_house(tmp_path) as house:
        for number, name in enumerate((*TRANSCRIBED, *LEFT_ALONE)):
            at(house.inbox, name).write_bytes(wav_bytes(number, seconds=0.1))
        logs.configure("debug", terminal=False)
        with house.running():
            wait_for(lambda: len(list(house.inbox.glob("*.txt"))) == len(TRANSCRIBED))
        assert set(house.recordings()) == set(TRANSCRIBED)
        assert not house.sandbox.bill.paid_twice
    logs.configure()
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) > len(TRANSCRIBED)
    assert all(re.fullmatch(r"\{[\x20-\x7e]*\}", line) and json.loads(line) for line in lines)


def test_what_the_cloud_says_steers_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """An API message and a transcript full of escapes: log, status, explain and outputs stay plain [X07] [X09]."""
    formats = ["txt", "json", "md"]
    with a_house(tmp_path, lambda _: HOSTILE_TEXT, formats=formats) as house:
        house.sandbox.fault(
            Fault(what=Wire.REFUSE, route=Route.CHAT, code="InvalidParameter", message=HOSTILE_TEXT)
        )
        logs.configure("debug", terminal=False)
        with house.running():
            (house.inbox / "refused.wav").write_bytes(wav_bytes(1))
            wait_for(lambda: house.became(State.FAILED))
            (house.inbox / "talk.wav").write_bytes(wav_bytes(2))
            wait_for(lambda: house.became(State.DELIVERED))
        logs.configure()
        settings = house.settings()
        rows = [
            *rows_of_status(consult(settings, AskStatus(), Status)),
            *rows_of_explanation(explanation_of(settings, raw(house.inbox / "refused.wav"))),
        ]
        show(rows)
        told = capfd.readouterr()
        assert "pwned" in told.out
        assert "pwned" in told.err
        assert not CONTROLS.search(told.out.replace("\n", ""))
        assert all(json.loads(line) and line.isascii() for line in told.err.splitlines())
        assert not CONTROLS.search(told.err.replace("\n", ""))
        for path in house.inbox.glob("talk.*"):
            if path.suffix != ".wav":
                assert not CONTROLS.search(path.read_text().replace("\n", ""))


CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


@pytest.mark.soak
@pytest.mark.timeout(300)
def test_every_name_is_transcribed_or_left_alone_by_a_rule(
    installed: Installed, sandbox: Sandbox, promise: Keep, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eighty names: each transcribed once or left alone for a reason; every line of the log is JSON.

    [N01] [N02] [N03] [N04] [N07] [N08] [N10] [N12] [X07] [X09]
    """
    for number, name in enumerate((*TRANSCRIBED, *LEFT_ALONE)):
        at(installed.inbox, name).write_bytes(wav_bytes(number, seconds=0.2))
    for folder in FOLDERS_LEFT_ALONE:
        at(installed.inbox, folder).mkdir()
        (at(installed.inbox, folder) / "talk.wav").write_bytes(wav_bytes(999))
    sandbox.fault(
        Fault(what=Wire.REFUSE, route=Route.CHAT, code="InvalidParameter", message=HOSTILE_TEXT)
    )
    daemon = installed.start()
    wait_for(lambda: len(sandbox.bill.paid) + 1 == len(TRANSCRIBED))
    wait_for(
        lambda: installed.log.read_text().count('"event": "delivered"') + 1 == len(TRANSCRIBED)
    )

    settings = load(installed.config())
    monkeypatch.setenv("HOME", str(installed.root))
    states = []
    for name in (*TRANSCRIBED, *LEFT_ALONE):
        report = explanation_of(settings, raw(at(installed.inbox, name)))
        shown = [text for row in rows_of_explanation(report) for text in row]
        json.loads(json.dumps(to_json(report)))
        assert name in TRANSCRIBED or any("left alone" in line for line in shown)
        states += [report.story.state.value] if report.story else []
    assert sorted(states) == ["delivered"] * (len(TRANSCRIBED) - 1) + ["failed"]

    everything = [installed.call(*words) for words in (("status",), ("status", "--json"))]
    strict = {"PYTHONIOENCODING": "ascii:strict", "LC_ALL": "C", "PYTHONUTF8": "0"}
    for name in (TRANSCRIBED[3], "录音 الصوت.wav".encode()):
        path = os.fsdecode(at(installed.inbox, name))
        everything.append(installed.call("explain", path, patience=60, **strict))
        everything.append(
            installed.call("explain", "--json", path, PYTHONIOENCODING="utf-8:strict")
        )
    everything.append(installed.call("status", patience=60, **strict))
    for done in everything:
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr
        assert printable(done.stdout.replace("\n", "")) == done.stdout.replace("\n", "")
    assert installed.stop(daemon) == 0

    log = installed.log.read_bytes()
    bad = [line for line in log.splitlines() if not re.fullmatch(rb"\{[\x20-\x7e]*\}", line)]
    events = {line["event"] for line in installed.lines()}
    promise(
        "P15 hostile names",
        promised="all transcribed or refused by a rule; 0 tracebacks; every log line is JSON",
        measured=f"{len(TRANSCRIBED)} transcribed, {len(LEFT_ALONE)} left alone by a rule, "
        f"{log.count(b'Traceback')} tracebacks, {len(bad)} bad of {len(log.splitlines())} lines",
    )
    assert not bad
    assert not {"unexpected-error"} & events
    assert b"Traceback" not in log
    assert sandbox.bill.paid_twice == ()
    assert not list(installed.root.rglob("pwned"))
    texts = [
        path
        for path in installed.inbox.iterdir()
        if path.name.endswith(".txt") and not path.name.endswith(".asr-error.txt")
    ]
    assert len(texts) == len(TRANSCRIBED) - 1
    assert all(path.read_text() == texts[0].read_text() for path in texts)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", texts[0].read_text())


def test_a_strict_terminal_is_not_broken_by_a_name(tmp_path: Path) -> None:
    """A line for people about a name that is no UTF-8 fits on strict ASCII and strict UTF-8 alike [N03]."""
    code = (
        "from asrwatch import logs; logs.configure('info', terminal=True); "
        "logs.get('x').info('seen', file=b'\\xff\\x1b'.decode('utf-8', 'surrogateescape'), more='\\u5f55\\u97f3')"
    )
    for encoding in ("ascii:strict", "utf-8:strict"):
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0", "NO_COLOR": "1"},
            cwd=tmp_path,
            capture_output=True,
            check=True,
        )
        assert b"\\xff\\x1b" in done.stdout + done.stderr
        assert b"\x1b" not in done.stdout + done.stderr
        assert b"Error" not in done.stdout + done.stderr


# Output names.


def outputs_of(path: bytes, *, inbox: bytes = b"/in", **rules: object) -> list[bytes]:
    """Where the outputs of a recording at this path go."""
    recording = Recording.found(inbox="in", path=path, fingerprint=FINGERPRINT, now=NOW)
    wanted = Rules(inbox=inbox, output="beside", formats=("txt",), **rules)  # type: ignore[arg-type]
    return [output.path for output in decide(recording, wanted, owners_of=lambda _: frozenset())]


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        (b"con.wav", b"_con.txt"),
        (b"NUL.tar.wav", b"_NUL.tar.txt"),
        (b"com1.wav", b"_com1.txt"),
        (b"console.wav", b"console.txt"),
        (b"a:b*c?.wav", b"a_b_c_.txt"),
        (b"trailing. .wav", b"trailing__.txt"),
        (b"back\\slash|pipe<>.wav", b"back_slash_pipe__.txt"),
        (b"line\nfeed\x7f.wav", b"line_feed_.txt"),
        (b"\xff.wav", b"_.txt"),
        ("über.wav".encode(), "über.txt".encode()),
    ],
)
def test_portable_names(name: bytes, safe: bytes) -> None:
    """With `portable_names` outputs have names that Windows takes; without it names are kept as they are [N09]."""
    assert outputs_of(b"/in/" + name, portable=True) == [b"/in/" + safe]
    assert outputs_of(b"/in/" + name) == [b"/in/" + name[:-4] + b".txt"]
    assert portable(portable(name)) == portable(name)


def test_mirrored_folders_are_portable_too() -> None:
    """Folders made for outputs have safe names as well; those beside the recordings are there already [N09]."""
    rules = Rules(inbox=b"/in", output=b"/out", formats=("txt",), portable=True)
    path = b"/in/aux/10:30/talk.wav"
    recording = Recording.found(inbox="in", path=path, fingerprint=FINGERPRINT, now=NOW)
    (output,) = decide(recording, rules, owners_of=lambda _: frozenset())
    assert output.path == b"/out/_aux/10_30/talk.txt"


def test_recordings_that_become_alike_keep_apart() -> None:
    """Two names that are made portable to the same one do not share an output [N09] [N07]."""
    rules = Rules(inbox=b"/in", output="beside", formats=("txt",), portable=True)
    taken: dict[bytes, int] = {}
    for number, name in enumerate((b"a:b.wav", b"a?b.wav", b"a_b.wav"), 1):
        found = Recording.found(inbox="in", path=b"/in/" + name, fingerprint=FINGERPRINT, now=NOW)
        (output,) = decide(
            replace(found, id=number),
            rules,
            owners_of=lambda paths: frozenset(taken[path] for path in paths if path in taken),
        )
        assert output.path not in taken
        taken[output.path] = number
    assert len(taken) == 3


def test_no_name_leads_upwards(tmp_path: Path) -> None:
    """A name has no slash: what a sender calls `../../x.wav` is refused by the kernel, and `..` by us [N11]."""
    with pytest.raises(OSError, match="No such file"):
        at(tmp_path / "not there", b"../../x.wav").touch()
    rule = rule_for(tmp_path / "in")
    (tmp_path / "in" / "sub").mkdir(parents=True)
    (tmp_path / "outside.wav").touch()
    assert not list(scan(rule, folder=raw(tmp_path / "in") + b"/.."))
    assert not list(scan(rule, folder=raw(tmp_path / "in") + b"/sub/../.."))
    assert outputs_of(b"/in/..wav", inbox=b"/in") == [b"/in/..wav.txt"]


def test_paths_too_deep_are_told(tmp_path: Path) -> None:
    """A tree deeper than paths may be long: what can be named is found, the rest is told with its reason [N06]."""
    inbox = tmp_path / "in"
    inbox.mkdir()
    here = os.open(inbox, os.O_RDONLY)
    for _ in range(25):
        os.mkdir("d" * 200, dir_fd=here)
        below = os.open("d" * 200, os.O_RDONLY, dir_fd=here)
        os.close(os.open("talk.wav", os.O_CREAT | os.O_WRONLY, dir_fd=below))
        os.close(here)
        here = below
    os.close(here)
    files, troubles = 0, []
    for found in scan(rule_for(inbox)):
        if isinstance(found, Folder):
            files += len(list(found.files()))
        else:
            troubles.append(str(found))
    assert files > 15
    assert len(troubles) == 1
    assert "File name too long" in troubles[0]


def test_the_longest_names_have_outputs_that_fit() -> None:
    """255 bytes of name become 255 bytes of output, with a mark that keeps alike names apart [N04] [N05]."""
    (one,) = outputs_of(b"/in/" + b"a" * 251 + b".wav")
    (two,) = outputs_of(b"/in/" + b"a" * 250 + b"b.wav")
    assert one != two
    assert {len(path.rpartition(b"/")[2]) for path in (one, two)} == {LONGEST_NAME}

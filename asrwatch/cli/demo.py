"""`asrwatch demo`: the whole journey of two recordings, without a key and without a network."""

import json
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final

import typer

from asrwatch.cli._child import Child, Logged
from asrwatch.cli._house import settings_for
from asrwatch.cli._printing import safe, say
from asrwatch.cli._working import handled
from asrwatch.cli.explain import explanation_of, rows_of_explanation
from asrwatch.errors import AsrwatchError
from asrwatch.sandbox import LONG_SAMPLE, SHORT_SAMPLE, Sandbox
from asrwatch.words import shown
from asrwatch.words.widths import padded

__all__ = ["demo"]

_PATIENCE: Final = timedelta(minutes=3)
"""Half a minute is enough where nothing else is going on; listening takes some 15 s of one core, and a small or busy
machine has to be given the time for that."""
_STEPS: Final = {
    "settled": "has settled",
    "planned": "is planned",
    "staged": "is ready to be sent",
    "asking": "is being sent",
    "submitted": "is with the cloud",
    "transcribed": "is answered",
    "delivered": "is done",
    "failed": "FAILED",
    "parked": "IS PARKED",
}


def demo(
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep the folder with recordings and transcripts.")
    ] = False,
) -> None:
    """Show how it works, without a key and without a network.

    Takes half a minute, on a busy machine up to three. Starts a local DashScope that really listens, the real
    daemon, and drops a short and a longer recording into a folder the way people do.
    """
    begun = time.monotonic()
    with ExitStack() as closing:
        closing.enter_context(handled(dict.fromkeys((signal.SIGTERM, signal.SIGHUP), _end)))
        say = _Clock(begun)
        say("asrwatch demo: nothing leaves this machine, nothing is paid.")
        sandbox = closing.enter_context(Sandbox())
        folder = closing.enter_context(_folder(keep=keep))
        inbox = folder / "recordings"
        config = _configure(folder, inbox, sandbox.url)
        say(f"A local DashScope listens at {sandbox.url} (PocketSphinx, English).")
        child = closing.enter_context(Child(config, {"DASHSCOPE_API_KEY": sandbox.key}))
        if not _started(child, begun):
            raise typer.Exit(1)
        say(f"The daemon watches {safe(str(inbox))}.")
        _drop(folder, inbox, say)
        missing = _watch(child, begun, {SHORT_SAMPLE.name, LONG_SAMPLE.name}, say)
        for sample in (SHORT_SAMPLE, LONG_SAMPLE):
            if sample.name in missing:
                _explain(config, inbox / sample.name)
            else:
                _print_transcript((inbox / sample.name).with_suffix(".txt"))
        say("")
        say(f"The cloud would have billed {sandbox.bill.seconds:g} s of audio.")
        if keep:
            say(f"Everything is kept in {safe(str(folder))}.")
        else:
            say("The folder is removed now; --keep keeps it.")
    if missing:
        raise typer.Exit(1)
    say("Next: put a key in DASHSCOPE_API_KEY, then `asrwatch run ~/Recordings`.")


def _end(number: int, _: object) -> None:
    """As Ctrl-C does: the daemon and the folder must not outlive the demo."""
    raise SystemExit(128 + number)


class _Clock:
    """Prints lines with the seconds since the demo began."""

    def __init__(self, begun: float) -> None:
        self._begun = begun

    def __call__(self, line: str) -> None:
        typer.echo(f"{time.monotonic() - self._begun:6.1f} s  {shown(safe(line))}")


@contextmanager
def _folder(*, keep: bool) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="asrwatch-demo-"))
    try:
        yield folder
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


def _configure(folder: Path, inbox: Path, url: str) -> Path:
    """An inbox, and a configuration as a person could write it; JSON is YAML."""
    inbox.mkdir()
    (folder / "elsewhere").mkdir()
    written = {
        "state_dir": str(folder / "state"),
        "cloud": {"base_url": url},
        "web": False,
        "engines": {
            "qwen3-asr-flash": {"longest": "10s"},
            "qwen3-asr-flash-filetrans": {"first_poll": "1s"},
        },
        "inboxes": [
            {"path": str(inbox), "settle": "1s", "formats": ["txt", "json"], "output": "beside"}
        ],
    }
    config = folder / "asrwatch.yaml"
    config.write_text(json.dumps(written, indent=2), encoding="utf-8")
    return config


def _started(child: Child, begun: float) -> bool:
    """Wait until the daemon watches; if it ends instead, show what it said."""
    said: list[str] = []
    while logged := child.next_line(_left(begun)):
        if logged.event == "started":
            return True
        said.append(logged.line)
    say("The daemon did not start:", err=True)
    for line in said:
        say(safe(line), err=True)
    return False


def _drop(folder: Path, inbox: Path, say: _Clock) -> None:
    """A copy, which is seen while it grows; and a move, which is seen whole."""
    say(f"A recording of {SHORT_SAMPLE.seconds:g} s is copied in: {SHORT_SAMPLE.name}")
    shutil.copyfile(SHORT_SAMPLE.path, inbox / SHORT_SAMPLE.name)
    say(f"One of {LONG_SAMPLE.seconds:g} s is written elsewhere and moved in: {LONG_SAMPLE.name}")
    say(
        "(Normally up to 295 s are answered at once; for this demo the limit is lowered to 10 s, "
        "so that the longer one goes the way of long recordings: uploaded, submitted as a task, polled.)"
    )
    shutil.copyfile(LONG_SAMPLE.path, folder / "elsewhere" / LONG_SAMPLE.name)
    (folder / "elsewhere" / LONG_SAMPLE.name).rename(inbox / LONG_SAMPLE.name)


def _watch(child: Child, begun: float, waiting: set[str], say: _Clock) -> set[str]:
    """Say what happens as it happens, until nothing is waited for; returns what did not arrive."""
    missing = set(waiting)
    ended: set[str] = set()
    while missing - ended and (logged := child.next_line(_left(begun))):
        name = logged.file.rpartition("/")[2]
        if logged.event in _STEPS and name:
            say(f"{name} {_STEPS[logged.event]}{_note(logged)}")
        elif logged.level in {"warning", "error", "critical"}:
            say(logged.line)
        if logged.event == "delivered":
            missing.discard(name)
        elif logged.event in {"failed", "parked"}:
            ended.add(name)
    return missing


def _note(logged: Logged) -> str:
    plain = logged.note in {"", "uploaded"} or logged.note.startswith("settled")
    return "" if plain else f": {logged.note}"


def _left(begun: float) -> timedelta:
    return _PATIENCE - timedelta(seconds=time.monotonic() - begun)


def _print_transcript(path: Path) -> None:
    say("")
    say(f"{safe(str(path))} (and .json beside it):")
    for line in path.read_text(encoding="utf-8").splitlines():
        typer.echo(f"    {safe(line)}")


def _explain(config: Path, path: Path) -> None:
    """Why a transcript did not arrive in time, in the words of `asrwatch explain`."""
    say("", err=True)
    say(f"No transcript of {path.name} in time. asrwatch explain says:", err=True)
    try:
        report = explanation_of(settings_for(config), bytes(path))
    except AsrwatchError as error:
        say(f"    {error}", err=True)
        return
    for label, text in rows_of_explanation(report):
        typer.echo(f"    {padded(shown(label), 12)}{shown(safe(text))}", err=True)

"""Where the transcripts of `asrwatch transcribe` go: stdout as text or JSON, and files with --save."""

import json
import os
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import typer
from pydantic import JsonValue
from rich.console import Console

from asrwatch import formats, parts
from asrwatch.errors import AsrwatchError, TaskOutstanding, UsageError
from asrwatch.files.filenames import split_name
from asrwatch.formats import Format
from asrwatch.journey import delivery
from asrwatch.journey.evidence import Output as Saved
from asrwatch.transcription.request import DEFAULT_MODEL, gives_times, task_model, unknown
from asrwatch.transcription.transcriber import Transcription, name_of
from asrwatch.values import printable
from asrwatch.words import shown

__all__ = ["Output", "note"]

TEXT = "txt"
SAVED = ("txt", "json")
"""What an inbox delivers if it says nothing."""

# what UTF-8 cannot hold, and what would steer a terminal
_TO_ESCAPE = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def note(sentence: str) -> None:
    """Say something to the person, apart from the transcripts."""
    typer.echo(f"asrwatch: {shown(sentence)}", err=True)


def folder() -> Path:
    """Where --save writes: `$OUTPUT_DIR/ai-audio-asr/transcripts`, `output` where OUTPUT_DIR is not set."""
    base = os.environ.get("OUTPUT_DIR") or "output"
    return Path(base).expanduser().absolute() / "ai-audio-asr" / "transcripts"


@dataclass(kw_only=True, slots=True)
class Output:
    """What is printed and written of each transcript, one by one, as they come; counts failures.

    JSON of several is written as they come, too: what was paid for is on stdout even if the rest is interrupted.
    """

    shown: str
    saved: tuple[str, ...]
    as_json: bool
    several: bool
    failed: int = 0
    _printed: int = field(default=0, init=False)

    @classmethod
    def checked(
        cls,
        inputs: Sequence[str],
        wanted: Sequence[str],
        *,
        task: str | None,
        as_json: bool,
        save: bool,
    ) -> "Output":
        """From the command's options.

        Raises:
            UsageError: a format there is not, or a combination that means nothing.
        """
        for name in wanted:
            if name not in parts.names(formats):
                raise unknown("format", name, parts.names(formats))
        if bool(inputs) == (task is not None):
            raise UsageError("Give recordings, or --task ID; not both.", code="no-audio-given")
        if len(wanted) > 1 and not save:
            raise UsageError("Several formats go to files: add --save.", code="several-formats")
        if wanted and as_json and not save:
            raise UsageError(
                "--json prints the normalized response, --format a transcript file: give one of them.",
                code="json-and-format",
                advice="`--format json` is the transcript file with sentences, words and provenance.",
            )
        shown = wanted[0] if wanted else TEXT
        saved = tuple(dict.fromkeys(wanted or SAVED)) if save else ()
        return cls(shown=shown, saved=saved, as_json=as_json, several=len(inputs) > 1)

    @property
    def granularities(self) -> tuple[str, ...]:
        """What the formats need of the model."""
        return ("sentence",) if self._need_times() else ()

    def model_for(self, named: str | None, *, task: bool) -> str:
        """The model, if none was named: one that can do what is asked for.

        Raises:
            UsageError: the one that was named gives no times, and a format is made of them.
        """
        need_times = self._need_times()
        if named is None:
            return task_model() if task or need_times else DEFAULT_MODEL
        if need_times and not gives_times(named):
            raise UsageError(
                f"{', '.join(need_times)} is made of times, and {printable(named)} gives none.",
                code="no-times",
                advice=f"Use model {task_model()} or auto, or another format.",
            )
        return named

    def _need_times(self) -> tuple[str, ...]:
        return tuple(name for name in dict.fromkeys((self.shown, *self.saved)) if _timed(name))

    def tell_ticket(self, ticket: str) -> None:
        """Show a task's id as soon as there is one: it is the receipt of what was paid."""
        note(f"task {ticket}")

    def __enter__(self) -> Self:
        if self.as_json and self.several:
            typer.echo("[", nl=False)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.as_json and self.several:
            typer.echo("\n]")

    def run(self, name: str | None, make: Callable[[], Transcription]) -> None:
        """Make one transcript and show it; a failure is told and does not end the others.

        Args:
            name: the input as it was given; None for a task that is collected.
            make: does it.
        """
        called = printable(name) if name is not None else "task"
        try:
            with _Busy(called):
                result = make()
        except AsrwatchError as error:
            self._fail(called, error)
            return
        self._show(called, result)
        if self.saved and result.transcript is not None:
            self._save(called, name, result)

    def _show(self, called: str, result: Transcription) -> None:
        if self.as_json:
            self._print_json(result.as_dict())
            return
        if self.several:
            typer.echo(f"{chr(10) if self._printed else ''}==> {called} <==")
        self._printed += 1
        if result.transcript is None:
            typer.echo(result.task_id)
            return
        try:
            typer.echo(result.render(self.shown), nl=False)
        except AsrwatchError as error:
            # it is paid for: what there is, is shown
            typer.echo(result.render(TEXT), nl=False)
            self._tell_failure(called, error)

    def _save(self, called: str, name: str | None, result: Transcription) -> None:
        stem, _ = split_name(os.fsencode(name_of(name, result.task_id)))
        if name is None:
            stem = os.fsencode(name_of(None, result.task_id))
        try:
            rendered = [
                delivery.Rendered.of(wanted, result.render(wanted)) for wanted in self.saved
            ]
            outputs = delivery.save(os.fsencode(folder()), stem, rendered)
        except AsrwatchError as error:
            self._tell_failure(called, error)
            return
        for output in outputs:
            note(f"{called}: saved {printable(output.path)}")
        if there := _taken(stem, outputs):
            note(
                f"{called}: saved under new names, since {' and '.join(there)} of another time "
                f"{'was' if len(there) == 1 else 'were'} there and stayed."
            )

    def _fail(self, called: str, error: AsrwatchError) -> None:
        self._tell_failure(called, error)
        if not self.as_json:
            return
        told: dict[str, JsonValue] = {
            "kind": type(error).__name__,
            "code": error.code,
            "message": error.message,
            "advice": error.advice,
        }
        self._print_json(
            {
                "text": "",
                **({"task_id": error.task_id} if isinstance(error, TaskOutstanding) else {}),
                "status": error.status if isinstance(error, TaskOutstanding) else "FAILED",
                "raw": {},
                "error": {"input": called, **told},
            }
        )

    def _tell_failure(self, called: str, error: AsrwatchError) -> None:
        self.failed += 1
        note(str(error) if _names(error.message, called) else f"{called}: {error}")

    def _print_json(self, document: dict[str, JsonValue]) -> None:
        text = json.dumps(document, ensure_ascii=False, indent=2)
        if self.several:
            typer.echo(",\n" if self._printed else "\n", nl=False)
        self._printed += 1
        typer.echo(_TO_ESCAPE.sub(_escape, text), nl=not self.several)
        sys.stdout.flush()


class _Busy:
    """A turning wheel on a terminal, nothing elsewhere."""

    def __init__(self, called: str) -> None:
        console = Console(stderr=True)
        self._wheel = (
            console.status(shown(f"transcribing {_plain(called)}")) if console.is_terminal else None
        )

    def __enter__(self) -> None:
        if self._wheel is not None:
            self._wheel.start()

    def __exit__(self, *_error: object) -> None:
        if self._wheel is not None:
            self._wheel.stop()


def _names(message: str, called: str) -> bool:
    """Whether a message begins by saying which input it is about, perhaps with its whole path."""
    first, _, _rest = message.partition(" is ")
    return first == called or first.endswith(f"/{called.removeprefix('./')}")


def _taken(stem: bytes, outputs: Sequence[Saved]) -> list[str]:
    """The names that the outputs would have had if other files did not have them."""
    wanted = [(output.path, stem + b"." + output.format.encode()) for output in outputs]
    return [
        printable(name)
        for path, name in wanted
        if os.path.basename(path) != name  # noqa: PTH119 - bytes
        and os.path.lexists(os.path.join(os.path.dirname(path), name))  # noqa: PTH118, PTH120 - bytes
    ]


def _plain(text: str) -> str:
    """As it is, not as Rich's markup."""
    return text.replace("[", r"\[")


def _timed(name: str) -> bool:
    part: type[Format[Any]] = parts.find(formats, Format, name)  # type: ignore[type-abstract] # a base to look for
    return part.timestamps


def _escape(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"

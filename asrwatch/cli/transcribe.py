"""`asrwatch transcribe`: one or several recordings now, text on stdout, no daemon, no memory."""

from datetime import timedelta
from functools import partial
from typing import Annotated, Literal

import typer

from asrwatch import logs
from asrwatch.cli._completing import formats_there_are, models_there_are
from asrwatch.cli._options import ConfigFile
from asrwatch.cli._secrecy import guard_memory
from asrwatch.cli._transcripts import Output, note
from asrwatch.config import find_file, load
from asrwatch.errors import ConfigError, UsageError
from asrwatch.transcription.request import Wanted, wishes_of
from asrwatch.transcription.transcriber import Transcriber
from asrwatch.values import parse_duration

__all__ = ["transcribe"]

USAGE = 2
BAD_CONFIG = 78
SOME_FAILED = 1


def transcribe(  # noqa: PLR0913 - the seed's request, option by option
    audio: Annotated[
        list[str] | None, typer.Argument(metavar="AUDIO...", help="Files, or public URLs.")
    ] = None,
    *,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            autocompletion=models_there_are,
            help="A model by name, one of its snapshots, or `auto`, which chooses as the daemon does. "
            "Default: qwen3-asr-flash; qwen3-asr-flash-filetrans where --format needs times or a task is wanted.",
        ),
    ] = None,
    language: Annotated[
        str | None, typer.Option("--language", "-l", help="One code, such as en.")
    ] = None,
    language_hints: Annotated[
        list[str] | None,
        typer.Option("--language-hints", help="Such as en or zh,en; these models take one."),
    ] = None,
    context: Annotated[str, typer.Option(help="Names and terms to expect.")] = "",
    words: Annotated[bool, typer.Option("--words", help="Times of words.")] = False,
    timestamp_granularities: Annotated[
        list[str] | None, typer.Option("--timestamp-granularities", help="sentence, word, or both.")
    ] = None,
    channels: Annotated[
        list[str] | None,
        typer.Option(
            "--channels",
            metavar="NUMBER|split",
            help="Channels to transcribe, from 0, or split: each there is, as a speaker. Each is billed.",
        ),
    ] = None,
    speakers: Annotated[
        list[str] | None,
        typer.Option("--speakers", help="Names of the channels, such as agent,customer."),
    ] = None,
    sample_rate: Annotated[
        int | None, typer.Option(min=1, help="In Hz; these models read it from the file.")
    ] = None,
    vocabulary_id: Annotated[
        str | None, typer.Option(help="A hot-word list; these models know none.")
    ] = None,
    disfluency_removal_enabled: Annotated[
        bool | None,
        typer.Option(
            "--disfluency-removal-enabled/--no-disfluency-removal-enabled",
            help="Drop filler words; these models cannot be told.",
        ),
    ] = None,
    asynchronous: Annotated[
        bool | None,
        typer.Option(
            "--async/--no-async",
            help="Work with a task. Default: as the model does; --no-async waits for the task.",
        ),
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="--no-wait submits and prints the task id.")
    ] = True,
    timeout: Annotated[
        str | None, typer.Option(help="How long to wait for a task at most, such as 10m.")
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(
            "--task", metavar="ID", help="Collect a task submitted before; costs nothing."
        ),
    ] = None,
    formats: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            "-f",
            help="txt, json, srt, vtt or md; several with --save.",
            autocompletion=formats_there_are,
        ),
    ] = None,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json", help="Print {text, task_id, status, raw}; a list for several inputs."
        ),
    ] = False,
    save: Annotated[
        bool,
        typer.Option(
            "--save",
            help="Also write under $OUTPUT_DIR/ai-audio-asr/transcripts/ (default: output/...).",
        ),
    ] = False,
    config: ConfigFile = None,
) -> None:
    """Transcribe recordings now and print their text. Every call pays; nothing is remembered.

    Exit codes: 0 all transcribed (or submitted), 1 some not, 2 wrong usage, 78 bad configuration.
    """
    guard_memory()
    logs.configure("warning")
    inputs = audio or []
    try:
        output = Output.checked(inputs, formats or (), task=task, as_json=as_json, save=save)
        wanted = Wanted(
            model=output.model_for(
                model, task=task is not None or not wait or asynchronous is True
            ),
            asynchronous=asynchronous,
            wait=wait,
            timeout=_timeout(timeout),
            wishes=wishes_of(
                language=language,
                language_hints=_listed(language_hints),
                context=context,
                words=words,
                timestamp_granularities=(*_listed(timestamp_granularities), *output.granularities),
                channels=_channels(channels),
                speakers=_listed(speakers),
                sample_rate=sample_rate,
                vocabulary_id=vocabulary_id,
                disfluency_removal_enabled=disfluency_removal_enabled,
            ),
        )
        transcriber = Transcriber(
            load(find_file(config)),
            wanted,
            on_left_out=note,
            on_bill=note,
            on_ticket=output.tell_ticket,
        )
        if task is not None:
            transcriber.check_collects()
    except UsageError as error:
        note(str(error))
        raise typer.Exit(USAGE) from None
    except ConfigError as error:
        note(str(error))
        raise typer.Exit(BAD_CONFIG) from None
    with output:
        if task is not None:
            output.run(None, partial(transcriber.collect, task))
        for name in inputs:
            output.run(name, partial(transcriber.transcribe, name))
    if output.failed:
        raise typer.Exit(SOME_FAILED)


def _listed(given: list[str] | None) -> tuple[str, ...]:
    """`--hints en --hints zh` and `--hints en,zh` alike."""
    return tuple(part.strip() for text in given or () for part in text.split(",") if part.strip())


def _channels(given: list[str] | None) -> tuple[int, ...] | Literal["split"]:
    listed = _listed(given)
    if listed == ("split",):
        return "split"
    try:
        return tuple(int(number) for number in listed) or (0,)
    except ValueError as error:
        raise UsageError(
            f"--channels: numbers from 0, or split, not {', '.join(listed)}.", code="bad-channels"
        ) from error


def _timeout(written: str | None) -> timedelta | None:
    try:
        return None if written is None else parse_duration(written)
    except ValueError as error:
        raise UsageError(f"--timeout: {error}.", code="bad-timeout") from error

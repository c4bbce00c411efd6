"""The public functions: transcribe one recording now, or collect a task, without inbox, store or daemon."""

import os
import warnings
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Literal, TypedDict, Unpack

from asrwatch import config as configuration
from asrwatch.errors import UsageError
from asrwatch.transcription.request import DEFAULT_MODEL, Wanted, wishes_of
from asrwatch.transcription.transcriber import Transcriber, Transcription

__all__ = ["NotHonoured", "Transcription", "collect", "transcribe"]

_Seed = TypedDict("_Seed", {"async": bool | None}, total=False)


class NotHonoured(UserWarning):
    """An option was given that the model has no place for; the transcript is made without it."""


def transcribe(  # noqa: PLR0913 - the seed's request, option by option
    audio: str | os.PathLike[str],
    *,
    model: str = DEFAULT_MODEL,
    language_hints: Sequence[str] = (),
    sample_rate: float | None = None,
    vocabulary_id: str | None = None,
    disfluency_removal_enabled: bool | None = None,
    timestamp_granularities: Sequence[str] = (),
    async_: bool | None = None,
    language: str | None = None,
    context: str = "",
    words: bool = False,
    channels: Sequence[int] | Literal["split"] = (0,),
    speakers: Sequence[str] = (),
    wait: bool = True,
    timeout: timedelta | None = None,
    config: str | os.PathLike[str] | None = None,
    **seed: Unpack[_Seed],
) -> Transcription:
    """Transcribe one recording and wait for it. Stateless: every call that succeeds is paid for.

    Args:
        audio: a public URL, or the path of a local file.
        model: `qwen3-asr-flash`, `qwen-audio-asr`, `qwen3-asr-flash-filetrans`, a dated snapshot of one of
            them, or `auto`, which chooses as the daemon does.
        language_hints: such as `["en"]`; these models take one language at most.
        sample_rate: accepted for compatibility; these models read it from the file.
        vocabulary_id: accepted for compatibility; these models know none.
        disfluency_removal_enabled: accepted for compatibility; these models cannot be told.
        timestamp_granularities: `sentence`, `word`, or both.
        async_: the request's `async`, also taken as `**{"async": True}`. Default: true for
            `qwen3-asr-flash-filetrans`, false for the others. False with the former waits for its task.
        language: one code, such as `en`.
        context: names and terms to expect.
        words: times of words.
        channels: which to transcribe, from 0, or `split`: each there is, as a speaker. Each is billed.
        speakers: their names, from the first channel on.
        wait: False returns as soon as the task is accepted; `collect` gets its transcript.
        timeout: how long to wait for a task at most.
        config: configuration file; default: where the daemon looks for it.

    Returns:
        The normalized response; `left_out` says which options the model does not honour. They are warned
        about (`NotHonoured`) before anything is sent.

    Raises:
        UsageError: nothing was sent; what was asked for contradicts itself or does not exist.
        ConfigError: nothing was sent; the configuration cannot be used.
        RecordingError: nothing was bought, or the cloud cannot make a transcript of it.
        EngineError: nothing was bought: no key, no money, or the cloud is too busy.
        TemporaryError: nothing was bought; ask again later.
        AnswerLost: it may have been paid for.
        TaskOutstanding: it was paid for, and the answer is to be had from `collect`.
    """
    if unknown := set(seed) - {"async"}:
        msg = f"transcribe() got an unexpected keyword argument {min(unknown)!r}"
        raise TypeError(msg)
    wanted = Wanted(
        model=model,
        asynchronous=_same(async_, seed.get("async")),
        wait=wait,
        timeout=timeout,
        wishes=wishes_of(
            language_hints=language_hints,
            sample_rate=sample_rate,
            vocabulary_id=vocabulary_id,
            disfluency_removal_enabled=disfluency_removal_enabled,
            timestamp_granularities=timestamp_granularities,
            language=language,
            context=context,
            words=words,
            channels=channels,
            speakers=speakers,
        ),
    )
    settings = configuration.load(configuration.find_file(Path(config) if config else None))
    return Transcriber(settings, wanted, on_left_out=_warn).transcribe(audio)


def collect(
    task_id: str,
    *,
    model: str = "qwen3-asr-flash-filetrans",
    wait: bool = True,
    timeout: timedelta | None = None,
    config: str | os.PathLike[str] | None = None,
) -> Transcription:
    """Get the transcript of a task that was submitted before. Costs nothing; the cloud keeps it for 24 hours.

    Args:
        task_id: as `transcribe(..., wait=False)` returned it.
        model: it was submitted to.
        wait: False asks once, and returns with the task's status if there is no answer yet.
        timeout: how long to wait at most.
        config: configuration file; default: where the daemon looks for it.

    Raises:
        UsageError: the model has no tasks.
        TicketLost: the cloud does not know the task (any more).
        RecordingError: the task failed.
        TaskOutstanding: no answer yet, or the cloud could not be asked.
    """
    settings = configuration.load(configuration.find_file(Path(config) if config else None))
    wanted = Wanted(model=model, wait=wait, timeout=timeout)
    return Transcriber(settings, wanted, on_left_out=_warn).collect(task_id)


def _same(given: bool | None, by_the_seed: bool | None) -> bool | None:
    if given is not None and by_the_seed is not None and given != by_the_seed:
        raise UsageError("`async_` and `async` contradict each other.", code="contradiction")
    return by_the_seed if given is None else given


def _warn(sentence: str) -> None:
    warnings.warn(sentence, NotHonoured, stacklevel=7)

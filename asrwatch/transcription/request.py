"""The normalized request without its audio: what is wanted of a recording, and which engine speaks to a model."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal

from asrwatch import engines, parts
from asrwatch.config import AUTOMATIC
from asrwatch.engines import Engine
from asrwatch.errors import UsageError
from asrwatch.journey.plan import Wishes
from asrwatch.values import printable

__all__ = [
    "DEFAULT_MODEL",
    "Wanted",
    "check_workflow",
    "family_of",
    "gives_times",
    "no_tasks",
    "task_model",
    "unknown",
    "wishes_of",
]

DEFAULT_MODEL = "qwen3-asr-flash"
_SNAPSHOT = re.compile(r"-(?:us|latest|\d{4}-\d{2}-\d{2}(?:-us)?)")
_WORDS, _SENTENCES = "word", "sentence"


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What is asked for, whatever the recording: the normalized request without its audio.

    `asynchronous` is the seed's `async`: None leaves it to the model.
    """

    model: str = DEFAULT_MODEL
    asynchronous: bool | None = None
    wait: bool = True
    timeout: timedelta | None = None
    wishes: Wishes = field(default_factory=Wishes)


def wishes_of(
    *,
    language_hints: Sequence[str] = (),
    sample_rate: float | None = None,
    vocabulary_id: str | None = None,
    disfluency_removal_enabled: bool | None = None,
    timestamp_granularities: Sequence[str] = (),
    language: str | None = None,
    context: str = "",
    words: bool = False,
    channels: Sequence[int] | Literal["split"] = (0,),
    speakers: Sequence[str] = (),
) -> Wishes:
    """The normalized request's options as wishes.

    Raises:
        UsageError: one of them has a value that means nothing.
    """
    granularities = _several(timestamp_granularities)
    if strange := set(granularities) - {_WORDS, _SENTENCES}:
        raise unknown("timestamp granularity", min(strange), (_SENTENCES, _WORDS))
    split = channels == "split"
    numbers = (0,) if channels == "split" else tuple(channels)
    if not numbers or len(set(numbers)) < len(numbers) or min(numbers) < 0:
        raise UsageError(
            f"channels are different numbers from 0, or split, not {list(numbers)}.",
            code="bad-channels",
        )
    if speakers and numbers == (0,) and not split:
        raise UsageError(
            "speakers names channels, and only the first is heard.",
            code="bad-channels",
            advice="Ask for channels: split.",
        )
    names = _several(speakers)
    if twice := [name for number, name in enumerate(names) if name in names[:number]]:
        raise UsageError(
            f"speakers names {printable(twice[0])} twice; nobody could tell them apart.",
            code="bad-channels",
        )
    if sample_rate is not None and sample_rate <= 0:
        raise UsageError(f"{sample_rate} is not a sample rate in Hz.", code="bad-sample-rate")
    return Wishes(
        language=language,
        language_hints=_several(language_hints),
        context=context,
        words=words or _WORDS in granularities,
        timestamps=_SENTENCES in granularities,
        channels=numbers,
        split=split,
        speakers=names,
        sample_rate=None if sample_rate is None else round(sample_rate),
        vocabulary_id=vocabulary_id,
        disfluency_removal=disfluency_removal_enabled,
    )


def family_of(model: str, engines_there: Mapping[str, Engine[Any]]) -> str:
    """The engine that speaks to a model: its own name, the model it is set to, or the family of a snapshot.

    Raises:
        UsageError: none; the message names those there are.
    """
    names = parts.names(engines)
    if model in names:
        return model
    for name, engine in engines_there.items():
        if engine.options.model == model:
            return name
    families = [
        name
        for name in names
        if model.startswith(name) and _SNAPSHOT.fullmatch(model.removeprefix(name))
    ]
    if not families:
        raise unknown("model", model, (*names, AUTOMATIC))
    return max(families, key=len)


def gives_times(model: str) -> bool:
    """Whether a model's transcripts have times of sentences; `auto` finds one that has.

    Raises:
        UsageError: there is no such model.
    """
    return model == AUTOMATIC or _part(family_of(model, {})).timestamps


def task_model() -> str:
    """The engine that works with tasks, as `collect` and `--no-wait` need one."""
    return next(
        name for name in parts.names(engines) if _part(name).tasks and _part(name).automatic
    )


def check_workflow(engine: Engine[Any], wanted: Wanted) -> None:
    """See whether the model's one way of working allows what `async` and `wait` say.

    Raises:
        UsageError: it does not.
    """
    if engine.tasks:
        if wanted.asynchronous is False and not wanted.wait:
            raise UsageError(
                f"{wanted.model} works with tasks: `async: false` waits for its task, and `wait: false` does not.",
                code="contradiction",
                advice="Leave one of them out.",
            )
    elif wanted.asynchronous or not wanted.wait:
        raise no_tasks(wanted.model)


def no_tasks(model: str) -> UsageError:
    """The error for a model that answers at once where tasks are wanted, or that is not decided."""
    return UsageError(
        "A task belongs to one model, and `auto` is none."
        if model == AUTOMATIC
        else f"{model} answers at once and has no tasks.",
        code="no-tasks",
        advice=f"Use model {task_model()}, or leave `async` and `wait` alone.",
    )


def unknown(kind: str, name: str, there_are: Sequence[str]) -> UsageError:
    """The error for a name that nothing has, with the names there are."""
    return UsageError(
        f"There is no {kind} called {printable(name)!r}; there are: {', '.join(there_are)}.",
        code=f"unknown-{kind.replace(' ', '-')}",
    )


def _part(name: str) -> type[Engine[Any]]:
    part: type[Engine[Any]] = parts.find(engines, Engine, name)  # type: ignore[type-abstract] # a base to look for
    return part


def _several(given: Sequence[str]) -> tuple[str, ...]:
    """A list of strings, also where somebody gave one string instead."""
    return (given,) if isinstance(given, str) else tuple(given)

"""The synchronous dialect of Qwen-Audio 3.x and Fun-ASR flash on the native path (contract 2.3)."""

from typing import Any, Final

from asrwatch.sandbox.bodies import JsonObject
from asrwatch.sandbox.knobs import Layout
from asrwatch.sandbox.models import Model
from asrwatch.sandbox.native import read_input
from asrwatch.sandbox.recogniser import Track, Utterance
from asrwatch.sandbox.refusals import Refusal
from asrwatch.sandbox.sync import Answer, Ask
from asrwatch.sandbox.times import milliseconds

__all__ = ["read_audio_family", "sentence_answer"]

_MOST_TURNS: Final = 10  # five of the user's and five of the assistant's
_HINTS_QWEN: Final = 4
_HINTS_FUN: Final = 1


def read_audio_family(
    body: JsonObject, model: Model, *, stream: bool, resolve: bool, wait_timeout: str | None
) -> Ask:
    """Check such a body and take from it what is asked.

    Raises:
        Refusal: its shape is not that of contract 2.3.
    """
    messages = read_input(body)
    parameters = body.get("parameters")
    if not isinstance(parameters, dict):
        raise Refusal("BadRequest.EmptyParameters", "Required parameters are missing.")
    if not isinstance(parameters.get("format"), str) or not parameters["format"]:
        raise Refusal("InvalidParameter", "parameters must contain format")
    hints = parameters.get("language_hints", [])
    most = _HINTS_FUN if model.name.startswith("fun-") else _HINTS_QWEN
    if not isinstance(hints, list) or len(hints) > most:
        raise Refusal("InvalidParameter", f"language_hints takes at most {most} codes.")
    if len(messages) > _MOST_TURNS + 1:
        raise Refusal("InvalidParameter", "At most five turns of context are allowed.")
    for message in messages[:-1]:
        _check_turn(message)
    return Ask(
        model=model,
        source=_audio_of(messages[-1]),
        language=hints[0] if hints and isinstance(hints[0], str) else None,
        stream=stream,
        resolve=resolve,
        wait_timeout=wait_timeout,
    )


def _check_turn(message: JsonObject) -> None:
    kinds = {"user": "input_text", "assistant": "text"}
    content = message.get("content")
    kind = kinds.get(str(message.get("role")))
    if (
        kind is None
        or not isinstance(content, list)
        or not all(isinstance(part, dict) and part.get("type") == kind for part in content)
    ):
        raise Refusal("ServiceUnavailableError")


def _audio_of(message: JsonObject) -> str:
    content = message.get("content")
    if message.get("role") != "user" or not isinstance(content, list) or len(content) != 1:
        raise Refusal("ServiceUnavailableError")
    part: Any = content[0]
    audio = part.get("input_audio") if isinstance(part, dict) else None
    if not isinstance(audio, dict) or part.get("type") != "input_audio":
        raise Refusal("InvalidParameter", "The last message must hold one input_audio.")
    source = audio.get("data")
    if not isinstance(source, str) or not source:
        raise Refusal("InvalidParameter", "input_audio.data is required.")
    return source


def sentence_answer(answer: Answer, layout: Layout) -> JsonObject:
    """The answer, laid out as the host of the knobs does (contract 2.3, measured)."""
    output: JsonObject = {"text": answer.text}
    utterances = [utterance for track in answer.listening.tracks for utterance in track.utterances]
    if utterances:
        output["sentence"] = _whole(answer, utterances)
        output["sentences"] = [
            _sentence(number, utterance, answer.listening.tracks[0])
            for number, utterance in enumerate(utterances, start=1)
        ]
    usage = {"duration": answer.seconds}
    match layout:
        case Layout.SHARED:
            return {"request_id": answer.request_id, "output": output, "usage": usage}
        case Layout.NESTED:
            return {"request_id": answer.request_id, "output": {"output": output}, "usage": usage}
        case Layout.WORKSPACE:
            return {**output, "usage": usage, "request_id": answer.request_id, "output": output}


def _whole(answer: Answer, utterances: list[Utterance]) -> JsonObject:
    """One sentence that spans the whole file."""
    words = [word for utterance in utterances for word in _words(utterance)]
    return {
        "sentence_id": 1,
        "begin_time": milliseconds(utterances[0].begin),
        "end_time": milliseconds(utterances[-1].end),
        "text": answer.text,
        "channel_id": 0,
        "sentence_end": True,
        "words": words,
    }


def _sentence(number: int, utterance: Utterance, track: Track) -> JsonObject:
    return {
        "sentence_id": number,
        "begin_time": milliseconds(utterance.begin),
        "end_time": milliseconds(utterance.end),
        "text": utterance.text,
        "channel_id": track.channel,
        "sentence_end": True,
        "words": _words(utterance),
    }


def _words(utterance: Utterance) -> list[JsonObject]:
    return [
        {
            "begin_time": milliseconds(word.begin),
            "end_time": milliseconds(word.end),
            "text": word.text,
            "punctuation": word.punctuation,
            "fixed": True,
        }
        for word in utterance.words
    ]

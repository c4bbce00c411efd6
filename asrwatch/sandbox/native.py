"""The native dialect of `qwen3-asr-flash` and `qwen-audio-asr` (contract 2.2, 2.6)."""

from collections.abc import Iterator
from typing import Any

from asrwatch.sandbox.bodies import JsonObject
from asrwatch.sandbox.compatible import check_context, pieces_of
from asrwatch.sandbox.knobs import SilentSync
from asrwatch.sandbox.models import Family, Model
from asrwatch.sandbox.options import read_asr_options
from asrwatch.sandbox.refusals import Refusal
from asrwatch.sandbox.sync import Answer, Ask

__all__ = ["generation", "generation_pieces", "read_generation", "read_input"]


def read_generation(
    body: JsonObject, model: Model, *, stream: bool, resolve: bool, wait_timeout: str | None
) -> Ask:
    """Check a native body and take from it what is asked.

    Raises:
        Refusal: its shape is not that of contract 2.2 (2.6 for the old model).
    """
    messages = read_input(body)
    parameters = body.get("parameters", {})
    if not isinstance(parameters, dict):
        raise Refusal("InvalidParameter", "parameters must be an object.")
    roles = [message.get("role") for message in messages]
    old = model.family is Family.OLD_SYNC
    if roles != ["user"] and (old or roles != ["system", "user"]):
        raise Refusal("ServiceUnavailableError")
    if len(messages) > 1:
        check_context(messages[0].get("content"), compatible=False)
    if old and "asr_options" in parameters:
        raise Refusal("InvalidParameter", "asr_options is not supported by this model.")
    content = messages[-1].get("content")
    if not isinstance(content, list) or len(content) != 1 or not isinstance(content[0], dict):
        raise Refusal("ServiceUnavailableError")
    source = content[0].get("audio")
    if not isinstance(source, str) or not source:
        raise Refusal("InvalidParameter", "The user message must hold one audio.")
    return Ask(
        model=model,
        source=source,
        language=read_asr_options(parameters.get("asr_options")),
        stream=stream,
        incremental=parameters.get("incremental_output") is True,
        resolve=resolve,
        wait_timeout=wait_timeout,
    )


def read_input(body: JsonObject) -> list[JsonObject]:
    """`input.messages`, a non-empty list of objects.

    Raises:
        Refusal: it is not.
    """
    if not isinstance(body.get("input"), dict):
        raise Refusal("BadRequest.EmptyInput", 'Required body invalid, "input" is missing.')
    messages = body["input"].get("messages")
    if (
        not isinstance(messages, list)
        or not messages
        or not all(isinstance(message, dict) for message in messages)
    ):
        raise Refusal("InvalidParameter", "input must contain messages")
    return messages


def generation(answer: Answer, silent: SilentSync, text: str | None = None) -> JsonObject:
    """The answer in one object; `text` replaces the whole text by a piece of it."""
    shown = answer.text if text is None else text
    empty = answer.silent and silent is SilentSync.EMPTY_CONTENT
    tokens = len(shown.encode()) // 4 + bool(shown)
    return {
        "request_id": answer.request_id,
        "output": {
            "choices": [
                {
                    "finish_reason": answer.finish_reason,
                    "message": {
                        "role": "assistant",
                        "annotations": [
                            {
                                "type": "audio_info",
                                "language": answer.language,
                                "emotion": answer.emotion,
                            }
                        ],
                        "content": [] if empty else [{"text": shown}],
                    },
                }
            ]
        },
        "usage": {
            "seconds": answer.seconds,
            "input_tokens_details": {"text_tokens": 0},
            "output_tokens_details": {"text_tokens": tokens},
        },
    }


def generation_pieces(
    answer: Answer, silent: SilentSync, *, incremental: bool
) -> Iterator[JsonObject]:
    """The stream's answers: increments, or each holding all so far; only the last one is finished."""
    pieces = pieces_of(answer.text) or [""]
    so_far = ""
    for number, piece in enumerate(pieces, start=1):
        so_far += piece
        whole = generation(answer, silent, piece if incremental else so_far)
        if number < len(pieces):
            _unfinished(whole)
        yield whole


def _unfinished(whole: JsonObject) -> None:
    choice: dict[str, Any] = whole["output"]["choices"][0]
    choice["finish_reason"] = "null"

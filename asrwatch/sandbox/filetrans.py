"""The two task dialects: what a submit may hold, and the result files (contract 4.1, 4.3, 4.4)."""

from dataclasses import dataclass

from asrwatch.sandbox.bodies import JsonObject
from asrwatch.sandbox.models import Family, Model
from asrwatch.sandbox.options import read_language
from asrwatch.sandbox.recogniser import Listening, Track, Utterance
from asrwatch.sandbox.refusals import Refusal
from asrwatch.sandbox.times import milliseconds

__all__ = ["Order", "audio_result", "qwen_result", "read_order"]


@dataclass(frozen=True, kw_only=True)
class Order:
    """What a submit asks for.

    Args:
        model: which one.
        url: where the audio is.
        channels: which channels, each billed.
        language: asked for; echoed per sentence.
        words: whether word times are wanted.
        resolve: whether `oss://` is allowed.
        doomed: whether it is accepted only to fail, for its missing `parameters` (contract 4.4).
    """

    model: Model
    url: str
    channels: tuple[int, ...] = (0,)
    language: str | None = None
    words: bool = False
    resolve: bool = False
    doomed: bool = False

    @property
    def many(self) -> bool:
        """Whether this is the `results[]` dialect."""
        return self.model.family is Family.AUDIO_FILETRANS


def read_order(body: JsonObject, model: Model, *, resolve: bool, may_doom: bool) -> Order:
    """Check a submit's body and take from it what is asked.

    Raises:
        Refusal: its shape is not that of contract 4.1 or 4.4.
    """
    asked = body.get("input")
    if not isinstance(asked, dict):
        raise Refusal("BadRequest.EmptyInput", 'Required body invalid, "input" is missing.')
    many = model.family is Family.AUDIO_FILETRANS
    parameters = body.get("parameters")
    doomed = many and parameters is None and may_doom
    if many and parameters is None and not may_doom:
        raise Refusal("BadRequest.EmptyParameters", "Required parameters are missing.")
    if parameters is None:
        parameters = {}
    if not isinstance(parameters, dict):
        raise Refusal("InvalidParameter", "parameters must be an object.")
    words = parameters.get("enable_words", False)
    if not isinstance(words, bool):
        raise Refusal("InvalidParameter", "enable_words must be a boolean.")
    return Order(
        model=model,
        url=_url_in_list(asked) if many else _url(asked),
        channels=_channels(parameters),
        language=None if many else read_language(parameters),
        words=words,
        resolve=resolve,
        doomed=doomed,
    )


def _url(asked: JsonObject) -> str:
    url = asked.get("file_url")
    if not isinstance(url, str) or not url:
        raise Refusal("InvalidParameter", "input must contain file_url")
    return url


def _url_in_list(asked: JsonObject) -> str:
    urls = asked.get("file_urls")
    if not isinstance(urls, list) or not urls:
        raise Refusal("InvalidParameter", "input must contain file_urls")
    if len(urls) != 1 or not isinstance(urls[0], str) or not urls[0]:
        raise Refusal("InvalidParameter", "file_urls must contain exactly one URL")
    return urls[0]


def _channels(parameters: JsonObject) -> tuple[int, ...]:
    channels = parameters.get("channel_id", [0])
    numbers = isinstance(channels, list) and all(
        isinstance(channel, int) and not isinstance(channel, bool) and channel >= 0
        for channel in channels
    )
    if not numbers or not channels or len(set(channels)) != len(channels):
        raise Refusal("InvalidParameter", "channel_id must be a list of channel numbers.")
    return tuple(channels)


def qwen_result(order: Order, listening: Listening) -> JsonObject:
    """The result file of `qwen3-asr-flash-filetrans` (contract 4.3)."""
    return {
        "file_url": order.url,
        "audio_info": {"format": listening.container, "sample_rate": listening.sample_rate},
        "transcripts": [
            {
                "channel_id": track.channel,
                "text": track.text,
                "sentences": [
                    _qwen_sentence(order, listening, number, utterance)
                    for number, utterance in enumerate(track.utterances)
                ],
            }
            for track in listening.tracks
        ],
    }


def _qwen_sentence(
    order: Order, listening: Listening, number: int, utterance: Utterance
) -> JsonObject:
    sentence: JsonObject = {
        "sentence_id": number,
        "begin_time": milliseconds(utterance.begin),
        "end_time": milliseconds(utterance.end),
        "language": order.language or listening.language,
        "emotion": listening.emotion,
        "text": utterance.text,
    }
    if order.words:
        # Contract 4.3: in the vendor's sample the second word carries the space before it.
        spaced = " " in utterance.text
        sentence["words"] = [
            {
                "begin_time": milliseconds(word.begin),
                "end_time": milliseconds(word.end),
                "text": f" {word.text}" if spaced and index else word.text,
                "punctuation": word.punctuation,
            }
            for index, word in enumerate(utterance.words)
        ]
    return sentence


def audio_result(order: Order, listening: Listening) -> JsonObject:
    """The result file of the other family (contract 4.4)."""
    return {
        "file_url": order.url,
        "properties": {
            "audio_format": listening.container,
            "channels": list(range(listening.channels)),
            "original_sampling_rate": listening.sample_rate,
            "original_duration_in_milliseconds": milliseconds(listening.duration),
        },
        "transcripts": [_audio_track(track) for track in listening.tracks],
    }


def _audio_track(track: Track) -> JsonObject:
    return {
        "channel_id": track.channel,
        "content_duration_in_milliseconds": speech_milliseconds(track),
        "text": track.text,
        "sentences": [
            {
                "sentence_id": number,
                "begin_time": milliseconds(utterance.begin),
                "end_time": milliseconds(utterance.end),
                "text": utterance.text,
                "words": [
                    {
                        "begin_time": milliseconds(word.begin),
                        "end_time": milliseconds(word.end),
                        "text": word.text,
                        "punctuation": word.punctuation,
                    }
                    for word in utterance.words
                ],
            }
            for number, utterance in enumerate(track.utterances, start=1)
        ],
    }


def speech_milliseconds(track: Track) -> int:
    """How much of a channel is speech: what that family bills (contract 3)."""
    return sum(milliseconds(utterance.end - utterance.begin) for utterance in track.utterances)

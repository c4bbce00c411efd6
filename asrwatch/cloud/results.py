"""Read a finished task's result file, in either dialect, into a transcript (contract sections 4.3 and 4.4)."""

from collections import Counter
from collections.abc import Mapping
from datetime import timedelta

from pydantic import JsonValue

from asrwatch.cloud import loose
from asrwatch.cloud.codes import Verdict, verdict
from asrwatch.cloud.tasks import read_poll
from asrwatch.errors import RecordingError
from asrwatch.journey.evidence import Answer
from asrwatch.journey.transcript import Sentence, Transcript, Word

__all__ = ["joined", "source_url", "transcript"]


def joined(task: bytes, result: bytes | None) -> bytes:
    """The raw answer that is kept: query and result file as they came, in one JSON object."""
    mark = b"\xef\xbb\xbf"
    kept = b"null" if result is None else result.removeprefix(mark)
    return b'{"task": ' + task.removeprefix(mark) + b', "result": ' + kept + b"}"


def source_url(result: JsonValue) -> str | None:
    """The URL the cloud fetched the audio from: it carries our ask id."""
    return loose.text(loose.field(result, "file_url"))


def transcript(answer: Answer) -> Transcript:
    """What the stored answer says. Pure.

    Raises:
        RecordingError: it holds no transcript.
    """
    document = loose.parse(answer.raw)
    if _silent(loose.field(document, "task")):
        return Transcript(text="", no_speech=True, billed=answer.billed)
    result = loose.mapping(loose.field(document, "result"))
    if not isinstance(result.get("transcripts"), list):
        raise RecordingError(
            "The task's result holds no transcript.",
            code="unreadable-answer",
            advice="It is kept as it came; `asrwatch retry` asks again, which is paid once more.",
        )
    channels = [loose.mapping(channel) for channel in loose.items(result["transcripts"])]
    sentences = [sentence for channel in channels for sentence in _sentences(channel)]
    text = "\n".join(found for channel in channels if (found := _channel_text(channel)))
    if len(channels) > 1:
        sentences.sort(key=lambda sentence: sentence.begin or timedelta(0))
    return Transcript(
        text=text,
        sentences=tuple(sentences) if text else (),
        language=_language(sentences),
        emotion=_emotion(sentences),
        no_speech=not text,
        billed=answer.billed,
        duration=_duration(result, answer.billed, channels=len(channels)),
    )


def _silent(task: JsonValue) -> bool:
    poll = read_poll(task)
    if poll is None or poll.result_url is not None:
        return False
    rule = verdict(400, poll.code, poll.message) if poll.code else None
    return rule is not None and rule.verdict is Verdict.SILENT


def _channel_text(channel: Mapping[str, JsonValue]) -> str:
    whole = (loose.text(channel.get("text")) or "").strip()
    return whole or " ".join(sentence.text for sentence in _sentences(channel)).strip()


def _sentences(channel: Mapping[str, JsonValue]) -> list[Sentence]:
    number = loose.whole_number(channel.get("channel_id"))
    found = [
        _sentence(loose.mapping(sentence), channel=number)
        for sentence in loose.items(channel.get("sentences"))
    ]
    found = [sentence for sentence in found if sentence.text]
    text = (loose.text(channel.get("text")) or "").strip()
    return found or ([Sentence(text=text, channel=number)] if text else [])


def _sentence(sentence: Mapping[str, JsonValue], *, channel: int | None) -> Sentence:
    words = [_word(loose.mapping(word)) for word in loose.items(sentence.get("words"))]
    timed = tuple(word for word in words if word is not None)
    spoken = "".join(f"{word.text}{word.punctuation}" for word in timed)
    own = loose.whole_number(sentence.get("channel_id"))
    speaker = sentence.get("speaker_id")
    return Sentence(
        text=(loose.text(sentence.get("text")) or spoken).strip(),
        begin=loose.milliseconds(sentence.get("begin_time")),
        end=loose.milliseconds(sentence.get("end_time")),
        channel=channel if own is None else own,
        language=loose.text(sentence.get("language")) or None,
        emotion=loose.text(sentence.get("emotion")) or None,
        speaker=None if speaker is None else str(speaker),
        words=timed,
    )


def _word(word: Mapping[str, JsonValue]) -> Word | None:
    """A word with its times; its text keeps the spaces it came with, which differ between languages."""
    begin = loose.milliseconds(word.get("begin_time"))
    end = loose.milliseconds(word.get("end_time"))
    text = loose.text(word.get("text"))
    if begin is None or end is None or text is None:
        return None
    return Word(
        begin=begin, end=end, text=text, punctuation=loose.text(word.get("punctuation")) or ""
    )


def _language(sentences: list[Sentence]) -> str | None:
    """The language of most of the text."""
    weight: Counter[str] = Counter()
    for sentence in sentences:
        if sentence.language:
            weight[sentence.language] += len(sentence.text)
    return weight.most_common(1)[0][0] if weight else None


def _emotion(sentences: list[Sentence]) -> str | None:
    """The emotion of all sentences, if they agree: there is no such thing as an average one."""
    emotions = {sentence.emotion for sentence in sentences}
    return emotions.pop() if len(emotions) == 1 else None


def _duration(
    result: Mapping[str, JsonValue], billed: timedelta | None, *, channels: int
) -> timedelta | None:
    told = loose.field(result, "properties", "original_duration_in_milliseconds")
    span = loose.milliseconds(told)
    # each channel is billed, so only a single one's seconds are the recording's length
    return span if span is not None else (billed if channels == 1 else None)

"""Transcripts that the tests of the formats share."""
# ruff: noqa: RUF001 - Chinese punctuation is meant

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from asrwatch import formats, parts
from asrwatch.errors import RecordingError
from asrwatch.formats import Format
from asrwatch.journey.channels import named
from asrwatch.journey.plan import AudioFacts
from asrwatch.journey.transcript import Provenance, Sentence, Transcript, Word


def ms(count: int) -> timedelta:
    """So many milliseconds."""
    return timedelta(milliseconds=count)


def words_of(
    text: str, begin: int, end: int, *, leading_space: bool = False, split: str | None = " "
) -> tuple[Word, ...]:
    """Words of `text` that share the time evenly; `split` None takes every character as a word."""
    pieces = text.split(split) if split else list(text)
    marks = ",.!?;，。！？、"
    tokens: list[tuple[str, str]] = []
    for piece in pieces:
        bare = piece.rstrip(marks)
        if bare:
            tokens.append((bare, piece[len(bare) :]))
        elif tokens:
            tokens[-1] = (tokens[-1][0], tokens[-1][1] + piece)
    step = (end - begin) / max(len(tokens), 1)
    return tuple(
        Word(
            begin=ms(round(begin + index * step)),
            end=ms(round(begin + (index + 1) * step)),
            text=" " + bare if leading_space and index else bare,
            punctuation=punctuation,
        )
        for index, (bare, punctuation) in enumerate(tokens)
    )


PROVENANCE = Provenance(
    source="meeting_2026.wav",
    sha256="ab" * 32,
    recorded_at=datetime(2026, 7, 1, 9, 30, tzinfo=UTC),
    duration=timedelta(seconds=31, milliseconds=500),
    engine="qwen3-asr-flash-filetrans",
    model="qwen3-asr-flash-filetrans",
    options={"enable_words": True, "channel_id": [0]},
    left_out=("language_hints: this engine takes one language",),
    region="beijing",
    task_id="5f2c8a1e-task",
    status="SUCCEEDED",
    billed=timedelta(seconds=32),
    asrwatch="0.1.0",
    found_at=datetime(2026, 7, 1, 10, 0, tzinfo=UTC),
    asked_at=datetime(2026, 7, 1, 10, 0, 6, tzinfo=UTC),
    answered_at=datetime(2026, 7, 1, 10, 0, 46, 250000, tzinfo=UTC),
    raw={"file_url": "https://example.org/a.wav", "transcripts": []},
    facts=AudioFacts(
        container="wav",
        codec="pcm_s16le",
        duration=timedelta(seconds=31, milliseconds=500),
        sample_rate=16_000,
        channels=3,
        same_channels=False,
        silent_channels=(2,),
        tracks=1,
    ),
    track=0,
)

_ENGLISH = (
    (240, 5200, "Good morning, everybody, and thank you for coming to this rather early meeting."),
    (5600, 9100, "We have 3 things to decide today."),
    (
        12400,
        24900,
        (
            "The first is the new recorder in the big hall, which somebody has to carry up the "
            "stairs every single Monday; the second is who pays for it, and the third is lunch."
        ),
    ),
    (25100, 25400, "Agreed?"),
    (25500, 31000, "Then let us begin with lunch (as always), because hungry people decide badly."),
)
_CHINESE = (
    (300, 4300, "各位早上好，谢谢大家这么早就来参加这次会议。"),
    (
        4800,
        15000,
        (
            "今天我们要讨论三件事情：第一件是大厅里的新录音机，第二件是谁来付钱，"
            "第三件是关于 Kubernetes 集群的升级计划。"
        ),
    ),
    (15200, 16000, "好的。"),
)


def _heard(
    spoken: Sequence[tuple[int, int, str]], *, language: str, words: bool, split: str | None
) -> Transcript:
    sentences = tuple(
        Sentence(
            text=text,
            begin=ms(begin),
            end=ms(end),
            channel=0,
            language=language,
            emotion="neutral",
            words=words_of(text, begin, end, leading_space=True, split=split) if words else (),
        )
        for begin, end, text in spoken
    )
    gap = " " if split else ""
    return Transcript(
        text=gap.join(sentence.text for sentence in sentences),
        sentences=sentences,
        language=language,
        emotion="neutral",
        billed=timedelta(seconds=32),
    )


ENGLISH_WITH_WORDS = _heard(_ENGLISH, language="en", words=True, split=" ")
ENGLISH_WITHOUT_WORDS = _heard(_ENGLISH, language="en", words=False, split=" ")
CHINESE_WITH_WORDS = _heard(_CHINESE, language="zh", words=True, split=None)
TWO_CHANNELS = Transcript(
    text="Hello, this is the help desk. What can I do for you? My recorder <beeps> & smokes. Oh dear.",
    sentences=(
        Sentence(text="Hello, this is the help desk.", begin=ms(0), end=ms(1800), channel=0),
        Sentence(text="What can I do for you?", begin=ms(1900), end=ms(3000), channel=0),
        Sentence(text="Oh dear.", begin=ms(6000), end=ms(6400), channel=0),
        Sentence(text="My recorder <beeps> & smokes.", begin=ms(2800), end=ms(5800), channel=1),
    ),
)
NAMED = named(
    replace(
        TWO_CHANNELS,
        sentences=tuple(
            sorted(TWO_CHANNELS.sentences, key=lambda sentence: sentence.begin or timedelta())
        ),
    ),
    {0: "Agent <b>&amp;</b> *Ms {0} Okonkwo*", 1: "1) -->\n\nkäufer_", 2: "Supervisor"},
    heard=(0, 1),
)
"""Speakers whose names mean something to every format."""
NO_SPEECH = Transcript(text="", no_speech=True, billed=timedelta(seconds=3))
SYNC = Transcript(
    text="hello world. this is a short dictation.",
    sentences=(Sentence(text="hello world. this is a short dictation.", channel=0),),
    language="en",
    emotion="neutral",
)
SYNC_PROVENANCE = replace(
    PROVENANCE, engine="qwen3-asr-flash", model="qwen3-asr-flash", task_id=None, recorded_at=None
)

EXAMPLES = {
    "english_with_words": (ENGLISH_WITH_WORDS, PROVENANCE),
    "english_without_words": (ENGLISH_WITHOUT_WORDS, PROVENANCE),
    "chinese_with_words": (CHINESE_WITH_WORDS, PROVENANCE),
    "two_channels": (TWO_CHANNELS, PROVENANCE),
    "named_speakers": (NAMED, PROVENANCE),
    "no_speech": (NO_SPEECH, PROVENANCE),
    "sync_without_times": (SYNC, SYNC_PROVENANCE),
}


def part(name: str) -> Format[formats.FormatOptions]:
    """A format by its name, with its default options."""
    found = parts.find(formats, Format, name)  # type: ignore[type-abstract]  # mypy #4717
    return found(found.Options())


GOLDEN = Path(__file__).parent / "golden"


def write_golden_texts() -> None:
    """Accept what the formats write now (`python tests/format_helpers.py`); then read the difference."""
    GOLDEN.mkdir(exist_ok=True)
    for example, (transcript, provenance) in EXAMPLES.items():
        for name in parts.names(formats):
            with suppress(RecordingError):
                text = part(name).render(transcript, provenance)
                (GOLDEN / f"{example}.{name}").write_bytes(text.encode())


if __name__ == "__main__":
    write_golden_texts()

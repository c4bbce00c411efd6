"""Joins the answers to the pieces of a recording into one, and reads that as one transcript. Pure.

The joined answer holds every piece's own as it came, with its place: it can be read again for ever.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from unicodedata import east_asian_width

from pydantic import JsonValue, TypeAdapter

from asrwatch.journey.evidence import Answer
from asrwatch.journey.overlapping import without_what_both_have
from asrwatch.journey.plan import Piece
from asrwatch.journey.transcript import Sentence, Transcript, Word

__all__ = ["Joined", "is_joined", "joined", "parsed", "pieces_in", "read"]

_MARK = b'{"asrwatch": {"joined": 1'


@dataclass(frozen=True, kw_only=True, slots=True)
class Joined:
    """One piece of a joined answer: its place, and its own answer."""

    number: int
    of: int
    begin: timedelta
    end: timedelta
    overlap: timedelta
    channel: int | None
    ticket: str | None
    billed: timedelta | None
    received_at: datetime
    raw: JsonValue

    @property
    def answer(self) -> Answer:
        """Its answer, as its engine reads it."""
        raw = self.raw if isinstance(self.raw, str) else json.dumps(self.raw, ensure_ascii=False)
        return Answer(
            raw=raw.encode("utf-8", "surrogatepass"),
            received_at=self.received_at,
            billed=self.billed,
            ticket=self.ticket,
        )


_pieces = TypeAdapter(tuple[Joined, ...])


def joined(heard: Sequence[tuple[Piece, Answer]]) -> Answer:
    """One answer in the place of those to all pieces; what was billed is added up, unknown where one is.

    Args:
        heard: every piece with its answer.
    """
    ordered = sorted(heard, key=lambda each: each[0].number)
    told = tuple(
        Joined(
            number=piece.number,
            of=piece.of,
            begin=piece.begin,
            end=piece.end,
            overlap=piece.overlap,
            channel=piece.channel,
            ticket=answer.ticket,
            billed=answer.billed,
            received_at=answer.received_at,
            raw=parsed(answer),
        )
        for piece, answer in ordered
    )
    bills = [piece.billed for piece in told]
    document = {"asrwatch": {"joined": 1, "pieces": _pieces.dump_python(told, mode="json")}}
    return Answer(
        raw=json.dumps(document).encode(),
        received_at=max(piece.received_at for piece in told),
        billed=None
        if any(bill is None for bill in bills)
        else sum((bill for bill in bills if bill is not None), timedelta(0)),
    )


def parsed(answer: Answer) -> JsonValue:
    """The raw answer as JSON; as text where it is not JSON."""
    try:
        value: JsonValue = json.loads(answer.raw)
    except ValueError:
        return answer.raw.decode("utf-8", "replace")
    return value


def is_joined(answer: Answer) -> bool:
    """Whether a stored answer was put together from those to pieces."""
    return answer.raw.startswith(_MARK)


def pieces_in(answer: Answer) -> tuple[Joined, ...]:
    """The pieces of a joined answer; none of any other."""
    if not is_joined(answer):
        return ()
    return _pieces.validate_python(json.loads(answer.raw)["asrwatch"]["pieces"])


def read(answer: Answer, engine: Callable[[Answer], Transcript]) -> Transcript:
    """The transcript of a joined answer.

    Args:
        answer: as `joined` made it.
        engine: reads one piece's answer.

    Returns:
        Sentences in the order of their times, whatever channel; text, language, billed seconds of them all.

    Raises:
        RecordingError: a piece's answer holds no usable transcript.
    """
    pieces = pieces_in(answer)
    heard = [(piece, engine(piece.answer)) for piece in pieces]
    sentences: list[tuple[Joined, Sentence]] = []
    for channel in dict.fromkeys(piece.channel for piece in pieces):
        sentences += _of_one_channel([one for one in heard if one[0].channel == channel])
    spoken = tuple(sentence for _, sentence in sorted(sentences, key=lambda each: _position(*each)))
    return Transcript(
        text=_in_a_row([sentence.text for sentence in spoken]),
        sentences=spoken,
        language=_most(transcript.language for _, transcript in heard),
        emotion=_most(transcript.emotion for _, transcript in heard),
        no_speech=not spoken,
        billed=answer.billed,
        duration=max((piece.end for piece in pieces), default=None),
    )


def _of_one_channel(
    heard: Sequence[tuple[Joined, Transcript]],
) -> list[tuple[Joined, Sentence]]:
    """Sentences of pieces that follow each other, each word once."""
    told: list[tuple[Joined, Sequence[Sentence]]] = []
    for piece, transcript in heard:
        later: Sequence[Sentence] = _placed(piece, transcript)
        if piece.overlap and told:
            before, earlier = told.pop()
            earlier, later = without_what_both_have(earlier, later, overlap=piece.overlap)
            told.append((before, earlier))
        told.append((piece, later))
    return [(piece, sentence) for piece, sentences in told for sentence in sentences]


def _placed(piece: Joined, transcript: Transcript) -> tuple[Sentence, ...]:
    """A piece's sentences, at their times in the whole recording."""
    sentences = transcript.sentences
    if not sentences and transcript.text:
        sentences = (Sentence(text=transcript.text, language=transcript.language),)
    return tuple(_moved(sentence, piece) for sentence in sentences)


def _moved(sentence: Sentence, piece: Joined) -> Sentence:
    """At its time in the whole recording; one without times has those of its piece."""
    begin, end = sentence.begin, sentence.end
    if begin is None and end is None and not sentence.words:
        begin, end = piece.overlap, piece.end - piece.begin
    return replace(
        sentence,
        begin=None if begin is None else begin + piece.begin,
        end=None if end is None else end + piece.begin,
        channel=sentence.channel if piece.channel is None else piece.channel,
        words=tuple(_word_moved(word, piece.begin) for word in sentence.words),
    )


def _word_moved(word: Word, by: timedelta) -> Word:
    return replace(word, begin=word.begin + by, end=word.end + by)


def _position(piece: Joined, sentence: Sentence) -> tuple[timedelta, int]:
    """Where a sentence belongs: by its own time, else by its piece's."""
    return (piece.begin if sentence.begin is None else sentence.begin, sentence.channel or 0)


def _in_a_row(texts: Sequence[str]) -> str:
    """With a space between them, but for scripts that have none."""
    row = ""
    for text in texts:
        wide = row and text and any(east_asian_width(one) in "WF" for one in (row[-1], text[0]))
        row += text if not row or wide else f" {text}"
    return row


def _most(values: Iterable[str | None]) -> str | None:
    """What most pieces agree on."""
    known = Counter(value for value in values if value)
    return known.most_common(1)[0][0] if known else None

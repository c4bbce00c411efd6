"""Where recordings are cut, in which every second of speech is heard, and what overlaps is told once."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from asrwatch.audio import cutting
from asrwatch.audio.booth import surveying
from asrwatch.audio.cutting import Stretch
from asrwatch.journey.evidence import Answer
from asrwatch.journey.joining import is_joined, joined, pieces_in, read
from asrwatch.journey.overlapping import without_what_both_have
from asrwatch.journey.plan import Cut, Piece
from asrwatch.journey.transcript import Sentence, Transcript, Word

SECOND = 16_000
SPAN = timedelta(seconds=1)
NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)


@some.composite
def sounds(draw: some.DrawFn) -> tuple[int, list[tuple[int, int]]]:
    """The samples of a recording, and its pauses in order."""
    pauses, at = [], 0
    for _ in range(draw(some.integers(0, 40))):
        begin = at + draw(some.integers(1, 90 * SECOND))
        at = begin + draw(some.integers(SECOND // 3, 8 * SECOND))
        pauses.append((begin, at))
    return at + draw(some.integers(1, 200 * SECOND)), pauses


RULES = some.builds(
    lambda target, longest, cues: (cutting.for_cues if cues else cutting.near)(
        timedelta(seconds=target), timedelta(seconds=longest)
    ),
    some.integers(10, 300),
    some.integers(20, 300),
    some.booleans(),
)


@settings(max_examples=30)
@given(sound=sounds(), how=RULES)
def test_all_speech_is_in_a_piece(sound: tuple[int, list[tuple[int, int]]], how: Cut) -> None:
    """Whatever the pauses, every moment of speech is in a piece, in order, and no piece is longer than the limit."""
    count, pauses = sound
    total = -(-count // 16)
    stretches = cutting.cut(count, pauses, how)
    assert all(0 <= one.begin < one.end <= total for one in stretches)
    assert all(one.end - one.begin <= how.longest / timedelta(milliseconds=1) for one in stretches)
    assert stretches == tuple(sorted(stretches, key=lambda one: one.begin))
    heard_until = 0
    for one in stretches:
        assert one.overlap == max(heard_until - one.begin, 0)
        if one.begin > heard_until:  # left out: it lies within a pause
            assert how.cues
            assert any(
                begin // 16 <= heard_until and one.begin <= -(-end // 16) for begin, end in pauses
            )
        heard_until = one.end
    if not how.cues:
        assert heard_until == total
    elif heard_until < total:
        assert any(begin // 16 <= heard_until and end // 16 >= total - 1 for begin, end in pauses)


@settings(max_examples=30)
@given(sound=sounds(), how=RULES)
def test_no_cut_in_speech_where_a_pause_is_near(
    sound: tuple[int, list[tuple[int, int]]], how: Cut
) -> None:
    """A piece ends within a pause, or there was none within reach of where it was to end."""
    count, pauses = sound
    stretches = cutting.cut(count, pauses, how)
    reach = how.reach / timedelta(milliseconds=1)
    for one, following in pairwise(stretches):
        inside = any(begin <= one.end * 16 <= end for begin, end in pauses)
        if not inside:
            assert following.overlap > 0
            assert not any(
                begin / 16 < one.end + reach * 0.99 - 1
                and end / 16 > one.end - reach * 0.99 + 1
                and one.begin < begin / 16
                and end / 16 < one.begin + how.longest / timedelta(milliseconds=1)
                for begin, end in pauses
            )


def test_few_pauses_are_found() -> None:
    """In speech that hardly ever pauses, two pauses of a second in two minutes are found; in noise none is."""
    loud = np.full(6_000, 80, dtype=np.uint8)
    loud[2_000:2_050] = loud[4_000:4_050] = 20
    assert surveying.pauses(loud, 6_000 * 320) == (
        (2_000 * 320, 2_050 * 320),
        (4_000 * 320, 4_050 * 320),
    )
    assert surveying.pauses(np.full(6_000, 80, dtype=np.uint8), 6_000 * 320) == ()


def test_pieces_are_about_as_long() -> None:
    """Ten minutes with a pause every ten seconds, cut near three minutes: four pieces, none a scrap."""
    pauses = [(n * 10 * SECOND - SECOND // 2, n * 10 * SECOND) for n in range(1, 60)]
    how = cutting.near(180 * SPAN, 295 * SPAN)
    lengths = [one.end - one.begin for one in cutting.cut(600 * SECOND, pauses, how)]
    assert len(lengths) == cutting.about(600 * SPAN, how) == 4
    assert max(lengths) - min(lengths) < 25_000


def test_cues_leave_pauses_out() -> None:
    """For subtitles a piece begins and ends a third of a second beside its speech, and never in a long pause."""
    how = cutting.for_cues(180 * SPAN, 295 * SPAN)
    pauses = [(0, 2 * SECOND), (5 * SECOND, 9 * SECOND), (12 * SECOND, 20 * SECOND)]
    assert cutting.cut(20 * SECOND, pauses, how) == (
        Stretch(begin=1_700, end=5_300),
        Stretch(begin=8_700, end=12_300),
    )


def _sentences(*texts: str) -> tuple[Sentence, ...]:
    return tuple(Sentence(text=text) for text in texts)


@pytest.mark.parametrize(
    ("earlier", "later", "whole"),
    [
        (
            "we went to the old house",
            "the old house, and then home",
            "we went to the old house, and then home",
        ),
        (
            "we went to the old hou",
            "to the old house and home",
            "we went to the old house and home",
        ),
        ("we went to the", "ent to the old house", "we went to the old house"),
        ("nothing in common", "at all", "nothing in common at all"),
        ("I said the", "the end", "I said the end"),
        ("今天天气很好我们去公", "很好我们去公园玩吧", "今天天气很好我们去公园玩吧"),
        ("今天天气很好。我们去", "气很好、我们去公园", "今天天气很好。我们去公园"),
        ("mixed 中文 words here", "words here 再见", "mixed 中文 words here 再见"),
        ("Es war gut.", "", "Es war gut."),
        ("", "Es war gut.", "Es war gut."),
    ],
)
def test_what_both_heard_is_told_once(earlier: str, later: str, whole: str) -> None:
    """Words that two overlapping pieces both hold are told once, in scripts with and without spaces."""
    kept = without_what_both_have(
        _sentences(earlier) if earlier else (),
        _sentences(later) if later else (),
        overlap=2 * SPAN,
    )
    told = " ".join(one.text for part in kept for one in part)
    assert told.replace(" ", "") == whole.replace(" ", "")


WORDS = some.lists(
    some.text(alphabet="abcdefghij", min_size=1, max_size=5), min_size=3, max_size=40, unique=True
)
SIGNS = some.lists(
    some.characters(min_codepoint=0x4E00, max_codepoint=0x4F00),
    min_size=3,
    max_size=40,
    unique=True,
)


@settings(max_examples=30)
@given(words=some.one_of(WORDS, SIGNS), data=some.data())
def test_any_overlap_is_found(words: list[str], data: some.DataObject) -> None:
    """However many words of the overlap there are, all are told, once, in order, in English as in Chinese."""
    gap = " " if words[0].isascii() else ""
    cut = data.draw(some.integers(1, len(words) - 1))
    shared = data.draw(some.integers(0, min(cut, 20)))
    earlier, later = gap.join(words[:cut]), gap.join(words[cut - shared :])
    kept = without_what_both_have(_sentences(earlier), _sentences(later), overlap=2 * SPAN)
    assert gap.join(one.text for part in kept for one in part) == gap.join(words)


def _timed(text: str, begin: int) -> Sentence:
    """A word a second."""
    words = tuple(
        Word(begin=(begin + number) * SPAN, end=(begin + number + 1) * SPAN, text=each)
        for number, each in enumerate(text.split())
    )
    return Sentence(text=text, begin=words[0].begin, end=words[-1].end, words=words)


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ([("we went to the old house", 0)], [("the old house and then home", 3)]),
        ([("we went to the old hou", 0)], [("the old house and then home", 3)]),
        ([("we went to the old house", 0)], [("old house", 4), ("and then home", 6)]),
        ([("we went", 0), ("to the old house", 2)], [("t the old house and then home", 2)]),
    ],
)
def test_words_with_times_are_those_of_the_text(
    earlier: list[tuple[str, int]], later: list[tuple[str, int]]
) -> None:
    """Where an engine times words, each sentence keeps the words of its text; times go on from piece to piece."""
    kept, rest = without_what_both_have(
        [_timed(*one) for one in earlier], [_timed(*one) for one in later], overlap=3 * SPAN
    )
    told = [*kept, *rest]
    assert [word.text for one in told for word in one.words] == " ".join(
        one.text for one in told
    ).split()
    assert all((one.begin, one.end) == (one.words[0].begin, one.words[-1].end) for one in told)
    assert all(one.end <= two.begin for one, two in pairwise(told))  # type: ignore[operator] # they have times


def _piece(number: int, of: int, begin: float, end: float, **more: object) -> Piece:
    return Piece(number=number, of=of, begin=begin * SPAN, end=end * SPAN, **more)  # type: ignore[arg-type] # keys of Piece


def _answer(text: str, seconds: int) -> Answer:
    raw = f'{{"text": "{text}"}}'.encode()
    return Answer(raw=raw, received_at=NOW, billed=seconds * SPAN, ticket=None)


def _plain(answer: Answer) -> Transcript:
    text = pieces_text(answer)
    return Transcript(text=text, sentences=_sentences(text) if text else (), language="en")


def pieces_text(answer: Answer) -> str:
    """The text of a made-up answer."""
    return answer.raw.decode().split('"')[3]


@settings(max_examples=30)
@given(texts=some.lists(some.sampled_from(["one", "two", "three", ""]), min_size=1, max_size=12))
def test_joined_in_order_with_continuous_times(texts: list[str]) -> None:
    """Pieces come back in order whatever order they were heard in; times go on, seconds billed are added up."""
    of = len(texts)
    heard = [
        (_piece(n + 1, of, 10 * n, 10 * n + 10), _answer(text, 10)) for n, text in enumerate(texts)
    ]
    answer = joined(heard[::-1])
    assert is_joined(answer)
    assert answer.billed == of * 10 * SPAN
    assert [piece.number for piece in pieces_in(answer)] == list(range(1, of + 1))
    transcript = read(answer, _plain)
    assert transcript.text == " ".join(text for text in texts if text)
    begins = [sentence.begin for sentence in transcript.sentences]
    assert begins == [10 * n * SPAN for n, text in enumerate(texts) if text]
    assert transcript.no_speech == (not any(texts))
    assert transcript.duration == of * 10 * SPAN


def test_every_seam_of_speech_without_a_pause_is_joined_once() -> None:
    """Five pieces, each beginning two words before the last one ended: in the middle, too, no word is told twice."""
    words = [f"word{number}" for number in range(30)]
    heard = [
        (
            _piece(n + 1, 5, 6 * n - (1 if n else 0), 6 * n + 6, overlap=(1 if n else 0) * SPAN),
            _answer(" ".join(words[max(6 * n - 2, 0) : 6 * n + 6]), 7),
        )
        for n in range(5)
    ]
    transcript = read(joined(heard), _plain)
    assert transcript.text.split() == words
    assert [one.text.split()[0] for one in transcript.sentences] == words[::6]


def test_channels_share_one_timeline() -> None:
    """A piece of a channel gives its sentences that channel; both take turns by time."""
    heard = [
        (_piece(1, 4, 0, 10, channel=0), _answer("hello", 10)),
        (_piece(2, 4, 0, 10, channel=1), _answer("good day", 10)),
        (_piece(3, 4, 10, 20, channel=0), _answer("well", 10)),
        (_piece(4, 4, 10, 20, channel=1), _answer("bye", 10)),
    ]
    transcript = read(joined(heard), _plain)
    said = [(one.channel, one.text) for one in transcript.sentences]
    assert said == [(0, "hello"), (1, "good day"), (0, "well"), (1, "bye")]


def test_words_keep_their_times() -> None:
    """Times of sentences and words that an engine tells count from the beginning of the recording."""

    def timed(answer: Answer) -> Transcript:
        word = Word(begin=SPAN, end=2 * SPAN, text=pieces_text(answer))
        sentence = Sentence(text=word.text, begin=SPAN, end=2 * SPAN, words=(word,))
        return Transcript(text=word.text, sentences=(sentence,))

    heard = [
        (_piece(1, 2, 0, 10), _answer("one", 10)),
        (_piece(2, 2, 10, 20), _answer("two", 10)),
    ]
    later = read(joined(heard), timed).sentences[1]
    assert (later.begin, later.words[0].begin, later.words[0].end) == (
        11 * SPAN,
        11 * SPAN,
        12 * SPAN,
    )


def test_an_unknown_bill_stays_unknown() -> None:
    """Where one piece's answer does not say what was billed, the sum is not known either."""
    answer = Answer(raw=b'{"text": "x"}', received_at=NOW)
    heard = [(_piece(1, 2, 0, 10), _answer("one", 10)), (_piece(2, 2, 10, 20), answer)]
    assert joined(heard).billed is None

import unicodedata
from collections import defaultdict
from datetime import timedelta
from itertools import pairwise

import pytest
from format_helpers import CHINESE_WITH_WORDS, ENGLISH_WITH_WORDS, ms, words_of
from hypothesis import given, settings
from hypothesis import strategies as st

from asrwatch.formats._alignment import Clock
from asrwatch.formats._cues import Cue, CueOptions, cues
from asrwatch.formats._lines import Breaks, columns_of
from asrwatch.formats._text import one_line
from asrwatch.journey.transcript import Sentence, Transcript, Word

OPTIONS = CueOptions()
# what recordings hold, and what breaks programs: scripts, marks, joiners, wide and combining characters
ALPHABET = "abcdef XYZ 0123 .,!?;:-—'\"() äßé\u0301 你好世界，。！「」ーっ 안녕 שלום مرحبا، नमस्ते ไทย 👨\u200d👩 \t\n"  # noqa: RUF001 - punctuation of many scripts
TEXTS = st.text(alphabet=ALPHABET, max_size=400) | st.text(max_size=60)


@st.composite
def sentences(draw: st.DrawFn) -> Sentence:
    """Any sentence: with and without times, words that match or not, times that make no sense."""
    text = draw(TEXTS)
    moment = st.integers(-2_000, 60_000).map(ms)
    known = st.none() | moment
    begin, end = draw(known), draw(known)
    words: tuple[Word, ...] = ()
    kind = draw(st.sampled_from(["none", "sensible", "wild"]))
    if kind == "sensible":
        start = draw(st.integers(0, 30_000))
        words = words_of(one_line(text), start, start + draw(st.integers(1, 30_000)))
    elif kind == "wild":
        word = st.builds(Word, begin=moment, end=moment, text=st.text(ALPHABET, max_size=6))
        words = tuple(draw(st.lists(word, max_size=20)))
    channel = draw(st.sampled_from([None, 0, 1]))
    speaker = draw(st.sampled_from([None, "0", "1", "张伟张伟张伟张伟张伟张伟张伟张伟张伟张伟"]))
    return Sentence(text=text, begin=begin, end=end, channel=channel, speaker=speaker, words=words)


@st.composite
def transcripts(draw: st.DrawFn) -> Transcript:
    """Transcripts that have at least one time, so that subtitles can be made of them."""
    first = Sentence(text="x", begin=ms(0), end=ms(1), channel=0)
    rest = draw(st.lists(sentences(), max_size=5))
    return Transcript(text="x", sentences=(first, *rest))


def by_channel(found: tuple[Cue, ...]) -> dict[int | None, list[Cue]]:
    """Cues sorted into their channels, in the order they are shown."""
    channels = defaultdict(list)
    for cue in found:
        channels[cue.channel].append(cue)
    return channels


@settings(max_examples=100, deadline=None)
@given(transcripts())
def test_no_line_is_too_long(transcript: Transcript) -> None:
    """A cue has one or two lines of at most 42 columns, 21 wide characters, label included."""
    for cue in cues(transcript, OPTIONS):
        assert 1 <= len(cue.lines) <= 2
        label = f"{cue.label}: " if cue.label else ""
        for line in (label + cue.lines[0], *cue.lines[1:]):
            assert len(line) <= 42
            wide = sum(unicodedata.east_asian_width(character) in "WF" for character in line)
            assert wide <= 21
        assert all(line == line.strip() and line for line in cue.lines)


@settings(max_examples=100, deadline=None)
@given(transcripts())
def test_times_only_go_forward(transcript: Transcript) -> None:
    """Cues last, never begin before the start, and follow each other within their channel."""
    found = cues(transcript, OPTIONS)
    assert [cue.begin for cue in found] == sorted(cue.begin for cue in found)
    for channel in by_channel(found).values():
        assert channel[0].begin >= 0
        assert all(cue.end > cue.begin for cue in channel)
        assert all(one.end <= other.begin for one, other in pairwise(channel))


@settings(max_examples=100, deadline=None)
@given(transcripts())
def test_all_text_is_there(transcript: Transcript) -> None:
    """Every sentence's whole text is in its channel's cues, each in one piece and in order."""
    shown = {
        channel: "".join("".join("".join(cue.lines).split()) for cue in found)
        for channel, found in by_channel(cues(transcript, OPTIONS)).items()
    }
    length: dict[int | None, int] = defaultdict(int)
    for sentence in transcript.sentences:
        text = "".join(one_line(sentence.text).split())
        assert text in shown.get(sentence.channel, "")
        length[sentence.channel] += len(text)
    assert {channel: len(text) for channel, text in shown.items()} == {
        channel: count for channel, count in length.items() if count
    }


@settings(max_examples=200, deadline=None)
@given(TEXTS, st.integers(5, 60))
def test_breaks_hold_the_whole_text(text: str, columns: int) -> None:
    """The pieces between breaks are the text, and none is wider than a line."""
    text = one_line(text)
    breaks = Breaks(text, columns)
    assert breaks.places == sorted(set(breaks.places))
    assert "".join(text[start:end] for start, end in pairwise(breaks.places)) == text
    for place in range(len(breaks.places) - 1):
        assert breaks.width(place, place + 1) <= columns
        assert breaks.reach(place, columns) > place


@settings(max_examples=200, deadline=None)
@given(sentences(), st.integers(0, 5_000), st.integers(0, 60_000))
def test_a_clock_never_runs_backwards(sentence: Sentence, begin: int, lasting: int) -> None:
    """Whatever the words say, later characters are said later, all within the sentence."""
    text = one_line(sentence.text)
    clock = Clock(text, begin, begin + lasting, sentence.words)
    if not text:
        return
    begins = [clock.begin(position) for position in range(len(text))]
    ends = [clock.until(position) for position in range(1, len(text) + 1)]
    for times in (begins, ends):
        assert all(one <= other + 1e-6 for one, other in pairwise(times))
        assert all(begin - 1e-6 <= time <= begin + lasting + 1e-6 for time in times)


def test_cues_begin_and_end_with_their_words() -> None:
    """A cue is shown from its first word's begin to its last word's end, not shared by length."""
    words = (
        Word(begin=ms(1000), end=ms(1200), text="One"),
        Word(begin=ms(1300), end=ms(1900), text=" two", punctuation=","),
        Word(begin=ms(9000), end=ms(9900), text="three", punctuation="."),
    )
    sentence = Sentence(text="One two, three.", begin=ms(800), end=ms(10_000), words=words)
    found = cues(Transcript(text=sentence.text, sentences=(sentence,)), OPTIONS)
    assert [(cue.begin, cue.lines) for cue in found] == [(1000, ("One two,",)), (9000, ("three.",))]
    assert found[0].end == 2000  # a second to read it: nothing follows for a while


@pytest.mark.parametrize("spelling", ["{0}", " {0}", "{0} ", "{0}.", "UPPER {0}"])
def test_words_are_found_in_any_spelling(spelling: str) -> None:
    """A word may carry a space, its punctuation or other capitals; the sentence's text is what counts."""
    text = "the cat sat on the mat."
    bare = text.rstrip(".").split()
    words = tuple(
        Word(
            begin=ms(1000 * index),
            end=ms(1000 * index + 500),
            text=word.upper() if spelling.startswith("UPPER") else spelling.format(word),
        )
        for index, word in enumerate(bare)
    )
    clock = Clock(text, 0, 6000, words)
    assert clock.exact
    assert [clock.begin(text.index(word)) for word in ("cat", "sat", "mat")] == [1000, 2000, 5000]
    assert clock.until(len(text)) == 5500


def test_a_number_written_as_digits_takes_the_time_of_its_words() -> None:
    """Text the engine wrote otherwise than it heard lies between the words that were found."""
    text = "We have 23 things."
    heard = ["We", "have", "twenty", "three", "things"]
    words = tuple(
        Word(begin=ms(1000 * index), end=ms(1000 * index + 1000), text=word)
        for index, word in enumerate(heard)
    )
    clock = Clock(text, 0, 5000, words)
    assert clock.begin(text.index("things")) == 4000
    assert 2000 <= clock.begin(text.index("23")) < clock.until(text.index("23") + 2) <= 4000


def test_long_sentences_without_words_share_their_time_by_length() -> None:
    """Without words a cue's share of the time is its share of the text."""
    half = "word " * 15
    sentence = Sentence(text=f"{half.strip()}. {half.strip()}.", begin=ms(0), end=ms(20_000))
    found = cues(Transcript(text=sentence.text, sentences=(sentence,)), OPTIONS)
    assert len(found) == 2
    assert found[1].begin == pytest.approx(10_000, abs=200)
    assert found[1].end == 20_000


def test_no_cue_lasts_too_long_where_words_allow() -> None:
    """A slow speaker's cues are cut by time before they are full."""
    text = "one two three four five six seven eight nine ten"
    sentence = Sentence(text=text, begin=ms(0), end=ms(30_000), words=words_of(text, 0, 30_000))
    found = cues(Transcript(text=text, sentences=(sentence,)), OPTIONS)
    assert max(cue.end - cue.begin for cue in found) <= 7000
    assert len(found) >= 5


def test_cues_end_at_punctuation() -> None:
    """Where a sentence is too long for one cue, it is cut after punctuation if that is near enough."""
    long_one = ENGLISH_WITH_WORDS.sentences[2]
    found = cues(Transcript(text=long_one.text, sentences=(long_one,)), OPTIONS)
    assert [cue.lines[-1][-1] for cue in found] == [",", ";", "."]


def test_no_line_of_chinese_begins_with_punctuation() -> None:
    """Closing marks stay with what they close; Latin words in Chinese text are not torn."""
    text = CHINESE_WITH_WORDS.sentences[1].text * 6
    sentence = Sentence(text=text, begin=ms(0), end=ms(60_000))
    lines = [
        line
        for cue in cues(Transcript(text=text, sentences=(sentence,)), OPTIONS)
        for line in cue.lines
    ]
    assert not [line for line in lines if unicodedata.category(line[0]) == "Po"]
    assert sum("Kubernetes" in line for line in lines) == 6


def test_short_cues_stay_long_enough_to_be_read() -> None:
    """A word said in a moment is shown for a second, unless the next one begins earlier."""
    pair = (
        Sentence(text="Yes.", begin=ms(0), end=ms(100)),
        Sentence(text="No.", begin=ms(600), end=ms(700)),
    )
    found = cues(Transcript(text="Yes. No.", sentences=pair), OPTIONS)
    assert [(cue.begin, cue.end) for cue in found] == [(0, 600), (600, 1600)]


def test_channels_may_be_shown_at_the_same_time() -> None:
    """Two people who speak at once are both shown when they speak."""
    pair = (
        Sentence(text="Let me finish.", begin=ms(0), end=ms(3000), channel=0),
        Sentence(text="No, let me.", begin=ms(1000), end=ms(4000), channel=1),
    )
    found = cues(Transcript(text="", sentences=pair), OPTIONS)
    assert [(cue.begin, cue.end, cue.label) for cue in found] == [
        (0, 3000, "Channel 1"),
        (1000, 4000, "Channel 2"),
    ]


def test_sentences_without_times_are_placed_between_their_neighbours() -> None:
    """One sentence whose times are missing is shown in the gap, not lost."""
    row = (
        Sentence(text="First.", begin=ms(0), end=ms(2000)),
        Sentence(text="Second."),
        Sentence(text="Third.", begin=ms(5000), end=ms(6000)),
    )
    found = cues(Transcript(text="", sentences=row), OPTIONS)
    assert [(cue.begin, cue.end) for cue in found] == [(0, 2000), (2000, 5000), (5000, 6000)]


def test_a_long_recording_is_cut_quickly() -> None:
    """Hours in one sentence without punctuation take no more than a moment's work per cue."""
    text = "word " * 30_000
    words = words_of(text.strip(), 0, 12_600_000)
    sentence = Sentence(text=text, begin=ms(0), end=ms(12_600_000), words=words)
    found = cues(Transcript(text=text, sentences=(sentence,)), OPTIONS)
    assert len(found) > 1800
    assert sum(line.count("word") for cue in found for line in cue.lines) == 30_000


def test_options_change_the_cut() -> None:
    """Narrower lines and shorter cues are obeyed."""
    options = CueOptions(columns=20, longest=timedelta(seconds=2))
    found = cues(ENGLISH_WITH_WORDS, options)
    assert max(columns_of(line) for cue in found for line in cue.lines) <= 20
    assert max(cue.end - cue.begin for cue in found) <= 2000

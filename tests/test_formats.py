import json
import re
from dataclasses import replace
from datetime import timedelta

import pytest
from format_helpers import (
    ENGLISH_WITH_WORDS,
    EXAMPLES,
    GOLDEN,
    NO_SPEECH,
    PROVENANCE,
    SYNC,
    SYNC_PROVENANCE,
    TWO_CHANNELS,
    ms,
    part,
)

from asrwatch import formats, parts
from asrwatch.errors import RecordingError
from asrwatch.journey.transcript import Sentence, Transcript, Word

NAMES = parts.names(formats)
TIMELESS = tuple(name for name in NAMES if not part(name).timestamps)
HOSTILE = (
    "fine \x1b[31mred\x1b[0m \x1b]0;title\x07 bell\x07 null\x00 csi\x9b2J nel\x85 "
    "del\x7f lone\udcff override\u202e line\u2028end\r\nlast -->\n\n2\n00:00:01,000 --> 00:00:02,000"
)


def one_sentence(text: str, *, end: int = 60_000, words: tuple[Word, ...] = ()) -> Transcript:
    """A transcript of one sentence that lasts from the start to `end`."""
    sentence = Sentence(text=text, begin=ms(0), end=ms(end), channel=0, words=words)
    return Transcript(text=text, sentences=(sentence,))


STRANGE = {
    "no text, not marked as silent": Transcript(text=""),
    "white space only": one_sentence(" \n\t "),
    "a huge sentence": one_sentence("very " * 20_000 + "long."),
    "a huge word": one_sentence("x" * 5_000),
    "a huge Chinese sentence": one_sentence("长" * 20_000),
    "emoji": one_sentence("Family 👨‍👩‍👧‍👦 and flags 🇩🇪🇫🇷 " * 30),
    "right to left": one_sentence("مرحبا بكم في هذا الاجتماع، " * 20 + "שלום לכולם."),
    "combining marks": one_sentence("e" + "\u0301" * 500 + " नमस्ते दुनिया"),
    "controls": one_sentence(HOSTILE),
    "no length": one_sentence("Nothing lasts. " * 50, end=0),
    "words that are not in the text": one_sentence(
        "Twenty-three.", words=(Word(begin=ms(5), end=ms(9), text="23"),)
    ),
    "words that run backwards": one_sentence(
        "one two three",
        words=(
            Word(begin=ms(900), end=ms(800), text="one"),
            Word(begin=ms(100), end=ms(50), text="two"),
            Word(begin=ms(-5), end=ms(99_000), text="three"),
        ),
    ),
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("example", EXAMPLES)
def test_golden_texts(example: str, name: str) -> None:
    """Every format writes each example exactly as its golden text, and says so where it cannot."""
    transcript, provenance = EXAMPLES[example]
    golden = GOLDEN / f"{example}.{name}"
    if transcript is SYNC and part(name).timestamps:
        with pytest.raises(RecordingError, match="need times") as refused:
            part(name).render(transcript, provenance)
        assert refused.value.code == "no-times"
        assert "qwen3-asr-flash-filetrans" in refused.value.advice
        return
    assert part(name).render(transcript, provenance).encode() == golden.read_bytes()


def test_no_golden_text_is_left_over() -> None:
    """Every golden text belongs to an example and a format there is."""
    known = {f"{example}.{name}" for example in EXAMPLES for name in NAMES}
    assert {path.name for path in GOLDEN.iterdir()} <= known


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("strange", STRANGE)
def test_every_format_takes_anything(strange: str, name: str) -> None:
    """Every format writes every transcript: repeatably, in UTF-8, ending with a line break."""
    text = part(name).render(STRANGE[strange], PROVENANCE)
    assert text.endswith("\n")
    assert text.encode()
    assert part(name).render(STRANGE[strange], PROVENANCE) == text


@pytest.mark.parametrize("name", NAMES)
def test_every_format_is_named_as_its_file(name: str) -> None:
    """A format's name is its file's, can be a file's ending, and its first docstring line says what it is."""
    found = part(name)
    assert found.name == name
    assert re.fullmatch(r"[a-z0-9]+", name)
    assert (type(found).__doc__ or "").strip()


@pytest.mark.parametrize("name", NAMES)
def test_nothing_in_a_file_steers_a_terminal(name: str) -> None:
    """Escape sequences, controls and overrides of what was heard are in no file a person opens [X07] [X09]."""
    transcript = replace(one_sentence(HOSTILE), no_speech=False)
    text = part(name).render(transcript, replace(PROVENANCE, source="a\x1b[2J\udcffb.wav"))
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]", text)
    if name != "json":
        assert "fine red" in text
        assert "\u202e" not in text


@pytest.mark.parametrize("name", TIMELESS)
def test_a_sync_answer_is_written_whole(name: str) -> None:
    """Formats that need no times take an answer without any."""
    assert SYNC.text in part(name).render(SYNC, SYNC_PROVENANCE)


def test_txt_of_silence_is_one_line_break() -> None:
    """Where nothing was said the text file is neither empty nor words of ours."""
    assert part("txt").render(NO_SPEECH, PROVENANCE) == "\n"


def test_txt_never_leaves_out_text() -> None:
    """Sentences that hold less than the text give way to it."""
    shorter = replace(SYNC, text="All of it. And this.", sentences=(Sentence(text="All of it."),))
    assert part("txt").render(shorter, PROVENANCE) == "All of it. And this.\n"


def test_txt_joins_each_script_its_own_way() -> None:
    """Sentences are joined by a space in English and Korean, by nothing in Chinese and Japanese."""
    for one, other, whole in (
        ("Yes.", "No.", "Yes. No."),
        ("네.", "아니요.", "네. 아니요."),
        ("好的。", "再见。", "好的。再见。"),
        ("はい。", "いいえ。", "はい。いいえ。"),
    ):
        sentences = (Sentence(text=one, channel=0), Sentence(text=other, channel=0))
        heard = Transcript(text=one + other, sentences=sentences)
        assert part("txt").render(heard, PROVENANCE) == whole + "\n"


def test_txt_of_channels_without_times_goes_channel_by_channel() -> None:
    """Without times one labelled channel follows the other."""
    sentences = (Sentence(text="Left.", channel=0), Sentence(text="Right.", channel=1))
    heard = Transcript(text="Left. Right.", sentences=sentences)
    assert part("txt").render(heard, PROVENANCE) == "Channel 1:\nLeft.\n\nChannel 2:\nRight.\n"


def test_txt_labels_speakers() -> None:
    """Several speakers are told apart; one alone is not named."""
    sentences = (
        Sentence(text="Hello.", speaker="0", begin=ms(0), end=ms(900)),
        Sentence(text="Hi.", speaker="1", begin=ms(900), end=ms(1500)),
    )
    heard = Transcript(text="Hello. Hi.", sentences=sentences)
    assert part("txt").render(heard, PROVENANCE) == "Speaker 0:\nHello.\n\nSpeaker 1:\nHi.\n"
    alone = replace(heard, text="Hello.", sentences=sentences[:1])
    assert part("txt").render(alone, PROVENANCE) == "Hello.\n"


def test_json_is_json_whatever_the_cloud_sent() -> None:
    """NaN, lone surrogates and control characters still make a valid JSON file in UTF-8."""
    odd = replace(PROVENANCE, raw={"nan": float("nan"), "lone": "\udc00", "bell": "\x07\x9b"})
    heard = replace(SYNC, text="lone \ud83d here")
    read = json.loads(part("json").render(heard, odd).encode())
    assert read["raw"] == {"nan": None, "lone": "\udc00", "bell": "\x07\x9b"}
    assert read["text"] == heard.text


def test_json_holds_the_normalized_response_and_where_it_comes_from() -> None:
    """The response's keys are at the top, `task_id` for tasks only; everything else is in one shape."""
    task = json.loads(part("json").render(ENGLISH_WITH_WORDS, PROVENANCE))
    sync = json.loads(part("json").render(SYNC, SYNC_PROVENANCE))
    assert {"text", "status", "raw"} <= task.keys() & sync.keys()
    assert task["task_id"] == PROVENANCE.task_id
    assert task.keys() - sync.keys() == {"task_id"}
    assert task["sentences"][0].keys() == sync["sentences"][0].keys()
    assert task["provenance"].keys() == sync["provenance"].keys()
    assert task["sentences"][1]["begin_ms"] == 5600
    assert sync["sentences"][0]["begin_ms"] is None
    assert task["provenance"]["billed_seconds"] == 32
    assert task["provenance"]["answered_at"] == "2026-07-01T10:00:46.250+00:00"


def test_json_shows_names_that_are_not_utf8_escaped() -> None:
    """A source name's bytes that are not UTF-8 are shown, as escapes."""
    source = b"caf\xe9\n.wav".decode("utf-8", "surrogateescape")
    read = json.loads(part("json").render(SYNC, replace(PROVENANCE, source=source)))
    assert read["provenance"]["source"] == "caf\\xe9\\n.wav"


def test_json_tells_channels_apart() -> None:
    """Each channel has its own text beside the sentences."""
    read = json.loads(part("json").render(TWO_CHANNELS, PROVENANCE))
    assert [channel["channel"] for channel in read["channels"]] == [0, 1]
    assert read["channels"][1]["text"] == "My recorder <beeps> & smokes."


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("# not a title", "\\# not a title"),
        ("1. not a list", "1\\. not a list"),
        ("- not a list", "\\- not a list"),
        ("2 * 3 * 4 [link](http://x)", "2 \\* 3 \\* 4 \\[link\\](http://x)"),
        ("<script>", "\\<script>"),
        ("snake_case and _this_", "snake_case and \\_this\\_"),
        ("AT&T &amp; more", "AT&T \\&amp; more"),
        ("back\\slash `code` ~~gone~~", "back\\\\slash \\`code\\` \\~\\~gone\\~\\~"),
    ],
)
def test_md_shows_text_as_it_is(text: str, shown: str) -> None:
    """Nothing that was said becomes a heading, a list, a link, emphasis or HTML."""
    written = part("md").render(Transcript(text=text), PROVENANCE)
    assert written.rpartition("\n\n")[2] == shown + "\n"


@pytest.mark.parametrize(
    ("source", "title"),
    [
        ("talk.2026.wav", "talk.2026"),
        ("https://example.org/a%20b/call%201.mp3?sig=secret", "call 1"),
        ("#1 *best*.wav", "#1 \\*best\\*"),
        ("a\nb.wav", "a\\\\nb"),
        ("", "Transcript"),
    ],
)
def test_md_title_is_the_source_stem(source: str, title: str) -> None:
    """The title is the name without its ending, on one line, and never a URL's secrets."""
    written = part("md").render(SYNC, replace(PROVENANCE, source=source))
    assert written.startswith(f"# {title}\n")
    assert "secret" not in written


def test_md_counts_hours() -> None:
    """Times are hours, minutes and seconds from the start of the recording."""
    late = Sentence(text="Still here.", begin=timedelta(hours=2, minutes=3, seconds=4.9))
    heard = Transcript(text=late.text, sentences=(late,))
    assert "[02:03:04] Still here." in part("md").render(heard, PROVENANCE)


def test_srt_text_cannot_end_its_cue() -> None:
    """Blank lines and arrows in what was said cannot start a cue of their own."""
    text = "First.\n\n99\n00:00:01,000 --> 00:00:02,000\nfaked"
    written = part("srt").render(one_sentence(text), PROVENANCE)
    blocks = written.removesuffix("\n").split("\n\n")
    assert [block.partition("\n")[0] for block in blocks] == [
        str(number) for number in range(1, len(blocks) + 1)
    ]
    assert written.count("-->") == len(blocks)


def test_vtt_escapes_what_webvtt_reads() -> None:
    """Ampersands and angle brackets are escaped, so that neither tags nor arrows get through."""
    written = part("vtt").render(one_sentence("a <b> & --> c"), PROVENANCE)
    assert "a &lt;b&gt; &amp; --&gt; c" in written
    assert written.count("-->") == 1


def test_subtitles_name_who_speaks() -> None:
    """Several channels are labelled in SubRip and are voices in WebVTT."""
    assert "Channel 2: My recorder" in part("srt").render(TWO_CHANNELS, PROVENANCE)
    assert "<v Channel 2>My recorder" in part("vtt").render(TWO_CHANNELS, PROVENANCE)

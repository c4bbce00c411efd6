import copy
import json
import pickle
from dataclasses import asdict, dataclass
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from asrwatch.values import (
    Duration,
    Secret,
    Size,
    counted,
    format_duration,
    format_size,
    parse_duration,
    parse_size,
    printable,
)

KEY = "sk-0123456789abcdef"


@dataclass(frozen=True)
class Holder:
    """Something that holds a secret."""

    key: Secret


def test_secret_shows_itself_only_when_asked_by_name() -> None:
    """No way of printing shows a secret: repr, str, format, %, containers, dataclasses."""
    secret = Secret(KEY)
    shown = [
        repr(secret),
        str(secret),
        f"{secret}",
        f"{secret!r}",
        "%s %r" % (secret, secret),  # noqa: UP031 - old code formats like this
        repr([secret, {"key": secret}]),
        repr(Holder(secret)),
        repr(asdict(Holder(secret))),
    ]
    assert not any(KEY in text for text in shown)
    assert secret.reveal() == KEY


def test_secret_is_not_stored() -> None:
    """A secret cannot be pickled, dumped as JSON or read from its attributes by accident; a copy is itself."""
    secret = Secret(KEY)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match="not stored"):
            pickle.dumps(secret, protocol)
    with pytest.raises(TypeError):
        json.dumps(secret)
    with pytest.raises(TypeError):
        vars(secret)
    assert copy.copy(secret) is secret
    assert copy.deepcopy(Holder(secret)).key is secret


def test_secrets_compare_by_what_they_hide() -> None:
    """Two secrets with the same text are the same, and never equal to the bare text."""
    assert Secret(KEY) == Secret(KEY)
    assert hash(Secret(KEY)) == hash(Secret(KEY))
    assert Secret(KEY) != Secret("other")
    assert Secret(KEY) != KEY


@pytest.mark.parametrize(
    ("written", "span"),
    [
        ("500ms", timedelta(milliseconds=500)),
        ("10s", timedelta(seconds=10)),
        ("5m", timedelta(minutes=5)),
        ("5 min", timedelta(minutes=5)),
        ("2h", timedelta(hours=2)),
        ("3d", timedelta(days=3)),
        ("1w", timedelta(weeks=1)),
        ("1.5H", timedelta(minutes=90)),
        (" 7 s ", timedelta(seconds=7)),
        (0, timedelta(0)),
        (0.0, timedelta(0)),
        ("0s", timedelta(0)),
        (timedelta(hours=1), timedelta(hours=1)),
    ],
)
def test_durations_are_read(written: object, span: timedelta) -> None:
    """Durations are read as people write them."""
    assert parse_duration(written) == span


@pytest.mark.parametrize(
    "written",
    ["", "10", 10, 1.5, "s", "--5s", "5 years", "1h30m", "10s\n10s", None, True, False, [], "1e3s"],
)
def test_what_is_no_duration_is_refused(written: object) -> None:
    """A number without a unit, or anything else, is refused with the forms there are."""
    with pytest.raises(ValueError, match="such as 10s"):
        parse_duration(written)


@pytest.mark.parametrize("written", ["-5s", " -3 d", "-0.5h"])
def test_negative_durations_are_told_as_such(written: str) -> None:
    """A duration that is well written and negative is not called "no duration"."""
    with pytest.raises(ValueError, match=r"^must not be negative$"):
        parse_duration(written)


@pytest.mark.parametrize(
    ("number", "told"), [(0, "0 requests"), (1, "1 request"), (2, "2 requests")]
)
def test_one_of_a_thing_is_no_plural(number: int, told: str) -> None:
    """Numbers and what is counted agree."""
    assert counted(number, "request") == told


@pytest.mark.parametrize("written", ["9" * 400 + "d", "99999999999w", "9999999d"])
def test_durations_end_somewhere(written: str) -> None:
    """A duration beyond all bounds is refused, not a crash."""
    with pytest.raises(ValueError, match="longer than any duration"):
        parse_duration(written)


@pytest.mark.parametrize(
    ("span", "text"),
    [
        (timedelta(0), "0s"),
        (timedelta(seconds=0.5), "0.5s"),
        (timedelta(seconds=9), "9s"),
        (timedelta(seconds=59), "59s"),
        (timedelta(seconds=59.7), "1m 00s"),
        (timedelta(seconds=187), "3m 07s"),
        (timedelta(hours=2, minutes=5), "2h 05m"),
        (timedelta(days=3, hours=4), "3d 4h"),
        (timedelta(seconds=-187), "-3m 07s"),
    ],
)
def test_durations_are_written_for_people(span: timedelta, text: str) -> None:
    """Durations are written the way people read them."""
    assert format_duration(span) == text


@given(st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=10_000)))
def test_a_written_duration_keeps_its_size(span: timedelta) -> None:
    """What is written has two units at most, and no unit that overflows into the next."""
    text = format_duration(span)
    amounts = text.split()
    assert 1 <= len(amounts) <= 2
    if len(amounts) == 2 and not amounts[0].endswith("d"):
        assert int(amounts[1][:-1]) < 60


@pytest.mark.parametrize(
    ("written", "size"),
    [
        ("10MB", 10_000_000),
        ("2GB", 2_000_000_000),
        ("512KiB", 524_288),
        ("1.5 kb", 1_500),
        ("7 B", 7),
        ("1TiB", 2**40),
        (4096, 4096),
        (0, 0),
    ],
)
def test_sizes_are_read(written: object, size: int) -> None:
    """Sizes are read as people write them."""
    assert parse_size(written) == size


@pytest.mark.parametrize(
    "written", ["", "10", "MB", "-1MB", -1, 1.5, True, None, "10M", "9" * 400 + "B"]
)
def test_what_is_no_size_is_refused(written: object) -> None:
    """Anything else is refused with the forms there are."""
    with pytest.raises(ValueError, match="such as 10MB"):
        parse_size(written)


def test_sizes_are_written_for_people() -> None:
    """Sizes are written the way people read them."""
    sizes = [0, 812, 7_500_000, 2_000_000_000, 3 * 10**12, 5 * 10**15]
    assert [format_size(size) for size in sizes] == [
        "0 B",
        "812 B",
        "7.5 MB",
        "2.0 GB",
        "3.0 TB",
        "5000.0 TB",
    ]


class Settings(BaseModel):
    """As a configuration uses the two."""

    settle: Duration = timedelta(seconds=5)
    largest: Size = 10_000_000


def test_settings_take_and_give_durations() -> None:
    """In settings a duration is read from its written form, and written so that it can be read again."""
    settings = Settings.model_validate({"settle": "500ms", "largest": "7MB"})
    assert (settings.settle, settings.largest) == (timedelta(milliseconds=500), 7_000_000)
    dumped = settings.model_dump(mode="json")
    assert dumped == {"settle": "0.5s", "largest": 7_000_000}
    assert Settings.model_validate(dumped) == settings


@given(st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=3_650)))
def test_durations_survive_their_written_form(span: timedelta) -> None:
    """A duration in settings is the same after being written and read, to the accuracy a person writes."""
    settings = Settings(settle=span)
    again = Settings.model_validate(settings.model_dump(mode="json"))
    assert abs(again.settle - span) <= max(span / 10**5, timedelta(microseconds=1))


@pytest.mark.parametrize("settings", [{"settle": timedelta(-1)}, {"largest": 0}, {"largest": "0B"}])
def test_settings_refuse_what_makes_no_sense(settings: dict[str, object]) -> None:
    """A negative duration and a size of zero are refused."""
    with pytest.raises(ValidationError):
        Settings.model_validate(settings)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (b"talk.wav", "talk.wav"),
        ("Gespräch 中文.wav".encode(), "Gespräch 中文.wav"),
        (b"\xff.wav", "\\xff.wav"),
        (b"a\nb\r\tc", "a\\nb\\r\\tc"),
        (b"\x1b[31m\x07\x00\x7f", "\\x1b[31m\\x07\\x00\\x7f"),
        ("\u202egpj.wav", "\\u202egpj.wav"),
        ("\u2028\u2029\x85\x9b", "\\u2028\\u2029\\x85\\x9b"),
        ("\udcff\ud800", "\\xff\\ud800"),
        ("\u200b\ufeff\u00ad", "\\u200b\\ufeff\\xad"),
        ("\U000e0001", "\\U000e0001"),
    ],
)
def test_names_are_shown_harmless(name: bytes | str, shown: str) -> None:
    """Names stay readable, and whatever steers a terminal or breaks a line is shown as what it is."""
    assert printable(name) == shown


@given(st.binary() | st.text(st.characters(exclude_categories=[])))
def test_any_name_is_one_printable_line(name: bytes | str) -> None:
    """Any name at all is one line that can be printed and encoded."""
    shown = printable(name)
    assert shown.isprintable()
    assert len(shown.splitlines()) <= 1
    shown.encode("utf-8")


@pytest.mark.parametrize("settings", [{"settle": "soon"}, {"settle": "-3s"}, {"largest": "much"}])
def test_what_settings_refuse_is_told_without_pydantics_words(settings: dict[str, object]) -> None:
    """The message is ours alone, whoever prints it."""
    with pytest.raises(ValidationError) as raised:
        Settings.model_validate(settings)
    (detail,) = raised.value.errors()
    assert "Value error" not in detail["msg"]
    assert any(part in detail["msg"] for part in ("not a duration", "negative", "not a size"))

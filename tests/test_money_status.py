"""What people are told about money: the ledger, the budget, and what is in doubt."""

import json
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from desk_helpers import settings_of
from money_helpers import Book

from asrwatch.cli.explain import rows_of_explanation
from asrwatch.cli.status import rows_of_status
from asrwatch.config import load
from asrwatch.desk import Desk
from asrwatch.desk.questions import AskExplain, AskStatus
from asrwatch.desk.reports import from_json, to_json
from asrwatch.desk.reports.explanation import Explanation
from asrwatch.desk.reports.status import Status
from asrwatch.errors import AnswerLost, ConfigError, RecordingError
from asrwatch.journey.budget import Allowance, Budget, day_of
from asrwatch.journey.store import Store
from asrwatch.settings import Settings
from asrwatch.settings.sections import BudgetSettings
from asrwatch.values import format_hours, format_money

TEN = timedelta(seconds=10)


@pytest.fixture
def now() -> datetime:
    """The real time: the desk looks at the clock itself."""
    return datetime.now().astimezone()


def status_of(settings: Settings, store: Store) -> Status:
    """How things stand."""
    report = Desk(settings, store).answer(AskStatus())
    assert isinstance(report, Status)
    return report


def with_budget(settings: Settings, **day: object) -> Settings:
    """The same settings with a budget for the day."""
    return settings.model_copy(update={"budget": BudgetSettings.model_validate({"day": day})})


def test_status_always_tells_what_was_spent(tmp_path: Path, store: Store, now: datetime) -> None:
    """Without any budget, too: asked, answered, refused, unknown, billed, and the most it can have cost."""
    book = Book(store, now)
    for _ in range(4):
        book.stage(seconds=3)
    answered, refused, lost, _ = book.ask()
    book.answer(answered)
    book.refuse(refused, RecordingError("Bad.", code="bad"))
    book.refuse(lost, AnswerLost("Lost.", code="no-answer"))
    report = status_of(settings_of(tmp_path), store)
    for money in (report.today, report.this_month, report.ever):
        assert (money.asked, money.answered, money.refused, money.unknown) == (4, 1, 1, 1)
        assert money.billed == timedelta(seconds=3)
        assert money.audio == timedelta(seconds=9)
        assert money.money == Decimal("0.009")
    rows = dict(rows_of_status(report))
    assert rows["today"] == (
        "4 requests, 1 answered, 1 refused, 3s billed, 1 of unknown fate; spent at most 9s, 0.0090 CNY"
    )
    assert "budget" not in rows


def test_what_is_in_doubt_is_listed_with_its_cost(
    tmp_path: Path, store: Store, now: datetime
) -> None:
    """Each request of unknown fate is named, with when, what and how much, to be looked for on the bill [A10]."""
    book = Book(store, now)
    first = book.stage(seconds=3)
    book.stage(seconds=3)
    asking, other = book.ask()
    book.answer(other)
    book.refuse(asking, AnswerLost("Lost.", code="no-answer"))
    report = status_of(settings_of(tmp_path), store)
    (doubt,) = report.doubts
    assert (doubt.path, doubt.outcome, doubt.cost) == (first.path, "lost", Decimal("0.003"))
    assert any("doubts" in text for _, text in rows_of_status(report))
    told = json.loads(json.dumps(to_json(report)))
    assert told["doubts"][0]["cost"] == 0.003
    assert from_json(Status, told) == report


def test_a_budget_is_told_with_its_date(tmp_path: Path, store: Store, now: datetime) -> None:
    """How much of it is spent, and until when it holds back whom; a recording's story says the same."""
    book = Book(store, now, budget=Budget(day=Allowance(audio=TEN, money=Decimal(1))))
    book.stage(seconds=10)
    waiting = book.stage(seconds=10)
    (asking,) = book.ask()
    book.answer(asking)
    settings = with_budget(settings_of(tmp_path), audio="10s", money=1)
    report = status_of(settings, store)
    (line,) = report.budget
    assert (line.audio, line.audio_allowed, line.spent) == (TEN, TEN, True)
    (hold,) = report.holds
    assert hold.until == day_of(now)[1]
    rows = dict(rows_of_status(report))
    assert rows["budget"].startswith("10s of 10s, 0.010 CNY of 1.00 CNY in this day (spent, waits")
    assert "budget of this day is spent" in rows["held"]
    explained = Desk(settings, store).answer(AskExplain(path=waiting.path))
    assert isinstance(explained, Explanation)
    assert explained.story is not None
    assert explained.story.next_at == day_of(now)[1]
    assert any("budget of this day is spent" in reason for reason in explained.story.waits)


def test_a_story_tells_what_each_request_cost(tmp_path: Path, store: Store, now: datetime) -> None:
    """Beside what was billed stands the money, in the region's currency."""
    book = Book(store, now)
    recording = book.stage(seconds=3)
    (asking,) = book.ask()
    book.answer(asking)
    explained = Desk(settings_of(tmp_path), store).answer(AskExplain(path=recording.path))
    assert isinstance(explained, Explanation)
    assert any("3s billed (0.0030 CNY)" in text for _, text in rows_of_explanation(explained))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("budget: {day: {audio: 20}}", "is not a duration"),
        ("budget: {day: {money: -1}}", "greater than or equal to 0"),
        ("budget: {week: {money: 1}}", "there is no such key"),
        ("budget: {day: {mony: 1}}", "did you mean money?"),
        (
            "budget: {month: {money: 1}}\ninboxes: [{path: /srv/a, engine: qwen-audio-asr}]",
            "engines.qwen-audio-asr.price_per_second is not known",
        ),
        ("engines: {qwen3-asr-flash: {price_per_second: -1}}", "greater than or equal to 0"),
        ("engines: {qwen3-asr-flash: {lost_in_a_row: 0}}", "greater than or equal to 1"),
    ],
)
def test_a_budget_that_cannot_be_kept_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    """What is no amount, and money that cannot be counted for want of a price, is told with its key."""
    file = tmp_path / "asrwatch.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as raised:
        load(file)
    assert complaint in str(raised.value)


def test_a_price_makes_any_engine_count(tmp_path: Path) -> None:
    """With a price of its own, an engine without a list price can be used under a budget of money."""
    file = tmp_path / "asrwatch.yaml"
    file.write_text(
        "budget: {day: {audio: 20h, money: 1.5}}\n"
        "engines: {qwen-audio-asr: {price_per_second: 0.0001}}\n"
        "inboxes: [{path: /srv/a, engine: qwen-audio-asr}]\n"
    )
    settings = load(file)
    assert settings.budget.day.audio == timedelta(hours=20)
    assert settings.budget.day.money == Decimal("1.5")


@pytest.mark.parametrize(
    ("amount", "written"),
    [
        ("0", "0.00 CNY"),
        ("0.00066", "0.00066 CNY"),
        ("0.5", "0.50 CNY"),
        ("12.345", "12.34 CNY"),
        ("1234.5", "1234.50 CNY"),
    ],
)
def test_small_sums_keep_their_places(amount: str, written: str) -> None:
    """A short recording costs less than a hundredth, and is still told."""
    assert format_money(Decimal(amount), "CNY") == written


def test_audio_is_told_in_hours() -> None:
    """Hours stay hours, however many days they are."""
    assert format_hours(timedelta(hours=76.25)) == "76.2h"
    assert format_hours(timedelta(seconds=59)) == "59s"

"""What is told to whom, with a real store and a clock of our own; nothing is sent."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from journey_helpers import a_keeper, a_recording

from asrwatch.clock import Step
from asrwatch.errors import EngineTrouble, RecordingError, TemporaryError
from asrwatch.journey.evidence import Failure
from asrwatch.journey.herald import Herald, Wish
from asrwatch.journey.keeper import Keeper
from asrwatch.journey.postman import LEAST_ATTEMPTS
from asrwatch.journey.recording import Recording, State
from asrwatch.journey.room import Shortage
from asrwatch.journey.store import EVERY_ENGINE, Hold, Letter, Store
from asrwatch.journey.tidings import together
from asrwatch.journey.transcript import Sentence
from asrwatch.news import About, News, Standstill
from asrwatch.notifiers import Gone, NotifierOptions, Occasion, Refused

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
DOWN = TemporaryError("It answered 500.", code="http-500")


AWAY = Standstill(
    what="inbox",
    which="a",
    since=datetime(2026, 11, 22, 10, 0, tzinfo=UTC),
    code="inbox-missing",
    message="It is gone.",
    advice="Mount it.",
)


def wish(inbox: str = "inbox", key: str = "webhook:1", **options: Any) -> Wish:
    """What an inbox wants told."""
    return Wish(inbox=inbox, key=key, label=key, options=NotifierOptions.model_validate(options))


def keeper_of(store: Store, *wishes: Wish) -> Keeper:
    """A keeper whose herald has these wishes."""
    return a_keeper(store, wishes=wishes, currency="CNY")


def fails(keeper: Keeper, number: int, now: datetime, **more: Any) -> Recording:
    """A recording that nobody knew fails."""
    return becomes(keeper, State.FAILED, number, now, **more)


def becomes(
    keeper: Keeper,
    state: State,
    number: int,
    now: datetime,
    *,
    inbox: str = "inbox",
    said: tuple[Sentence, ...] | None = None,
) -> Recording:
    """A recording reaches its end."""
    path, digest = f"/{inbox}/{number}.wav".encode(), f"{number:064x}"
    whole = replace(
        a_recording(state, now, path=path, sha256=digest, ticket=f"task-{number}"), inbox=inbox
    )
    found = Recording.found(inbox=inbox, path=path, fingerprint=whole.fingerprint, now=now)
    with keeper.store.transaction():
        added = keeper.store.add(found)
        delivery = replace(whole.delivery, said=said) if whole.delivery else None
        after = replace(whole, id=added.id, delivery=delivery)
        keeper.book.save(added, after)
    keeper.take_news()
    return after


def letters(herald: Herald, now: datetime) -> list[Letter]:
    """What is due, each told well."""
    told = []
    while due := herald.letters(now, busy=()):
        for letter in due:
            told.append(letter)
            herald.answered(letter, None, now=now)
    return told


def look(keeper: Keeper, now: datetime, *holds: Hold) -> None:
    """A turn of the daemon."""
    with keeper.store.transaction():
        keeper.herald.look(now, holds=holds, shortages=())
    keeper.take_news()


def a_hold(now: datetime, trouble: EngineTrouble = EngineTrouble.KEY, **more: Any) -> Hold:
    """Every engine waits."""
    whole: dict[str, Any] = {
        "scope": EVERY_ENGINE,
        "since": now,
        "until": now + MINUTE,
        "count": 1,
        "trouble": trouble,
        "code": "InvalidApiKey",
        "message": "The cloud does not accept the API key.",
        "advice": "Mend it.",
    }
    return Hold(**{**whole, **more})


def test_what_is_told_is_saved_with_what_it_tells_of(store: Store, now: datetime) -> None:
    """A transaction that fails takes the message back with the move it told of."""
    keeper = keeper_of(store, wish())
    with pytest.raises(ZeroDivisionError), store.transaction():
        added = store.add(a_recording(State.SETTLED, now))
        failed = added.fail(Failure.of(RecordingError("No.", code="no")), now=now)
        keeper.book.save(added, failed)
        assert store.waiting("webhook:1") == 1
        _ = 1 // 0
    keeper.discard_news()
    assert store.waiting("webhook:1") == 0
    assert store.in_state(*State) == ()


def test_a_failure_storm_is_one_message(store: Store, now: datetime) -> None:
    """The first failure is told at once, everything of the next ten minutes in one message, and so on."""
    keeper = keeper_of(store, wish())
    sent: list[tuple[timedelta, Letter]] = []
    for second in range(0, 1500, 20):
        at = now + timedelta(seconds=second)
        if second < 1200:
            fails(keeper, second, at)
        sent += [(at - now, letter) for letter in letters(keeper.herald, at)]
    assert [span for span, _ in sent] == [timedelta(0), 10 * MINUTE, 20 * MINUTE]
    assert [letter.news.count for _, letter in sent] == [1, 29, 30]
    assert sum(letter.news.count for _, letter in sent) == 60
    many = sent[1][1].news
    assert len(many.recordings) == 29
    assert many.reasons == {"broke": 29}
    assert many.inboxes == {"inbox": 29}
    later = now + timedelta(hours=2)
    fails(keeper, 10_000, later)
    assert len(letters(keeper.herald, later)) == 1


def test_a_message_names_only_the_first_of_many(now: datetime) -> None:
    """However many there are: a hundred are named, all are counted."""
    some = About(id=1, inbox="i", path="/i/x.wav", state="failed", at=now)
    whole = News(kind="failed", at=now, recordings=(some,) * 60, count=60, reasons={"broke": 60})
    both = together(together(whole, whole), replace(whole, reasons={"other": 60}))
    assert (len(both.recordings), both.count) == (100, 180)
    assert both.reasons == {"broke": 120, "other": 60}


def test_programs_are_told_of_each_recording(store: Store, now: datetime) -> None:
    """Deliveries are one message each, unless the notifier is one for people."""
    people: dict[str, Any] = {"key": "apprise:1", "on": ["delivered"], "each": []}
    keeper = keeper_of(store, wish(on=["delivered"]), wish(**people))
    for number in range(5):
        becomes(keeper, State.DELIVERED, number, now)
    told = letters(keeper.herald, now) + letters(keeper.herald, now + 11 * MINUTE)
    counts = {
        key: [letter.news.count for letter in told if letter.notifier == key]
        for key in ("webhook:1", "apprise:1")
    }
    assert counts == {"webhook:1": [1] * 5, "apprise:1": [1, 4]}
    assert len({letter.message for letter in told}) == 7


def test_an_inbox_tells_its_own_and_what_is_wanted(store: Store, now: datetime) -> None:
    """Each inbox has its notifiers, each of these its occasions; a superseded recording is nobody's business."""
    keeper = keeper_of(store, wish("a", "x", on=["failed"]), wish("b", "y", on=["parked"]))
    for number, inbox in enumerate("abc"):
        for state in (State.FAILED, State.PARKED):
            becomes(keeper, state, 10 * number + (state is State.PARKED), now, inbox=inbox)
    told = letters(keeper.herald, now)
    assert sorted((letter.notifier, letter.kind) for letter in told) == [
        ("x", "failed"),
        ("y", "parked"),
    ]
    with store.transaction():
        added = store.add(replace(a_recording(State.SETTLED, now), inbox="a"))
        old = added.fail(Failure.of(RecordingError("Old.", code="superseded")), now=now)
        keeper.book.save(added, old)
    assert letters(keeper.herald, now + DAY) == []


def test_pieces_of_a_recording_are_nobodys_news(store: Store, now: datetime) -> None:
    """What a long recording is cut into is told neither one by one nor in the digest: only the whole is."""
    keeper = keeper_of(store, wish(on=["failed", "digest"]))
    look(keeper, now)
    whole = fails(keeper, 1, now)
    piece = replace(
        a_recording(State.FAILED, now, path=b"/inbox/2.wav", ticket="t2"), part_of=whole.id
    )
    with store.transaction():
        found = Recording.found(
            inbox="inbox", path=piece.path, fingerprint=piece.fingerprint, now=now
        )
        added = store.add(replace(found, part_of=whole.id))
        keeper.book.save(added, replace(piece, id=added.id))
    assert [letter.news.count for letter in letters(keeper.herald, now + DAY)] == [1]
    look(keeper, now + DAY)
    (digest,) = letters(keeper.herald, now + DAY)
    assert digest.news.day is not None
    assert (digest.news.day.failed, digest.news.day.waiting_failed) == (1, 1)


def test_a_held_engine_is_told_once_and_its_healing_too(store: Store, now: datetime) -> None:
    """However often it is refused and whoever waits for it: one message to each notifier, also over a restart."""
    wishes = (wish("a", "x"), wish("b", "x"), wish("c", "y"))
    keeper = keeper_of(store, *wishes)
    for minute in range(5):
        look(keeper, now + minute * MINUTE, a_hold(now, count=minute + 1))
    assert [letter.kind for letter in letters(keeper.herald, now)] == ["held", "held"]
    keeper = keeper_of(store, *wishes)
    look(keeper, now + 6 * MINUTE, a_hold(now, count=9))
    assert letters(keeper.herald, now + 30 * MINUTE) == []
    look(keeper, now + 31 * MINUTE)
    look(keeper, now + 32 * MINUTE)
    told = letters(keeper.herald, now + 32 * MINUTE)
    assert sorted((letter.notifier, letter.kind) for letter in told) == [
        ("x", "healed"),
        ("y", "healed"),
    ]
    assert told[0].news.standstills[0].code == "InvalidApiKey"


def test_trouble_that_passes_is_not_told(store: Store, now: datetime) -> None:
    """A throttled engine is told only when it lasts; another trouble in its place is told anew."""
    keeper = keeper_of(store, wish(group="0s"))
    slow = a_hold(now, EngineTrouble.THROTTLED, code="Throttling")
    look(keeper, now + MINUTE, slow)
    look(keeper, now + 2 * MINUTE)
    assert letters(keeper.herald, now + 2 * MINUTE) == []
    look(keeper, now + 11 * MINUTE, slow)
    look(keeper, now + 12 * MINUTE, a_hold(now, EngineTrouble.MONEY, code="Arrearage"))
    told = letters(keeper.herald, now + 12 * MINUTE)
    assert [letter.news.standstills[0].code for letter in told] == ["Throttling", "Arrearage"]


def test_an_inbox_that_is_away_is_told_to_its_own_notifiers(store: Store, now: datetime) -> None:
    """After a restart it is over only once somebody has looked."""
    wishes = (wish("a", "x"), wish("b", "y"))
    keeper = keeper_of(store, *wishes)
    keeper.herald.inbox_seen("a", replace(AWAY, since=now))
    look(keeper, now)
    assert [(each.notifier, each.kind) for each in letters(keeper.herald, now)] == [("x", "held")]
    keeper = keeper_of(store, *wishes)
    look(keeper, now + MINUTE)
    assert letters(keeper.herald, now + MINUTE) == []
    keeper.herald.inbox_known("a")
    look(keeper, now + 2 * MINUTE)
    told = letters(keeper.herald, now + 2 * MINUTE)
    assert [(each.notifier, each.kind) for each in told] == [("x", "healed")]


def test_a_full_disk_is_over_only_once_somebody_looked(store: Store, now: datetime) -> None:
    """After a restart nobody knows yet how much room there is: nothing is told to be over before it was seen."""
    short = Shortage(folder=b"/out", code="no-room", message="Full.", advice="Make room.")
    keeper = keeper_of(store, wish(group="0s"))
    for shortages in ((short,), (short,)):
        keeper.herald.look(now, holds=(), shortages=shortages)
    assert [each.kind for each in letters(keeper.herald, now)] == ["held"]
    keeper = keeper_of(store, wish(group="0s"))
    look(keeper, now)
    assert letters(keeper.herald, now) == []
    keeper.herald.disk_seen(b"/out")
    look(keeper, now)
    assert [each.kind for each in letters(keeper.herald, now)] == ["healed"]


def test_what_left_the_configuration_is_over(store: Store, now: datetime) -> None:
    """A folder that is full and an inbox that is away, both taken out of the configuration, are told to be over."""
    short = Shortage(folder=b"/old", code="no-room", message="Full.", advice="Make room.")
    away = replace(AWAY, which="old", since=now)
    keeper = keeper_of(store, wish("old", "x"), wish("a", "y"))
    keeper.herald.inbox_seen("old", away)
    keeper.herald.look(now, holds=(), shortages=(short,))
    assert {each.kind for each in letters(keeper.herald, now)} == {"held"}
    herald = Herald(
        keeper.book,
        (wish("a", "y"),),
        currency="CNY",
        chance=lambda: 0.5,
        places={"inbox": {"a"}, "disk": {"/out"}},
    )
    herald.look(now, holds=(), shortages=())
    assert [each.news.standstills[0].which for each in letters(herald, now)] == ["/old"]
    assert store.alarms() == {}


def test_a_digest_tells_of_its_own_inboxes(store: Store, now: datetime) -> None:
    """Trouble of an inbox is in the digests of those who are told of that inbox, and in no other."""
    keeper = keeper_of(store, wish("inbox", "x", on=["digest"]), wish("a", "y", on=["digest"]))
    look(keeper, now)
    keeper.herald.inbox_seen("a", replace(AWAY, since=now))
    becomes(keeper, State.DELIVERED, 1, now)
    becomes(keeper, State.DELIVERED, 2, now, inbox="a")
    look(keeper, now + DAY)
    told = {each.notifier: each.news.standstills for each in letters(keeper.herald, now + DAY)}
    assert told["x"] == ()
    assert [each.which for each in told["y"]] == ["a"]


def test_a_receiver_that_fails_for_a_day_costs_few_requests_and_rows(
    store: Store, now: datetime
) -> None:
    """With recordings coming and 500 for a day: under a hundred requests, rows bounded, and then all is told."""
    keeper = keeper_of(store, wish(on=["delivered", "failed"]))
    herald, requests = keeper.herald, 0
    herald.letterbox.most_waiting = 20
    for minute in range(0, 24 * 60, 15):
        at = now + minute * MINUTE
        becomes(keeper, State.DELIVERED, minute, at)
        for letter in herald.letters(at, busy=()):
            requests += 1
            herald.answered(letter, DOWN, now=at)
    assert requests < 100
    assert 20 <= store.waiting("webhook:1") <= 21
    well = now + DAY + timedelta(hours=1)
    told = letters(herald, well)
    assert sum(letter.news.count for letter in told) == 96
    assert store.waiting("webhook:1") == 0
    assert store.receiver("webhook:1").failures == 0


def test_what_nobody_takes_for_days_is_set_aside_and_can_be_sent_again(
    store: Store, now: datetime
) -> None:
    """After `dead_after` a message is tried no more; it stays visible, keeps its id, and goes when a person says so."""
    keeper = keeper_of(store, wish(dead_after="1d"))
    fails(keeper, 1, now)
    at, ids, tries = now, set(), 0
    while store.waiting("webhook:1"):
        due = keeper.herald.opens(at, busy=())
        assert due is not None
        at = max(due, at)
        for letter in keeper.herald.letters(at, busy=()):
            tries += 1
            ids.add(letter.message)
            keeper.herald.answered(letter, DOWN, now=at)
    assert DAY <= at - now < 2 * DAY
    assert tries < 100
    (dead,) = store.dead_letters(limit=10)
    assert dead.dead == "http-500"
    assert store.count_letters() == {"webhook:1": (0, 1)}
    assert store.letters_about(dead.news.recordings[0].id) == (dead,)
    assert store.raise_dead(at) == 1
    (again,) = letters(keeper.herald, at)
    assert {again.message} == ids


def test_a_message_the_receiver_stumbles_over_holds_up_no_other(
    store: Store, now: datetime
) -> None:
    """One that is refused, or that fails again and again, lets others pass."""
    keeper = keeper_of(store, wish(group="0s"))
    bad = fails(keeper, 1, now)
    fails(keeper, 2, now)
    for number, error in enumerate((Refused("400.", code="http-400"), DOWN), 3):
        told: list[Letter] = []
        at = now
        for _ in range(30):
            at += MINUTE
            for letter in keeper.herald.letters(at, busy=()):
                about = letter.news.recordings[0].id
                keeper.herald.answered(letter, error if about == bad.id else None, now=at)
                told += [letter] if about != bad.id else []
        assert len(told) == 1
        now = at
        fails(keeper, number, now)


def test_gone_ends_it_until_a_person_says_otherwise(store: Store, now: datetime) -> None:
    """After 410 nothing is sent any more; what would have been is kept, bounded."""
    keeper = keeper_of(store, wish(group="0s"))
    fails(keeper, 1, now)
    fails(keeper, 2, now)
    (letter,) = keeper.herald.letters(now, busy=())
    keeper.herald.answered(letter, Gone("410.", code="gone"), now=now)
    keeper.herald.letterbox.most_dead = 10
    for number in range(3, 30):
        fails(keeper, number, now)
    assert letters(keeper.herald, now + DAY) == []
    assert store.count_letters() == {"webhook:1": (0, 10)}
    store.raise_dead(now)
    assert len(letters(keeper.herald, now)) == 10
    fails(keeper, 300, now)
    assert len(letters(keeper.herald, now)) == 1


def test_what_was_tried_once_says_the_same_for_ever(store: Store, now: datetime) -> None:
    """A message on its way is not added to: its id stands for what it said first."""
    keeper = keeper_of(store, wish())
    fails(keeper, 1, now)
    letters(keeper.herald, now)
    fails(keeper, 2, now + MINUTE)
    at = now + 10 * MINUTE
    (letter,) = keeper.herald.letters(at, busy=())
    fails(keeper, 3, at)
    keeper.herald.answered(letter, DOWN, now=at)
    (again,) = keeper.herald.letters(at + MINUTE, busy=())
    assert (again.message, again.news) == (letter.message, letter.news)


def test_a_receiver_that_asks_for_patience_gets_it(store: Store, now: datetime) -> None:
    """Retry-After makes the wait longer, never shorter."""
    keeper = keeper_of(store, wish())
    fails(keeper, 1, now)
    waits = []
    for asked in (timedelta(hours=2), timedelta(0)):
        opens = keeper.herald.opens(now, busy=())
        now = max(opens or now, now)
        (letter,) = keeper.herald.letters(now, busy=())
        slow = TemporaryError("503.", code="http-503", retry_after=asked)
        keeper.herald.answered(letter, slow, now=now)
        until = store.receiver("webhook:1").until
        assert until is not None
        waits.append(until - now)
    assert waits[0] == timedelta(hours=2)
    assert waits[1] >= timedelta(seconds=5)


def test_a_clock_that_is_set_throws_no_message_away(store: Store, now: datetime) -> None:
    """Ten years ahead and back: every wait stays as long as it was, and nothing dies of age."""
    keeper = keeper_of(store, wish())
    fails(keeper, 1, now)
    (letter,) = keeper.herald.letters(now, busy=())
    keeper.herald.answered(letter, DOWN, now=now)
    years = timedelta(days=3650)
    for by in (years, -years):
        at = now + by if by > timedelta(0) else now
        keeper.herald.clock_stepped(Step(by=by, was=at - by, slept=timedelta(0)))
        opens = keeper.herald.opens(at, busy=())
        assert opens is not None
        assert timedelta(0) < opens - at < MINUTE
    # a reboot with a clock nobody noticed to be wrong
    (letter,) = keeper.herald.letters(now + years, busy=())
    keeper.herald.answered(letter, DOWN, now=now + years)
    assert letter.attempts < LEAST_ATTEMPTS
    assert store.waiting("webhook:1") == 1


@pytest.fixture
def local(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A local time that has a summer."""
    import time  # noqa: PLC0415 - only to say that the environment changed

    with monkeypatch.context() as patched:
        patched.setenv("TZ", "Europe/Berlin")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("local")
def test_the_digest_comes_once_a_day_whatever_the_clock_does(store: Store) -> None:
    """Restarts, a clock that is set back by hours or ahead by years, and summer's end: one for each local day."""
    begin = datetime.fromisoformat("2026-10-23T00:10:00+02:00")
    keeper = keeper_of(store, wish(on=["digest"], digest_at="02:30"))
    told: list[str] = []

    def at(now: datetime) -> None:
        look(keeper, now)
        told.extend(
            letter.news.day.end.astimezone().strftime("%m-%d %H:%M")
            for letter in letters(keeper.herald, now)
            if letter.news.day
        )

    at(begin)
    for hour in range(0, 5 * 24, 2):
        now = begin + timedelta(hours=hour, minutes=30)
        becomes(keeper, State.DELIVERED, hour, now - MINUTE)
        if hour % 14 == 0:
            keeper = keeper_of(store, wish(on=["digest"], digest_at="02:30"))
        at(now)
        at(now - timedelta(hours=3))
        at(now)
    assert told == ["10-23 02:30", "10-24 02:30", "10-25 02:30", "10-26 02:30", "10-27 02:30"]
    at(now + timedelta(days=3650))
    at(now)
    becomes(keeper, State.DELIVERED, 1000, now)
    told.clear()
    at(now + timedelta(hours=1))
    at(now + DAY + timedelta(hours=6))
    at(now + DAY + timedelta(hours=7))
    assert len(told) == 1


def test_a_day_without_anything_has_no_digest(store: Store, now: datetime) -> None:
    """Nothing happened, nothing is told; otherwise counts, and what waits for a person with its advice."""
    keeper = keeper_of(store, wish(on=["digest"]), wish("other", "y", on=["digest"]))
    look(keeper, now)
    look(keeper, now + DAY)
    assert letters(keeper.herald, now + DAY) == []
    at = now + DAY + timedelta(hours=1)
    becomes(keeper, State.DELIVERED, 1, at)
    fails(keeper, 2, at)
    becomes(keeper, State.PARKED, 3, at)
    becomes(keeper, State.DELIVERED, 4, at, inbox="somewhere else")
    look(keeper, now + 2 * DAY)
    (letter,) = letters(keeper.herald, now + 2 * DAY)
    day = letter.news.day
    assert day is not None
    assert (letter.notifier, day.delivered, day.failed, day.parked) == ("webhook:1", 1, 1, 1)
    assert day.audio == timedelta(seconds=3)
    assert [about.advice for about in letter.news.recordings] == ["Mend it.", "Mend it."]
    assert (day.waiting_failed, day.waiting_parked) == (1, 1)


def test_no_text_is_told_unless_it_is_wanted(store: Store, now: datetime) -> None:
    """A transcript's text goes along only with `text: true`."""
    wishes = (wish(on=["delivered"]), wish(key="y", on=["delivered"], text=True))
    keeper = keeper_of(store, *wishes)
    becomes(keeper, State.DELIVERED, 1, now, said=(Sentence(text="x" * 100_000),))
    texts = {
        letter.notifier: letter.news.recordings[0].text for letter in letters(keeper.herald, now)
    }
    assert texts["webhook:1"] is None
    assert texts["y"] is not None
    assert len(texts["y"]) == 64 * 1024


def test_a_message_of_another_version_stops_nothing(store: Store, now: datetime) -> None:
    """A row that cannot be read is told without its details."""
    keeper = keeper_of(store, wish())
    fails(keeper, 1, now)
    with store.transaction():
        store._connection.exec_driver_sql("UPDATE outbox SET news = '{}'")
    (letter,) = letters(keeper.herald, now)
    assert (letter.news.kind, letter.news.recordings) == ("failed", ())


def test_who_has_no_notifier_pays_nothing(tmp_path: Path, now: datetime) -> None:
    """Without wishes nothing is written, and nothing falls due."""
    with Store(tmp_path / "s") as store:
        keeper = keeper_of(store)
        fails(keeper, 1, now)
        look(keeper, now, a_hold(now))
        assert keeper.herald.opens(now, busy=()) is None
        assert store.count_letters() == {}
        assert store.alarms() == {}
    assert Occasion.HELD.value == "held"

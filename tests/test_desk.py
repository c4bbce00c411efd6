"""The desk: what people are told, and what `retry` and `forget` do."""

import json
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from desk_helpers import Spotter, a_waiting, daemon_for, put, settings_of
from journey_helpers import FAILURE, STAGING

from asrwatch.cli.explain import rows_of_explanation
from asrwatch.cli.status import rows_of_status
from asrwatch.desk import Desk
from asrwatch.desk.questions import (
    AskExplain,
    AskForget,
    AskRetry,
    AskStatus,
    Question,
    question_from_json,
    question_to_json,
)
from asrwatch.desk.reports import Report, from_json, to_json
from asrwatch.desk.reports.explanation import Explanation
from asrwatch.desk.reports.status import Status
from asrwatch.desk.reports.treatment import Treatment
from asrwatch.errors import EngineTrouble
from asrwatch.journey.evidence import Delivery, Fingerprint, Trouble
from asrwatch.journey.recording import Recording, State
from asrwatch.journey.store import EVERY_ENGINE, Hold, Store

TALK = b"/inbox/talk.wav"


@pytest.fixture
def now() -> datetime:
    """The real time: the desk looks at the clock itself."""
    return datetime.now().astimezone()


@pytest.fixture
def desk(tmp_path: Path, store: Store) -> Desk:
    """A desk where no daemon runs."""
    return Desk(settings_of(tmp_path), store)


def a_hold(now: datetime, *, scope: str = EVERY_ENGINE) -> Hold:
    """A hold for a bad key, until an hour from now."""
    return Hold(
        scope=scope,
        since=now,
        until=now + timedelta(hours=1),
        count=1,
        trouble=EngineTrouble.KEY,
        code="bad-key",
        message="The key is wrong.",
        advice="Mend it.",
        key_digest="secret-digest",
    )


def explained(desk: Desk, path: bytes = TALK) -> Explanation:
    """What the desk says of a path."""
    report = desk.answer(AskExplain(path=path))
    assert isinstance(report, Explanation)
    return report


def treated(desk: Desk, question: AskRetry | AskForget) -> Treatment:
    """What the desk did."""
    report = desk.answer(question)
    assert isinstance(report, Treatment)
    return report


def status_of(desk: Desk) -> Status:
    """How things stand."""
    report = desk.answer(AskStatus())
    assert isinstance(report, Status)
    return report


# Status.


def test_status_counts_every_state(desk: Desk, store: Store, now: datetime) -> None:
    """Every state is named with its number, also those with none."""
    put(store, State.FAILED, now, path=b"/inbox/a.wav", number=1)
    put(store, State.FAILED, now, path=b"/inbox/b.wav", number=2)
    put(store, State.DELIVERED, now, path=b"/inbox/c.wav", number=3)
    counts = status_of(desk).counts
    assert {state: number for state, number in counts.items() if number} == {
        State.FAILED: 2,
        State.DELIVERED: 1,
    }
    assert set(counts) == set(State)


def test_status_names_the_oldest_waiting(desk: Desk, store: Store, now: datetime) -> None:
    """The file that waits longest is named; those that are done do not wait."""
    put(store, State.DELIVERED, now - timedelta(days=9), path=b"/inbox/done.wav", number=1)
    put(store, State.STAGED, now - timedelta(days=2), path=b"/inbox/old.wav", number=2)
    put(store, State.SETTLED, now, path=b"/inbox/new.wav", number=3)
    oldest = status_of(desk).oldest_waiting
    assert oldest is not None
    assert oldest.path == b"/inbox/old.wav"
    assert oldest.now == "It is ready to be sent to some-engine."


def test_status_names_what_waits_for_a_person(desk: Desk, store: Store, now: datetime) -> None:
    """What failed and what is parked is named with its reason and the command that takes it up again."""
    put(store, State.FAILED, now, path=b"/inbox/bad call.wav", number=1)
    put(store, State.PARKED, now, path=b"/inbox/lost.wav", number=2)
    put(store, State.DELIVERED, now, path=b"/inbox/good.wav", number=3)
    report = status_of(desk)
    (failed,), (parked,) = report.failed, report.parked
    assert (failed.path, failed.reason.message) == (b"/inbox/bad call.wav", "It broke.")
    assert failed.next == "asrwatch retry '/inbox/bad call.wav'"
    assert (parked.path, parked.since) == (b"/inbox/lost.wav", now)
    assert parked.next == "asrwatch retry /inbox/lost.wav"
    told = json.loads(json.dumps(to_json(report)))
    assert told["failed"][0]["reason"]["advice"] == "Mend it."


def test_a_status_with_many_failures_stays_short(desk: Desk, store: Store, now: datetime) -> None:
    """The first of many failures are listed; the counts are of all."""
    made = put(store, State.FAILED, now, path=b"/inbox/0.wav")
    for number in range(1, 60):
        store.add(replace(made, id=0, task=None, path=b"/inbox/%d.wav" % number))
    report = status_of(desk)
    assert (len(report.failed), report.counts[State.FAILED]) == (50, 60)
    rows = list(rows_of_status(report))
    assert sum("It broke." in text for _, text in rows) == 5
    assert ("", "and 55 more") in rows
    assert any("asrwatch retry --failed" in text for _, text in rows)


def test_status_says_a_name_once(desk: Desk, store: Store, now: datetime) -> None:
    """A reason that begins with the file's name is not put behind it again."""
    failure = replace(FAILURE, message="/inbox/talk.wav is no recording.")
    put(store, State.FAILED, now, failure=failure)
    assert ("failed", "/inbox/talk.wav is no recording.") in list(rows_of_status(status_of(desk)))


def test_status_tells_the_oldest_ones_trouble(desk: Desk, store: Store, now: datetime) -> None:
    """An outage shows: the oldest carries its last error, since when, and when it is tried again."""
    trouble = Trouble(since=now - timedelta(hours=1), count=2, last=FAILURE)
    put(store, State.STAGED, now, trouble=trouble, due=now + timedelta(minutes=5))
    report = status_of(desk)
    oldest = report.oldest_waiting
    assert oldest is not None
    assert oldest.trouble is not None
    assert (oldest.trouble.message, oldest.trouble_count) == ("It broke.", 2)
    assert oldest.trouble_since == now - timedelta(hours=1)
    assert oldest.next_at == now + timedelta(minutes=5)
    (told,) = [text for _, text in rows_of_status(report) if "It broke." in text]
    assert "2 times" in told
    assert "next attempt" in told


def test_a_hold_moves_the_next_attempt(desk: Desk, store: Store, now: datetime) -> None:
    """What waits for a held engine says when the hold lets it be tried."""
    put(store, State.STAGED, now)
    store.hold(a_hold(now))
    oldest = status_of(desk).oldest_waiting
    assert oldest is not None
    assert oldest.next_at == now + timedelta(hours=1)


def test_status_tells_tasks_with_their_age(desk: Desk, store: Store, now: datetime) -> None:
    """Tasks the cloud works on are listed with ticket, age, and when they are asked about."""
    put(store, State.SUBMITTED, now - timedelta(hours=3), due=now + timedelta(seconds=9))
    report = status_of(desk)
    assert report.task_count == 1
    assert report.tasks[0].ticket == "task-1"
    assert report.tasks[0].age >= timedelta(hours=3)
    assert report.tasks[0].next_question == now + timedelta(seconds=9)


def test_status_tells_holds_without_the_key(desk: Desk, store: Store, now: datetime) -> None:
    """A hold is told with its advice and its end; what derives from the key is not."""
    store.hold(a_hold(now))
    report = status_of(desk)
    assert report.holds[0].reason.advice == "Mend it."
    assert report.holds[0].until == now + timedelta(hours=1)
    assert "secret-digest" not in json.dumps(to_json(report))


def test_status_adds_up_what_was_asked(desk: Desk, store: Store, now: datetime) -> None:
    """The ledger is told for today, for this month and for ever."""
    put(store, State.DELIVERED, now, path=b"/inbox/a.wav", number=1)
    put(store, State.DELIVERED, now - timedelta(days=40), path=b"/inbox/b.wav", number=2)
    put(store, State.PARKED, now, path=b"/inbox/c.wav", number=3)
    report = status_of(desk)
    assert (report.today.asked, report.this_month.asked, report.ever.asked) == (2, 2, 3)
    assert report.ever.answered == 2
    assert report.ever.billed == timedelta(seconds=6)
    assert report.today.unknown == 1


def test_status_does_not_count_what_never_left(desk: Desk, store: Store, now: datetime) -> None:
    """A request that never reached the cloud is told beside those that were asked; one request is no plural."""
    put(store, State.DELIVERED, now, number=1)
    asking = put(store, State.ASKING, now, path=b"/inbox/b.wav", number=2)
    store.save(asking, asking.unsend(now=now, due=now), outcome="unsent")
    report = status_of(desk)
    assert (report.ever.asked, report.ever.unsent) == (1, 1)
    rows = dict(rows_of_status(report))
    assert rows["ever"].startswith("1 request, 1 answered")
    assert "1 not sent" in rows["ever"]
    (paid,) = [
        text
        for _, text in rows_of_explanation(explained(desk, b"/inbox/b.wav"))
        if "not sent, nothing paid" in text
    ]
    assert paid


def test_status_tells_what_is_under_way(tmp_path: Path, store: Store, now: datetime) -> None:
    """With a daemon, what its workers are on is told as being under way."""
    recording = put(store, State.ASKING, now)
    daemon = daemon_for(store)
    daemon.under_way[recording.id] = recording
    report = status_of(Desk(settings_of(tmp_path), store, daemon))
    assert report.running
    assert [line.now for line in report.under_way] == [
        "A paid request to some-engine is under way."
    ]


def test_status_tells_how_inboxes_are(tmp_path: Path, store: Store) -> None:
    """An inbox whose lookout does not live is told to be so; without a daemon nothing is claimed."""
    settings = settings_of(tmp_path)
    daemon = daemon_for(store)
    daemon.lookouts["inbox"] = Spotter(settings)
    assert status_of(Desk(settings, store, daemon)).inboxes[0].alive is False
    assert status_of(Desk(settings, store)).inboxes[0].alive is None


def test_files_of_an_inbox_are_counted_as_they_settle(tmp_path: Path, store: Store) -> None:
    """Files that came since the last whole pass count: what is known and what still settles."""
    settings = settings_of(tmp_path)
    daemon = daemon_for(store)
    daemon.lookouts["inbox"] = Spotter(
        settings, known=12, waiting=(a_waiting(b"/inbox/new.wav"), a_waiting(b"/inbox/empty.wav"))
    )
    assert status_of(Desk(settings, store, daemon)).inboxes[0].files == 14


# Explain.


@pytest.mark.parametrize("state", list(State))
def test_every_state_is_explained(desk: Desk, store: Store, now: datetime, state: State) -> None:
    """Every state is told in words, with its story; what is not done says why it waits."""
    put(store, state, now, due=now)
    story = explained(desk).story
    assert story is not None
    assert story.state is state
    assert story.now.endswith(".")
    assert [event.state for event in story.events][-1] is state
    done = state in {State.DELIVERED, State.FAILED, State.PARKED}
    assert ("asrwatch is not running; it goes on when it is started." in story.waits) is not done
    assert (story.next_at is None) is done


@pytest.mark.parametrize(
    ("url", "says"), [("oss://bucket/key", "found out before"), (None, "asked again")]
)
def test_a_lost_answer_is_told_as_it_is(
    desk: Desk, store: Store, now: datetime, *, url: str | None, says: str
) -> None:
    """Only of a task, which has a URL, can be found out what became of it; nothing else is promised."""
    put(store, State.ASKING, now, staging=replace(STAGING, url=url))
    story = explained(desk).story
    assert story is not None
    assert says in story.now


def test_a_story_holds_plan_and_payment(desk: Desk, store: Store, now: datetime) -> None:
    """The plan with its reasons, the outputs and what was paid are part of the story."""
    put(store, State.DELIVERED, now)
    story = explained(desk).story
    assert story is not None
    assert (story.engine, story.reasons) == ("some-engine", ("why",))
    assert [output.path for output in story.outputs] == [TALK + b".txt"]
    assert [(paid.outcome, paid.billed) for paid in story.paid] == [
        ("answered", timedelta(seconds=3))
    ]


def test_a_recording_is_found_by_its_transcript(desk: Desk, store: Store, now: datetime) -> None:
    """Whoever asks about a transcript is told about the recording it belongs to."""
    put(store, State.DELIVERED, now)
    story = explained(desk, TALK + b".txt").story
    assert story is not None
    assert story.path == TALK


def test_a_recording_is_found_where_it_was_moved(desk: Desk, store: Store, now: datetime) -> None:
    """Whoever asks about the original in its new place is told about its journey."""
    delivery = Delivery(delivered_at=now, outputs=(), original=b"/done/talk.wav")
    put(store, State.DELIVERED, now, delivery=delivery, outputs=())
    story = explained(desk, b"/done/talk.wav").story
    assert story is not None
    assert (story.path, story.original) == (TALK, b"/done/talk.wav")


def test_earlier_content_is_told_apart(desk: Desk, store: Store, now: datetime) -> None:
    """Where a path has held other content before, the newest is told and the others are listed."""
    first = put(store, State.DELIVERED, now, number=1)
    second = put(store, State.STAGED, now, number=2)
    report = explained(desk)
    assert report.story is not None
    assert report.story.id == second.id
    assert [line.id for line in report.earlier] == [first.id]


def test_a_folder_lists_what_is_below(desk: Desk, store: Store, now: datetime) -> None:
    """A folder's explanation lists everything below it, and nothing of its neighbours."""
    put(store, State.STAGED, now, path=b"/inbox/a/1.wav", number=1)
    put(store, State.FAILED, now, path=b"/inbox/a/b/2.wav", number=2)
    put(store, State.FAILED, now, path=b"/inbox/a.wav", number=3)
    report = explained(desk, b"/inbox/a")
    assert {line.path for line in report.below} == {b"/inbox/a/1.wav", b"/inbox/a/b/2.wav"}
    assert report.below_count == 2


def test_a_hold_explains_the_wait(desk: Desk, store: Store, now: datetime) -> None:
    """Whoever waits for a held engine is told the reason, the advice and the date."""
    put(store, State.STAGED, now)
    store.hold(a_hold(now))
    story = explained(desk).story
    assert story is not None
    assert "Every engine is held: The key is wrong. Mend it." in story.waits
    assert story.next_at == now + timedelta(hours=1)


def test_another_engines_hold_explains_nothing(desk: Desk, store: Store, now: datetime) -> None:
    """The hold of an engine that a recording does not go to is not its reason to wait."""
    put(store, State.STAGED, now)
    store.hold(a_hold(now, scope="another-engine"))
    story = explained(desk).story
    assert story is not None
    assert not any("held" in why for why in story.waits)


def test_trouble_explains_the_wait(desk: Desk, store: Store, now: datetime) -> None:
    """A recording that is tried again later says what went wrong, how often, and when it goes on."""
    trouble = Trouble(since=now, count=3, last=FAILURE)
    put(store, State.STAGED, now, trouble=trouble, due=now + timedelta(minutes=5))
    story = explained(desk).story
    assert story is not None
    assert story.waits[0] == "It met trouble 3 times: It broke."
    assert story.next_at == now + timedelta(minutes=5)


def test_same_content_explains_the_wait(desk: Desk, store: Store, now: datetime) -> None:
    """A copy of what is being transcribed says that it waits for that answer."""
    put(store, State.SUBMITTED, now, path=b"/inbox/first.wav")
    put(store, State.STAGED, now, path=b"/inbox/copy.wav")
    story = explained(desk, b"/inbox/copy.wav").story
    assert story is not None
    assert any("same content" in why for why in story.waits)


def test_pace_and_busy_workers_explain_the_wait(
    tmp_path: Path, store: Store, now: datetime
) -> None:
    """With a daemon, an engine's pace and busy workers are told as reasons."""
    put(store, State.STAGED, now)
    busy = put(store, State.ASKING, now, path=b"/inbox/busy.wav", number=2)
    daemon = daemon_for(store, workers=1)
    daemon.under_way[busy.id] = busy
    ahead = datetime.now().astimezone() + timedelta(seconds=30)
    daemon.gate.take("some-engine", ahead)
    story = explained(Desk(settings_of(tmp_path), store, daemon)).story
    assert story is not None
    assert any("requests_per_minute" in why for why in story.waits)
    assert "Every worker is busy; its turn comes." in story.waits


def test_a_lost_inbox_explains_the_wait(tmp_path: Path, store: Store, now: datetime) -> None:
    """A recording whose inbox left the configuration says so."""
    put(store, State.STAGED, now)
    story = explained(Desk(settings_of(tmp_path, name="other"), store)).story
    assert story is not None
    assert "'inbox' is not in the configuration" in story.waits[0]


# Retry.


@pytest.mark.parametrize(
    ("state", "afterwards", "says"),
    [
        (State.SETTLED, State.SETTLED, "goes on at once"),
        (State.STAGED, State.STAGED, "goes on at once"),
        (State.ASKING, None, "unaccounted for"),
        (State.SUBMITTED, None, "it is paid for"),
        (State.TRANSCRIBED, State.TRANSCRIBED, "goes on at once"),
        (State.DELIVERED, State.TRANSCRIBED, "costs nothing"),
        (State.FAILED, State.SETTLED, "starts over from the file"),
        (State.PARKED, State.SETTLED, "paid for a second time"),
    ],
)
def test_retry_does_what_the_state_allows(
    desk: Desk,
    store: Store,
    now: datetime,
    *,
    state: State,
    afterwards: State | None,
    says: str,
) -> None:
    """What waits goes on at once, what ended starts over, what is paid is only delivered; a request is left."""
    recording = put(store, state, now, due=now + timedelta(hours=1))
    report = treated(desk, AskRetry(paths=(TALK,)))
    assert says in report.treated[0].what
    assert (report.done, report.refused) == ((1, 0) if afterwards else (0, 1))
    again = store.get(recording.id)
    assert again is not None
    assert again.state is (afterwards or state)
    assert (again.due <= datetime.now().astimezone()) is (afterwards is not None)


def test_an_answer_in_hand_is_never_bought_again(desk: Desk, store: Store, now: datetime) -> None:
    """A delivery that failed is retried from the stored answer."""
    transcribed = put(store, State.TRANSCRIBED, now)
    store.save(transcribed, transcribed.fail(FAILURE, now=now))
    report = treated(desk, AskRetry(failed=True))
    assert "costs nothing" in report.treated[0].what
    again = store.get(transcribed.id)
    assert again is not None
    assert again.state is State.TRANSCRIBED


def _useless(store: Store, now: datetime, code: str = "cut-off", **where: Any) -> Recording:
    """A recording that failed as its stored answer holds no usable transcript."""
    transcribed = put(store, State.TRANSCRIBED, now, **where)
    return store.save(transcribed, transcribed.fail(replace(FAILURE, code=code), now=now))


@pytest.mark.parametrize("code", ["cut-off", "unreadable-answer"])
def test_a_useless_answer_is_not_delivered_for_ever(
    desk: Desk, store: Store, now: datetime, *, code: str
) -> None:
    """Where the answer in hand holds no transcript, a retry gives the recording to another engine."""
    failed = _useless(store, now, code)
    report = treated(desk, AskRetry(failed=True))
    assert "another engine is asked, which is paid for" in report.treated[0].what
    again = store.get(failed.id)
    assert again is not None
    assert (again.state, again.engines_refused) == (State.SETTLED, ("some-engine",))


@pytest.mark.parametrize(
    "inbox",
    [
        {"engine": "qwen3-asr-flash"},
        {"engine": "qwen3-asr-flash-filetrans", "channels": [0, 1]},
        {"channels": [0, 1]},  # chosen by itself, and no other hears two
    ],
)
def test_a_useless_answer_is_asked_for_again_where_no_other_engine_is(
    tmp_path: Path, store: Store, now: datetime, *, inbox: dict[str, Any]
) -> None:
    """With an engine that was named, or no other that takes it, the same is asked again; the useless answer is kept."""
    only = "qwen3-asr-flash-filetrans" if "channels" in inbox else "qwen3-asr-flash"
    settled = put(store, State.TRANSCRIBED, now)
    reading = settled.reading
    assert reading is not None
    asked = replace(settled, reading=replace(reading, plan=replace(reading.plan, engine=only)))
    failed = store.save(settled, asked.fail(replace(FAILURE, code="cut-off"), now=now))
    bought = store.bought_for(failed.id)
    report = treated(Desk(settings_of(tmp_path, **inbox), store), AskRetry(failed=True))
    assert "asked again, which is paid once more" in report.treated[0].what
    again = store.get(failed.id)
    assert again is not None
    assert (again.state, again.engines_refused, again.answer) == (State.SETTLED, (), None)
    assert store.answer_for(reading.purchase) is None, "it is not delivered again"
    assert len(store.retired(reading.purchase)) == 1, "what was paid is kept"
    assert store.bought_for(failed.id) == bought
    assert "no usable transcript" in store.story(failed.id)[-1].note


def test_a_copy_of_what_was_asked_again_is_delivered_from_the_new_answer(
    tmp_path: Path, store: Store, now: datetime
) -> None:
    """Two copies failed on one answer: once the first was asked again, a retry of the second costs nothing."""
    first = _useless(store, now, path=b"/inbox/a.wav")
    assert first.reading is not None
    transcribed = put(store, State.SETTLED, now, path=b"/inbox/b.wav")
    useless = store.answer_for(first.reading.purchase)
    assert useless is not None
    heard = transcribed.read(first.reading, now=now).hear(useless, now=now)
    second = store.save(transcribed, heard.fail(replace(FAILURE, code="cut-off"), now=now))
    desk = Desk(settings_of(tmp_path, engine="qwen3-asr-flash"), store)
    treated(desk, AskRetry(paths=(first.path,)))
    again = store.get(first.id)
    assert again is not None
    better = replace(useless, raw=b'{"better": 1}', id=0)
    store.save(again, again.read(first.reading, now=now).hear(better, now=now))
    report = treated(desk, AskRetry(paths=(second.path,)))
    assert "costs nothing" in report.treated[0].what
    kept = store.answer_for(first.reading.purchase)
    assert kept is not None
    assert kept.raw == better.raw


def test_retrying_what_is_parked_is_booked(desk: Desk, store: Store, now: datetime) -> None:
    """A person's decision to pay perhaps twice shows in the ledger."""
    put(store, State.PARKED, now)
    assert store.ledger().perhaps_twice == 0
    treated(desk, AskRetry(parked=True))
    assert (store.ledger().perhaps_twice, store.ledger().unknown) == (1, 0)


def test_retry_chooses_by_state(desk: Desk, store: Store, now: datetime) -> None:
    """--failed takes all that failed and nothing else; a folder narrows it."""
    put(store, State.FAILED, now, path=b"/inbox/a/1.wav", number=1)
    put(store, State.FAILED, now, path=b"/inbox/b/2.wav", number=2)
    put(store, State.PARKED, now, path=b"/inbox/a/3.wav", number=3)
    narrowed = treated(desk, AskRetry(paths=(b"/inbox/a",), failed=True))
    assert [each.path for each in narrowed.treated] == [b"/inbox/a/1.wav"]
    everything = treated(desk, AskRetry(failed=True))
    assert [each.path for each in everything.treated] == [b"/inbox/b/2.wav"]


def test_retry_takes_the_newest_of_a_path(desk: Desk, store: Store, now: datetime) -> None:
    """Earlier content of the same path, which is not there any more, is left alone."""
    old = put(store, State.DELIVERED, now, number=1)
    put(store, State.FAILED, now, number=2)
    assert treated(desk, AskRetry(paths=(b"/inbox",))).done == 1
    unchanged = store.get(old.id)
    assert unchanged is not None
    assert unchanged.state is State.DELIVERED


def test_retry_refuses_what_is_under_way(tmp_path: Path, store: Store, now: datetime) -> None:
    """What a worker is on is refused, whatever its state: the worker's news would find another row."""
    recording = put(store, State.TRANSCRIBED, now)
    daemon = daemon_for(store)
    daemon.under_way[recording.id] = recording
    desk = Desk(settings_of(tmp_path), store, daemon)
    for question in (AskRetry(paths=(TALK,)), AskForget(paths=(TALK,))):
        report = treated(desk, question)
        assert report.refused == 1
        assert "under way at this moment" in report.treated[0].what


def test_retry_lets_a_held_engine_be_tried(tmp_path: Path, store: Store, now: datetime) -> None:
    """A retry opens the hold for a probe, in the daemon and without one."""
    put(store, State.FAILED, now)
    store.hold(a_hold(now))
    daemon = daemon_for(store)
    treated(Desk(settings_of(tmp_path), store, daemon), AskRetry(paths=(TALK,)))
    assert daemon.gate.is_open("some-engine", datetime.now().astimezone())
    treated(Desk(settings_of(tmp_path), store), AskRetry(paths=(TALK,)))
    assert store.holds()[0].until <= datetime.now().astimezone()


def test_retry_of_the_unknown_is_refused(desk: Desk) -> None:
    """A path nothing is known of is refused, with where to ask."""
    report = treated(desk, AskRetry(paths=(b"/inbox/nobody.wav",)))
    assert report.refused == 1
    assert "asrwatch explain" in report.treated[0].what


def test_retry_of_what_settles_says_so(tmp_path: Path, store: Store) -> None:
    """A file that status lists under settling is not called unknown: it says what it waits for."""
    settings = settings_of(tmp_path)
    daemon = daemon_for(store)
    empty, new = b"/inbox/empty.wav", b"/inbox/new.wav"
    daemon.lookouts["inbox"] = Spotter(
        settings, waiting=(a_waiting(empty, size=0), a_waiting(new, size=5))
    )
    report = treated(Desk(settings, store, daemon), AskRetry(paths=(empty, new)))
    assert report.refused == 2
    assert "no bytes" in report.treated[0].what
    assert "still settling" in report.treated[1].what
    assert not any("does not know" in each.what for each in report.treated)


# Forget.


@pytest.mark.parametrize("state", list(State))
def test_forget_never_drops_a_paid_request(
    desk: Desk, store: Store, now: datetime, state: State
) -> None:
    """Everything can be forgotten but a request that may be or is paid for."""
    recording = put(store, state, now)
    report = treated(desk, AskForget(paths=(TALK,)))
    refused = state in {State.ASKING, State.SUBMITTED}
    assert (report.done, report.refused) == ((0, 1) if refused else (1, 0))
    assert (store.get(recording.id) is not None) is refused


def test_what_is_forgotten_stays_paid(desk: Desk, store: Store, now: datetime) -> None:
    """Forgetting keeps the ledger and the answer, and leaves the file alone."""
    recording = put(store, State.DELIVERED, now)
    assert recording.reading is not None
    treated(desk, AskForget(paths=(b"/inbox",)))
    assert store.ledger().answered == 1
    assert store.answer_for(recording.reading.purchase) is not None
    assert dict(store.known("inbox")) == {TALK: recording.fingerprint}
    assert explained(desk).forgotten


def test_forgetting_a_path_forgets_its_past(desk: Desk, store: Store, now: datetime) -> None:
    """All content a path ever held is forgotten, and the newest is what is left alone."""
    newest = Fingerprint(device=9, inode=9, size=9, mtime_ns=9)
    put(store, State.DELIVERED, now, number=1)
    put(store, State.FAILED, now, number=2, fingerprint=newest)
    treated(desk, AskForget(paths=(TALK,)))
    assert store.all_at(TALK) == ()
    assert dict(store.known("inbox")) == {TALK: newest}


def test_retry_undoes_forget(tmp_path: Path, store: Store, now: datetime) -> None:
    """What was forgotten is taken up again by name or by folder, and its lookout looks again."""
    settings = settings_of(tmp_path)
    path = settings.inboxes[0].root + b"/sub/talk.wav"
    put(store, State.FAILED, now, path=path)
    daemon = daemon_for(store)
    spotter = Spotter(settings)
    daemon.lookouts["inbox"] = spotter
    desk = Desk(settings, store, daemon)
    treated(desk, AskForget(paths=(path,)))
    report = treated(desk, AskRetry(paths=(settings.inboxes[0].root,)))
    assert report.treated[0].what == "It was forgotten; it is taken up again."
    assert spotter.seen == [path]
    assert store.forgotten(path) == ()


# JSON.


@pytest.mark.parametrize(
    "question",
    [
        AskStatus(),
        AskExplain(path=b"/a\xff\n.wav"),
        AskRetry(paths=(b"/\xc3\xbc",), failed=True),
        AskForget(paths=(b"/a", b"/b")),
    ],
)
def test_questions_travel_unharmed(question: Question) -> None:
    """A question is the same on the other side, whatever bytes its paths hold."""
    assert question_from_json(json.loads(json.dumps(question_to_json(question)))) == question


def test_reports_travel_unharmed(desk: Desk, store: Store, now: datetime) -> None:
    """A report is the same on the other side, names that are not UTF-8 included."""
    path = b"/inbox/\xff\xfe\n.wav"
    put(store, State.SUBMITTED, now, path=path)
    store.hold(a_hold(now))
    reports: list[Report] = [
        status_of(desk),
        explained(desk, path),
        treated(desk, AskRetry(paths=(path,))),
    ]
    for report in reports:
        assert from_json(type(report), json.loads(json.dumps(to_json(report)))) == report


@pytest.mark.parametrize(
    "written",
    [None, 7, [], {}, {"ask": "money"}, {"ask": "explain"}, {"ask": "explain", "path": "a\0b"}],
)
def test_what_is_no_question_is_refused(written: object) -> None:
    """Anything that is not exactly a question is an error, not a guess."""
    with pytest.raises(ValueError, match="validation error"):
        question_from_json(written)


def test_long_lists_are_cut_and_counted(desk: Desk, store: Store, now: datetime) -> None:
    """A report lists the first of many, and counts all."""
    made = put(store, State.FAILED, now, path=b"/inbox/0.wav")
    for number in range(1, 260):
        other = store.add(replace(made, id=0, task=None, path=b"/inbox/%d.wav" % number))
        assert other.state is State.FAILED
    assert explained(desk, b"/inbox").below_count == 260
    assert len(explained(desk, b"/inbox").below) == 50
    report = treated(desk, AskRetry(failed=True))
    assert (report.done, len(report.treated)) == (260, 200)

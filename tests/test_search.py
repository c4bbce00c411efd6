"""The search over all transcripts: what it finds, what it shows, and that its index never stands in anybody's way."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from desk_helpers import put
from fake_engine import FakeEngine, fake_engine
from hypothesis import given, settings
from hypothesis import strategies as st

from asrwatch.errors import UsageError
from asrwatch.journey.evidence import Answer
from asrwatch.journey.filling import Filler
from asrwatch.journey.recording import Recording, State
from asrwatch.journey.store import Search, Store
from asrwatch.journey.store.said import _FIRST, find_in
from asrwatch.journey.store.searching import excerpt, phrases, query, split
from asrwatch.journey.transcript import Sentence

ZOO = "Der Löwe sprach mit dem Bären über die Straße."
CHINESE = "今天我们讨论语音识别的价格。明天再说。"


def said(store: Store, number: int, now: datetime, *texts: str, inbox: str = "inbox") -> Recording:
    """A delivered recording in which this was said, a sentence each ten seconds."""
    sentences = tuple(
        Sentence(text=text, begin=timedelta(seconds=10 * place)) for place, text in enumerate(texts)
    )
    path = b"/inbox/talk-%d.wav" % number
    heard = put(store, State.TRANSCRIBED, now, path=path, number=number, inbox=inbox)
    done = put_delivered(store, heard, now, sentences)
    assert done.state is State.DELIVERED
    return done


def put_delivered(
    store: Store, heard: Recording, now: datetime, sentences: Sequence[Sentence]
) -> Recording:
    """Deliver what was heard, the way a worker's step does it."""
    from journey_helpers import a_recording  # noqa: PLC0415 - only here

    delivery = a_recording(State.DELIVERED, now, path=heard.path).delivery
    assert delivery is not None
    delivery = replace(delivery, said=tuple(sentences), original=heard.path)
    return store.save(heard, heard.deliver(delivery, now=now))


def found(store: Store, text: str, **more: object) -> list[int]:
    """The numbers of the recordings that a search finds."""
    return [hit.recording for hit in store.find(Search(text=text, **more)).hits]  # type: ignore[arg-type] # options of Search


def forget_index(store: Store) -> None:
    """As after an upgrade: nothing is in the index, nor beside it."""
    with store.transaction():
        store._run("DELETE FROM said")
        store._begin_anew()


@pytest.mark.parametrize(
    ("text", "sought"),
    [
        (ZOO, "löwe"),
        (ZOO, "LOWE bären"),
        (ZOO, '"mit dem Bären"'),
        (CHINESE, "价"),
        (CHINESE, "价格"),
        (CHINESE, "语音识别"),
        (CHINESE, "明天 价格"),
        ("用 Python 写的 API 接口", "python接口"[:6]),
        ("用Python写的API接口", "API"),
        ("カタカナとひらがな", "ひら"),
        ("안녕하세요 여러분", "하세"),
        ("สวัสดีครับ", "สวัส"),
        ("e-mail an O'Neill, 3.5 %", "e-mail O'Neill"),
    ],
)
def test_what_was_said_is_found(store: Store, now: datetime, text: str, sought: str) -> None:
    """Words are found whatever their case and accents; scripts without spaces by any characters in a row."""
    mine = said(store, 1, now, "Hello, world.", text)
    said(store, 2, now, "Something else.", "别的内容")
    (hit,) = store.find(Search(text=sought)).hits
    assert hit.recording == mine.id
    assert hit.transcript == mine.path + b".txt"
    assert hit.original == mine.path
    assert hit.excerpt.begin == timedelta(seconds=10)
    assert any(piece.found for piece in hit.excerpt.fragments)
    assert (
        "".join(piece.text for piece in hit.excerpt.fragments).strip("…")
        in f"Hello, world.\n{text}"
    )


def test_characters_apart_are_not_a_phrase(store: Store, now: datetime) -> None:
    """A search of two characters finds them only side by side; every word of a search must have been said."""
    said(store, 1, now, CHINESE)
    assert found(store, "格价") == []
    assert found(store, "价格 昨天") == []
    assert found(store, '"Bären dem"') == []


@pytest.mark.parametrize(
    "sought",
    [
        '"',
        'say "hello',
        "'; DROP TABLE said; --",
        "NEAR(hello world)",
        "hello AND",
        "hel*",
        "-hello",
        "said:hello",
        "{said}: hello",
        "^hello",
        "hello + world",
        "(hello",
        "\0hello",
        "\ud800 hello",
    ],
)
def test_signs_in_a_search_are_text(store: Store, now: datetime, sought: str) -> None:
    """No quote mark and no operator of FTS5 makes a search an error, or means more than its words."""
    said(store, 1, now, "Hello, world.")
    try:
        numbers = found(store, sought)
    except UsageError as error:
        assert error.code == "search-empty"  # noqa: PT017 - a search may hold no word at all
    else:
        assert numbers in ([], [1])
    assert found(store, "hello") == [1]


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=60))
def test_no_search_is_an_error_of_sql(text: str) -> None:
    """Whatever somebody types is a search, or is told to hold no word."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE VIRTUAL TABLE words USING fts5(said, inbox, content='')")
        connection.execute("INSERT INTO words VALUES (?, '')", (split(text),))
        try:
            wanted = query(text)
        except UsageError:
            return
        connection.execute("SELECT count(*) FROM words WHERE words MATCH ?", (wanted,)).fetchone()
        excerpt(text, [(None, text)])


def test_a_phrase_is_what_stands_between_two_quote_marks() -> None:
    """A pair of quote marks makes a phrase, a single one is nothing."""
    assert phrases('"good day" sir') == ("good day", "sir")
    assert phrases('the 12" record') == ("the", '12"', "record")
    with pytest.raises(UsageError, match="no word"):
        phrases('""  ... "')
    with pytest.raises(UsageError, match="longer"):
        phrases("word " * 300)


def test_the_best_hit_comes_first_and_filters_hold(store: Store, now: datetime) -> None:
    """Hits are ranked; an inbox, a date and a limit leave others out."""
    said(store, 1, now - timedelta(days=2), "budget " + "other words " * 50)
    said(store, 2, now, "budget budget", inbox="calls")
    assert found(store, "budget") == [2, 1]
    assert found(store, "budget", inbox="inbox") == [1]
    assert found(store, "budget", since=now - timedelta(days=1)) == [2]
    finding = store.find(Search(text="budget", limit=1))
    assert (finding.count, finding.ranked, len(finding.hits)) == (2, True, 1)


def test_a_search_of_one_inbox_does_not_look_through_the_others(
    store: Store, now: datetime
) -> None:
    """A frequent word in an inbox that has little of it, or lately, costs nothing for all the others."""
    for number in range(1, 400):
        said(store, number, now - timedelta(days=2), "budget")
    said(store, 400, now, "budget", inbox="calls")
    reading = sqlite3.connect(f"file:{store.state_dir / 'asrwatch.db'}?mode=ro", uri=True)
    with closing(reading):
        steps = 0

        def step() -> int:
            nonlocal steps
            steps += 1
            return 0

        reading.set_progress_handler(step, 10)
        spent = []
        for narrowed in ({"inbox": "calls"}, {"inbox": "none"}, {"since": now - timedelta(days=1)}):
            steps = 0
            find_in(reading, Search(text="budget", **narrowed))
            spent.append(steps)
        steps = 0
        find_in(reading, Search(text="budget"))
        (plan,) = reading.execute(f"EXPLAIN QUERY PLAN {_FIRST}", (0,)).fetchall()
    assert max(spent) * 5 < steps
    assert "COVERING INDEX recordings_by_finding (found_at>?)" in plan[3]


def test_inboxes_with_any_name_are_told_apart(store: Store, now: datetime) -> None:
    """Names of inboxes are compared whole, whatever stands in them; the name is not said in a recording."""
    names = ("one two", "two", 'a"b', "会议", "Two")
    for number, name in enumerate(names, 1):
        said(store, number, now, "budget", inbox=name)
    assert [found(store, "budget", inbox=name) for name in names] == [[1], [2], [3], [4], [5]]
    assert found(store, "two") == []
    assert found(store, "x74776f") == []


def test_what_was_said_moves_with_its_recording(store: Store, now: datetime) -> None:
    """A recording whose inbox is called otherwise is found there, and its words go with it when it is forgotten."""
    mine = said(store, 1, now, "budget")
    moved = store.save(mine, replace(mine, inbox="calls"), note="moved")
    assert found(store, "budget", inbox="calls") == [1]
    assert found(store, "budget", inbox="inbox") == []
    store.forget(moved, now=now)
    with store.transaction():
        assert store._run("SELECT count(*) FROM words WHERE words MATCH 'budget'").fetchone() == (
            0,
        )
    check_index(store)


def test_an_excerpt_shows_where_most_of_the_words_stand_together() -> None:
    """Of a long transcript the part is shown that holds most of what was looked for, and when it was said."""
    sentences = [(timedelta(seconds=n), f"nothing of note {n}") for n in range(5000)]
    sentences[100] = (timedelta(seconds=100), "the price alone")
    sentences[4000] = (timedelta(seconds=4000), "the price of the apples")
    shown = excerpt("price apples", sentences)
    assert shown.begin == timedelta(seconds=4000)
    assert [piece.text for piece in shown.fragments if piece.found] == ["price", "apples"]
    assert len("".join(piece.text for piece in shown.fragments)) < 250


def test_what_is_forgotten_is_not_found(store: Store, now: datetime) -> None:
    """`forget` takes a recording's words out of the search, and the others stay."""
    first, second = said(store, 1, now, "one apple"), said(store, 2, now, "two apples, one apple")
    store.forget(first, now=now)
    assert found(store, "apple") == [second.id]
    assert store.said_in(first.id) is None


def test_delivered_again_with_other_words_only_those_are_found(store: Store, now: datetime) -> None:
    """A transcript that is replaced is found by its new words alone."""
    done = said(store, 1, now, "first version")
    again = store.save(done, done.retry(now=now))
    put_delivered(store, again, now, [Sentence(text="second version")])
    assert (found(store, "first"), found(store, "second")) == ([], [done.id])


def test_words_and_delivery_are_committed_together(store: Store, now: datetime) -> None:
    """A transaction that fails leaves neither the delivery nor its words."""
    heard = put(store, State.TRANSCRIBED, now)

    def fails() -> None:
        with store.transaction():
            put_delivered(store, heard, now, [Sentence(text="apple")])
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fails()
    assert found(store, "apple") == []
    put_delivered(store, heard, now, [Sentence(text="apple")])
    assert found(store, "apple") == [heard.id]


def test_text_that_utf8_cannot_hold_is_kept(store: Store, now: datetime) -> None:
    """Half a surrogate pair or a zero byte in an answer keeps no transcript from being delivered and found."""
    mine = said(store, 1, now, "apple \ud83d and\0pear")
    assert found(store, "apple pear") == [mine.id]


def test_older_transcripts_are_filled_in_by_portions(store: Store, now: datetime) -> None:
    """After an upgrade answers are read from the newest down; what is delivered meanwhile is in it once."""
    engine = fake_engine(FakeEngine)
    old = [
        put(store, State.DELIVERED, now, path=b"/inbox/%d.wav" % n, number=n) for n in range(1, 8)
    ]
    forget_index(store)
    filler = Filler(store, {"some-engine": engine})
    assert store.find(Search(text="hi")).missing == len(old)
    again = store.save(old[0], old[0].retry(now=now))
    put_delivered(store, again, now, [Sentence(text="hi again")])
    new = said(store, 9, now, "hi there")
    filler.fill(timedelta(0))
    assert sorted(found(store, "hi")) == [old[-1].id, new.id]
    while filler.has_work:
        filler.fill(timedelta(0))
    assert sorted(found(store, "hi")) == [*(each.id for each in old), new.id]
    assert found(store, "again") == [old[0].id]
    assert store.find(Search(text="hi")).missing == 0
    check_index(store)


def test_an_answer_nobody_can_read_is_passed_over(store: Store, now: datetime) -> None:
    """An answer of an engine that is gone, or that holds no transcript, stops nothing."""
    put(store, State.DELIVERED, now, path=b"/inbox/a.wav", number=1)
    bad = Answer(raw=b"{}", received_at=now)
    put(store, State.DELIVERED, now, path=b"/inbox/b.wav", number=2, answer=bad)
    forget_index(store)
    filler = Filler(store, {})
    while filler.has_work:
        filler.fill()
    assert store.find(Search(text="hi")).missing == 0


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM words_data",
        "DELETE FROM words_data WHERE id > 10",
        "UPDATE words_data SET block = zeroblob(20) WHERE id > 10",
        "DELETE FROM words_idx",
        "DELETE FROM words_docsize",
        "DELETE FROM words_config",
        "DROP TABLE words",
        "DROP TABLE words_config",
        "DROP TABLE words_docsize",
    ],
)
def test_a_damaged_index_is_built_anew(store: Store, now: datetime, damage: str) -> None:
    """Whatever is wrong with the index: deliveries go on, searches answer, and it is whole again by itself."""
    old = [said(store, n, now, f"apple number {n}") for n in range(1, 5)]
    folder = store.state_dir
    store.close()
    raw = sqlite3.connect(folder / "asrwatch.db", isolation_level=None)
    raw.execute(damage)
    raw.close()
    with Store(folder) as again:
        new = said(again, 9, now, "apple pie")
        again.forget(old[0], now=now)
        again.find(Search(text="apple"))
        again._begin_anew()  # what SQLite took no notice of is not our promise
        filler = Filler(again, {})
        while filler.has_work:
            filler.fill()
        assert sorted(found(again, "apple")) == [*(each.id for each in old[1:]), new.id]
        check_index(again)


def check_index(store: Store) -> None:
    """FTS5's own check of its index, and SQLite's of everything."""
    with store.transaction():
        store._run("INSERT INTO words (words) VALUES ('integrity-check')")
        assert store._run("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_a_backup_can_be_searched(store: Store, now: datetime, tmp_path: Path) -> None:
    """The copy of the database holds the index, too."""
    said(store, 1, now, "apple")
    draft = store.copy()
    place = tmp_path / "restored"
    place.mkdir()
    draft.rename(place / "asrwatch.db")
    with Store(place) as restored:
        assert found(restored, "apple") == [1]

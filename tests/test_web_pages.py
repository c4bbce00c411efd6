"""What the status page shows and does, over plain HTTP: lists, stories, sound in ranges, actions, live updates."""

import http.client
import json
import os
import re
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from desk_helpers import put
from journey_helpers import READING, a_recording
from wait_helpers import wait_for
from wav_helpers import wav_bytes
from web_helpers import Visitor, living_with_page, served, settings_for_page

from asrwatch.files import fingerprint_of
from asrwatch.journey.evidence import Delivery, Output, Reading
from asrwatch.journey.recording import State
from asrwatch.journey.store import Reader, Store
from asrwatch.journey.transcript import Sentence, Transcript, Word
from asrwatch.web.remembering import Remembering
from asrwatch.web.story import Seen
from asrwatch.web.transcript import CHUNK, chunks, said, times

pytestmark = pytest.mark.xdist_group("pages")  # what they share is made once

EVIL = b"<script>alert(1) \"'\xff\n.wav"
SOUND = wav_bytes(seconds=2)


def lies(
    store: Store, state: State, now: datetime, path: Path, *, number: int = 1, **changes: Any
) -> int:
    """A recording in a store whose file lies there, in a container that browsers play."""
    path.write_bytes(SOUND)
    return entered(store, state, now, os.fsencode(path), number=number, **changes)


def entered(
    store: Store, state: State, now: datetime, path: bytes, *, number: int = 1, **changes: Any
) -> int:
    """The same for a file that is there, or not."""
    reading = replace(READING, sha256=f"{number:064x}")
    if os.path.exists(path):  # noqa: PTH110 - bytes
        changes.setdefault("fingerprint", fingerprint_of(os.lstat(path)))
    if state is State.DELIVERED:
        at = changes.pop("original", path)
        outputs = changes.pop("outputs", ())
        said_there = changes.pop("said", None)
        changes["outputs"] = outputs
        changes["delivery"] = Delivery(
            delivered_at=now, outputs=outputs, original=at, said=said_there
        )
    if state is not State.SETTLED:
        changes.setdefault("reading", reading)
    return put(store, state, now, path=path, number=number, **changes).id


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With an inbox, a place that is none, and what the recordings of this module are."""
    made = tmp_path_factory.mktemp("pages")
    (made / "inbox").mkdir()
    (made / "elsewhere").mkdir()
    (made / "moved").mkdir()
    return made


@pytest.fixture(scope="module")
def visitor(root: Path) -> Iterator[Visitor]:
    """Of a daemon that knows recordings of every kind."""
    now = datetime.now().astimezone()
    inbox = root / "inbox"

    def fill(store: Store) -> None:
        words = Output(format="txt", path=bytes(inbox / "talk.txt"), sha256="ab" * 32)
        (inbox / "talk.txt").write_text("Hello.\n")
        lies(store, State.DELIVERED, now, inbox / "talk.wav", outputs=(words,))
        lies(store, State.FAILED, now, inbox / "broken.wav", number=2)
        entered(store, State.FAILED, now, bytes(inbox) + b"/" + EVIL, number=3)
        (root / "elsewhere" / "secret.wav").write_bytes(SOUND)
        (inbox / "link.wav").symlink_to(root / "elsewhere" / "secret.wav")
        entered(store, State.FAILED, now, bytes(inbox / "link.wav"), number=4)
        entered(store, State.FAILED, now, bytes(root / "elsewhere" / "secret.wav"), number=5)
        lies(store, State.FAILED, now, inbox / "changed.wav", number=6)
        (inbox / "changed.wav").write_bytes(SOUND + b"more")
        entered(store, State.DELIVERED, now, bytes(inbox / "gone.wav"), number=81)
        (root / "moved" / "gone.wav").write_bytes(SOUND)
        moved = bytes(root / "moved" / "gone.wav")
        size = replace(fingerprint_of(os.lstat(moved)), inode=1)
        entered(
            store,
            State.DELIVERED,
            now,
            bytes(inbox / "gone.wav"),
            number=7,
            original=moved,
            fingerprint=size,
        )
        for number in range(8, 80):
            entered(store, State.FAILED, now, bytes(inbox / f"many-{number:03}.wav"), number=number)

    settings = settings_for_page(root, after={"move": str(root / "moved")})
    with served(settings, fill) as made:
        yield made


def number_of(visitor: Visitor, name: str) -> int:
    """The number of the recording whose name begins so."""
    found = re.search(r'/recordings/(\d+)">', visitor.ask(f"/recordings?q={name}").text)
    assert found
    return int(found[1])


def test_hostile_names_are_escaped(visitor: Visitor) -> None:
    """Names with markup, quotes, line ends and bytes that are no text come out as text, everywhere [X20]."""
    number = number_of(visitor, "%3Cscript%3E")
    for path in (
        "/recordings?q=%3Cscript%3E%22",
        f"/recordings/{number}",
        "/recordings?inbox=%22%3E%3Cb%3E",
    ):
        told = visitor.ask(path)
        assert told.status == 200
        assert "<script>alert" not in told.text
        assert '"><b>' not in told.text
    assert "&lt;script&gt;alert(1)" in visitor.ask(f"/recordings/{number}").text
    assert r"\xff\n" in visitor.ask(f"/recordings/{number}").text


def test_what_can_be_done_has_its_place(visitor: Visitor) -> None:
    """Also where nothing can be done yet: live updates put the buttons there as soon as something can."""
    newest = number_of(visitor, "gone")
    told = visitor.ask(f"/recordings/{newest}").text
    (older,) = set(re.findall(r'href="/recordings/(\d+)"', told)) - {str(newest)}
    for number, buttons in ((newest, True), (int(older), False)):
        told = visitor.ask(f"/recordings/{number}").text
        assert 'data-part="acts"' in told
        assert (f"/recordings/{number}/forget" in told) is buttons


@pytest.mark.parametrize(
    ("state", "under_way", "may"),
    [
        (State.DELIVERED, True, True),
        (State.FAILED, True, True),
        (State.SETTLED, True, False),
        (State.SETTLED, False, True),
        (State.ASKING, False, False),
    ],
)
def test_what_is_done_can_be_treated_at_once(state: State, under_way: bool, may: bool) -> None:
    """A worker that has only to report that it is done keeps nobody from acting; one that works does."""
    anything: Any = None
    seen = Seen(
        recording=a_recording(state, datetime.now().astimezone()),
        place=anything,
        story=anything,
        earlier=(),
        sentences=(),
        unread="",
        is_newest=True,
        under_way=under_way,
        offers=(),
        currency="CNY",
    )
    assert seen.may_act is may


def test_the_list_goes_page_by_page(visitor: Visitor) -> None:
    """Every recording is on exactly one page, the newest first, with the filter kept from page to page."""
    seen: list[int] = []
    path = "/recordings?state=failed"
    while path:
        told = visitor.ask(path).text
        seen += [int(each) for each in re.findall(r'data-recording="(\d+)"', told)]
        older = re.search(r'href="(\?[^"]*before=[^"]*)" rel="next"', told)
        path = f"/recordings{older[1].replace('&amp;', '&')}" if older else ""
    assert len(seen) == len(set(seen)) == 77
    assert seen == sorted(seen, reverse=True)


def test_searches(visitor: Visitor) -> None:
    """By a part of the name, in any case, with signs that mean something to SQL or a regular expression as they are."""
    assert visitor.ask("/recordings?q=MANY-01").text.count("data-recording=") == 10
    assert visitor.ask("/recordings?q=many-01&state=delivered").text.count("data-recording=") == 0
    for odd in ("%25", "_", "%5C", "'%22;--", "%00", "%F0%9F%98%80", "%22%22%22", "NEAR("):
        told = visitor.ask(f"/recordings?q={odd}")
        assert told.status == 200, odd
        assert told.text.count("data-recording=") == 0, odd
    for odd in ("before=x", "before=-1", "before=99999999999999999999999", "state=nonsense"):
        assert visitor.ask(f"/recordings?{odd}").status == 200, odd


def test_sound_comes_whole(visitor: Visitor) -> None:
    """The recording as it is, of its own kind, to be played here or saved under its name."""
    number = number_of(visitor, "talk")
    told = visitor.ask(f"/recordings/{number}/sound")
    assert (told.status, told.body) == (200, SOUND)
    assert told.headers["content-type"] == "audio/wav"
    assert told.headers["accept-ranges"] == "bytes"
    assert told.headers["content-disposition"].startswith("inline")
    assert told.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in told.headers["content-security-policy"]
    saved = visitor.ask(f"/recordings/{number}/sound?download")
    assert saved.headers["content-disposition"] == 'attachment; filename="talk.wav"'
    looked = visitor.ask(f"/recordings/{number}/sound", method="HEAD")
    assert (looked.status, looked.body) == (200, b"")
    assert looked.headers["content-length"] == str(len(SOUND))


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ("bytes=0-", 0, None),
        ("bytes=100-199", 100, 199),
        ("bytes=-10", -10, None),
        ("bytes=5-999999999", 5, None),
    ],
)
def test_sound_comes_in_ranges(visitor: Visitor, asked: str, first: int, last: int | None) -> None:
    """A player that jumps gets exactly the bytes it asks for (206), and is told which they are."""
    told = visitor.ask(f"/recordings/{number_of(visitor, 'talk')}/sound", Range=asked)
    wanted = SOUND[first : None if last is None else last + 1]
    assert (told.status, told.body) == (206, wanted)
    begin = len(SOUND) - len(wanted) if first < 0 else first
    assert told.headers["content-range"] == f"bytes {begin}-{begin + len(wanted) - 1}/{len(SOUND)}"


def test_ranges_that_are_none(visitor: Visitor) -> None:
    """Beyond the end is 416 with the length; a range of what it was before is answered whole (If-Range)."""
    path = f"/recordings/{number_of(visitor, 'talk')}/sound"
    beyond = visitor.ask(path, Range=f"bytes={len(SOUND)}-")
    assert (beyond.status, beyond.headers["content-range"]) == (416, f"bytes */{len(SOUND)}")
    mark = visitor.ask(path).headers["etag"]
    assert visitor.ask(path, Range="bytes=0-9", If_Range=mark).status == 206
    assert visitor.ask(path, Range="bytes=0-9", If_Range='"another"').status == 200
    assert visitor.ask(path, Range="bytes=9-0").status in {400, 416}
    assert visitor.ask(path, method="HEAD", Range="bytes=0-9").status == 206


@pytest.mark.parametrize("name", ["link", "secret", "changed", "many-010"])
def test_nothing_else_can_be_had(visitor: Visitor, name: str) -> None:
    """No link, no file outside the inboxes, none that changed since, none that is gone: 404 and why [X20]."""
    told = visitor.ask(f"/recordings/{number_of(visitor, name)}/sound")
    assert told.status == 404
    assert SOUND not in told.body


def test_a_moved_original_is_found(visitor: Visitor) -> None:
    """What `after: {move: DIR}` put away is played from there."""
    assert visitor.ask(f"/recordings/{number_of(visitor, 'gone')}/sound").body == SOUND


def test_transcripts_are_saved(visitor: Visitor) -> None:
    """A transcript that was written can be taken away, as plain text; there is no other way to name a file."""
    number = number_of(visitor, "talk")
    told = visitor.ask(f"/recordings/{number}/transcripts/txt")
    assert (told.status, told.text) == (200, "Hello.\n")
    assert told.headers["content-type"].startswith("text/plain")
    assert told.headers["content-disposition"].startswith("attachment")
    for odd in ("json", "..", "%2e%2e%2f", "txt/../../.."):
        assert visitor.ask(f"/recordings/{number}/transcripts/{odd}").status == 404


@pytest.mark.parametrize(
    "path",
    [
        "/recordings/999999",
        f"/recordings/{10**30}",
        f"/recordings/{10**30}/sound",
        f"/recordings/{'9' * 5000}",
        "/recordings/999999/sound",
        "/recordings/x",
        "/nowhere",
        "/static/../web.py",
    ],
)
def test_what_is_not_there(visitor: Visitor, path: str) -> None:
    """404, as a page of ours."""
    assert visitor.ask(path).status == 404


def test_no_listing_of_ours_is_open(visitor: Visitor) -> None:
    """Python and templates are not served with the styles."""
    for path in ("/static/", "/static/..%2fapp.py", "/static/%2e%2e/app.py", "/static//etc/passwd"):
        assert visitor.ask(path).status == 404


# Acting.


def test_retry_and_forget(tmp_path: Path, now: datetime) -> None:
    """The buttons do what the commands do, in the daemon's own thread, and the page says what was done, once."""
    (tmp_path / "inbox").mkdir()
    ids: dict[str, int] = {}

    def fill(store: Store) -> None:
        for number, name in enumerate(("one", "two", "three"), start=1):
            path = tmp_path / "inbox" / f"{name}.wav"
            ids[name] = lies(store, State.FAILED, now, path, number=number)

    with served(settings_for_page(tmp_path), fill) as visitor:
        form = {"form": visitor.form_token("/")}
        sent = visitor.send(f"/recordings/{ids['one']}/retry", form)
        assert sent.status == 303
        told = visitor.ask(sent.headers["location"]).text
        assert "It starts over from the file." in told
        assert (
            "It starts over" not in visitor.ask(sent.headers["location"]).text.partition("<ol")[0]
        )
        sent = visitor.send(f"/recordings/{ids['two']}/forget", form)
        assert "It is forgotten" in visitor.ask(sent.headers["location"]).text
        assert visitor.ask(f"/recordings/{ids['two']}").status == 404
        assert visitor.send(f"/recordings/{ids['two']}/forget", form).status == 404
        sent = visitor.send("/retry", {**form, "all": "failed"})
        assert "three.wav" in visitor.ask(sent.headers["location"]).text
        assert visitor.send("/retry", {**form, "all": "everything"}).status == 400
    with Store(tmp_path / "state") as store:
        states = {name: store.get(number) for name, number in ids.items()}
    assert states["two"] is None
    assert {each.state for each in states.values() if each} == {State.SETTLED}


def test_another_engine(tmp_path: Path, now: datetime) -> None:
    """A delivered recording goes to the engine that was chosen, whatever its inbox says; the price is told before."""
    (tmp_path / "inbox").mkdir()
    ids: dict[str, int] = {}

    def fill(store: Store) -> None:
        facts = replace(READING.facts, duration=timedelta(seconds=90), sample_rate=16_000)
        reading = Reading(sha256="ab" * 32, facts=facts, plan=READING.plan)
        for number, name in enumerate(("here", "gone"), start=1):
            path = tmp_path / "inbox" / f"{name}.wav"
            one = replace(reading, sha256=f"{number:064x}")
            ids[name] = lies(store, State.DELIVERED, now, path, number=number, reading=one)
        (tmp_path / "inbox" / "gone.wav").unlink()

    settings = settings_for_page(tmp_path, engine="qwen3-asr-flash-filetrans")
    with served(settings, fill, real=True) as visitor:
        told = visitor.ask(f"/recordings/{ids['here']}").text
        assert re.search(r"qwen3-asr-flash:\s*about <b>0\.0\d+ CNY</b> \(1m 30s\)", told)
        form = {"form": visitor.form_token("/"), "engine": "qwen3-asr-flash"}
        assert visitor.send(f"/recordings/{ids['gone']}/another", form).status == 409
        odd = visitor.send(f"/recordings/{ids['here']}/another", {**form, "engine": "<b>"})
        assert "There is no engine called" in visitor.ask(odd.headers["location"]).text
        sent = visitor.send(f"/recordings/{ids['here']}/another", form)
        assert "It goes to qwen3-asr-flash" in visitor.ask(sent.headers["location"]).text
        with Reader(tmp_path / "state") as reader:
            wait_for(lambda: (one := reader.get(ids["here"])) and one.reading)
            again = reader.get(ids["here"])
            kept = reader.get(ids["gone"])
    assert again is not None
    assert again.reading is not None
    assert again.engine_wanted == again.reading.plan.engine == "qwen3-asr-flash"
    assert kept is not None
    assert kept.state is State.DELIVERED


# Live.


def events_of(visitor: Visitor, got: list[tuple[str, Any]], enough: threading.Event) -> None:
    """Listen until it is enough."""
    connection = http.client.HTTPConnection(visitor.host, timeout=30)
    connection.request("GET", "/events", headers={"Cookie": visitor.cookie})
    answer = connection.getresponse()
    kind = ""
    while not enough.is_set():
        line = answer.readline().decode().rstrip("\n")
        if line.startswith("event: "):
            kind = line.removeprefix("event: ")
        if line.startswith("data: "):
            got.append((kind, json.loads(line.removeprefix("data: "))))
    connection.close()


def test_changes_are_told(tmp_path: Path) -> None:
    """A save of the daemon's reaches whoever listens as a filled row; while nobody does, nobody is called."""
    (tmp_path / "inbox").mkdir()
    settings = settings_for_page(tmp_path, settle="100ms")
    with living_with_page(settings, real=True) as life:
        wait_for(lambda: life.page().url)
        visitor = Visitor(life.page().url or "")
        assert life.bell._listener is None
        got: list[tuple[str, Any]] = []
        enough = threading.Event()
        listener = threading.Thread(target=events_of, args=(visitor, got, enough))
        listener.start()
        wait_for(lambda: life.bell._listener is not None)
        (tmp_path / "inbox" / "talk.wav").write_bytes(SOUND)
        wait_for(lambda: any("talk.wav" in str(told) for kind, told in got if kind == "change"))
        enough.set()
        (tmp_path / "inbox" / "more.wav").write_bytes(SOUND + b"\0\0")
        listener.join(30)
        wait_for(lambda: life.bell._listener is None)
    rows = next(told["rows"] for kind, told in got if kind == "change")
    assert 'data-recording="1"' in rows["1"]
    assert any(kind == "now" and "<article" in told["html"] for kind, told in got)


def test_answers_are_remembered_for_a_moment() -> None:
    """However many ask at once, it is found out once; later it is found out again."""
    clock = [0.0]
    remembering = Remembering(lambda: clock[0])
    found: list[int] = []

    def find() -> int:
        found.append(1)
        return len(found)

    assert [remembering.recall("a", 1.0, find) for _ in range(5)] == [1] * 5
    clock[0] = 2.0
    assert remembering.recall("a", 1.0, find) == 2


# Transcripts.


def ms(number: int) -> timedelta:
    """So many milliseconds."""
    return timedelta(milliseconds=number)


def test_words_are_found_in_their_sentence() -> None:
    """Each word's place is counted as JavaScript counts (UTF-16), repeated words in their order, odd ones left out."""
    text = "😀 Well, well, 你好 well."
    words = (
        Word(begin=ms(0), end=ms(10), text="Well"),
        Word(begin=ms(10), end=ms(20), text="well"),
        Word(begin=ms(20), end=ms(30), text="nowhere"),
        Word(begin=ms(30), end=ms(40), text="你好"),
        Word(begin=ms(40), end=ms(50), text="well"),
    )
    (one,) = said(Transcript(text=text, sentences=(Sentence(text=text, begin=ms(0), words=words),)))
    units = text.encode("utf-16-le")
    places = [one.words[n : n + 4] for n in range(0, len(one.words), 4)]
    shown = [units[2 * begin : 2 * end].decode("utf-16-le") for _, _, begin, end in places]
    assert shown == ["Well", "well", "你好", "well"]
    assert [place[0] for place in places] == [0, 10, 30, 40]


def test_transcripts_without_times() -> None:
    """A text without sentences is one paragraph; without times nothing is offered to be played."""
    (one,) = said(Transcript(text="Hello world."))
    assert (one.text, one.begin) == ("Hello world.", None)
    assert times([one]) == []
    assert said(Transcript(text="  ")) == ()


def test_channels_are_told_apart() -> None:
    """Sentences of several channels come in the order of time, with who said them."""
    sentences = (
        Sentence(text="b", begin=ms(5), channel=0),
        Sentence(text="a", begin=ms(1), channel=1),
        Sentence(text="c", begin=ms(3_723_000), channel=1, speaker="Agent"),
    )
    told = said(Transcript(text="", sentences=sentences))
    assert [(each.text, each.who, each.at) for each in told] == [
        ("a", "2", "0:00"),
        ("b", "1", "0:00"),
        ("c", "Agent", "1:02:03"),
    ]


def test_long_transcripts_are_laid_out_in_stretches() -> None:
    """Sentences are grouped, so that a browser lays out only those that are near."""
    told = said(
        Transcript(text="", sentences=tuple(Sentence(text=f"s{n}") for n in range(CHUNK * 2 + 1)))
    )
    assert [len(chunk) for chunk in chunks(told)] == [CHUNK, CHUNK, 1]


def test_help_loads_no_server() -> None:
    """`asrwatch --help` imports neither Starlette nor uvicorn nor Jinja2."""
    program = (
        "import sys\n"
        "sys.argv = ['asrwatch', '--help']\n"
        "from asrwatch.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print([name for name in ('starlette', 'uvicorn', 'jinja2') if name in sys.modules])\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert told.stdout.splitlines()[-1] == "[]"


def test_a_damaged_search_is_mended_from_the_page(tmp_path: Path, now: datetime) -> None:
    """A search that meets a damaged index starts its rebuild, says what is missing, and finds it soon."""
    (tmp_path / "inbox").mkdir()

    def fill(store: Store) -> None:
        said = (Sentence(text="apple pie"),)
        lies(store, State.DELIVERED, now, tmp_path / "inbox" / "talk.wav", said=said)

    with served(settings_for_page(tmp_path), fill) as visitor:
        assert visitor.ask("/recordings?q=apple").text.count("<mark>apple</mark>") == 1
        with closing(sqlite3.connect(tmp_path / "state" / "asrwatch.db", timeout=30)) as raw:
            raw.execute("DELETE FROM words_data")
            raw.commit()
        told = visitor.ask("/recordings?q=apple")
        assert told.status == 200
        assert "Not all transcripts can be searched yet" in told.text
        wait_for(lambda: "<mark>apple</mark>" in visitor.ask("/recordings?q=apple").text)
        assert "Not all transcripts" not in visitor.ask("/recordings?q=apple").text

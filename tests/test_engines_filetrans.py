"""Tasks asked about with few requests, and lost requests found again by proof."""

import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from cloud_helpers import NOW, Answer, Asked, Server, cloud_at, json_answer

from asrwatch.cloud.pacer import Pacer
from asrwatch.engines import Found, Heard, NotThere, StillOut
from asrwatch.engines._lookout import worth_listing
from asrwatch.engines.qwen3_asr_flash_filetrans import FiletransOptions, Qwen3AsrFlashFiletrans
from asrwatch.errors import (
    AsrwatchError,
    EngineError,
    RecordingError,
    TemporaryError,
    TicketLost,
    UrlExpired,
)

MODEL = "qwen3-asr-flash-filetrans"


@dataclass(kw_only=True)
class Tasks:
    """The cloud's tasks, as a test wants them, and how they were asked about."""

    status: dict[str, str] = field(default_factory=dict)
    source: dict[str, str] = field(default_factory=dict)
    created: dict[str, float] = field(default_factory=dict)
    models: dict[str, str] = field(default_factory=dict)
    output: dict[str, dict[str, Any]] = field(default_factory=dict)
    largest_page: int = 100
    refuses_pages_over: int = 1000
    result_status: int = 200
    result_body: bytes | None = None
    server: Server = field(init=False)

    def answer(self, asked: Asked) -> Answer:
        """Query, list, result."""
        if asked.path.startswith("/result/"):
            return self._result(asked)
        if asked.path.rstrip("/") == "/api/v1/tasks":
            return self._list(asked)
        ticket = asked.path.rpartition("/")[2]
        status = self.status.get(ticket, "UNKNOWN")
        output: dict[str, Any] = {"task_id": ticket, "task_status": status}
        usage = {}
        if status == "SUCCEEDED":
            url = f"{self.server.url}/result/{ticket}.json?Signature=a%3Ab%2F&Expires=1"
            output["result"] = {"transcription_url": url}
            usage = {"usage": {"seconds": 3}}
        if ticket in self.output:
            output = {"task_id": ticket, "task_status": status, **self.output[ticket]}
        return json_answer({"request_id": "r", "output": output, **usage})

    def _list(self, asked: Asked) -> Answer:
        size = int(asked.query.get("page_size", 10))
        if size > self.refuses_pages_over:
            return json_answer({"code": "InvalidParameter", "message": "page_size"}, 400)
        size = min(size, self.largest_page)
        page = int(asked.query.get("page_no", 1))
        wanted = asked.query.get("status")
        assert asked.query.get("model_name", MODEL) == MODEL
        assert "start_time" not in asked.query
        rows = [
            {
                "task_id": ticket,
                "status": status,
                "model_name": self.models.get(ticket, MODEL),
                "gmt_create": int(self.created.get(ticket, NOW.timestamp()) * 1000),
            }
            for ticket, status in self.status.items()
            if status != "UNKNOWN" and wanted in {None, status}
        ]
        return json_answer(
            {
                "request_id": "r",
                "page_no": page,
                "page_size": size,
                "total": len(rows),
                "total_page": -(-len(rows) // size),
                "data": rows[(page - 1) * size : page * size],
            }
        )

    def _result(self, asked: Asked) -> Answer:
        ticket = asked.path.rpartition("/")[2].removesuffix(".json")
        if "authorization" in asked.headers or asked.query["Signature"] != "a:b/":
            return Answer(status=403, body=b"<Error><Code>SignatureDoesNotMatch</Code></Error>")
        result = {
            "file_url": self.source.get(ticket, "https://x/other.wav"),
            "transcripts": [{"channel_id": 0, "text": f"Text of {ticket}."}],
        }
        if self.result_body is not None:
            return Answer(status=self.result_status, body=self.result_body)
        return json_answer(result, self.result_status)

    def counted(self) -> Counter[str]:
        """How many requests of each kind were made."""
        return Counter(
            "result"
            if asked.path.startswith("/result/")
            else ("list" if asked.path.rstrip("/") == "/api/v1/tasks" else "query")
            for asked in self.server.asked
        )


@pytest.fixture
def tasks() -> Iterator[Tasks]:
    """Tasks and the server that tells of them."""
    made = Tasks()
    with Server(made.answer) as server:
        made.server = server
        yield made


def engine_at(url: str, **options: Any) -> Qwen3AsrFlashFiletrans:
    """The engine, talking to this server."""
    return Qwen3AsrFlashFiletrans(FiletransOptions(**options), cloud_at(url))


def check(tasks: Tasks, *tickets: str) -> dict[str, Heard | StillOut | AsrwatchError]:
    """The news of these tickets."""
    return dict(engine_at(tasks.server.url).check(tickets))


def test_one_running_task_is_one_query(tasks: Tasks) -> None:
    """A single ticket is asked about directly."""
    tasks.status["a"] = "RUNNING"
    assert check(tasks, "a") == {"a": StillOut(status="RUNNING")}
    assert tasks.counted() == {"query": 1}


def test_a_result_is_fetched_in_the_same_breath(tasks: Tasks) -> None:
    """Success is followed by the result file at once, without the key, its URL untouched."""
    tasks.status["a"] = "SUCCEEDED"
    (news,) = check(tasks, "a").values()
    assert isinstance(news, Heard)
    assert news.answer.ticket == "a"
    assert news.answer.billed == timedelta(seconds=3)
    assert engine_at(tasks.server.url).read(news.answer).text == "Text of a."
    fetched = tasks.server.asked[-1]
    assert "authorization" not in fetched.headers
    assert tasks.counted() == {"query": 1, "result": 1}


def test_many_running_tasks_are_one_list(tasks: Tasks) -> None:
    """Sixty tasks under way cost one request; the unfinished ones need no query."""
    tasks.status = {f"t{number}": "RUNNING" for number in range(60)}
    news = check(tasks, *tasks.status)
    assert set(news) == set(tasks.status)
    assert all(isinstance(item, StillOut) for item in news.values())
    assert tasks.counted() == {"list": 1}


def test_running_waiting_and_finished_tasks(tasks: Tasks) -> None:
    """Two lists find what is under way; only finished tasks are queried, each with its result."""
    kinds = {"r": "RUNNING", "p": "PENDING", "s": "SUCCEEDED"}
    tasks.status = {f"{kind}{n}": word for kind, word in kinds.items() for n in range(10)}
    news = check(tasks, *tasks.status)
    assert sum(isinstance(item, Heard) for item in news.values()) == 10
    assert tasks.counted() == {"list": 2, "query": 10, "result": 10}


def test_strangers_tasks_end_the_paging(tasks: Tasks) -> None:
    """On a busy account pages are turned only while that can spare more queries than it costs."""
    strangers = {f"x{number}": "RUNNING" for number in range(2000)}
    tasks.status = {**strangers, **{f"t{number}": "RUNNING" for number in range(5)}}
    tasks.largest_page = 10
    news = check(tasks, *(f"t{number}" for number in range(5)))
    assert len(news) == 5
    counted = tasks.counted()
    assert counted["query"] == 5
    assert counted["list"] <= 2


def test_a_refused_page_size_is_given_up(tasks: Tasks) -> None:
    """A cloud that takes no pages of 100 is asked for its default from then on."""
    tasks.status = {f"t{number}": "RUNNING" for number in range(15)}
    tasks.refuses_pages_over = 10
    engine = engine_at(tasks.server.url)
    assert len(dict(engine.check(list(tasks.status)))) == 15
    before = tasks.counted()["list"]
    assert len(dict(engine.check(list(tasks.status)))) == 15
    assert before == 3
    assert tasks.counted() == {"list": 5}


def test_one_task_that_cannot_be_asked_about_does_not_hide_the_others() -> None:
    """A query that fails time and again ends a round once; in the next one the other tasks come first."""

    def answer(asked: Asked) -> Answer:
        if asked.path.endswith("/bad"):
            return json_answer({"code": "InternalError", "message": "no"}, 500)
        return json_answer({"output": {"task_status": "RUNNING"}})

    with Server(answer) as server:
        engine = engine_at(server.url)
        told: list[str] = []
        for _ in range(2):
            with pytest.raises(TemporaryError):
                told.extend(ticket for ticket, _ in engine.check(["bad", "good"]))
    assert told == ["good"]


@pytest.mark.parametrize(
    "refusal",
    [
        json_answer({"code": "InvalidParameter", "message": "no"}, 400),
        json_answer({"code": "AccessDenied", "message": "no"}, 403),
        Answer(status=404, body=b"<html>"),
    ],
)
def test_without_any_list_all_are_queried(refusal: Answer) -> None:
    """A cloud that refuses to list is asked one by one; a lost request stays unknown there."""

    def answer(asked: Asked) -> Answer:
        if asked.path == "/api/v1/tasks/":
            return refusal
        return json_answer({"output": {"task_status": "RUNNING"}})

    with Server(answer) as server:
        engine = engine_at(server.url)
        news = dict(engine.check([f"t{number}" for number in range(5)]))
        assert all(item == StillOut(status="RUNNING") for item in news.values())
        with pytest.raises(TemporaryError):
            engine.reconcile("ask-1", since=NOW - timedelta(hours=1), known=frozenset())


@pytest.mark.parametrize(
    ("unseen", "pages", "worth"),
    [(5, 1, True), (2, 1, True), (1, 1, False), (5, 5, False), (0, 0, False)],
)
def test_worth_listing(unseen: int, pages: int, worth: bool) -> None:
    """A list pays as long as it takes fewer requests than the tasks not yet seen."""
    assert worth_listing(unseen=unseen, pages=pages) is worth


@pytest.mark.parametrize(
    ("status", "output", "kind"),
    [
        ("UNKNOWN", {}, TicketLost),
        ("CANCELED", {}, RecordingError),
        ("FAILED", {"code": "FILE_403_FORBIDDEN", "message": "FILE_403_FORBIDDEN"}, UrlExpired),
        ("FAILED", {"code": "FILE_TRANS_TASK_EXPIRED", "message": ""}, TicketLost),
        ("FAILED", {"code": "DECODE_ERROR", "message": ""}, RecordingError),
        ("FAILED", {"code": "InternalError", "message": ""}, TemporaryError),
        ("SUCCEEDED", {}, RecordingError),
        (
            "SUCCEEDED",
            {"results": [{"subtask_status": "FAILED", "code": "FILE_DOWNLOAD_FAILED"}]},
            UrlExpired,
        ),
    ],
)
def test_bad_ends(
    tasks: Tasks, status: str, output: dict[str, Any], kind: type[AsrwatchError]
) -> None:
    """Each bad end is yielded for its ticket, and the others go on [A07]."""
    tasks.status = {"bad": status, "good": "RUNNING"}
    tasks.output["bad"] = output
    news = check(tasks, "bad", "good")
    assert type(news["bad"]) is kind
    assert news["good"] == StillOut(status="RUNNING")


@pytest.mark.parametrize(
    ("status", "output"),
    [
        ("FAILED", {"code": "SUCCESS_WITH_NO_VALID_FRAGMENT", "message": ""}),
        ("FAILED", {"results": [{"code": "SUCCESS_WITH_NO_VALID_FRAGMENT"}]}),
        (
            "SUCCEEDED",
            {"results": [{"subtask_status": "FAILED", "code": "ASR_RESPONSE_HAVE_NO_WORDS"}]},
        ),
    ],
)
def test_silence_is_heard(tasks: Tasks, status: str, output: dict[str, Any]) -> None:
    """A task that found no speech is an empty transcript, whatever it calls itself."""
    tasks.status["a"] = status
    tasks.output["a"] = output
    (news,) = check(tasks, "a").values()
    assert isinstance(news, Heard)
    transcript = engine_at(tasks.server.url).read(news.answer)
    assert transcript.no_speech
    assert transcript.text == ""


@pytest.mark.parametrize(
    ("status", "body"), [(403, b"<Error/>"), (500, b""), (200, b"<html>"), (200, b"{")]
)
def test_a_result_that_cannot_be_fetched_stays_paid_for(
    tasks: Tasks, status: int, body: bytes
) -> None:
    """Trouble with the result file is no news of the task's end: nothing is asked for anew."""
    tasks.status = {"a": "SUCCEEDED", "b": "RUNNING"}
    tasks.result_status, tasks.result_body = status, body
    news = check(tasks, "a", "b")
    assert isinstance(news["a"], StillOut)
    assert news["a"].status.startswith("SUCCEEDED")
    assert news["b"] == StillOut(status="RUNNING")


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://x/y", "javascript:1"])
def test_odd_result_urls_are_not_followed(tasks: Tasks, url: str) -> None:
    """Only http and https are fetched."""
    tasks.status["a"] = "SUCCEEDED"
    tasks.output["a"] = {"result": {"transcription_url": url}}
    (news,) = check(tasks, "a").values()
    assert isinstance(news, StillOut)


def test_a_bad_key_ends_the_round() -> None:
    """Trouble of the engine is raised, not blamed on a ticket."""
    body = {"code": "InvalidApiKey", "message": "m"}
    with Server(lambda _: json_answer(body, 401)) as server, pytest.raises(EngineError):
        list(engine_at(server.url).check(["a", "b"]))


def test_too_many_questions_are_no_reason_to_hold_the_engine() -> None:
    """A query limit is temporary trouble of the asking, with the wait the cloud wants."""
    answer = json_answer({"code": "Throttling.RateQuota", "message": "m"}, 429, Retry_After="9")
    with Server(lambda _: answer) as server:
        with pytest.raises(TemporaryError) as raised:
            list(engine_at(server.url).check(["a"]))
        assert raised.value.retry_after == timedelta(seconds=9)
        assert len(server.asked) == 1


def test_a_free_question_is_repeated_a_little() -> None:
    """Two hiccups are slept over; what stays is reported."""
    answers = [Answer(status=502, body=b"<html>"), Answer(status=500, body=b"")]

    def answer(_: Asked) -> Answer:
        return answers.pop() if answers else json_answer({"output": {"task_status": "RUNNING"}})

    with Server(answer) as server:
        assert dict(engine_at(server.url).check(["a"])) == {"a": StillOut(status="RUNNING")}
    with Server(lambda _: Answer(status=502, body=b"")) as server:
        with pytest.raises(TemporaryError):
            list(engine_at(server.url).check(["a"]))
        assert len(server.asked) == 3


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (404, "NotFound", TicketLost),
        (404, "TaskNotFound", TicketLost),
        (400, "FILE_TRANS_TASK_EXPIRED", TicketLost),
        (400, "InvalidParameter", StillOut),
    ],
)
def test_a_query_that_is_refused_concerns_its_ticket_only(
    status: int, code: str, kind: type
) -> None:
    """A refusal of one question is news of one ticket: not found is unknown, the rest is no end."""

    def answer(asked: Asked) -> Answer:
        if asked.path.endswith("/odd"):
            return json_answer({"code": code, "message": "m"}, status)
        return json_answer({"output": {"task_status": "RUNNING"}})

    with Server(answer) as server:
        news = dict(engine_at(server.url).check(["odd", "fine"]))
    assert type(news["odd"]) is kind
    assert news["fine"] == StillOut(status="RUNNING")


# A request whose answer was lost.

SINCE = NOW - timedelta(minutes=3)


def reconcile(
    tasks: Tasks, *, since: timedelta = timedelta(minutes=3), known: frozenset[str] = frozenset()
) -> Found | StillOut | NotThere:
    """What became of ask-1."""
    engine = engine_at(tasks.server.url)
    return engine.reconcile("ask-1", since=NOW - since, known=known)


def test_a_source_told_without_its_query_proves_the_task(tasks: Tasks) -> None:
    """The contract's sample tells a source without its query: the same address is proof enough (section 4.3)."""
    tasks.status = {"x": "SUCCEEDED", "mine": "SUCCEEDED"}
    tasks.source = {"mine": "http://here/in%20box/a.wav", "x": "http://here/in%20box/b.wav"}
    engine = engine_at(tasks.server.url)
    found = engine.reconcile(
        "ask-1",
        since=NOW - timedelta(minutes=1),
        known=frozenset(),
        url="http://here/in%20box/a.wav?asrwatch=ask-1",
    )
    assert found == Found(ticket="mine")


def test_a_task_listed_under_its_models_other_name_is_found(tasks: Tasks) -> None:
    """A cloud that lists an alias by its snapshot's name hides nothing; other models' tasks are left alone."""
    tasks.status = {"x": "RUNNING", "mine": "SUCCEEDED"}
    tasks.models = {"x": "fun-asr", "mine": f"{MODEL}-2025-11-17"}
    tasks.source["mine"] = "oss://dir/ask-1.wav"
    assert reconcile(tasks) == Found(ticket="mine")


def test_tasks_of_much_later_are_left_alone(tasks: Tasks) -> None:
    """On an account that never rests, tasks created long after the ask do not keep it waiting."""
    tasks.status = {"later": "RUNNING"}
    tasks.created["later"] = NOW.timestamp()
    assert reconcile(tasks, since=timedelta(hours=1)) == NotThere()


def test_on_a_busy_account_a_doubtful_date_is_not_waited_for_for_ever(tasks: Tasks) -> None:
    """What strangers created long after it was first looked for keeps nobody waiting, whatever date it bears."""
    tasks.status = {"later": "RUNNING"}
    tasks.created["later"] = (NOW + timedelta(minutes=30)).timestamp()
    engine = engine_at(tasks.server.url)
    since = NOW - timedelta(hours=3)
    assert engine.reconcile("ask-1", since=since, known=frozenset(), sure=False) == NotThere()
    tasks.created["later"] = (NOW - timedelta(hours=5)).timestamp()
    found = engine.reconcile("ask-1", since=since, known=frozenset(), sure=False)
    assert found == StillOut(status="RUNNING")


def test_the_source_url_proves_the_task(tasks: Tasks) -> None:
    """A finished task whose result names our ask id is ours; strangers' are not."""
    tasks.status = {"x": "SUCCEEDED", "mine": "SUCCEEDED", "y": "FAILED"}
    tasks.source = {"mine": "https://oss/dir/ask-1.wav?sig=1", "x": "https://oss/ask-2.wav"}
    assert reconcile(tasks) == Found(ticket="mine")


@pytest.mark.parametrize("largest_page", [100, 2])
def test_all_pages_are_looked_at(tasks: Tasks, largest_page: int) -> None:
    """The task may be on any page."""
    tasks.status = {f"x{number}": "FAILED" for number in range(7)} | {"mine": "SUCCEEDED"}
    tasks.source["mine"] = "oss://dir/ask-1.wav"
    tasks.largest_page = largest_page
    assert reconcile(tasks) == Found(ticket="mine")


def test_unfinished_tasks_are_waited_for(tasks: Tasks) -> None:
    """While a task that may be ours is under way, nothing is proven."""
    tasks.status = {"x": "RUNNING"}
    assert reconcile(tasks) == StillOut(status="RUNNING")
    tasks.status = {"x": "PENDING", "mine": "SUCCEEDED"}
    tasks.source["mine"] = "oss://dir/ask-1.wav"
    assert reconcile(tasks) == Found(ticket="mine")


def test_tasks_of_others_and_of_before_are_left_alone(tasks: Tasks) -> None:
    """Known tickets and tasks from well before the ask are not even asked about."""
    tasks.status = {"known": "RUNNING", "old": "RUNNING", "skewed": "FAILED"}
    tasks.created["old"] = (NOW - timedelta(minutes=9)).timestamp()
    assert reconcile(tasks, known=frozenset({"known"})) == NotThere()
    assert tasks.counted() == {"list": 1}


def test_a_clock_that_differs_a_little_hides_nothing(tasks: Tasks) -> None:
    """A task dated up to five minutes before the ask may be ours."""
    tasks.status = {"mine": "SUCCEEDED"}
    tasks.created["mine"] = (NOW - timedelta(minutes=7)).timestamp()
    tasks.source["mine"] = "oss://dir/ask-1.wav"
    assert reconcile(tasks) == Found(ticket="mine")


def test_the_list_may_lag(tasks: Tasks) -> None:
    """Right after the ask, an empty list proves nothing yet."""
    assert isinstance(reconcile(tasks, since=timedelta(seconds=5)), StillOut)
    assert reconcile(tasks, since=timedelta(seconds=25)) == NotThere()


def test_beyond_the_clouds_memory_nothing_is_proven(tasks: Tasks) -> None:
    """After a day an empty list says nothing: a person decides, nothing is bought again [A09]."""
    with pytest.raises(TicketLost) as raised:
        reconcile(tasks, since=timedelta(hours=23, minutes=30))
    assert "paid" in raised.value.advice


def test_strangers_are_looked_at_once(tasks: Tasks) -> None:
    """While we wait for one task, the others' sources are remembered."""
    tasks.status = {"x": "SUCCEEDED", "waiting": "RUNNING"}
    engine = engine_at(tasks.server.url)
    for _ in range(3):
        found = engine.reconcile("ask-1", since=SINCE, known=frozenset())
        assert found == StillOut(status="RUNNING")
    assert tasks.counted() == {"list": 3, "query": 1, "result": 1}


def test_a_result_that_cannot_be_seen_proves_nothing(tasks: Tasks) -> None:
    """A finished task whose result cannot be fetched now may be ours."""
    tasks.status = {"x": "SUCCEEDED"}
    tasks.result_status = 500
    assert isinstance(reconcile(tasks), StillOut)


def test_cancelling() -> None:
    """Cancelling is a POST without a body; a task under way says no."""

    def answer(asked: Asked) -> Answer:
        if asked.path == "/api/v1/tasks/waiting/cancel":
            return json_answer({"request_id": "r"})
        return json_answer({"code": "UnsupportedOperation", "message": "Failed to cancel."}, 400)

    with Server(answer) as server:
        cloud = cloud_at(server.url)
        cloud.tasks.cancel("waiting")
        assert server.asked[0].method == "POST"
        assert server.asked[0].headers["content-length"] == "0"
        with pytest.raises(RecordingError):
            cloud.tasks.cancel("running")


def test_probing() -> None:
    """One free question tells whether the cloud answers and takes the key."""
    with Server(lambda _: json_answer({"data": [], "total": 0})) as server:
        cloud_at(server.url).probe()
        assert len(server.asked) == 1
        assert server.asked[0].method == "GET"
    refusing = Server(lambda _: json_answer({"code": "InvalidApiKey"}, 401))
    with refusing as server, pytest.raises(EngineError):
        cloud_at(server.url).probe()


# The pace.


def test_a_pacer_spaces_what_threads_do() -> None:
    """Turns are a tenth of a second apart, whoever takes them; a pause is not made up for."""
    clock = [100.0]
    slept: list[float] = []
    pacer = Pacer(10, clock=lambda: clock[0], sleep=slept.append)
    for _ in range(3):
        pacer.wait()
    assert slept == pytest.approx([0.1, 0.2])
    clock[0] += 60
    pacer.wait()
    pacer.wait()
    assert slept == pytest.approx([0.1, 0.2, 0.1])


def test_a_pacer_is_shared_by_threads() -> None:
    """Twenty threads get twenty different turns."""
    slept: list[float] = []
    pacer = Pacer(10, clock=lambda: 0.0, sleep=slept.append)
    threads = [threading.Thread(target=pacer.wait) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(slept) == pytest.approx([number / 10 for number in range(1, 20)])

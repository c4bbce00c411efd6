import os
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from transcribe_helpers import Bench, bench

import asrwatch
from asrwatch.errors import (
    AnswerLost,
    AsrwatchError,
    EngineError,
    RecordingError,
    TaskOutstanding,
    TemporaryError,
    TicketLost,
    UsageError,
)
from asrwatch.journey.plan import Wishes
from asrwatch.sandbox import Fault, Knobs, Route, Sandbox, Scripted, Wire
from asrwatch.transcription import NotHonoured
from asrwatch.transcription.request import wishes_of

__all__ = ["bench"]

FLASH = "qwen3-asr-flash"
FILETRANS = "qwen3-asr-flash-filetrans"


def test_answer_is_the_normalized_response(bench: Bench) -> None:
    """A local file through the default model gives text, status and the raw answer, and no task id."""
    result = asrwatch.transcribe(bench.recording(), config=bench.config)
    assert result.text == "Hello world."
    assert set(result.as_dict()) == {"text", "status", "raw"}
    assert result.as_dict()["status"] == "SUCCEEDED"
    assert isinstance(result.raw, dict)
    assert result.raw["model"] == FLASH
    assert [line.model for line in bench.sandbox.bill] == [FLASH]


def test_task_is_submitted_polled_and_fetched(bench: Bench) -> None:
    """A local file through filetrans is uploaded, waited for, and has a task id and times."""
    result = asrwatch.transcribe(
        bench.recording(), model=FILETRANS, timestamp_granularities=["word"], config=bench.config
    )
    assert result.as_dict().keys() == {"text", "task_id", "status", "raw"}
    assert result.task_id == bench.sandbox.bill.lines[0].task_id
    assert len(bench.sandbox.uploads) == 1
    assert result.transcript is not None
    assert [word.text.strip() for word in result.transcript.sentences[0].words] == [
        "Hello",
        "world",
    ]
    assert result.render("srt").startswith("1\n00:00:00,000 --> ")


@pytest.mark.parametrize("model", [FLASH, FILETRANS])
def test_url_goes_as_it_is(bench: Bench, model: str) -> None:
    """A public URL is handed to the cloud, percent-encoded where it is not ASCII, and nothing is uploaded."""
    result = bench.transcriber(model=model).transcribe("https://example.org/übung/welcome.wav")
    assert result.text == "Hello world."
    assert not bench.sandbox.uploads
    assert bench.sandbox.bill.lines[0].source == "https://example.org/%C3%BCbung/welcome.wav"
    assert result.provenance is not None
    assert (result.provenance.source, result.provenance.sha256) == ("welcome.wav", None)


@pytest.mark.parametrize("model", [FLASH, "qwen-audio-asr", FILETRANS])
def test_every_option_of_the_seed_is_taken_and_the_unknown_ones_named(
    bench: Bench, model: str
) -> None:
    """The seed's request is accepted whole; each option a model has no place for is said, none silently lost."""
    wishes = wishes_of(
        language_hints=["zh", "en"],
        sample_rate=16000,
        vocabulary_id="vocab-1",
        disfluency_removal_enabled=True,
        timestamp_granularities=["sentence", "word"],
    )
    result = bench.transcriber(model=model, wishes=wishes).transcribe(bench.recording())
    named = {sentence.partition(":")[0] for sentence in result.left_out}
    common = {"language_hints", "sample_rate", "vocabulary_id", "disfluency_removal_enabled"}
    assert named == common | (set() if model == FILETRANS else {"words", "timestamps"})
    assert bench.told == list(result.left_out)
    assert result.provenance is not None
    assert result.provenance.left_out == result.left_out


def test_left_out_options_are_warned_about_before_anything_is_paid(bench: Bench) -> None:
    """Who makes warnings errors pays nothing; who does not is warned and served."""
    with pytest.raises(NotHonoured, match="vocabulary_id"):
        asrwatch.transcribe(bench.recording(), vocabulary_id="vocab-1", config=bench.config)
    assert len(bench.sandbox.bill) == 0
    with pytest.warns(NotHonoured, match="vocabulary_id") as warned:
        asrwatch.transcribe(bench.recording(), vocabulary_id="vocab-1", config=bench.config)
    assert warned[0].filename == __file__


def test_async_is_taken_under_its_own_name(bench: Bench) -> None:
    """`**{"async": True}` means what `async_=True` means; without waiting the submission comes back."""
    seed: Any = {"async": True}
    result = asrwatch.transcribe(
        bench.recording(), model=FILETRANS, wait=False, config=bench.config, **seed
    )
    assert (result.text, result.status) == ("", "PENDING")
    assert isinstance(result.raw, dict)
    assert result.raw["output"] == {"task_id": result.task_id, "task_status": "PENDING"}
    assert result.task_id is not None
    collected = asrwatch.collect(result.task_id, config=bench.config)
    assert (collected.text, collected.task_id) == ("Hello world.", result.task_id)
    assert len(bench.sandbox.bill.paid) == 1


def test_unknown_keyword_is_refused(bench: Bench) -> None:
    """Only `async` is taken by its reserved name; a misspelt option is a TypeError as anywhere."""
    options: Any = {"langauge": "en"}
    with pytest.raises(TypeError, match="langauge"):
        asrwatch.transcribe(bench.recording(), config=bench.config, **options)


def test_async_false_waits_for_the_task(bench: Bench) -> None:
    """A model that only knows tasks waits for its task where `async` is false."""
    result = asrwatch.transcribe(
        bench.recording(), model=FILETRANS, async_=False, config=bench.config
    )
    assert result.status == "SUCCEEDED"
    assert result.task_id is not None


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"model": "whisper-1"}, "there are: qwen-audio-asr, qwen3-asr-flash, "),
        ({"model": "qwen3-asr-flash-beta"}, "no model called"),
        ({"async_": True}, f"Use model {FILETRANS}"),
        ({"wait": False}, f"Use model {FILETRANS}"),
        ({"model": FILETRANS, "async_": False, "wait": False}, "Leave one of them out"),
        ({"async_": True, "async": False}, "contradict each other"),
        ({"timestamp_granularities": ["char"]}, "there are: sentence, word"),
        ({"channels": []}, "channels are different numbers"),
        ({"channels": [1, 1]}, "channels are different numbers"),
        ({"sample_rate": 0}, "is not a sample rate"),
    ],
)
def test_nonsense_is_refused_for_nothing(bench: Bench, options: dict[str, Any], says: str) -> None:
    """What cannot be done as it was put is a UsageError that says why, before anything is sent."""
    with pytest.raises(UsageError, match=says):
        asrwatch.transcribe(bench.recording(), config=bench.config, **options)
    assert not bench.sandbox.requests


@pytest.mark.parametrize(
    ("audio", "kind", "says"),
    [
        ("ftp://example.org/a.wav", UsageError, "cannot fetch ftp"),
        ("missing\n.wav", RecordingError, r"no file .*missing\\n\.wav"),
        (".", RecordingError, "is a folder"),
    ],
)
def test_input_that_is_none(bench: Bench, audio: str, kind: type[AsrwatchError], says: str) -> None:
    """A missing file, a folder or a URL the cloud cannot fetch is refused in words, for nothing."""
    with pytest.raises(kind, match=says):
        bench.transcriber().transcribe(audio)
    assert not bench.sandbox.requests


def test_links_and_file_urls_are_followed(bench: Bench) -> None:
    """A symbolic link somebody names is followed to its recording, and `file://` is a path."""
    link = bench.folder / "a link.wav"
    link.symlink_to(bench.recording())
    assert bench.transcriber().transcribe(link).text == "Hello world."
    assert bench.transcriber().transcribe(link.as_uri()).text == "Hello world."


@pytest.mark.parametrize(
    ("model", "engine"),
    [
        ("qwen3-asr-flash-2026-02-10", FLASH),
        ("qwen3-asr-flash-filetrans-2025-11-17", FILETRANS),
    ],
)
def test_snapshot_is_spoken_to_as_its_family(bench: Bench, model: str, engine: str) -> None:
    """A dated snapshot uses its family's engine with the model's own name."""
    result = bench.transcriber(model=model).transcribe(bench.recording())
    assert bench.sandbox.bill.lines[0].model == model
    assert result.provenance is not None
    assert (result.provenance.engine, result.provenance.model) == (engine, model)


def test_model_of_the_configuration_is_known_by_its_name(bench: Bench) -> None:
    """A model no family tells is reached where the configuration gives it to an engine."""
    settings = bench.config.read_text().replace(
        "engines: {", f"engines: {{{FLASH}: {{model: my-own}}, "
    )
    bench.config.write_text(settings)
    with pytest.raises((RecordingError, EngineError)):  # the sandbox has no such model
        bench.transcriber(model="my-own").transcribe(bench.recording())
    assert bench.sandbox.requests[-1].status == 404


def test_too_long_for_the_named_model_is_refused_for_nothing(bench: Bench) -> None:
    """A model named by the caller is not replaced: the limit is said, and nothing is sent."""
    with pytest.raises(RecordingError, match=r"300 s is longer than its limit of 295 s"):
        bench.transcriber(model=FLASH).transcribe(bench.recording(seconds=300))
    assert not bench.sandbox.requests


def test_auto_dispatches_as_the_daemon_does(bench: Bench) -> None:
    """`auto` sends short recordings to the sync model, long ones and wishes for times to filetrans."""
    auto = bench.transcriber(model="auto")
    auto.transcribe(bench.recording())
    auto.transcribe(bench.recording("long.wav", seconds=300))
    timed = bench.transcriber(model="auto", wishes=Wishes(timestamps=True))
    timed.transcribe(bench.recording("timed.wav"))
    assert [line.model for line in bench.sandbox.bill] == [FLASH, FILETRANS, FILETRANS]


def test_auto_goes_on_after_a_refusal_for_length(bench: Bench) -> None:
    """What the sync model refuses for its length goes to filetrans by itself, once, and is paid once."""
    bench.sandbox.knobs = replace(
        bench.sandbox.knobs, sync_failures={"*": "InvalidFile.AudioLengthError"}
    )
    result = bench.transcriber(model="auto").transcribe(bench.recording())
    assert result.text == "Hello world."
    assert [line.model for line in bench.sandbox.bill if line.paid] == [FILETRANS]


def test_refusal_for_length_of_a_named_model_stands(bench: Bench) -> None:
    """A model named by the caller is not replaced after a refusal either."""
    bench.sandbox.knobs = replace(
        bench.sandbox.knobs, sync_failures={"*": "InvalidFile.AudioLengthError"}
    )
    with pytest.raises(RecordingError):
        bench.transcriber(model=FLASH).transcribe(bench.recording())
    assert len(bench.sandbox.bill.paid) == 0


@pytest.mark.parametrize("asynchronous", [True, False])
def test_async_narrows_the_automatic_choice(bench: Bench, asynchronous: bool) -> None:
    """With `auto`, `async` decides between models with tasks and those without."""
    result = bench.transcriber(model="auto", asynchronous=asynchronous).transcribe(
        bench.recording()
    )
    assert (result.task_id is not None) is asynchronous


def test_polling_keeps_the_daemons_pace(bench: Bench) -> None:
    """A task is asked about 5 to 20 seconds apart, however long it takes."""
    bench.sandbox.knobs = replace(bench.sandbox.knobs, queue_time=timedelta(hours=1))

    def until_the_fourth(_span: timedelta) -> None:
        if len(bench.pauses) >= 4:
            bench.sandbox.knobs = replace(bench.sandbox.knobs, queue_time=timedelta(0))

    bench.transcriber(model=FILETRANS, pause=until_the_fourth).transcribe(bench.recording())
    first, *later = bench.pauses
    assert first < timedelta(seconds=5)
    assert len(later) >= 3
    assert all(timedelta(seconds=4) < pause <= timedelta(seconds=20) for pause in later)
    queries = [seen for seen in bench.sandbox.requests if seen.route is Route.TASK]
    assert len(queries) == len(bench.pauses)


def test_time_out_names_the_task_and_loses_nothing(bench: Bench) -> None:
    """Whoever stops waiting is told the task's id, with which the transcript is collected for nothing."""
    bench.sandbox.knobs = replace(bench.sandbox.knobs, queue_time=timedelta(hours=1))
    impatient = bench.transcriber(model=FILETRANS, timeout=timedelta(0))
    with pytest.raises(TaskOutstanding, match="asrwatch transcribe --task") as raised:
        impatient.transcribe(bench.recording())
    assert bench.tickets == [raised.value.task_id]
    assert raised.value.status == "PENDING"
    bench.sandbox.knobs = replace(bench.sandbox.knobs, queue_time=timedelta(0))
    assert bench.transcriber(model=FILETRANS).collect(raised.value.task_id).text == "Hello world."
    assert len(bench.sandbox.bill.paid) == 1


def test_interrupted_waiting_carries_the_task_in_its_traceback(bench: Bench) -> None:
    """Ctrl-C while a task is waited for leaves the task's id in the exception's notes."""

    def interrupt(_span: timedelta) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as raised:
        bench.transcriber(model=FILETRANS, pause=interrupt).transcribe(bench.recording())
    assert raised.value.__notes__ == [
        f"It is task {bench.tickets[0]}: `asrwatch transcribe --task {bench.tickets[0]}`."
    ]


def test_trouble_while_waiting_passes(bench: Bench) -> None:
    """A gateway error or a throttled query while a task is waited for is no failure."""
    bench.sandbox.fault(Fault(what=Wire.BAD_GATEWAY, route=Route.TASK, times=None))

    def heals(_span: timedelta) -> None:
        if len(bench.pauses) == 2:
            bench.sandbox.faults.clear()

    result = bench.transcriber(model=FILETRANS, pause=heals).transcribe(bench.recording())
    assert result.text == "Hello world."
    assert len(bench.pauses) == 2


def test_key_that_dies_while_waiting_leaves_the_task(bench: Bench) -> None:
    """A key refused while waiting is told with the task's id, since the task goes on and is paid for."""
    good = bench.sandbox.knobs

    def key_dies(_span: timedelta) -> None:
        bench.sandbox.knobs = replace(good, keys={"sk-another": "account"})

    with pytest.raises(TaskOutstanding, match="collect it with") as raised:
        bench.transcriber(model=FILETRANS, pause=key_dies).transcribe(bench.recording())
    assert raised.value.task_id == bench.tickets[0]


def test_lost_acceptance_is_found_again(bench: Bench) -> None:
    """A submission whose answer was lost is found among the cloud's tasks by its URL, and paid once."""
    bench.sandbox.fault(Fault(what=Wire.HANG_UP, route=Route.TRANSCRIPTION, after_work=True))
    result = bench.transcriber(model=FILETRANS).transcribe(bench.recording())
    assert result.text == "Hello world."
    assert bench.tickets == [result.task_id]
    assert len(bench.sandbox.bill.paid) == 1


def test_lost_request_that_never_arrived_is_said_to_be_free(bench: Bench) -> None:
    """A submission that the cloud's list does not show was not accepted, and may be repeated."""
    bench.sandbox.fault(Fault(what=Wire.HANG_UP, route=Route.TRANSCRIPTION))
    with pytest.raises(TemporaryError, match="Nothing was paid: ask again"):
        bench.transcriber(model=FILETRANS).transcribe(bench.recording())
    assert len(bench.sandbox.bill.paid) == 0


@pytest.mark.parametrize("audio", ["local", "https://example.org/welcome.wav"])
def test_lost_answer_without_proof_is_honest(bench: Bench, audio: str) -> None:
    """A sync answer, or one about a URL of the user's own, cannot be found: the doubt is said, nothing repeated."""
    sync = audio == "local"
    route = Route.CHAT if sync else Route.TRANSCRIPTION
    bench.sandbox.fault(Fault(what=Wire.HANG_UP, route=route, after_work=True))
    with pytest.raises(AnswerLost, match="may be paid a second time"):
        bench.transcriber(model=FLASH if sync else FILETRANS).transcribe(
            bench.recording() if sync else audio
        )
    assert len(bench.sandbox.bill) == 1


def test_unknown_task_is_said_to_be_lost(bench: Bench) -> None:
    """A task id the cloud does not know is told as such."""
    with pytest.raises(TicketLost):
        asrwatch.collect("00000000-0000-0000-0000-000000000000", config=bench.config)


def test_collect_can_ask_just_once(bench: Bench) -> None:
    """Without waiting, a task that is not finished is told with its status."""
    bench.sandbox.knobs = replace(bench.sandbox.knobs, queue_time=timedelta(hours=1))
    submitted = bench.transcriber(model=FILETRANS, wait=False).transcribe(bench.recording())
    assert submitted.task_id is not None
    with pytest.raises(TaskOutstanding, match="PENDING"):
        asrwatch.collect(submitted.task_id, wait=False, config=bench.config)
    with pytest.raises(UsageError, match="has no tasks"):
        asrwatch.collect(submitted.task_id, model=FLASH, config=bench.config)


def test_silence_is_an_empty_transcript(bench: Bench) -> None:
    """No speech is a transcript without text, marked as such, from either kind of model."""
    silent = Scripted(otherwise="")
    with Sandbox(recogniser=silent, knobs=Knobs(rate_limits=False)) as quiet:
        bench.config.write_text(bench.config.read_text().replace(bench.sandbox.url, quiet.url))
        os.environ["DASHSCOPE_API_KEY"] = quiet.key
        for model in (FLASH, FILETRANS):
            result = bench.transcriber(model=model).transcribe(bench.recording())
            assert (result.text, result.status) == ("", "SUCCEEDED")
            assert result.transcript is not None
            assert result.transcript.no_speech


def test_it_is_stateless(bench: Bench) -> None:
    """Two calls are two payments, as the docstring says, and nothing is left on the disk."""
    before = set(bench.folder.iterdir())
    recording = bench.recording()
    for _ in range(2):
        asrwatch.transcribe(recording, config=bench.config)
    assert len(bench.sandbox.bill.paid_twice) == 1
    assert set(bench.folder.iterdir()) - before == {recording}


def test_no_key_is_told_with_every_place(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a key nothing is sent, and the message names where one is looked for."""
    monkeypatch.delenv("DASHSCOPE_API_KEY")
    monkeypatch.setenv("HOME", str(bench.folder))
    with pytest.raises(EngineError, match="DASHSCOPE_API_KEY"):
        asrwatch.transcribe(bench.recording(), config=bench.config)
    assert not bench.sandbox.requests


def test_rendering_needs_a_transcript_and_a_format(bench: Bench) -> None:
    """A submission has nothing to render yet, and an unknown format is told with those there are."""
    submitted = bench.transcriber(model=FILETRANS, wait=False).transcribe(bench.recording())
    with pytest.raises(UsageError, match="no transcript yet"):
        submitted.render("txt")
    with pytest.raises(UsageError, match="there are: json, md, srt, txt, vtt"):
        bench.transcriber().transcribe(bench.recording()).render("docx")


def test_import_is_cheap() -> None:
    """`import asrwatch` loads neither the cloud nor the database; `transcribe` is there all the same."""
    script = (
        "import sys, asrwatch; "
        "print(sorted({'requests', 'sqlalchemy', 'pydantic', 'yaml'} & set(sys.modules))); "
        "print(asrwatch.transcribe.__name__, hasattr(asrwatch, 'nothing'))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=30
    )
    assert ran.stdout == "[]\ntranscribe False\n"

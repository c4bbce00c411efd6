import re
from dataclasses import replace
from datetime import timedelta

import pytest
from transcribe_helpers import Bench, bench

import asrwatch
from asrwatch.cloud.codes import RULES, Rule, Verdict
from asrwatch.errors import (
    AnswerLost,
    AsrwatchError,
    DoesNotFit,
    EngineError,
    EngineTrouble,
    RecordingError,
    SourceChanged,
    TaskOutstanding,
    TemporaryError,
    TicketLost,
    UrlExpired,
    UsageError,
)
from asrwatch.transcription.advice import Situation, advice

__all__ = ["bench"]

FLASH = "qwen3-asr-flash"
FILETRANS = "qwen3-asr-flash-filetrans"

# What only the daemon does, and commands that only know what the daemon remembers.
OF_THE_DAEMON = re.compile(
    r"asrwatch (?:goes|tries|waits|fetches|submits|publishes)|`asrwatch (?:retry|explain|forget)"
    r"|inbox|settle|by itself"
)

KINDS: dict[Verdict, type[AsrwatchError]] = {
    Verdict.RECORDING: RecordingError,
    Verdict.MISFIT: DoesNotFit,
    Verdict.FETCH: UrlExpired,
    Verdict.PASSING: TemporaryError,
    Verdict.GONE: TicketLost,
}


def of(rule: Rule) -> AsrwatchError:
    """The error that stands for a rule of the cloud's table."""
    code = (rule.codes or ("InvalidParameter",))[0]
    if rule.verdict in KINDS:
        return KINDS[rule.verdict](rule.what, code=code, advice=rule.advice)
    kind = "throttled" if rule.verdict is Verdict.QUOTA_MINUTE else rule.verdict.value
    return EngineError(rule.what, code=code, advice=rule.advice, trouble=EngineTrouble(kind))


@pytest.mark.parametrize(
    "rule", [rule for rule in RULES if rule.advice], ids=lambda rule: rule.what
)
@pytest.mark.parametrize("url", [False, True])
def test_no_advice_of_the_clouds_table_speaks_for_the_daemon(rule: Rule, url: bool) -> None:
    """Whoever waits at a prompt is told what they can do, for every code there is advice for."""
    told = advice(of(rule), Situation(url=url))
    assert told
    assert not OF_THE_DAEMON.search(told), told


@pytest.mark.parametrize(
    ("error", "situation", "says"),
    [
        (
            RecordingError("x", code="fits-nowhere", advice="Name another engine for the inbox."),
            Situation(named=True),
            "--model auto",
        ),
        (RecordingError("x", code="fits-nowhere", advice=""), Situation(), "ask for less"),
        (DoesNotFit("x", code="too-large", advice=""), Situation(named=True), "--model auto"),
        (UrlExpired("x", code="InvalidURL.Timeout", advice=""), Situation(url=True), "address"),
        (UrlExpired("x", code="InvalidURL.Timeout", advice=""), Situation(), "uploaded afresh"),
        (
            TicketLost("x", code="UNKNOWN", advice="`asrwatch retry` pays again."),
            Situation(collecting=True),
            "Check the id",
        ),
        (TicketLost("x", code="UNKNOWN", advice=""), Situation(), "may have been paid for"),
        (
            TemporaryError("x", code="x", advice="asrwatch tries again later. Check the network."),
            Situation(),
            "Nothing was paid: ask again later. Check the network.",
        ),
        (
            EngineError(
                "x",
                code="x",
                trouble=EngineTrouble.THROTTLED,
                retry_after=timedelta(seconds=90),
            ),
            Situation(),
            "Nothing was paid: ask again in 1m 30s.",
        ),
        (
            SourceChanged("x", code="x", advice="It settles again by itself."),
            Situation(),
            "written",
        ),
        (AnswerLost("x", code="x", advice="It may be paid twice."), Situation(), "paid twice."),
        (UsageError("x", code="x", advice="Use another."), Situation(), "Use another."),
        (
            TaskOutstanding(
                "x", code="x", task_id="t", status="s", advice="`asrwatch transcribe --task t`."
            ),
            Situation(),
            "--task t",
        ),
    ],
)
def test_advice_fits_the_situation(error: AsrwatchError, situation: Situation, says: str) -> None:
    """Each kind of error has the advice of somebody who asked once and waits."""
    assert says in advice(error, situation)


def test_a_named_model_that_cannot_is_told_with_the_way_out(bench: Bench) -> None:
    """What a named model cannot do is answered with `--model auto`, in the words of a request."""
    with pytest.raises(RecordingError) as raised:
        bench.transcriber(model=FLASH).transcribe(bench.recording(seconds=300))
    assert "--model auto" in raised.value.advice
    assert "inbox" not in str(raised.value)


def test_a_mistyped_task_id_is_told_as_one(bench: Bench) -> None:
    """A task id the cloud does not know may be mistyped: that is said, and no command that cannot help."""
    with pytest.raises(TicketLost) as raised:
        asrwatch.collect("00000000-0000-0000-0000-000000000000", config=bench.config)
    assert "Check the id" in raised.value.advice
    assert "asrwatch retry" not in str(raised.value)


def test_a_language_the_cloud_refuses_is_told_how_to_write(bench: Bench) -> None:
    """A language is written as a code; who wrote its name is told so."""
    with pytest.raises(RecordingError) as raised:
        asrwatch.transcribe(bench.recording(), language="english", config=bench.config)
    assert "such as en" in raised.value.advice
    assert "asrwatch explain" not in str(raised.value)


def test_a_file_the_cloud_could_not_fetch_is_not_promised_again(bench: Bench) -> None:
    """`transcribe` asks once, so it does not announce that the recording is published afresh."""
    bench.sandbox.knobs = replace(
        bench.sandbox.knobs, task_failures={"*": "InvalidFile.DownloadFailed"}
    )
    with pytest.raises(UrlExpired) as raised:
        bench.transcriber(model=FILETRANS).transcribe(bench.recording())
    assert "sk again" in raised.value.advice
    assert "asrwatch publishes" not in str(raised.value)


def test_nobody_is_told_to_remove_a_file_named_by_mistake(bench: Bench) -> None:
    """In an inbox a file that is no recording may be removed; one that somebody named may be anything."""
    notes = bench.folder / "notes.conf"
    notes.write_text("a list of things to keep\n" * 40)
    with pytest.raises(
        RecordingError, match=r"not a recording.*Nothing was sent or paid\.$"
    ) as raised:
        bench.transcriber().transcribe(notes)
    assert "emove" not in raised.value.advice

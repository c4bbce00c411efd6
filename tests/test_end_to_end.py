"""The installed command against the sandbox: from a dropped file to its transcript, whatever happens between."""

import json
import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from e2e_helpers import Installed
from wait_helpers import wait_for
from wav_helpers import write_wav

from asrwatch.sandbox import Fault, Knobs, Route, Sandbox, Scripted, Wire

BURST = 300


LONG = {"qwen3-asr-flash": {"longest": "2s"}}
"""With this, a recording of three seconds counts as long."""


def test_short_recordings_take_the_sync_model(installed: Installed, sandbox: Sandbox) -> None:
    """A short file dropped in an inbox has its transcript beside it, through the sync model, paid once."""
    daemon = installed.start()
    write_wav(installed.inbox / "short.wav")
    assert installed.text_of("short") == "Hello world.\n"
    assert installed.stop(daemon) == 0
    assert [work.model for work in sandbox.bill.paid] == ["qwen3-asr-flash"]


def test_long_recordings_take_the_task_model(installed: Installed, sandbox: Sandbox) -> None:
    """A long file is uploaded, submitted as a task, polled and delivered, paid once."""
    installed.engines = LONG
    daemon = installed.start()
    write_wav(installed.inbox / "long.wav", seconds=3)
    assert installed.text_of("long") == "Hello world.\n"
    assert installed.stop(daemon) == 0
    assert [work.model for work in sandbox.bill.paid] == ["qwen3-asr-flash-filetrans"]


def test_the_retired_model_works_when_named(installed: Installed, sandbox: Sandbox) -> None:
    """qwen-audio-asr is never chosen by itself and still works for who asks for it by name."""
    installed.inbox_keys = {"engine": "qwen-audio-asr"}
    write_wav(installed.inbox / "old.wav")
    assert installed.call("once").returncode == 0
    assert [work.model for work in sandbox.bill.paid] == ["qwen-audio-asr"]


def test_a_cut_answer_is_asked_for_again_by_the_same_engine(
    installed: Installed, sandbox: Sandbox
) -> None:
    """A named engine whose answer was cut off: the first retry says what it costs and brings the transcript."""
    installed.inbox_keys = {"engine": "qwen3-asr-flash"}
    talk = write_wav(installed.inbox / "talk.wav")
    sandbox.knobs = replace(sandbox.knobs, finish_reason="length")
    assert installed.call("once").returncode == 1
    told = installed.call("explain", str(talk), "--json").stdout
    assert "cut-off" in told
    assert "either is paid once more" in told
    sandbox.knobs = replace(sandbox.knobs, finish_reason="stop")
    assert "is paid once more" in installed.call("retry", str(talk)).stdout
    assert installed.call("once").returncode == 0
    assert installed.text_of("talk") == "Hello world.\n"
    assert len(sandbox.bill.paid) == 2
    assert installed.status()["ever"]["answered"] == 2


def test_subtitles_take_the_task_model_however_short(
    installed: Installed, sandbox: Sandbox
) -> None:
    """An inbox that wants srt gets times, which only the task model gives."""
    installed.inbox_keys = {"formats": ["srt", "json"]}
    write_wav(installed.inbox / "short.wav")
    assert installed.call("once").returncode == 0
    assert "-->" in installed.text_of("short", ".srt")
    assert [work.model for work in sandbox.bill.paid] == ["qwen3-asr-flash-filetrans"]


def test_the_json_output_tells_where_it_comes_from(installed: Installed) -> None:
    """The JSON output holds the normalized response and the provenance of every part of it."""
    write_wav(installed.inbox / "short.wav")
    assert installed.call("once").returncode == 0
    told = json.loads(installed.text_of("short", ".json"))
    assert told["text"] == "Hello world."
    assert told["status"] == "SUCCEEDED"
    assert told["raw"]["choices"]
    assert {"sha256", "engine", "model", "region"} <= set(
        json.dumps(told).replace('"', " ").split()
    )


def test_tasks_outlive_a_killed_daemon(installed: Installed, sandbox: Sandbox) -> None:
    """A daemon killed while tasks are pending is followed by one that finishes them, and nothing is paid twice."""
    sandbox.knobs = replace(sandbox.knobs, queue_time=timedelta(hours=1))
    installed.engines = LONG
    daemon = installed.start()
    for number in range(5):
        write_wav(installed.inbox / f"{number}.wav", seconds=3, number=number)
    wait_for(lambda: len(sandbox.bill.paid) == 5)
    wait_for(lambda: installed.status()["counts"]["submitted"] == 5)
    daemon.kill()
    daemon.wait()
    sandbox.knobs = replace(sandbox.knobs, queue_time=timedelta(0))
    second = installed.start()
    for number in range(5):
        installed.text_of(str(number))
    assert installed.stop(second) == 0
    assert len(sandbox.bill.paid) == 5


def test_a_burst_is_transcribed_whole(installed: Installed, sandbox: Sandbox) -> None:
    """300 files at once are 300 transcripts and 300 payments, none lost and none twice."""
    dropped = installed.root / "dropped"
    dropped.mkdir()
    for number in range(BURST):
        write_wav(dropped / f"{number}.wav", number=number, seconds=0.3)
    daemon = installed.start()
    dropped.rename(installed.inbox / "dropped")
    wait_for(lambda: len(list((installed.inbox / "dropped").glob("*.txt"))) == BURST)
    assert installed.stop(daemon) == 0
    assert len(sandbox.bill.paid) == BURST
    assert not sandbox.bill.paid_twice


def test_a_bad_key_holds_and_heals(installed: Installed, sandbox: Sandbox) -> None:
    """With a wrong key nothing fails: recordings wait, status says why, and the right key lets them go on."""
    key_file = installed.root / "key"
    key_file.write_text("sk-wrong")
    key_file.chmod(0o600)
    key_file.chmod(0o600)
    installed.more = {"cloud": {"base_url": sandbox.url, "api_key_file": str(key_file)}}
    daemon = installed.start()
    for number in range(20):
        write_wav(installed.inbox / f"{number}.wav", number=number)
    wait_for(lambda: bool(installed.status()["holds"]))
    states = installed.status()["counts"]
    assert (states["failed"], states["delivered"]) == (0, 0)
    key_file.write_text(sandbox.key)
    for number in range(20):
        installed.text_of(str(number))
    assert installed.stop(daemon) == 0
    refused = [seen for seen in sandbox.requests if seen.status == 401]
    assert len(refused) <= 9


def test_a_missing_key_is_said_and_nothing_is_lost(installed: Installed) -> None:
    """Without a key anywhere the recordings wait, and the message names every place that was looked at."""
    installed.key = ""
    write_wav(installed.inbox / "short.wav")
    done = installed.call("once")
    assert done.returncode == 1
    assert "DASHSCOPE_API_KEY" in done.stderr + done.stdout
    assert installed.status()["counts"]["failed"] == 0


def test_a_storm_of_throttling_passes(installed: Installed, sandbox: Sandbox) -> None:
    """Requests refused with 429 are made again later, each recording paid once and none failed."""
    for number in range(12):
        write_wav(installed.inbox / f"{number}.wav", number=number)
    sandbox.fault(Fault(what=Wire.REFUSE, route=Route.CHAT, times=4, code="Throttling.RateQuota"))
    assert installed.call("once").returncode == 0
    assert len(sandbox.bill.paid) == 12
    assert not sandbox.bill.paid_twice


def test_silence_is_an_empty_transcript(installed: Installed, sandbox: Sandbox) -> None:
    """A silent file is delivered as an empty transcript marked no_speech, by both models; it is no failure."""
    del sandbox
    with Sandbox(
        recogniser=Scripted(otherwise=""),
        knobs=Knobs(rate_limits=False, queue_time=timedelta(0), work_time=timedelta(0)),
    ) as silent:
        installed.url, installed.key, installed.engines = silent.url, silent.key, LONG
        write_wav(installed.inbox / "short.wav")
        write_wav(installed.inbox / "long.wav", seconds=3)
        assert installed.call("once").returncode == 0
    for name in ("short", "long"):
        told = json.loads(installed.text_of(name, ".json"))
        assert told["text"] == ""
        assert told["no_speech"] is True


def test_a_broken_file_fails_alone_before_anything_is_paid(
    installed: Installed, sandbox: Sandbox
) -> None:
    """A text renamed to .wav fails with a plain reason, unpaid; its neighbour is delivered; exit code 1."""
    (installed.inbox / "notes.wav").write_text("Dear diary, this is not audio.\n" * 20)
    write_wav(installed.inbox / "good.wav")
    done = installed.call("once")
    assert done.returncode == 1
    assert "notes.wav" in done.stdout + done.stderr
    assert installed.text_of("good") == "Hello world.\n"
    assert len(sandbox.bill.paid) == 1


def test_names_of_any_kind_are_transcribed(installed: Installed) -> None:
    """Newlines, escapes, and bytes that are not UTF-8 in a name harm neither the journey nor the log."""
    names = [
        b"two\nlines.wav",
        b"\x1b[31mred.wav",
        b"\xff\xfe.wav",
        b"-i.wav",
        "über 录音.wav".encode(),
    ]
    for number, name in enumerate(names):
        path = Path(installed.inbox / "x.wav")
        write_wav(path, number=number)
        path.rename(bytes(installed.inbox).decode() + "/" + name.decode("utf-8", "surrogateescape"))
    daemon = installed.start()
    wait_for(lambda: len(list(installed.inbox.glob("*.txt"))) == len(names))
    assert installed.stop(daemon) == 0
    assert all(line["event"] for line in installed.lines())
    assert b"\x1b" not in installed.log.read_bytes()


def test_the_original_is_moved_once_the_transcript_is_safe(installed: Installed) -> None:
    """`after: {move: DIR}` moves the recording away, mirrored, after its transcript was written."""
    done_with = installed.root / "done"
    installed.inbox_keys = {
        "after": {"move": str(done_with)},
        "output": str(installed.root / "out"),
    }
    (installed.inbox / "monday").mkdir()
    write_wav(installed.inbox / "monday" / "short.wav")
    assert installed.call("once").returncode == 0
    assert (installed.root / "out" / "monday" / "short.txt").read_text() == "Hello world.\n"
    assert not (installed.inbox / "monday" / "short.wav").exists()
    assert [path.name for path in done_with.rglob("*.wav")] == ["short.wav"]


def test_a_refusal_for_length_goes_to_the_task_model(
    installed: Installed, sandbox: Sandbox
) -> None:
    """If the sync model refuses a recording for its length, the task model gets it by itself, once."""
    sandbox.fault(
        Fault(
            what=Wire.REFUSE,
            route=Route.CHAT,
            times=1,
            code="InvalidFile.AudioLengthError",
            message="Audio length must be between 1s and 300s.",
        )
    )
    write_wav(installed.inbox / "short.wav")
    assert installed.call("once").returncode == 0
    assert [work.model for work in sandbox.bill.paid] == ["qwen3-asr-flash-filetrans"]


def test_a_renamed_inbox_keeps_its_recordings(installed: Installed, sandbox: Sandbox) -> None:
    """A task outstanding when its inbox gets another name is delivered all the same, paid once."""
    sandbox.knobs = replace(sandbox.knobs, queue_time=timedelta(hours=1))
    installed.engines = LONG
    daemon = installed.start()
    write_wav(installed.inbox / "long.wav", seconds=3)
    wait_for(lambda: len(sandbox.bill.paid) == 1)
    assert installed.stop(daemon) == 0
    sandbox.knobs = replace(sandbox.knobs, queue_time=timedelta(0))
    installed.inbox_keys = {"name": "another"}
    assert installed.call("once").returncode == 0
    assert installed.text_of("long") == "Hello world.\n"
    assert len(sandbox.bill.paid) == 1


@pytest.mark.parametrize("offset", [timedelta(0), timedelta(hours=1), -timedelta(hours=1)], ids=str)
def test_a_lost_submission_is_adopted(
    installed: Installed, sandbox: Sandbox, offset: timedelta
) -> None:
    """Accepted but never answered, it is found in the task list by whatever clock: one task, one payment [T01]."""
    sandbox.knobs = replace(sandbox.knobs, clock_offset=offset)
    installed.engines = LONG
    sandbox.fault(Fault(what=Wire.HANG_UP, route=Route.TRANSCRIPTION, times=1, after_work=True))
    write_wav(installed.inbox / "long.wav", seconds=3)
    done = installed.call("once")
    assert done.returncode == 0, done.stderr
    assert installed.text_of("long") == "Hello world.\n"
    assert len(sandbox.bill.paid) == 1


def test_a_submission_that_never_arrived_is_made_again(
    installed: Installed, sandbox: Sandbox
) -> None:
    """If the task list holds nothing of a lost submission, it was never accepted: asked again, paid once."""
    installed.engines = LONG
    sandbox.fault(Fault(what=Wire.HANG_UP, route=Route.TRANSCRIPTION, times=1))
    write_wav(installed.inbox / "long.wav", seconds=3)
    assert installed.call("once").returncode == 0
    assert len(sandbox.bill.paid) == 1


def test_an_answer_that_is_not_json_is_kept(installed: Installed, sandbox: Sandbox) -> None:
    """A page in place of an answer was paid for: it is kept, fails alone, and nothing is bought again [A05]."""
    sandbox.fault(Fault(what=Wire.NOT_JSON, route=Route.CHAT, times=1, after_work=True))
    recording = write_wav(installed.inbox / "short.wav")
    ended = installed.call("once")
    assert ended.returncode == 1
    assert "The cloud's answer holds no transcript." in ended.stderr
    shutil.copy(recording, installed.inbox / "copy.wav")
    assert installed.call("once").returncode == 1
    assert installed.status()["ever"]["perhaps_twice"] == 0
    assert len(sandbox.bill.paid) == 1


def test_a_task_the_cloud_has_forgotten_is_parked(installed: Installed, sandbox: Sandbox) -> None:
    """A task that reads UNKNOWN is parked with what to do, and never bought again by itself [A09]."""
    sandbox.knobs = replace(sandbox.knobs, queue_time=timedelta(hours=1))
    installed.engines = LONG
    write_wav(installed.inbox / "long.wav", seconds=3)
    daemon = installed.start()
    wait_for(lambda: len(sandbox.bill.paid) == 1)
    sandbox.knobs = replace(
        sandbox.knobs, queue_time=timedelta(0), forget_after=timedelta(milliseconds=1)
    )
    wait_for(lambda: installed.status()["counts"]["parked"] == 1)
    told = installed.call("explain", str(installed.inbox / "long.wav"))
    assert installed.stop(daemon) == 0
    assert "retry" in told.stdout
    assert len(sandbox.bill.paid) == 1


def test_many_tasks_are_asked_about_together(installed: Installed, sandbox: Sandbox) -> None:
    """Forty tasks running cost list calls, not forty questions a round, and never ten queries a second."""
    sandbox.knobs = replace(sandbox.knobs, work_time=timedelta(seconds=8))
    installed.engines = LONG
    for number in range(40):
        write_wav(installed.inbox / f"{number}.wav", seconds=3, number=number)
    done = installed.call("once")
    assert done.returncode == 0, done.stderr
    asked = sorted(
        seen.at.timestamp() for seen in sandbox.requests if seen.route in {Route.TASK, Route.TASKS}
    )
    lists = sum(seen.route is Route.TASKS for seen in sandbox.requests)
    singles = sum(seen.route is Route.TASK for seen in sandbox.requests)
    assert lists >= 1
    assert singles <= 40 + 10
    busiest = max(sum(begin <= at < begin + 1 for at in asked) for begin in asked)
    assert busiest <= 11


def test_a_published_inbox_needs_no_upload(installed: Installed, sandbox: Sandbox) -> None:
    """With `public-dir` the cloud fetches the file from the URL the folder is published under."""
    import functools  # noqa: PLC0415 - used here only
    import http.server  # noqa: PLC0415 - used here only
    import threading  # noqa: PLC0415 - used here only

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *words: object) -> None:  # noqa: A002 - the library's name
            """Say nothing."""

    handler = functools.partial(Quiet, directory=str(installed.inbox))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        port = server.server_address[1]
        installed.more = {
            "storage": {
                "use": "public-dir",
                "root": str(installed.inbox),
                "url": f"http://127.0.0.1:{port}/",
            }
        }
        installed.inbox_keys = {"formats": ["srt"]}
        write_wav(installed.inbox / "with space é.wav")
        done = installed.call("once")
        server.shutdown()
        thread.join()
    assert done.returncode == 0, done.stderr
    assert not sandbox.uploads


def test_a_second_daemon_is_refused(installed: Installed) -> None:
    """Two daemons on one state folder: the second says so and leaves at once."""
    daemon = installed.start()
    second = installed.call("once")
    assert second.returncode != 0
    assert "Another asrwatch" in second.stderr
    assert installed.stop(daemon) == 0


def test_the_key_is_nowhere(installed: Installed, sandbox: Sandbox) -> None:
    """The key is in no log line, no database and no transcript."""
    installed.engines = LONG
    write_wav(installed.inbox / "short.wav")
    write_wav(installed.inbox / "long.wav", seconds=3)
    sandbox.fault(Fault(what=Wire.RESET, route=Route.CHAT, times=1))
    daemon = installed.start()
    installed.text_of("short")
    installed.text_of("long")
    assert installed.stop(daemon) == 0
    for path in installed.root.rglob("*"):
        if path.is_file():
            assert sandbox.key.encode() not in path.read_bytes(), path


@pytest.mark.soak
def test_samples_of_real_speech_are_understood(tmp_path: Path) -> None:
    """Real speech, really recognised: both samples, through both models, word for word."""
    from asrwatch.sandbox import LONG_SAMPLE, SHORT_SAMPLE  # noqa: PLC0415 - only this test listens

    with Sandbox(knobs=Knobs(queue_time=timedelta(0))) as listening:
        world = Installed(
            root=tmp_path,
            url=listening.url,
            key=listening.key,
            engines={
                "qwen3-asr-flash": {"longest": "10s", "requests_per_minute": 100},
                "qwen3-asr-flash-filetrans": {"requests_per_minute": 100},
            },
        )
        for sample in (SHORT_SAMPLE, LONG_SAMPLE):
            shutil.copy(sample.path, world.inbox)
        done = world.call("once")
    assert done.returncode == 0, done.stderr
    for sample in (SHORT_SAMPLE, LONG_SAMPLE):
        assert world.text_of(Path(sample.path).stem).split() == sample.text.split()

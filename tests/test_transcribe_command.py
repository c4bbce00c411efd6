import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from transcribe_helpers import Bench, bench

from asrwatch.cli._transcripts import Output
from asrwatch.errors import UsageError

__all__ = ["bench"]

FLASH = "qwen3-asr-flash"
FILETRANS = "qwen3-asr-flash-filetrans"


def test_text_goes_to_stdout_alone(bench: Bench) -> None:
    """One recording prints its text and nothing else; what was left out is said on stderr."""
    ran = bench.run(bench.recording(), "--vocabulary-id", "vocab-1", "--sample-rate", "16000")
    assert (ran.returncode, ran.stdout) == (0, "Hello world.\n")
    assert "asrwatch: vocabulary_id: " in ran.stderr
    assert "asrwatch: sample_rate: " in ran.stderr


def test_every_option_of_the_seed_has_its_flag(bench: Bench) -> None:
    """The seed's request can be typed whole, and `--json` prints exactly its response."""
    ran = bench.run(
        *(
            bench.recording(),
            "--model",
            FILETRANS,
            "--language-hints",
            "en",
            "--sample-rate",
            "16000",
        ),
        *("--vocabulary-id", "v", "--disfluency-removal-enabled", "--async", "--json"),
        *("--timestamp-granularities", "sentence,word"),
    )
    assert ran.returncode == 0, ran.stderr
    response = json.loads(ran.stdout)
    assert set(response) == {"text", "task_id", "status", "raw"}
    assert (response["text"], response["status"]) == ("Hello world.", "SUCCEEDED")
    assert f"task {response['task_id']}" in ran.stderr


def test_one_failing_input_does_not_stop_the_others(bench: Bench) -> None:
    """Several inputs are each told by name, a missing one fails alone, and the exit code says so."""
    ran = bench.run(bench.recording("a.wav"), "gone.wav", bench.recording("b.wav"))
    assert ran.returncode == 1
    assert ran.stdout.count("Hello world.") == 2
    assert "a.wav <==" in ran.stdout
    assert "b.wav <==" in ran.stdout
    assert "asrwatch: gone.wav: There is no file gone.wav." in ran.stderr


def test_several_as_json_are_a_list(bench: Bench) -> None:
    """`--json` with several inputs is one list in their order; a failure is an object with its error."""
    ran = bench.run("--json", bench.recording("a.wav"), "gone.wav")
    assert ran.returncode == 1
    heard, failed = json.loads(ran.stdout)
    assert set(heard) == {"text", "status", "raw"}
    assert failed["status"] == "FAILED"
    assert failed["error"] == {
        "input": "gone.wav",
        "kind": "RecordingError",
        "code": "no-such-file",
        "message": "There is no file gone.wav.",
        "advice": "",
    }


def test_subtitles_choose_a_model_that_gives_times(bench: Bench) -> None:
    """`--format srt` without a model goes to filetrans; with a model that has no times it is refused for nothing."""
    ran = bench.run(bench.recording(), "--format", "srt")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("1\n00:00:00,000 --> ")
    refused = bench.run(bench.recording(), "--format", "srt", "--model", FLASH)
    assert refused.returncode == 2
    assert f"Use model {FILETRANS} or auto" in refused.stderr
    assert [line.model for line in bench.sandbox.bill] == [FILETRANS]


def test_submitting_and_collecting_are_two_commands(bench: Bench) -> None:
    """`--no-wait` prints the task id alone; `--task` collects it in any format, and pays nothing."""
    submitted = bench.run(bench.recording(), "--no-wait")
    assert submitted.returncode == 0, submitted.stderr
    task = submitted.stdout.strip()
    assert task == bench.sandbox.bill.lines[0].task_id
    collected = bench.run("--task", task, "--format", "vtt")
    assert collected.returncode == 0, collected.stderr
    assert collected.stdout.startswith("WEBVTT")
    assert len(bench.sandbox.bill.paid) == 1


def test_unfinished_task_is_told_by_exit_code_and_status(bench: Bench) -> None:
    """`--task ID --no-wait` asks once: exit code 1 and the status as long as there is no answer."""
    bench.sandbox.knobs = replace(bench.sandbox.knobs, queue_time=timedelta(hours=1))
    task = bench.run(bench.recording(), "--no-wait").stdout.strip()
    ran = bench.run("--task", task, "--no-wait", "--json")
    assert ran.returncode == 1
    told = json.loads(ran.stdout)
    assert (told["task_id"], told["status"], told["error"]["code"]) == (
        task,
        "PENDING",
        "still-out",
    )


def test_saving_writes_below_the_output_folder(bench: Bench) -> None:
    """`--save` writes txt and json below output/, or $OUTPUT_DIR, and says where."""
    ran = bench.run(bench.recording(), "--save")
    folder = bench.folder / "output" / "ai-audio-asr" / "transcripts"
    assert ran.returncode == 0, ran.stderr
    assert (folder / "note.txt").read_text() == "Hello world.\n"
    assert json.loads((folder / "note.json").read_text())["text"] == "Hello world."
    assert f"saved {folder}/note.txt" in ran.stderr
    elsewhere = {"OUTPUT_DIR": str(bench.folder / "elsewhere")}
    ran = bench.run(
        "https://example.org/welcome.wav?x=1", "--save", "-f", "md", environment=elsewhere
    )
    assert ran.returncode == 0, ran.stderr
    assert (bench.folder / "elsewhere/ai-audio-asr/transcripts/welcome.md").is_file()


def test_saving_never_overwrites_a_foreign_file(bench: Bench) -> None:
    """A file that is not ours stays as it is; ours appears beside it."""
    folder = bench.folder / "output/ai-audio-asr/transcripts"
    folder.mkdir(parents=True)
    (folder / "note.txt").write_text("mine")
    ran = bench.run(bench.recording(), "--save", "--format", "txt")
    assert ran.returncode == 0, ran.stderr
    assert (folder / "note.txt").read_text() == "mine"
    assert (folder / "note.new.txt").read_text() == "Hello world.\n"


def test_saving_again_keeps_what_was_saved_and_says_so(bench: Bench) -> None:
    """A second `--save` writes both files beside the first ones, under one stem, and says why."""
    folder = bench.folder / "output/ai-audio-asr/transcripts"
    first = bench.run(bench.recording(), "--save")
    assert "stayed" not in first.stderr
    kept = (folder / "note.json").read_text()
    second = bench.run(bench.recording(), "--save")
    assert second.returncode == 0, second.stderr
    names = {"note.txt", "note.json", "note.new.txt", "note.new.json"}
    assert {path.name for path in folder.iterdir()} == names
    assert (folder / "note.json").read_text() == kept
    assert "note.txt and note.json of another time were there and stayed" in second.stderr


def test_file_that_is_no_recording_is_named_once(bench: Bench) -> None:
    """A message that begins with the recording's name is not preceded by it again."""
    (bench.folder / "notes.wav").write_text("a list of things to buy\n" * 40)
    for given in ("notes.wav", bench.folder / "notes.wav"):
        ran = bench.run(given)
        assert ran.returncode == 1
        assert ran.stderr.count("notes.wav") == 1, ran.stderr


def test_collecting_with_a_model_that_has_no_tasks_is_wrong_usage(bench: Bench) -> None:
    """`--task` with a model that answers at once, or with none in particular, exits with 2; nothing is sent."""
    for model, says in ((FLASH, "has no tasks"), ("auto", "belongs to one model")):
        ran = bench.run("--task", "abc", "--model", model)
        assert (ran.returncode, ran.stdout) == (2, ""), ran.stderr
        assert says in ran.stderr
    assert not bench.sandbox.requests


def test_text_is_shown_even_where_it_cannot_be_saved(bench: Bench) -> None:
    """What was paid for is on stdout before saving fails, and the exit code says that it did."""
    (bench.folder / "output").write_text("a file where a folder should be")
    ran = bench.run(bench.recording(), "--save")
    assert (ran.returncode, ran.stdout) == (1, "Hello world.\n")
    assert "asrwatch: " in ran.stderr


@pytest.mark.parametrize(
    ("inputs", "formats", "options", "code"),
    [
        ([], [], {}, "no-audio-given"),
        (["a.wav"], [], {"task": "x"}, "no-audio-given"),
        (["a.wav"], ["docx"], {}, "unknown-format"),
        (["a.wav"], ["txt", "md"], {}, "several-formats"),
        (["a.wav"], ["txt"], {"as_json": True}, "json-and-format"),
    ],
)
def test_options_that_contradict_each_other_are_refused(
    inputs: list[str], formats: list[str], options: dict[str, Any], code: str
) -> None:
    """What cannot be printed as asked is wrong usage, found before anything is sent."""
    with pytest.raises(UsageError) as raised:
        Output.checked(
            inputs, formats, **{"task": None, "as_json": False, "save": False, **options}
        )
    assert raised.value.code == code


def test_wrong_usage_is_two_and_bad_configuration_78(bench: Bench) -> None:
    """Nonsense exits with 2, a configuration that cannot be used with 78 and every problem; nothing is sent."""
    recording = bench.recording()
    for arguments in (["--model", "whisper-1"], ["--timeout", "soon"]):
        ran = bench.run(recording, *arguments)
        assert (ran.returncode, ran.stdout) == (2, ""), ran.stderr
    bad = bench.folder / "bad.yaml"
    bad.write_text("workers: many\ninboxs: []\n")
    ran = bench.run(recording, "-c", bad)
    assert ran.returncode == 78
    assert "workers (line 1)" in ran.stderr
    assert "inboxs (line 2): there is no such key" in ran.stderr
    assert not bench.sandbox.requests

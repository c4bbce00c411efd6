"""The command line: help, exit codes, messages and JSON of every command that needs no cloud."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from cli_helpers import asrwatch, configure, environment

import asrwatch as package
from asrwatch.cli._commands import Commands, names

HEAVY = ("requests", "sqlalchemy", "pydantic", "watchdog", "rich", "asrwatch.config", "structlog")


# Help.


def test_help_lists_every_command(tmp_path: Path) -> None:
    """`--help` names every command with a whole sentence, none of it cut off."""
    told = asrwatch("--help", cwd=tmp_path)
    assert told.returncode == 0
    listed = {
        line.split()[0]: line for line in told.stdout.partition("Commands:")[2].splitlines() if line
    }
    assert set(names()) <= set(listed)
    for name in names():
        assert listed[name].endswith("."), listed[name]
        assert not listed[name].endswith("..."), listed[name]


def test_help_loads_nothing_it_does_not_need(tmp_path: Path) -> None:
    """Whoever asks for help waits neither for the database, nor for the network, nor for settings."""
    program = (
        "import sys\n"
        "from asrwatch.cli import main\n"
        "sys.argv = ['asrwatch', '--help']\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print(*sys.modules, sep='\\n', file=sys.stderr)\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", program],
        env=environment(tmp_path),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert set(told.stderr.splitlines()).isdisjoint(HEAVY)


@pytest.mark.parametrize("name", names())
def test_every_command_has_help(name: str) -> None:
    """Every command can be loaded, and says what it does in the words of the list."""
    group = Commands(name="asrwatch")
    _, command, rest = group.resolve_command(None, [name, "--help"])
    assert rest == ["--help"]
    assert command.help
    assert command.callback is not None


def test_no_words_at_all_shows_help(tmp_path: Path) -> None:
    """`asrwatch` alone is wrong usage, and shows what there is."""
    told = asrwatch(cwd=tmp_path)
    assert told.returncode == 2
    assert "Commands:" in told.stdout + told.stderr


def test_versions_agree(tmp_path: Path) -> None:
    """`version` and `--version` print the version and nothing else."""
    for word in ("version", "--version"):
        told = asrwatch(word, cwd=tmp_path)
        assert (told.returncode, told.stdout) == (0, f"{package.__version__}\n")


# Wrong usage ends with 2.


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("statsu",), "Did you mean 'status'"),
        (("explain",), "PATH"),
        (("retry",), "--failed"),
        (("run", "no/such/folder"), "does not exist"),
        (("parts", "no-such-part"), "there is no part called 'no-such-part'"),
        (("sandbox", "--port", "70000"), "65535"),
    ],
)
def test_wrong_usage_is_told(tmp_path: Path, words: tuple[str, ...], says: str) -> None:
    """Wrong words end with 2 and a message that helps, never with a traceback."""
    told = asrwatch(*words, cwd=tmp_path)
    assert told.returncode == 2
    assert says in told.stderr
    assert "Traceback" not in told.stderr


# A bad configuration ends with 78.


@pytest.mark.parametrize("command", ["run", "status"])
def test_every_problem_of_a_configuration_is_told(tmp_path: Path, command: str) -> None:
    """A bad configuration ends with 78 and all its problems at once, each with its place and line."""
    config = tmp_path / "bad.yaml"
    config.write_text(
        "workers: many\nsettel: 5s\ninboxes:\n  - path: /tmp/somewhere\n    engine: whisper\n"
    )
    told = asrwatch(command, "-c", config, cwd=tmp_path)
    assert told.returncode == 78
    for place in ("workers (line 1)", "settel (line 2)", "inboxes[0].engine (line 5)", "whisper"):
        assert place in told.stderr
    assert "Traceback" not in told.stderr


def test_a_missing_configuration_is_told(tmp_path: Path) -> None:
    """A file that was named and is not there ends with 78."""
    told = asrwatch("status", "-c", "nowhere.yaml", cwd=tmp_path)
    assert told.returncode == 78
    assert "nowhere.yaml" in told.stderr


@pytest.mark.parametrize("command", ["run", "once"])
def test_nothing_to_watch_says_what_to_do(tmp_path: Path, command: str) -> None:
    """Without any inbox there is nothing to do, and the message says how to name one."""
    told = asrwatch(command, cwd=tmp_path)
    assert told.returncode == 78
    assert "asrwatch run ~/Recordings" in told.stderr


def test_a_bad_address_is_a_bad_configuration(tmp_path: Path) -> None:
    """A base URL that is none is found before anything is started or locked."""
    told = asrwatch("run", "-c", configure(tmp_path, cloud={"base_url": "ftp://x"}), cwd=tmp_path)
    assert told.returncode == 78
    assert "base_url" in told.stderr
    assert not (tmp_path / "state").exists()


# What fails otherwise ends with 1.


def test_a_used_state_folder_is_told(tmp_path: Path) -> None:
    """A second program that wants the same state is refused with one message, and waits a little first."""
    config = configure(tmp_path)
    (tmp_path / "state").mkdir()
    program = (
        "import fcntl, sys\n"
        "lock = open(sys.argv[1], 'w')\n"
        "fcntl.flock(lock, fcntl.LOCK_EX)\n"
        "print('held', flush=True)\n"
        "sys.stdin.read()\n"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "state" / "lock")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None
    try:
        holder.stdout.readline()
        told = asrwatch("run", "-c", config, cwd=tmp_path)
        assert told.returncode == 1
        assert "Another asrwatch is using" in told.stderr
        assert "Traceback" not in told.stderr
    finally:
        holder.communicate(timeout=10)


def test_an_unusable_state_folder_is_told(tmp_path: Path) -> None:
    """A state folder that cannot be one ends with 1 and with what to do."""
    (tmp_path / "file").touch()
    config = configure(tmp_path, state_dir=str(tmp_path / "file" / "state"))
    told = asrwatch("retry", "--failed", "-c", config, cwd=tmp_path)
    assert told.returncode == 1
    assert "Set state_dir" in told.stderr


# Looking costs nothing, and leaves nothing.


def test_looking_leaves_no_state(tmp_path: Path) -> None:
    """`status` and `explain` on a fresh machine work, and do not create a state folder."""
    config = configure(tmp_path)
    (tmp_path / "inbox" / "a.doc").touch()
    told = asrwatch("status", "--json", "-c", config, cwd=tmp_path)
    report = json.loads(told.stdout)
    assert (told.returncode, report["running"]) == (0, False)
    assert report["state_dir"] == str(tmp_path / "state")
    assert set(report["counts"].values()) == {0}
    told = asrwatch("explain", "inbox/a.doc", "-c", config, cwd=tmp_path)
    assert told.returncode == 0
    assert "no engine takes .doc files" in told.stdout
    assert not (tmp_path / "state").exists()


def test_explain_takes_paths_as_they_are_typed(tmp_path: Path) -> None:
    """Relative paths, dots and names that are not UTF-8 reach the desk as absolute bytes; output stays ASCII-safe."""
    config = configure(tmp_path)
    odd = os.fsencode(tmp_path / "inbox") + b"/\xff\x1b[31m.doc"
    Path(os.fsdecode(odd)).touch()
    told = asrwatch(
        "explain", b"inbox/../inbox/./\xff\x1b[31m.doc", "--json", "-c", config, cwd=tmp_path
    )
    assert os.fsencode(json.loads(told.stdout)["path"]) == odd
    told = asrwatch("explain", odd, "-c", config, cwd=tmp_path)
    assert told.returncode == 0
    assert "\\xff\\x1b[31m.doc" in told.stdout
    assert "\x1b" not in told.stdout


def test_explaining_nothing_ends_with_one(tmp_path: Path) -> None:
    """A path where nothing is and nothing was is told as such, and ends with 1."""
    config = configure(tmp_path)
    told = asrwatch("explain", "inbox/nobody.wav", "-c", config, cwd=tmp_path)
    assert told.returncode == 1
    assert "There is no such file" in told.stdout
    told = asrwatch("explain", "inbox/nobody.wav", "--json", "-c", config, cwd=tmp_path)
    assert (told.returncode, json.loads(told.stdout)["story"]) == (1, None)


def test_refusals_end_with_one(tmp_path: Path) -> None:
    """`retry` and `forget` of something unknown say so on stderr, and end with 1; of nothing, with 0."""
    config = configure(tmp_path)
    for command in ("retry", "forget"):
        told = asrwatch(command, "inbox/nobody.wav", "-c", config, cwd=tmp_path)
        assert told.returncode == 1
        assert "nobody.wav: asrwatch does not know it" in told.stderr
    told = asrwatch("retry", "--failed", "--json", "-c", config, cwd=tmp_path)
    assert (told.returncode, json.loads(told.stdout)["done"]) == (0, 0)


# Check.


def test_check_finds_nothing_wrong(tmp_path: Path) -> None:
    """With a key and folders that can be written, every line is ok; nothing is left behind."""
    config = configure(tmp_path)
    told = asrwatch("check", "-c", config, cwd=tmp_path, DASHSCOPE_API_KEY="sk-something")
    assert told.returncode == 0
    assert {line.split()[0] for line in told.stdout.splitlines()} <= {"ok", "warn"}
    assert "the environment variable DASHSCOPE_API_KEY" in told.stdout
    assert "sk-something" not in told.stdout + told.stderr
    assert list((tmp_path / "inbox").iterdir()) == []


def test_check_names_everything_that_fails(tmp_path: Path) -> None:
    """A missing key and a missing inbox are both told, each with what to do, and end with 1."""
    config = configure(tmp_path)
    (tmp_path / "inbox").rmdir()
    told = asrwatch("check", "--json", "-c", config, cwd=tmp_path)
    failed = {each["about"] for each in json.loads(told.stdout) if each["level"] == "fail"}
    assert told.returncode == 1
    assert failed == {"key", "inbox inbox"}


@pytest.mark.parametrize("text", ["", "workers: 4\n", "inboxes: []\n"])
def test_check_refuses_what_run_refuses(tmp_path: Path, text: str) -> None:
    """A configuration without any inbox keeps the daemon from starting, and so fails the check."""
    config = tmp_path / "asrwatch.yaml"
    config.write_text(text)
    words = ("check", "-c", config)
    told = asrwatch(*words, cwd=tmp_path, DASHSCOPE_API_KEY="sk-something")
    assert told.returncode == 1
    assert "fail  inboxes" in told.stdout
    assert "asrwatch run" in told.stdout


def test_check_prints_json_of_a_broken_configuration(tmp_path: Path) -> None:
    """`check --json` is JSON whatever is wrong: every problem is a finding, and the end is 78."""
    config = tmp_path / "bad.yaml"
    config.write_text("workers: many\nsettel: 5s\n")
    told = asrwatch("check", "--json", "-c", config, cwd=tmp_path)
    assert (told.returncode, told.stderr) == (78, "")
    found = json.loads(told.stdout)
    assert {each["level"] for each in found} == {"fail"}
    assert [each["about"] for each in found] == ["config", "config"]
    assert any("settel (line 2): there is no such key" in each["said"] for each in found)
    assert all("bad.yaml" in each["said"] for each in found)


def test_check_tells_wishes_no_engine_grants(tmp_path: Path) -> None:
    """Subtitles in a region without the engine for them are found before a recording fails."""
    inbox = {"path": str(tmp_path / "inbox"), "formats": ["srt"]}
    config = configure(tmp_path, cloud={"region": "us"}, inboxes=[inbox])
    told = asrwatch("check", "-c", config, cwd=tmp_path, DASHSCOPE_API_KEY="sk-something")
    assert told.returncode == 1
    assert "fail  engine inbox" in told.stdout
    assert "region us" in told.stdout


def test_check_refuses_an_open_key_file(tmp_path: Path) -> None:
    """A key file that others may read fails, with the command that closes it. [X11]."""
    key = tmp_path / "key"
    key.write_text("sk-something\n")
    key.chmod(0o644)
    config = configure(tmp_path, cloud={"api_key_file": str(key)})
    told = asrwatch("check", "-c", config, cwd=tmp_path)
    assert told.returncode == 1
    assert "fail  key" in told.stdout
    assert f"chmod 600 {key}" in told.stdout


def test_check_online_needs_an_answer(tmp_path: Path) -> None:
    """`--online` fails where nobody answers, with the address it asked."""
    config = configure(tmp_path, cloud={"base_url": "http://127.0.0.1:9", "connect_timeout": "2s"})
    told = asrwatch(
        "check", "--online", "-c", config, cwd=tmp_path, DASHSCOPE_API_KEY="sk-something"
    )
    assert told.returncode == 1
    assert "fail  cloud: http://127.0.0.1:9" in told.stdout


# Parts.


def test_parts_lists_what_there_is(tmp_path: Path) -> None:
    """Every part is listed with options that are written as in a configuration."""
    told = asrwatch("parts", "--json", cwd=tmp_path)
    found = {each["name"]: each for each in json.loads(told.stdout)}
    assert {"qwen3-asr-flash", "qwen3-asr-flash-filetrans", "srt", "public-dir"} <= set(found)
    options = {each["name"]: each for each in found["qwen3-asr-flash"]["options"]}
    assert (options["longest"]["type"], options["longest"]["default"]) == ("duration", "295s")
    assert (options["largest"]["type"], options["largest"]["default"]) == ("size", "10MB")
    assert options["dialect"]["type"] == "auto | compat | native"
    url = {each["name"]: each for each in found["public-dir"]["options"]}["url"]
    assert (url["required"], url["default"]) == (True, None)
    assert all(each["summary"].endswith(".") for each in found.values())


def test_what_parts_prints_can_be_configured(tmp_path: Path) -> None:
    """Every default, written back into a configuration as it is printed, is accepted."""
    told = asrwatch("parts", "--json", cwd=tmp_path)
    engines = {
        part["name"]: {
            option["name"]: json.loads(option["default"])
            if option["type"] in {"true | false", "number", "whole number"}
            else option["default"]
            for option in part["options"]
        }
        for part in json.loads(told.stdout)
        if part["kind"] == "engine"
    }
    config = configure(tmp_path, engines=engines)
    assert asrwatch("status", "-c", config, cwd=tmp_path).returncode == 0


def test_one_part_can_be_asked_for(tmp_path: Path) -> None:
    """`parts NAME` tells of that part alone."""
    told = asrwatch("parts", "vtt", cwd=tmp_path)
    assert told.stdout.startswith("formats\n  vtt: ")
    assert "srt" not in told.stdout


# Pipes and signals.


def test_a_closed_pipe_is_no_trouble(tmp_path: Path) -> None:
    """`asrwatch parts | head -1` ends without a word about pipes."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        told = subprocess.run(
            [sys.executable, "-m", "asrwatch", "parts"],
            env=environment(tmp_path),
            cwd=tmp_path,
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        os.close(writer)
    assert told.stderr == ""


def test_the_sandbox_starts_and_stops(tmp_path: Path) -> None:
    """`asrwatch sandbox --port 0` says where it listens, and ends quietly on Ctrl-C."""
    pytest.importorskip("pocketsphinx")
    running = subprocess.Popen(
        [sys.executable, "-m", "asrwatch", "sandbox", "--port", "0", "--set", "queue_time=1s"],
        env=environment(tmp_path),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert running.stdout is not None
        greeting = [running.stdout.readline() for _ in range(5)]
        assert "stay on this machine" in greeting[0]
        assert "http://127.0.0.1:" in greeting[1]
        running.send_signal(signal.SIGINT)
        _, errors = running.communicate(timeout=30)
    finally:
        running.kill()
        running.wait()
    assert (running.returncode, errors) == (0, "")


def test_wrong_knobs_are_all_told(tmp_path: Path) -> None:
    """A knob that does not exist, or cannot be turned so, ends with 78 and every problem."""
    told = asrwatch("sandbox", "--set", "nix=1", "--set", "queue_time=soon", cwd=tmp_path)
    assert told.returncode == 78
    assert "nix=1" in told.stderr
    assert "queue_time" in told.stderr
    assert "not a duration" in told.stderr
    assert "Value error" not in told.stderr

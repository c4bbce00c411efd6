"""The key is nowhere but where it was put, in memory, and in the header that needs it."""

import ast
import io
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import zlib
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote, quote_plus
from uuid import uuid4

import pytest
from cloud_helpers import KEY, Answer, Asked, Server, cloud_at, engine_named
from conftest import Keep
from e2e_helpers import Installed
from wait_helpers import PATIENCE, wait_for
from wav_helpers import write_wav

from asrwatch import logs
from asrwatch.children import bare_environment
from asrwatch.cloud import KeyRing
from asrwatch.cloud.bodies import PlainBody
from asrwatch.control import ask_daemon
from asrwatch.desk.questions import AskRetry
from asrwatch.desk.reports.treatment import Treatment
from asrwatch.sandbox import Fault, Knobs, Route, Sandbox, Scripted, Wire
from asrwatch.values import Secret

PACKAGE = Path(__file__).parent.parent / "asrwatch"
STARTS = {"run", "Popen", "call", "check_call", "check_output"}


FAULTS = (
    (Route.CHAT, Wire.HANG_UP),
    (Route.CHAT, Wire.NOT_JSON),
    (Route.CHAT, Wire.BAD_GATEWAY),
    (Route.TRANSCRIPTION, Wire.HANG_UP),
    (Route.UPLOADS, Wire.BAD_GATEWAY),
    (Route.TASK, Wire.NOT_JSON),
    (Route.RESULT, Wire.REDIRECT),
    (Route.CHAT, Wire.REDIRECT),
)


def forms(key: str) -> dict[str, bytes]:
    """The key as it might be written: plain, escaped, percent-encoded, in Base64 at each of its places."""
    found = {
        "plain": key,
        "in a URL": quote(key, safe=""),
        "in a form": quote_plus(key),
        "in JSON": json.dumps(key)[1:-1],
        "in Python": repr(key)[1:-1],
    }
    raw = key.encode()
    for skip in range(3):
        part = raw[skip : len(raw) - (len(raw) - skip) % 3]
        found[f"in Base64 at {skip}"] = b64encode(part).decode()
    return {name: form.encode() for name, form in found.items()}


def test_every_child_gets_an_environment_of_its_own() -> None:
    """Wherever a process is started, its environment is given: none is inherited by oversight."""
    started = [
        (path.name, "env" in {word.arg for word in node.keywords})
        for path in sorted(PACKAGE.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in STARTS
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "subprocess"
    ]
    assert started, "this test looks for something that is no longer there"
    assert [name for name, given in started if not given] == []


def test_a_childs_environment_is_bare() -> None:
    """What is not known to be needed stays here: keys, credentials, the service manager's socket."""
    full = {
        "PATH": "/bin",
        "LANG": "C",
        "DASHSCOPE_API_KEY": KEY,
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET": KEY,
        "CREDENTIALS_DIRECTORY": "/run/credentials",
        "NOTIFY_SOCKET": "@x",
        "LD_PRELOAD": "/tmp/x.so",  # noqa: S108 - an example
    }
    assert bare_environment(full) == {"PATH": "/bin", "LANG": "C"}


def test_a_crash_leaves_no_core(tmp_path: Path) -> None:
    """Cores are switched off, and the process is closed to others: the kernel hands its memory to nobody."""
    program = (
        "import ctypes, os, resource\n"
        "hard = resource.getrlimit(resource.RLIMIT_CORE)[1]\n"
        "resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))\n"
        "from asrwatch.cli._secrecy import guard_memory\n"
        "guard_memory()\n"
        "print(resource.getrlimit(resource.RLIMIT_CORE)[0], ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))\n"
        "os.close(1)\n"
        "os.kill(os.getpid(), 6)\n"
    )
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; sys.stdout.reconfigure(line_buffering=True)\n" + program,
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == -signal.SIGABRT, done.stderr
    assert done.stdout == "0 0\n"
    assert list(tmp_path.iterdir()) == []


def test_an_answer_that_repeats_the_key_is_kept_without_it() -> None:
    """A gateway that shows the request's headers in its answers does not put the key into the books."""

    def echo(asked: Asked) -> Answer:
        said = {"output": {"task_id": "t", "task_status": "RUNNING"}, "headers": asked.headers}
        return Answer(body=json.dumps(said).encode())

    with Server(echo) as server:
        cloud = cloud_at(server.url)
        paid = cloud.ask("/x", PlainBody(b"{}"), ask_id="a", read_timeout=timedelta(seconds=5)).body
        with cloud.tasks.visit() as visit:
            free = visit.query("t").raw
    for body in (paid, free):
        assert KEY.encode() not in body
        assert b"Bearer ***" in body


def test_a_new_key_is_masked_before_it_is_used(tmp_path: Path) -> None:
    """A key that is put into the file while the daemon runs is as secret as the first one."""
    file = tmp_path / "key"
    noticed: list[Secret] = []
    ring = KeyRing(api_key_file=file, environment={}, home=None, noticed=noticed.append)
    for key in ("sk-one", "sk-one", "sk-two", "sk-one"):
        file.write_text(key)
        file.chmod(0o600)
        ring.key()
    assert [key.reveal() for key in noticed] == ["sk-one", "sk-two", "sk-one"]


@pytest.mark.parametrize("before", ["", "a", "ab", "Bearer "])
def test_base64_of_the_key_is_masked(before: str) -> None:
    """Wherever in a longer text the key stands, its Base64 is told from no line of the log."""
    key = "sk-b64-canary-7+f/9=Q~x"
    logs.register_secret(Secret(key))
    stream = io.StringIO()
    logs.configure("info", stream=stream, terminal=False)
    logs.get("test").info("seen", header=b64encode(f"{before}{key}!".encode()).decode(), plain=key)
    logs.configure("warning")
    for name, form in forms(key).items():
        assert form.decode() not in stream.getvalue(), name


@pytest.fixture
def canary() -> str:
    """A key like no other text, with characters that are escaped here and there."""
    return f"sk-{uuid4().hex}+f/9=Q%2F&x~'\""


@pytest.fixture
def world(tmp_path: Path, canary: str) -> Iterator[tuple[Installed, Sandbox, Path]]:
    """The program with its key in a file, and a cloud that takes it."""
    knobs = Knobs(
        rate_limits=False,
        queue_time=timedelta(0),
        work_time=timedelta(0),
        keys={canary: "account"},
    )
    key_file = tmp_path / "key"
    key_file.write_text(canary)
    key_file.chmod(0o600)
    with Sandbox(recogniser=Scripted(), knobs=knobs) as sandbox:
        installed = Installed(
            root=tmp_path,
            url=sandbox.url,
            key="",
            engines={"qwen3-asr-flash": {"longest": "2s"}},
            more={"cloud": {"base_url": sandbox.url, "api_key_file": str(key_file)}},
        )
        yield installed, sandbox, key_file
        installed.kill_all()


def ask_socket(state: Path, line: bytes) -> bytes:
    """What the control socket answers to a line."""
    with socket.socket(socket.AF_UNIX) as asked:
        asked.settimeout(PATIENCE)
        asked.connect(str(state / "control.sock"))
        asked.sendall(line + b"\n")
        told = b""
        while piece := asked.recv(65_536):
            told += piece
    return told


def of_processes(what: str) -> Iterator[tuple[str, bytes]]:
    """`cmdline` or `environ` of every process but this one."""
    for folder in Path("/proc").glob("[0-9]*"):
        if folder.name != str(os.getpid()):
            with suppress(OSError):
                yield f"{folder.name} {what}", (folder / what).read_bytes()


def of_databases(state: Path) -> Iterator[tuple[str, bytes]]:
    """Every value in the books, unpacked where it is packed."""
    with closing(sqlite3.connect(state / "asrwatch.db")) as books:
        tables = [
            row[0] for row in books.execute("SELECT name FROM sqlite_master WHERE type='table'")
        ]
        for table in tables:
            for row in books.execute(f'SELECT * FROM "{table}"'):  # noqa: S608 - our own tables
                for value in row:
                    raw = value if isinstance(value, bytes) else str(value).encode()
                    with suppress(zlib.error):
                        raw += zlib.decompress(raw)
                    yield f"table {table}", raw


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_the_key_is_found_nowhere(
    world: tuple[Installed, Sandbox, Path],
    canary: str,
    rounds: Callable[[int, int], int],
    promise: Keep,
) -> None:
    """Through refusals, redirects, lost answers, every question and a crash, no copy of the key is left anywhere."""
    installed, sandbox, key_file = world
    told: list[tuple[str, bytes]] = []
    good = sandbox.knobs
    sandbox.knobs = replace(good, key_errors={canary: "InvalidApiKey"})
    with installed.log.open("ab") as log:
        daemon = subprocess.Popen(
            [
                *(sys.executable, "-m", "asrwatch", "run", "--log-level", "debug"),
                *("-c", str(installed.config())),
            ],
            env={name: value for name, value in installed.environment().items() if value},
            cwd=installed.root,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    installed._running.append(daemon)
    write_wav(installed.inbox / "first.wav")
    wait_for(lambda: b'"engine-held"' in installed.log.read_bytes())
    told += of_processes("cmdline")
    told += of_processes("environ")
    sandbox.knobs = good
    state = installed.root / "state"
    ask_daemon(state, AskRetry(paths=(os.fsencode(installed.inbox),)), Treatment)
    installed.text_of("first")
    number = 0
    for route, what in FAULTS * rounds(4, 1):
        number += 1
        sandbox.fault(Fault(what=what, route=route, times=1))
        seconds = 1.0 if route is Route.CHAT else 3.0
        write_wav(installed.inbox / f"n{number}.wav", seconds=seconds, number=100 + number)
        wait_for(lambda: not sandbox.faults.armed)
        # whatever is held after this goes on at once
        ask_daemon(state, AskRetry(paths=(os.fsencode(installed.inbox),)), Treatment)
    told += of_processes("environ")
    first = str(installed.inbox / "first.wav")
    for words in (
        ("status",),
        ("status", "--json"),
        ("explain", first),
        ("explain", str(installed.inbox / "n1.wav")),
        ("check",),
        ("check", "--online"),
        ("unit",),
        ("unit", "--full"),
        ("transcribe", first),
        ("transcribe", "/nonexistent.wav"),
    ):
        done = installed.call(*words)
        told += [(" ".join(words), (done.stdout + done.stderr).encode())]
    for line in (b'{"ask": "status"}', b"garbage", b'{"ask": "explain", "path": "x"}'):
        told.append(("control socket", ask_socket(state, line)))
    sandbox.knobs = replace(good, key_errors={canary: "Arrearage"})
    write_wav(installed.inbox / "last.wav", number=9_999)
    daemon.send_signal(signal.SIGABRT)
    assert daemon.wait(PATIENCE) == -signal.SIGABRT
    told += of_databases(state)
    for path in installed.root.rglob("*"):
        if path.is_file() and path != key_file:
            told.append((str(path), path.read_bytes()))
    assert list(installed.root.glob("core*")) == []
    searched = forms(canary)
    assert searched["plain"] in key_file.read_bytes(), "what is searched for is not the key"
    found = [
        (where, name) for where, held in told for name, form in searched.items() if form in held
    ]
    size = sum(len(held) for _, held in told)
    promise(
        "P25 key found outside its file",
        promised="0 places",
        measured=f"{len(found)} of {len(told)} places, {size / 1e6:.1f} MB, {number} faults",
    )
    assert found == []
    assert len(installed.log.read_bytes()) > 10_000, "the log was not what it should have been"


def test_engines_do_not_show_the_key() -> None:
    """An engine, its cloud and its ring can be printed."""
    engine = engine_named("qwen3-asr-flash", cloud_at("http://127.0.0.1:9"))
    for shown in (engine, engine.cloud, engine.cloud.keys, engine.options, engine.cloud.tasks):
        assert KEY not in f"{shown!r} {shown}"

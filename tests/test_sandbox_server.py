import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest
import requests
from sandbox_helpers import URL, Customer, chat_body, customer, order_body, sandbox

from asrwatch.errors import ConfigError, StartupError
from asrwatch.sandbox import (
    DEFAULT_KEY,
    Fault,
    Knobs,
    Layout,
    Region,
    Sandbox,
    Scripted,
    SilentTask,
    Wire,
    read_knobs,
)

__all__ = ["customer", "sandbox"]


def test_nothing_is_left() -> None:
    """After the block there is no thread, no process, no port and no temporary file."""
    threads = set(threading.enumerate())
    children = set(psutil.Process().children(recursive=True))
    with Sandbox(knobs=Knobs(rate_limits=False)) as running:
        folder = running._service.folder
        port = running.port
        Customer(sandbox=running).chat()
        assert folder.is_dir()
    assert set(threading.enumerate()) <= threads
    assert set(psutil.Process().children(recursive=True)) <= children
    assert not folder.exists()
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", port))


def test_stops_while_it_listens() -> None:
    """Stopping does not wait for a recognition under way, and leaves no process behind."""
    children = set(psutil.Process().children(recursive=True))
    running = Sandbox(knobs=Knobs(rate_limits=False))
    running.start()
    customer = Customer(sandbox=running)
    task_id = customer.submitted(order_body("https://example.org/meeting.flac"))
    customer.until(task_id, {"RUNNING"})
    started = time.monotonic()
    running.stop()
    assert time.monotonic() - started < 2
    assert set(psutil.Process().children(recursive=True)) <= children


def test_stops_at_once() -> None:
    """Stopping hangs up on whoever waits for an answer, and does not wait for tasks."""
    hour = timedelta(hours=1)
    running = Sandbox(
        recogniser=Scripted(), knobs=Knobs(rate_limits=False, latency=hour, queue_time=hour)
    )
    running.start()
    failed: list[Exception] = []

    def wait_for_answer() -> None:
        try:
            Customer(sandbox=running).chat()
        except requests.exceptions.ConnectionError as error:
            failed.append(error)

    thread = threading.Thread(target=wait_for_answer)
    thread.start()
    Customer(sandbox=running).submit()
    while len(running.bill) < 2:
        time.sleep(0.01)
    running.fault(Fault(what=Wire.ENDLESS))
    headers = {"Authorization": f"Bearer {running.key}"}
    with requests.get(f"{running.url}/x", headers=headers, stream=True, timeout=20):
        started = time.monotonic()
        running.stop()
        assert time.monotonic() - started < 2
    thread.join()
    assert len(failed) == 1
    running.stop()
    assert len(running.bill) == 2


def test_only_this_machine_is_served(sandbox: Sandbox) -> None:
    """The sandbox listens on loopback alone."""
    listening = [
        connection.laddr.ip
        for connection in psutil.Process().net_connections("inet")
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == sandbox.port
    ]
    assert listening == ["127.0.0.1"]
    assert sandbox.url == f"http://127.0.0.1:{sandbox.port}"


def test_port_taken(sandbox: Sandbox) -> None:
    """A port that is taken is said so, and nothing is left running."""
    threads = set(threading.enumerate())
    with pytest.raises(StartupError, match=str(sandbox.port)) as refused:
        Sandbox(recogniser=Scripted(), port=sandbox.port).start()
    assert refused.value.code == "port-taken"
    assert set(threading.enumerate()) == threads


def test_not_started() -> None:
    """What has not been started has no address."""
    with pytest.raises(StartupError):
        _ = Sandbox(recogniser=Scripted()).url


def test_two_at_once(sandbox: Sandbox) -> None:
    """Two sandboxes share nothing."""
    with Sandbox(recogniser=Scripted()) as other:
        Customer(sandbox=other).chat()
        assert len(sandbox.bill) == 0
        assert len(other.bill) == 1


def test_kept_folder(tmp_path: Path) -> None:
    """With a folder of one's own, what was uploaded is still there afterwards."""
    with Sandbox(recogniser=Scripted(), folder=tmp_path, knobs=Knobs(rate_limits=False)) as running:
        Customer(sandbox=running).upload(b"audio")
    assert [path.read_bytes() for path in (tmp_path / "uploads").iterdir()] == [b"audio"]


def test_own_clock() -> None:
    """The time of day is whatever the clock says."""
    moment = datetime(2030, 1, 1, 16, tzinfo=UTC)
    with Sandbox(recogniser=Scripted(), clock=lambda: moment) as running:
        customer = Customer(sandbox=running)
        poll = customer.finished(customer.submitted())
    assert poll["output"]["submit_time"] == "2030-01-02 00:00:00.000"
    assert running.bill.lines[0].at == moment


def test_turning_a_knob_ends_a_wait(sandbox: Sandbox, customer: Customer) -> None:
    """A task that waits in the queue goes on when the queue is emptied, without a new request."""
    sandbox.knobs = replace(sandbox.knobs, queue_time=timedelta(hours=1))
    task_id = customer.submitted()
    sandbox.knobs = replace(sandbox.knobs, queue_time=timedelta(0))
    assert customer.finished(task_id, seconds=2)["output"]["task_status"] == "SUCCEEDED"


def test_seed_requests_as_they_stand(customer: Customer) -> None:
    """The three requests of the seed work as they stand, host aside: no parameters, the key alone to poll."""
    body = chat_body(URL) | {"stream": False, "asr_options": {"enable_itn": False}}
    assert customer.chat(body).status_code == 200
    answer = customer.submit(order_body(URL))
    assert answer.status_code == 200
    poll = customer.finished(answer.json()["output"]["task_id"])
    assert poll["output"]["task_status"] == "SUCCEEDED"


def test_read_knobs() -> None:
    """Knobs are read as people write them."""
    knobs = read_knobs(
        [
            "queue_time=5s",
            "rate-limits=false",
            "region=us",
            "layout=workspace",
            'keys={"sk-mine": "7"}',
            "silent_task=empty-result",
            "clock_offset=-2h",
            "page_size_max=20",
            "retry_after=3s",
        ]
    )
    assert knobs == Knobs(
        queue_time=timedelta(seconds=5),
        rate_limits=False,
        region=Region.US,
        layout=Layout.WORKSPACE,
        keys={"sk-mine": "7"},
        silent_task=SilentTask.EMPTY_RESULT,
        clock_offset=-timedelta(hours=2),
        page_size_max=20,
        retry_after=timedelta(seconds=3),
    )
    assert read_knobs(["burst=3"], start=knobs).keys == {"sk-mine": "7"}


def test_all_wrong_knobs_at_once() -> None:
    """Every knob that is wrong is named at once."""
    with pytest.raises(ConfigError) as refused:
        read_knobs(["queue_tme=5s", "latency=soon", "region=moon", "burst", "keys={"])
    assert len(refused.value.problems) == 5
    text = str(refused.value)
    for word in ("queue_tme", "latency", "region", "burst", "keys"):
        assert word in text


SERVE = """
import sys
from asrwatch.sandbox import Scripted, serve
serve(port=0, recogniser=Scripted(), say=lambda line: print(line, flush=True))
print("over", flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_until_told_to_stop(number: signal.Signals) -> None:
    """The command says where it is, that all stays here and which key works; it ends on a signal."""
    command: Sequence[str] = [sys.executable, "-W", "error", "-c", SERVE]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ)
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        lines = [process.stdout.readline() for _ in range(5)]
        greeting = "".join(lines)
        assert "stay on this machine" in greeting
        assert DEFAULT_KEY in greeting
        url = next(word for word in greeting.split() if word.startswith("http://127.0.0.1:"))
        answer = requests.post(
            f"{url}/compatible-mode/v1/chat/completions",
            json=chat_body(),
            headers={"Authorization": f"Bearer {DEFAULT_KEY}"},
            timeout=20,
        )
        assert answer.status_code == 200
        process.send_signal(number)
        assert process.wait(timeout=10) == 0
        assert process.stdout.read() == "over\n"
        assert process.stderr.read() == ""


MISSING = """
import importlib.util, sys
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == sys.argv[1]:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Hidden())
if sys.argv[1] == "pocketsphinx":
    importlib.util.find_spec = lambda name: None if name == "pocketsphinx" else object()
from asrwatch.errors import StartupError
try:
    from asrwatch.sandbox import Sandbox
    Sandbox().start()
except StartupError as error:
    print(error.code, error)
"""


@pytest.mark.parametrize("package", ["starlette", "uvicorn", "pocketsphinx"])
def test_without_the_extra(package: str) -> None:
    """Without the extra, the error names the package that is missing and what to install."""
    done = subprocess.run(
        [sys.executable, "-c", MISSING, package],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stdout.startswith("extra-missing")
    assert package in done.stdout
    assert "asrwatch[sandbox]" in done.stdout
    assert done.stderr == ""

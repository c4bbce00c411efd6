"""The daemon tells: over real HTTP, through crashes, without ever holding up a recording."""

import json
import signal
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from e2e_helpers import Installed
from notify_helpers import SECRET, Got, Receiver, receiving, secret_file
from standardwebhooks import Webhook as Independent
from wait_helpers import wait_for
from wav_helpers import write_wav

from asrwatch.bootstrap import build_notifiers
from asrwatch.config import Settings, load
from asrwatch.errors import ConfigError
from asrwatch.journey.store import Store
from asrwatch.notifiers import NotifierOptions
from asrwatch.sandbox import Knobs, Sandbox, Scripted


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """A cloud that answers at once."""
    knobs = Knobs(rate_limits=False, queue_time=timedelta(0), work_time=timedelta(0))
    with Sandbox(recogniser=Scripted(), knobs=knobs) as running:
        yield running


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver of webhooks."""
    with receiving() as there:
        yield there


@pytest.fixture
def world(tmp_path: Path, sandbox: Sandbox, receiver: Receiver) -> Iterator[Installed]:
    """The program, with a webhook to the receiver."""
    (tmp_path / "home").mkdir(exist_ok=True)
    made = Installed(root=tmp_path, url=sandbox.url, key=sandbox.key)
    made.inbox_keys = {"notify": [hook(receiver, tmp_path)]}
    yield made
    made.kill_all()


def hook(receiver: Receiver, folder: Path, **more: Any) -> dict[str, Any]:
    """A webhook as it is configured."""
    return {
        "use": "webhook",
        "url": receiver.url,
        "http": True,
        "private": True,
        "secret_file": str(secret_file(folder)),
        "on": ["delivered", "failed", "parked", "held", "healed"],
        **more,
    }


def broken(world: Installed, number: int) -> Path:
    """A file that is no recording."""
    path = world.inbox / f"broken{number}.wav"
    path.write_bytes(b"RIFF no sound at all %d" % number)
    return path


def test_once_tells_before_it_ends(world: Installed, receiver: Receiver) -> None:
    """What was delivered and what failed is told, signed, before `once` ends; the log and the state hold no secret."""
    out = world.root / "out"
    tell = world.root / "tell.py"
    tell.write_text("import sys; open(sys.argv[1], 'a').write(sys.stdin.read())\n")
    command = {"use": "exec", "command": [sys.executable, str(tell), str(out)]}
    world.inbox_keys["notify"].append({**command, "on": ["delivered"], "text": True})
    write_wav(world.inbox / "talk.wav")
    for number in range(3):
        broken(world, number)
    done = world.call("once")
    assert done.returncode == 1, done.stderr
    (delivered,) = receiver.told("delivered")
    about = delivered["data"]["recordings"][0]
    assert about["path"] == str(world.inbox / "talk.wav")
    assert str(world.inbox / "talk.txt") in about["outputs"]
    assert "text" not in about
    wanted = json.loads(out.read_text())
    assert wanted["data"]["recordings"][0]["text"] == "Hello world."
    assert 1 <= len(receiver.told("failed")) <= 2
    assert sum(each["data"]["count"] for each in receiver.told("failed")) == 3
    for got in receiver.got:
        Independent(SECRET).verify(got.body, dict(got.headers))
    written = (world.root / "state" / "asrwatch.db").read_bytes() + done.stderr.encode()
    assert SECRET.encode() not in written
    assert b"/hook" not in done.stderr.encode()


@pytest.mark.soak
@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("place", "requests"),
    [("message-kept", 1), ("message-going", 1), ("message-burnt", 2), ("saving:delivered", 1)],
)
def test_a_message_survives_every_death(
    place: str, requests: int, world: Installed, receiver: Receiver
) -> None:
    """Killed before a message is saved, sent or struck off: it is told, perhaps twice, always under the same id."""
    _dies_and_tells(world, receiver, place, requests)


def test_a_message_that_was_sent_is_sent_again_under_its_id(
    world: Installed, receiver: Receiver
) -> None:
    """Killed between sending and writing that down: it is sent twice, with the same id, and never lost."""
    _dies_and_tells(world, receiver, "message-answered", 2)


def _dies_and_tells(world: Installed, receiver: Receiver, place: str, requests: int) -> None:
    write_wav(world.inbox / "talk.wav")
    assert world.call("once", ASRWATCH_CRASH=place).returncode == -signal.SIGKILL
    assert world.call("once").returncode == 0
    assert len(receiver.told("delivered")) == requests
    assert len({got.id for got in receiver.got}) == 1
    assert world.call("once").returncode == 0
    assert len(receiver.got) == requests
    assert (world.inbox / "talk.txt").exists()


@pytest.mark.soak
@pytest.mark.timeout(120)
def test_a_message_that_grows_survives_a_death(world: Installed, receiver: Receiver) -> None:
    """Killed while a failure is added to those of the window: all of them are told in the end."""
    for number in range(4):
        broken(world, number)
    died = world.call("once", ASRWATCH_CRASH="message-extended@2")
    assert died.returncode == -signal.SIGKILL
    world.call("once")
    told = {got.id: got.document["data"]["count"] for got in receiver.got}
    assert sum(told.values()) == 4


def test_a_receiver_that_fails_holds_up_no_recording(world: Installed, receiver: Receiver) -> None:
    """With 500 to everything, recordings are delivered; what was not told is shown, and told later."""
    receiver.status = 500
    talk = write_wav(world.inbox / "talk.wav")
    assert world.call("once").returncode == 0
    assert (world.inbox / "talk.txt").exists()
    (line,) = world.status()["notifiers"]
    assert (line["waiting"], line["failures"]) == (1, 1)
    assert line["trouble"]["code"] == "http-500"
    assert "answered 500" in world.call("status").stdout
    assert "not told" in world.call("explain", str(talk)).stdout
    (untold,) = json.loads(world.call("explain", str(talk), "--json").stdout)["story"]["untold"]
    assert untold["next_at"] == line["next_at"]  # nothing is sent while its receiver rests
    receiver.status = 204
    with Store(world.root / "state") as store, store.transaction():
        store._connection.exec_driver_sql("UPDATE receivers SET until = 0")
    assert world.call("once").returncode == 0
    assert len({got.id for got in receiver.got}) == 1
    assert world.status()["notifiers"][0]["waiting"] == 0


def test_a_receiver_that_hangs_holds_up_nobody(world: Installed, receiver: Receiver) -> None:
    """While a request hangs, recordings go through; the end waits for it only a moment."""
    hangs = threading.Event()

    def respond(_: Got) -> int:
        hangs.wait(60)
        return 204

    receiver.respond = respond
    world.inbox_keys = {"notify": [hook(receiver, world.root, timeout="60s")]}
    daemon = world.start()
    try:
        for number in range(3):
            write_wav(world.inbox / f"talk{number}.wav", number=number + 1)
        for number in range(3):
            world.text_of(f"talk{number}")
        wait_for(lambda: len(receiver.got) == 1)
        assert world.stop(daemon) == 0
    finally:
        hangs.set()
    receiver.respond = None
    assert world.call("once").returncode == 0
    assert len(receiver.told("delivered")) == 4
    assert len({got.id for got in receiver.got}) == 3


def test_a_held_engine_is_one_message_and_its_healing_another(
    world: Installed, receiver: Receiver, sandbox: Sandbox
) -> None:
    """A bad key with many recordings: one message; once it is mended, one that says so."""
    key = world.root / "key"
    key.write_text("sk-wrong-key")
    key.chmod(0o600)
    world.more = {"cloud": {"base_url": sandbox.url, "api_key_file": str(key)}}
    for number in range(4):
        write_wav(world.inbox / f"talk{number}.wav", number=number + 1)
    daemon = world.start()
    wait_for(lambda: bool(receiver.told("held")))
    key.write_text(sandbox.key)
    for number in range(4):
        world.text_of(f"talk{number}")
    wait_for(lambda: bool(receiver.told("healed")) and len(receiver.told("delivered")) == 4)
    assert world.stop(daemon) == 0
    (held,) = receiver.told("held")
    (stood,) = held["data"]["standstills"]
    assert (stood["what"], stood["which"]) == ("engine", "*")
    assert "sk-wrong-key" not in json.dumps(held)
    assert len(receiver.told("healed")) == 1


@pytest.mark.soak
@pytest.mark.timeout(120)
def test_a_death_while_messages_are_revived_revives_none(
    world: Installed, receiver: Receiver
) -> None:
    """Killed before `--again` is saved: nothing of it happened, and it can be asked for again; `--drop` ends it."""
    receiver.status = 410
    write_wav(world.inbox / "talk.wav")
    world.call("once")
    died = world.call("notify", "--again", ASRWATCH_CRASH="telling-again")
    assert died.returncode == -signal.SIGKILL
    assert "1 message thrown away" in world.call("notify", "--drop").stdout


@pytest.mark.soak
@pytest.mark.timeout(120)
def test_an_inbox_that_is_away_is_told(world: Installed, receiver: Receiver) -> None:
    """A folder that vanishes is told with what to do, and so is its return."""
    world.inbox_keys = {**world.inbox_keys, "marker": ".mounted"}
    (world.inbox / ".mounted").touch()
    daemon = world.start()
    (world.inbox / ".mounted").unlink()
    wait_for(lambda: bool(receiver.told("held")))
    (world.inbox / ".mounted").touch()
    wait_for(lambda: bool(receiver.told("healed")))
    assert world.stop(daemon) == 0
    assert receiver.told("held")[0]["data"]["standstills"][0]["code"] == "inbox-unmarked"


def test_what_was_given_up_is_sent_again_by_a_person(world: Installed, receiver: Receiver) -> None:
    """410 ends it; `asrwatch notify` and status show it, `--again` has it sent under the same id."""
    receiver.status = 410
    write_wav(world.inbox / "talk.wav")
    world.call("once")
    listed = json.loads(world.call("notify", "--json").stdout)
    assert [each["given_up"] for each in listed["untold"]] == ["gone"]
    assert "given up" in world.call("notify").stdout
    assert "notify --again" in world.call("status").stdout
    assert "1 message will be tried again" in world.call("notify", "--again").stdout
    receiver.status = 204
    assert world.call("once").returncode == 0
    assert len(receiver.got) == 2
    assert len({got.id for got in receiver.got}) == 1


def test_a_test_message_tells_how_it_went(world: Installed, receiver: Receiver) -> None:
    """`asrwatch notify --test` sends to each notifier and ends with 1 if one does not take it; check looks, too."""
    tell = world.root / "tell.py"
    tell.write_text("import json, sys; assert json.load(sys.stdin)['type'] == 'asrwatch.test'\n")
    world.inbox_keys["notify"].append({"use": "exec", "command": [sys.executable, str(tell)]})
    done = world.call("notify", "--test")
    assert done.returncode == 0, done.stderr
    assert [each.document["type"] for each in receiver.got] == ["asrwatch.test"]
    receiver.status = 404
    done = world.call("notify", "--test")
    assert done.returncode == 1
    assert "answered 404" in done.stderr
    checked = world.call("check").stdout
    assert "notifier webhook 127.0.0.1" in checked
    (world.root / "webhook-secret").unlink()
    assert "webhook-secret cannot be read" in world.call("check").stdout


def problems(folder: Path, *notify: str) -> list[str]:
    """What is wrong with these notifiers."""
    file = folder / "asrwatch.yaml"
    lines = "\n".join(f"      - {each}" for each in notify)
    file.write_text(f"inboxes:\n  - path: {folder}/in\n    notify:\n{lines}\n")
    try:
        load(file)
    except ConfigError as error:
        return [str(each) for each in error.problems]
    return []


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("pager", "there is no notifier called 'pager'; there are: apprise, exec, webhook"),
        ("webhook", "url is missing"),
        ("{use: webhook, url: 'http://a.b/'}", "must begin with https"),
        ("{use: webhook, url: 'https://me:pass@a.b/'}", "must not hold a password"),
        ("{use: webhook, url: ftp://a.b/}", "must be https://host/path"),
        ("{use: webhook, url: https://a.b/, secret_file: key}", "must be an absolute path"),
        ("{use: webhook, url: https://a.b/, on: [never]}", "'delivered', 'failed'"),
        ("{use: webhook, url: https://a.b/, on: []}", "must not be empty"),
        ("{use: webhook, url: https://a.b/, secrets: x}", "there is no such key"),
        ("{use: webhook, url: https://a.b/, digest_at: 25:00}", "time of day"),
        ("{use: webhook, url: https://a.b/, digest_at: noon}", "time of day"),
        ("{use: exec, command: [tell]}", "absolute path"),
        ("{use: exec, command: []}", "must not be empty"),
        ("{use: exec, command: tell}", "must be a list"),
        ("{use: apprise}", "give either url or url_file"),
        ("{use: apprise, url: nonsense}", "such as ntfy://topic"),
    ],
)
def test_what_is_wrong_with_a_notifier_is_told(written: str, told: str, tmp_path: Path) -> None:
    """Unknown notifiers and bad options are named with their place and line."""
    found = problems(tmp_path, written)
    assert any(told in each for each in found), found
    assert all("inboxes[0].notify[0]" in each and "line" in each for each in found), found


def test_on_may_be_written_bare(tmp_path: Path) -> None:
    """YAML reads the key `on` as true, and 18:30 as a number; both are understood as they are meant."""
    written = "{use: webhook, url: https://a.b/, on: [failed], digest_at: 18:30}"
    assert problems(tmp_path, written) == []
    (choice,) = load(tmp_path / "asrwatch.yaml").inboxes[0].notify
    assert dict(choice.options)["on"] == ["failed"]
    assert NotifierOptions(digest_at=choice.options["digest_at"]).digest_at == "18:30"


def test_one_address_has_one_set_of_options(tmp_path: Path) -> None:
    """The same address with other options, or twice in one list, is refused with its place."""
    tell = {"use": "exec", "command": ["/bin/true"]}
    for others in ([[tell], [{**tell, "timeout": "2s"}]], [[tell, {**tell, "on": ["held"]}]]):
        inboxes = [
            {"path": str(tmp_path / str(n)), "notify": notify} for n, notify in enumerate(others)
        ]
        settings = Settings.model_validate({"inboxes": inboxes})
        with pytest.raises(ConfigError, match=r"inboxes\[[01]\].notify\[[01]\]: exec true stands"):
            build_notifiers(settings)
    both = [{"path": str(tmp_path / name), "notify": [tell]} for name in "ab"]
    notifiers, wishes = build_notifiers(Settings.model_validate({"inboxes": both}))
    assert (len(notifiers), [wish.inbox for wish in wishes]) == (1, ["a", "b"])


def test_what_is_not_installed_is_named_with_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without Apprise its notifier is an error of the configuration that says what to install."""
    monkeypatch.setitem(sys.modules, "apprise", None)
    (told,) = problems(tmp_path, "{use: apprise, url: json://localhost}")
    assert "pip install 'asrwatch[notify]'" in told

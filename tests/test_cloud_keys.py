"""Where the key is found, and what is said when it is not."""

import os
import struct
from datetime import timedelta
from pathlib import Path

import pytest
from cloud_helpers import Answer, Asked, Server, cloud_at, json_answer

from asrwatch.cloud import Cloud, KeyRing
from asrwatch.cloud.bodies import PlainBody
from asrwatch.cloud.regions import REGIONS, root_of
from asrwatch.errors import ConfigError, EngineError, EngineTrouble


def secret(path: Path, held: str | bytes) -> None:
    """Write a file that is its owner's alone."""
    path.write_bytes(held.encode() if isinstance(held, str) else held)
    path.chmod(0o600)


def credentials(home: Path, text: str) -> None:
    """Write the user's credentials file."""
    (home / ".alibabacloud").mkdir()
    secret(home / ".alibabacloud" / "credentials", text)


def test_the_order_of_places(tmp_path: Path) -> None:
    """File of the config, systemd credential, environment, credentials file: the first one decides."""
    named = tmp_path / "key"
    secret(named, " sk-file \n")
    folder = tmp_path / "credentials"
    folder.mkdir()
    secret(folder / "dashscope-api-key", "sk-systemd\n")
    credentials(tmp_path, "[default]\ndashscope_api_key = sk-ini\n")
    environment = {"CREDENTIALS_DIRECTORY": str(folder), "DASHSCOPE_API_KEY": "sk-variable"}

    def key(file: Path | None) -> str:
        ring = KeyRing(api_key_file=file, environment=environment, home=tmp_path)
        return ring.key().reveal()

    assert key(named) == "sk-file"
    assert key(None) == "sk-systemd"
    (folder / "dashscope-api-key").unlink()
    assert key(None) == "sk-variable"
    del environment["DASHSCOPE_API_KEY"]
    assert key(None) == "sk-ini"


@pytest.mark.parametrize(
    ("environment", "key"),
    [
        ({}, "sk-default"),
        ({"ALIBABA_CLOUD_PROFILE": "work"}, "sk-work"),
        ({"ALICLOUD_PROFILE": "work"}, "sk-work"),
        ({"ALIBABA_CLOUD_PROFILE": "work", "ALICLOUD_PROFILE": "other"}, "sk-work"),
        ({"ALIBABA_CLOUD_PROFILE": " "}, "sk-default"),
    ],
)
def test_profiles(tmp_path: Path, environment: dict[str, str], key: str) -> None:
    """The profile named in the environment chooses the section; percent signs are plain characters."""
    credentials(
        tmp_path,
        "[default]\ndashscope_api_key=sk-default\naccess_key_secret=100%\n"
        "[work]\nDashScope_API_Key = sk-work\n",
    )
    assert KeyRing(environment=environment, home=tmp_path).key().reveal() == key


def test_no_key_names_every_place(tmp_path: Path) -> None:
    """Without a key, the advice says where one may be put."""
    ring = KeyRing(environment={"ALICLOUD_PROFILE": "work"}, home=tmp_path)
    with pytest.raises(EngineError) as raised:
        ring.key()
    assert raised.value.trouble is EngineTrouble.KEY
    assert raised.value.code == "no-key"
    for place in ("systemd", "DASHSCOPE_API_KEY", "[work]", ".alibabacloud/credentials"):
        assert place in raised.value.advice
    assert "cloud.api_key_file" in raised.value.advice
    assert "environment variable needs a restart" in raised.value.advice
    assert "no restart is needed" not in raised.value.advice
    assert ring.digest() is None
    assert ring.source() is None


@pytest.mark.parametrize("content", [None, "", "\n", "x" * 100_000])
def test_a_named_file_must_hold_the_key(tmp_path: Path, content: str | None) -> None:
    """No other account's key is used when the named file holds none."""
    named = tmp_path / "key"
    if content is not None:
        secret(named, content)
    ring = KeyRing(api_key_file=named, environment={"DASHSCOPE_API_KEY": "sk-x"}, home=None)
    with pytest.raises(EngineError, match="api_key_file"):
        ring.key()


def test_advice_names_only_places_that_work(tmp_path: Path) -> None:
    """With api_key_file set, no other place is advised; a file that is not there is told apart from an empty one."""
    named = tmp_path / "key"
    ring = KeyRing(api_key_file=named, environment={"DASHSCOPE_API_KEY": "sk-x"}, home=tmp_path)
    assert len(ring.places()) == 1
    with pytest.raises(EngineError, match="does not exist") as raised:
        ring.key()
    secret(named, "\n")
    with pytest.raises(EngineError, match="is empty") as empty:
        ring.key()
    for advice in (raised.value.advice, empty.value.advice):
        assert str(named) in advice
        assert "only place" in advice
        assert "DASHSCOPE_API_KEY" not in advice
        assert "systemd" not in advice


def test_a_corrected_file_heals(tmp_path: Path) -> None:
    """The key is read anew each time, and its digest tells that it changed."""
    named = tmp_path / "key"
    secret(named, "sk-one")
    ring = KeyRing(api_key_file=named, environment={}, home=None)
    first = ring.digest()
    assert first is not None
    assert first == ring.digest()
    assert "sk-one" not in first
    secret(named, "sk-two")
    assert ring.key().reveal() == "sk-two"
    assert ring.digest() not in {None, first}
    assert ring.source() == f"the file {named} (api_key_file)"


def test_a_refusal_names_the_key_it_was_for(tmp_path: Path) -> None:
    """A key that is changed while the request is out is not the one that was refused."""
    named = tmp_path / "key"
    secret(named, "sk-one")
    ring = KeyRing(api_key_file=named, environment={}, home=None)
    first = ring.digest()

    def refuse(_: Asked) -> Answer:
        secret(named, "sk-two")
        return json_answer({"code": "InvalidApiKey", "message": "No."}, 401)

    with Server(refuse) as server, pytest.raises(EngineError) as raised:
        cloud_at(server.url, keys=ring).ask(
            "/x", PlainBody(b"{}"), ask_id="a", read_timeout=timedelta(seconds=9)
        )
    assert raised.value.key_digest == first
    assert ring.digest() not in {None, first}


@pytest.mark.parametrize("held", ["sk-a b", "sk-ä", "sk-a\nsk-b", "sk-\x00x"])
def test_what_cannot_be_a_key_is_not_shown(tmp_path: Path, held: str) -> None:
    """A key that would break the request's header is refused without repeating it."""
    named = tmp_path / "key"
    secret(named, held)
    ring = KeyRing(api_key_file=named, environment={}, home=None)
    with pytest.raises(EngineError) as raised:
        ring.key()
    assert raised.value.code == "bad-key-text"
    assert held not in str(raised.value)
    assert held not in repr(ring)


@pytest.mark.parametrize("content", [b"\xff\xfe\x00sk", b"no section\nsk-secret-line"])
def test_a_broken_credentials_file_is_named_and_not_quoted(tmp_path: Path, content: bytes) -> None:
    """What the file holds does not appear in the error, nor behind it."""
    credentials(tmp_path, "")
    secret(tmp_path / ".alibabacloud" / "credentials", content)
    with pytest.raises(EngineError) as raised:
        KeyRing(environment={}, home=tmp_path).key()
    assert "credentials" in raised.value.message
    assert "sk-secret-line" not in str(raised.value)
    assert raised.value.__cause__ is None


def test_an_unreadable_place_says_why(tmp_path: Path) -> None:
    """A folder in the place of the file is told as such."""
    with pytest.raises(EngineError, match="Is a directory"):
        KeyRing(api_key_file=tmp_path, environment={}, home=None).key()


@pytest.mark.parametrize(
    ("mode", "reason"),
    [
        (0o400, None),
        (0o600, None),
        (0o700, None),
        (0o640, "group"),
        (0o604, "everybody may read it (mode 0604)"),
        (0o644, "everybody may read it (mode 0644)"),
        (0o620, None),
        (0o440, "group"),
    ],
)
@pytest.mark.parametrize("place", ["named", "systemd", "credentials"])
def test_a_key_that_others_can_read_is_refused(
    tmp_path: Path, place: str, mode: int, reason: str | None
) -> None:
    """Wherever it lies, a key file that is not its owner's alone is not used, and no other is in its place. [X11]."""
    credentials(tmp_path, "[default]\ndashscope_api_key = sk-ini\n")
    file = {
        "named": tmp_path / "key",
        "systemd": tmp_path / "dashscope-api-key",
        "credentials": tmp_path / ".alibabacloud" / "credentials",
    }[place]
    if place != "credentials":
        secret(file, "sk-mine")
    file.chmod(mode)
    ring = KeyRing(
        api_key_file=file if place == "named" else None,
        environment={"CREDENTIALS_DIRECTORY": str(tmp_path)} if place == "systemd" else {},
        home=tmp_path,
    )
    if reason is None:
        assert ring.key().reveal().startswith("sk-")
        return
    with pytest.raises(EngineError, match="no secret") as raised:
        ring.key()
    assert raised.value.code == "key-file-open"
    assert raised.value.trouble is EngineTrouble.KEY
    assert reason in raised.value.message
    assert f"chmod 600 {file}" in raised.value.advice
    file.chmod(0o600)
    assert ring.key().reveal().startswith("sk-")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_key_of_somebody_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key file of another account, which that account can change, is not used; sudo's user is no stranger. [X11]."""
    named = tmp_path / "key"
    secret(named, "sk-mine")
    os.chown(named, 65_534, 0)
    ring = KeyRing(api_key_file=named, environment={}, home=None)
    monkeypatch.delenv("SUDO_UID", raising=False)
    with pytest.raises(EngineError, match=r"it belongs to \w+ \(uid 65534\)"):
        ring.key()
    monkeypatch.setenv("SUDO_UID", "65534")
    assert ring.key().reveal() == "sk-mine"


def access_list(path: Path, *entries: tuple[int, int, int]) -> None:
    """Give a file an access list, as `setfacl` would; skips where the file system has none."""
    packed = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *each) for each in entries)
    try:
        os.setxattr(path, "system.posix_acl_access", packed)
    except OSError as error:
        pytest.skip(f"no access lists here: {error}")


@pytest.mark.parametrize(
    ("user", "group", "mask", "reason"),
    [
        ((os.geteuid(), 4), None, 4, None),  # what systemd does for a credential
        ((0, 4), None, 4, None),
        ((54_321, 4), None, 4, "its access list lets uid 54321 read it"),
        ((54_321, 4), None, 0, None),
        ((54_321, 2), None, 7, None),
        (None, (54_321, 4), 4, "its access list lets the group gid 54321 read it"),
    ],
)
def test_access_lists_are_understood(
    tmp_path: Path,
    user: tuple[int, int] | None,
    group: tuple[int, int] | None,
    mask: int,
    reason: str | None,
) -> None:
    """With an access list the mode's group bits are its mask: who really may read decides. [X11]."""
    named = tmp_path / "key"
    secret(named, "sk-mine")
    nobody = 2**32 - 1
    entries = [(0x01, 6, nobody), (0x04, 0, nobody), (0x10, mask, nobody), (0x20, 0, nobody)]
    if user:
        entries.insert(1, (0x02, user[1], user[0]))
    if group:
        entries.insert(2, (0x08, group[1], group[0]))
    access_list(named, *entries)
    assert named.stat().st_mode & 0o070 == mask << 3
    ring = KeyRing(api_key_file=named, environment={}, home=None)
    if reason is None:
        assert ring.key().reveal() == "sk-mine"
    else:
        with pytest.raises(EngineError) as raised:
            ring.key()
        assert reason in raised.value.message


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    """A FIFO in the place of the key is told at once, however long nobody writes to it."""
    os.mkfifo(tmp_path / "key", 0o600)
    with pytest.raises(EngineError, match="not a regular file"):
        KeyRing(api_key_file=tmp_path / "key", environment={}, home=None).key()


@pytest.mark.parametrize(
    "written",
    [
        "http://127.0.0.1:8000",
        "http://127.0.0.1:8000/",
        "http://127.0.0.1:8000/api/v1",
        "http://127.0.0.1:8000/api/v1/",
        "http://127.0.0.1:8000/compatible-mode/v1",
        " http://127.0.0.1:8000/compatible-mode/v1/ ",
    ],
)
def test_a_base_url_may_be_pasted_with_either_path(written: str) -> None:
    """Whatever the vendor's pages show as a base URL means the same root."""
    assert root_of("beijing", written) == "http://127.0.0.1:8000"


def test_roots() -> None:
    """Regions have their shared hosts; a gateway's path is kept; an empty base URL is none."""
    assert root_of("singapore", None) == "https://dashscope-intl.aliyuncs.com"
    assert root_of("us", "") == REGIONS["us"]
    assert root_of("us", "https://gw.example/qwen/api/v1") == "https://gw.example/qwen"


@pytest.mark.parametrize(
    ("settings", "where"),
    [
        ({"region": "mars"}, "cloud.region"),
        ({"base_url": "dashscope.example"}, "cloud.base_url"),
        ({"base_url": "ftp://x"}, "cloud.base_url"),
        ({"base_url": "http://x:port"}, "cloud.base_url"),
        ({"base_url": "http://me:secret@x"}, "cloud.base_url"),
        ({"base_url": "http://x/?a=b"}, "cloud.base_url"),
        ({"base_url": "http://ex ample"}, "cloud.base_url"),
        ({"proxy": "socks5://x"}, "cloud.proxy"),
    ],
)
def test_bad_settings_name_their_key(settings: dict[str, str], where: str) -> None:
    """A region, base URL or proxy that cannot work is a problem of the config, told without secrets."""
    known = {"region": "beijing", **settings}
    with pytest.raises(ConfigError) as raised:
        Cloud(
            region=known["region"],
            base_url=known.get("base_url"),
            proxy=known.get("proxy"),
            keys=KeyRing(environment={}, home=None),
        )
    assert [problem.where for problem in raised.value.problems] == [where]
    assert "secret" not in str(raised.value)

"""Every way to give the cloud a URL for a local file."""

import io
import json
import os
import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from email import message_from_bytes
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

import pytest
from cloud_helpers import NOW, Answer, Asked, Server, cloud_at, json_answer
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from asrwatch import parts, storages
from asrwatch.cloud import Cloud
from asrwatch.cloud.uploads import read_policy, upload_form
from asrwatch.errors import EngineError, RecordingError, SourceChanged, TemporaryError
from asrwatch.storages import Source, Storage, StorageOptions
from asrwatch.storages.dashscope_temp import DashscopeTemp, DashscopeTempOptions
from asrwatch.storages.public_dir import PublicDir, PublicDirOptions

NAMES = parts.names(storages)


def source(
    content: bytes = b"RIFF", *, path: bytes = b"/srv/recordings/a.wav", size: int | None = None
) -> Source:
    """A local file."""
    return Source(
        path=path,
        stream=io.BytesIO(content),
        size=len(content) if size is None else size,
        extension="wav",
        mime="audio/wav",
    )


@dataclass(kw_only=True)
class Space:
    """The temporary space: hands out policies and takes forms."""

    policy: dict[str, Any] = field(default_factory=dict)
    answer: Answer = field(default_factory=lambda: Answer(status=200, body=b""))
    server: Server = field(init=False)

    def serve(self, asked: Asked) -> Answer:
        """Both steps."""
        if asked.path == "/api/v1/uploads":
            number = len(self.server.asked)
            data = {
                "upload_host": f"{self.server.url}/oss",
                "upload_dir": f"dashscope-instant/uid/2026-11-22/{number}",
                "policy": "cG9saWN5",
                "signature": "c2ln",
                "oss_access_key_id": "LTAI",
                "x_oss_object_acl": "private",
                "x_oss_forbid_overwrite": "true",
                "expire_in_seconds": 300,
                "max_file_size_mb": 1,
                "capacity_limit_mb": 999999999,
            }
            return json_answer({"request_id": "r", "data": {**data, **self.policy}})
        return self.answer


@pytest.fixture
def space() -> Iterator[Space]:
    """A temporary space."""
    made = Space()
    with Server(made.serve) as server:
        made.server = server
        yield made


def storage(name: str, cloud: Cloud) -> Storage[StorageOptions]:
    """The storage of this name, with its options' examples where it has no defaults."""
    kind: type[Storage[StorageOptions]] = parts.find(storages, Storage, name)  # type: ignore[type-abstract]  # finds a subclass
    examples = {
        key: (option.examples or [None])[0]
        for key, option in kind.Options.model_fields.items()
        if option.is_required()
    }
    return kind(kind.Options(**examples), cloud)


@pytest.mark.parametrize("name", NAMES)
def test_every_storage_publishes_under_a_url_that_carries_the_ask_id(
    name: str, space: Space
) -> None:
    """Whatever the storage, an orphaned task can be recognised by its source."""
    published = storage(name, cloud_at(space.server.url)).publish(
        source(), ask_id="ask-0123", model="m"
    )
    assert "ask-0123" in published.url
    assert published.url.isascii()
    assert urlsplit(published.url).scheme in {"http", "https", "oss"}
    assert published.expires is None or published.expires > NOW + timedelta(hours=24)


@pytest.mark.parametrize("name", NAMES)
def test_every_storage_describes_itself(name: str) -> None:
    """People can read what it is for, and what its options mean."""
    tested = storage(name, cloud_at(None))
    assert type(tested).__doc__
    assert type(tested).Options.__doc__


# The cloud's temporary space.


def temp(space: Space) -> DashscopeTemp:
    """The storage, talking to this space."""
    return DashscopeTemp(DashscopeTempOptions(), cloud_at(space.server.url))


def fields_of(asked: Asked) -> list[tuple[str, list[str], bytes]]:
    """The form's fields in order: name, header names, content, by the standard library's parser."""
    head = f"Content-Type: {asked.headers['content-type']}\r\n\r\n".encode()
    message = message_from_bytes(head + asked.body)
    found = []
    for part in message.walk():
        if part.is_multipart():
            continue
        name = str(part["Content-Disposition"]).split('name="')[1].split('"')[0]
        payload = part.get_payload(decode=True)
        assert isinstance(payload, bytes)
        found.append((name, part.keys(), payload))
    return found


def test_the_form_is_as_documented(space: Space) -> None:
    """The signed fields in their order, the file last, quoted names, no key, an exact length."""
    content = bytes(range(256)) * 40
    published = temp(space).publish(source(content), ask_id="ask-1", model="qwen3-asr-flash")
    policy, form = space.server.asked
    assert policy.query == {"action": "getPolicy", "model": "qwen3-asr-flash"}
    assert "authorization" in policy.headers
    assert form.path == "/oss"
    assert "authorization" not in form.headers
    assert '"' not in form.headers["content-type"]
    fields = fields_of(form)
    assert [name for name, _, _ in fields] == [
        "OSSAccessKeyId",
        "Signature",
        "policy",
        "key",
        "x-oss-object-acl",
        "x-oss-forbid-overwrite",
        "success_action_status",
        "file",
    ]
    assert fields[3][2] == b"dashscope-instant/uid/2026-11-22/1/ask-1.wav"
    assert fields[-1][2] == content
    assert fields[-1][1] == ["Content-Disposition", "Content-Type"]
    assert published.url == "oss://dashscope-instant/uid/2026-11-22/1/ask-1.wav"
    assert published.expires == NOW + timedelta(hours=48)


def test_each_file_has_a_policy_of_its_own(space: Space) -> None:
    """One key can be written once, so nothing is reused."""
    first, second = (temp(space).publish(source(), ask_id=f"a{n}", model="m").url for n in (1, 2))
    assert first != second
    assert [asked.path for asked in space.server.asked].count("/api/v1/uploads") == 2


def test_too_large_is_known_before_the_upload(space: Space) -> None:
    """The model's cap is honoured before a byte is uploaded, and told in plain words."""
    with pytest.raises(RecordingError, match=r"1\.0 MB") as raised:
        temp(space).publish(source(size=1_048_577), ask_id="a", model="m")
    assert raised.value.code == "too-large-for-storage"
    assert len(space.server.asked) == 1


def test_an_upload_takes_no_memory(space: Space) -> None:
    """A file is streamed: 200 MB pass through a few hundred KB."""
    size = 200_000_000

    class Zeros(io.RawIOBase):
        left = size

        def read(self, wanted: int = -1) -> bytes:
            taken = min(wanted, self.left)
            self.left -= taken
            return bytes(taken)

    with_policy = space.serve(
        Asked(method="GET", path="/api/v1/uploads", query={}, headers={}, body=b"")
    )
    policy = read_policy(json.loads(with_policy.body))
    assert policy is not None
    form = upload_form(
        policy,
        name="a.wav",
        stream=Zeros(),  # type: ignore[arg-type]  # all of a file that is used
        size=size,
        mime="audio/wav",
        boundary="b" * 32,
    )
    tracemalloc.start()
    try:
        assert sum(len(piece) for piece in form.body) == len(form.body)
        assert tracemalloc.get_traced_memory()[1] < 400_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (
            Answer(
                status=403,
                body=b"<Error><Code>AccessDenied</Code>"
                b"<Message>Invalid according to Policy: Policy expired.</Message></Error>",
            ),
            TemporaryError,
        ),
        (
            Answer(status=400, body=b"<Error><Code>MalformedPOSTRequest</Code></Error>"),
            RecordingError,
        ),
        (Answer(status=502, body=b"<html>"), TemporaryError),
        (Answer(status=403, body=b""), TemporaryError),
        (Answer(status=301, body=b"", headers={"Location": "http://x"}), EngineError),
    ],
)
def test_the_spaces_refusals(space: Space, answer: Answer, kind: type[Exception]) -> None:
    """The space's own words are understood; trouble there costs nothing."""
    space.answer = answer
    with pytest.raises(kind) as raised:
        temp(space).publish(source(), ask_id="a", model="m")
    assert type(raised.value) is kind


def test_a_file_that_changes_meanwhile(space: Space) -> None:
    """An upload of another file than the one that settled is broken off."""
    with pytest.raises(SourceChanged):
        temp(space).publish(source(b"abc", size=5), ask_id="a", model="m")


def test_a_policy_that_lacks_something(space: Space) -> None:
    """Without a signature nothing is uploaded."""
    space.policy = {"signature": ""}
    with pytest.raises(TemporaryError):
        temp(space).publish(source(), ask_id="a", model="m")
    assert len(space.server.asked) == 1


def test_an_unknown_model_holds_the_engine() -> None:
    """A model this key may not use is not the recording's fault."""
    answer = json_answer({"code": "ModelNotFound", "message": "m"}, 404)
    with Server(lambda _: answer) as server, pytest.raises(EngineError):
        DashscopeTemp(DashscopeTempOptions(), cloud_at(server.url)).publish(
            source(), ask_id="a", model="m"
        )


# A folder that is published already.


def public(root: Path | str, url: str = "https://media.example.org/rec/") -> PublicDir:
    """The storage for this folder."""
    return PublicDir(PublicDirOptions(root=Path(root), url=url), cloud_at(None))


@given(st.lists(st.binary(min_size=1, max_size=20), min_size=1, max_size=4))
def test_any_name_maps_and_maps_back(names: list[bytes]) -> None:
    """Every byte of a name that a URL cannot hold is percent-encoded."""
    for name in names:
        if b"/" in name or b"\0" in name or name in {b".", b".."}:
            return
    path = b"/srv/rec/" + b"/".join(names)
    url = public("/srv/rec").publish(source(path=path), ask_id="a-1", model="m").url
    parts_of_url = urlsplit(url)
    assert url.isascii()
    assert parts_of_url.query == "asrwatch=a-1"
    assert unquote_to_bytes(parts_of_url.path) == b"/rec/" + b"/".join(names)


@pytest.mark.parametrize("path", [b"/srv/recorded/a.wav", b"/srv/rec/../x.wav", b"/srv/rec"])
def test_outside_the_root(path: bytes) -> None:
    """What is not below the published folder has no URL."""
    with pytest.raises(RecordingError) as raised:
        public("/srv/rec").publish(source(path=path), ask_id="a", model="m")
    assert raised.value.code == "outside-root"


def test_through_a_symbolic_link(tmp_path: Path) -> None:
    """An inbox that reaches the published folder by another name is found there."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    path = os.fsencode(tmp_path / "link" / "a.wav")
    url = public(tmp_path / "real").publish(source(path=path), ask_id="a", model="m").url
    assert url == "https://media.example.org/rec/a.wav?asrwatch=a"


def test_a_query_of_the_address_is_kept() -> None:
    """A token in the address stays, and the ask id joins it."""
    published = public("/srv/rec", "https://x/r?token=1").publish(
        source(path=b"/srv/rec/a b.wav"), ask_id="a", model="m"
    )
    assert published.url == "https://x/r/a%20b.wav?token=1&asrwatch=a"
    assert published.expires is None


@pytest.mark.parametrize("url", ["ftp://x/", "/srv", "https://", "https://x/#a", "https://x/a b"])
def test_addresses_that_are_none(url: str) -> None:
    """An address the cloud could not fetch from is a problem of the config."""
    with pytest.raises(ValidationError):
        PublicDirOptions(root=Path("/srv"), url=url)

"""Bodies of exactly known length that hold one chunk at a time."""

import base64
import io
import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asrwatch.cloud import compat, native
from asrwatch.cloud.bodies import FileBody, data_uri_body, encoded_size, json_body
from asrwatch.errors import SourceChanged, TemporaryError


class Dribble(io.RawIOBase):
    """A file that reads a little at a time, and may end or break early."""

    def __init__(self, content: bytes, step: int) -> None:
        self._inner = io.BytesIO(content)
        self._step = step

    def read(self, size: int = -1) -> bytes:
        """At most one step."""
        return self._inner.read(min(size, self._step))


class Zeros(io.RawIOBase):
    """A file of this many zero bytes that takes no memory."""

    def __init__(self, size: int) -> None:
        self._left = size

    def read(self, size: int = -1) -> bytes:
        """Zeros, while there are any."""
        taken = min(size, self._left)
        self._left -= taken
        return bytes(taken)


def body_of(content: bytes, *, size: int | None = None, step: int = 10**9) -> FileBody:
    """A compatible request that carries this content."""
    return data_uri_body(
        lambda audio: compat.request_document(
            model="m", audio=audio, language=None, enable_itn=False, context="", stream=False
        ),
        stream=Dribble(content, step),  # type: ignore[arg-type]  # all of a file that is used
        size=len(content) if size is None else size,
        mime="audio/wav",
    )


@given(st.binary(max_size=200_000), st.integers(1, 100_000))
def test_the_length_is_exact(content: bytes, step: int) -> None:
    """The announced length is what is sent, and the JSON holds the file, however it is read."""
    body = body_of(content, step=step)
    sent = b"".join(body)
    assert len(sent) == len(body)
    part = json.loads(sent)["messages"][0]["content"][0]
    assert part["input_audio"]["data"] == "data:audio/wav;base64," + base64.b64encode(
        content
    ).decode("ascii")


@given(st.sampled_from(["audio", "audio-", '"audio"', "audio--", "data:"]))
def test_words_that_look_like_our_mark_survive(context: str) -> None:
    """A context that holds the very mark of the audio's place is sent as it is."""
    body = data_uri_body(
        lambda audio: native.request_document(
            model="audio",
            audio=audio,
            language=None,
            enable_itn=False,
            context=context,
            stream=False,
        ),
        stream=io.BytesIO(b"abc"),
        size=3,
        mime="audio/wav",
    )
    sent = json.loads(b"".join(body))
    assert sent["model"] == "audio"
    assert sent["input"]["messages"][0]["content"] == [{"text": context}]
    assert sent["input"]["messages"][1]["content"] == [{"audio": "data:audio/wav;base64,YWJj"}]


@given(st.integers(0, 10**12))
def test_encoded_size(size: int) -> None:
    """Base64 makes four bytes of every three begun."""
    assert encoded_size(size) == 4 * -(-size // 3)


@pytest.mark.parametrize("as_base64", [True, False])
def test_memory_does_not_grow_with_the_file(as_base64: bool) -> None:
    """Sending 60 MB takes less than 400 KB."""
    size = 60_000_000
    body = FileBody(
        before=b"x",
        stream=Zeros(size),  # type: ignore[arg-type]  # all of a file that is used
        size=size,
        after=b"y",
        as_base64=as_base64,
    )
    tracemalloc.start()
    try:
        total = sum(len(piece) for piece in body)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert total == len(body)
    assert peak < 400_000


@pytest.mark.parametrize("change", [-1, -100_000, 1, 100_000])
def test_a_file_of_another_size_breaks_the_request_off(change: int) -> None:
    """A file that shrank or grew raises before the body's end is handed out."""
    content = bytes(150_000)
    body = body_of(content, size=len(content) - change)
    handed_out = 0
    with pytest.raises(SourceChanged) as raised:
        for piece in body:
            handed_out += len(piece)
    assert raised.value.code == "source-changed"
    assert handed_out < len(body)


def test_an_empty_file_that_grew_is_noticed() -> None:
    """Even nothing has to stay nothing."""
    with pytest.raises(SourceChanged):
        list(body_of(b"x", size=0))
    assert json.loads(b"".join(body_of(b"")))


def test_a_disk_error_is_not_a_network_error() -> None:
    """A file that cannot be read is temporary trouble with a word about the disk."""

    class Broken(io.RawIOBase):
        def read(self, size: int = -1) -> bytes:  # noqa: ARG002 - the file interface
            raise OSError(5, "Input/output error")

    body = FileBody(
        before=b"",
        stream=Broken(),  # type: ignore[arg-type]  # all of a file that is used
        size=5,
        after=b"",
        as_base64=True,
    )
    with pytest.raises(TemporaryError, match="Input/output error") as raised:
        list(body)
    assert raised.value.code == "source-unreadable"


def test_plain_json_is_ascii() -> None:
    """Requests are plain ASCII, so no header about encodings is needed."""
    body = json_body({"a": "é\U0001f600"})
    assert b"".join(body).isascii()
    assert len(b"".join(body)) == len(body)

"""Gets at the audio a request names: a data URI, a URL of this machine, a fixture, an uploaded object."""

import asyncio
import base64
import binascii
import hashlib
import ipaddress
import re
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

import requests

from asrwatch.sandbox.knobs import Knobs
from asrwatch.sandbox.recogniser import Sound
from asrwatch.sandbox.sample import SAMPLES
from asrwatch.sandbox.uploads import Stored, Uploads

__all__ = ["Media", "Unreachable", "Why", "source_name"]

_DATA_URI: Final = re.compile(
    r"data:[\w.+-]*/?[\w.+-]*(?:;[\w.+-]+=[^;,]*)*;base64,", re.IGNORECASE
)
_CONNECT_SECONDS: Final = 5
_READ_SECONDS: Final = 30
_CHUNK: Final = 256 * 1024
_SERVER_ERROR: Final = 500


class Why(StrEnum):
    """Why audio could not be had."""

    NOT_A_URL = "not a URL"
    REFUSED = "refused"
    NOT_FOUND = "not found"
    SERVER_ERROR = "server error"
    DOWNLOAD_FAILED = "download failed"
    NO_LENGTH = "no length"
    WRONG_LENGTH = "wrong length"
    TOO_LARGE = "too large"
    NOT_BASE64 = "not Base64"


class Unreachable(Exception):
    """The audio could not be had."""

    def __init__(self, why: Why) -> None:
        super().__init__(str(why))
        self.why = why


@dataclass(frozen=True, kw_only=True)
class Media:
    """Fetches audio.

    Args:
        folder: for temporary files.
        uploads: the bucket behind `oss://`.
        knobs: the present setting.
        now: the sandbox's clock.
    """

    folder: Path
    uploads: Uploads
    knobs: Callable[[], Knobs]
    now: Callable[[], datetime]

    def stored(self, url: str, *, model: str, account: str) -> Stored:
        """The object behind an `oss://` URL: same model, same account, not too old (contract 6.1).

        Raises:
            Unreachable: there is none such.
        """
        found = self.uploads.find(url.removeprefix("oss://"))
        if found is None:
            raise Unreachable(Why.NOT_FOUND)
        if found.model != model or found.account != account:
            raise Unreachable(Why.REFUSED)
        if self.now() >= found.at + self.knobs().object_life:
            raise Unreachable(Why.REFUSED)
        return found

    def known_sha256(self, source: str) -> str:
        """The sha256 of an uploaded object; empty for what has to be fetched first."""
        found = self.uploads.find(source.removeprefix("oss://"))
        return "" if found is None else found.sha256

    @asynccontextmanager
    async def opened(
        self, source: str, *, model: str, account: str, largest: int
    ) -> AsyncIterator[Sound]:
        """The audio, on disk while it is needed.

        Args:
            source: what the request named.
            model: which model it is for, which matters for `oss://`.
            account: who asks, which matters for `oss://`.
            largest: bytes allowed for what comes by URL.

        Raises:
            Unreachable: it could not be had.
        """
        scheme = source[:8].lower()
        if scheme.startswith("data:"):
            sound = await asyncio.to_thread(self._from_data_uri, source)
        elif scheme.startswith("oss://"):
            object_ = self.stored(source, model=model, account=account)
            sound = Sound(
                path=object_.path,
                sha256=object_.sha256,
                size=object_.size,
                name=source_name(source),
            )
        else:
            sound = await asyncio.to_thread(self._from_url, source, largest)
        try:
            if not scheme.startswith("data:") and sound.size > largest:
                raise Unreachable(Why.TOO_LARGE)
            yield sound
        finally:
            if sound.path.parent == self.folder:
                sound.path.unlink(missing_ok=True)

    def _from_data_uri(self, uri: str) -> Sound:
        start = _DATA_URI.match(uri)
        if start is None:
            raise Unreachable(Why.NOT_A_URL)
        try:
            content = base64.b64decode(uri[start.end() :], validate=True)
        except binascii.Error as error:
            raise Unreachable(Why.NOT_BASE64) from error
        path = self._new_file()
        path.write_bytes(content)
        return Sound(path=path, sha256=hashlib.sha256(content).hexdigest(), size=len(content))

    def _from_url(self, url: str, largest: int) -> Sound:
        try:
            parts = urlsplit(url)
            host = parts.hostname or ""
        except ValueError as error:
            raise Unreachable(Why.NOT_A_URL) from error
        if parts.scheme not in {"http", "https"} or not host or re.search(r"\s", url):
            raise Unreachable(Why.NOT_A_URL)
        if not _is_this_machine(host):
            return self._from_fixture(parts)
        return self._download(url, largest)

    def _from_fixture(self, parts: SplitResult) -> Sound:
        """The outside world: there is no network, so what it holds is a folder and the samples."""
        path = PurePosixPath(unquote(parts.path))
        fixtures = self.knobs().fixtures
        if fixtures is not None:
            root = fixtures.resolve()
            local = (root / (parts.hostname or "") / str(path).lstrip("/")).resolve()
            if local.is_relative_to(root) and local.is_file():
                return _sound_of(local, path.name)
        for sample in SAMPLES:
            if path.stem == Path(sample.name).stem:
                return _sound_of(sample.path, path.name)
        raise Unreachable(Why.DOWNLOAD_FAILED)

    def _download(self, url: str, largest: int) -> Sound:
        path = self._new_file()
        digest = hashlib.sha256()
        size = 0
        try:
            with (
                requests.Session() as session,
                path.open("wb") as file,
            ):
                session.trust_env = False
                with session.get(
                    url,
                    stream=True,
                    timeout=(_CONNECT_SECONDS, _READ_SECONDS),
                    allow_redirects=False,
                    headers={"Accept-Encoding": "identity"},
                ) as answer:
                    announced = _announced(answer, largest)
                    for chunk in answer.iter_content(_CHUNK):
                        file.write(chunk)
                        digest.update(chunk)
                        size += len(chunk)
        except requests.exceptions.ChunkedEncodingError as error:
            path.unlink(missing_ok=True)
            raise Unreachable(Why.WRONG_LENGTH) from error
        except (requests.RequestException, OSError) as error:
            path.unlink(missing_ok=True)
            raise Unreachable(Why.DOWNLOAD_FAILED) from error
        except Unreachable:
            path.unlink(missing_ok=True)
            raise
        if size != announced:
            path.unlink(missing_ok=True)
            raise Unreachable(Why.WRONG_LENGTH)
        return Sound(path=path, sha256=digest.hexdigest(), size=size, name=source_name(url))

    def _new_file(self) -> Path:
        return self.folder / uuid.uuid4().hex


def source_name(source: str) -> str:
    """The file name in a URL, decoded; empty for a data URI."""
    if source[:5].lower() == "data:":
        return ""
    try:
        return PurePosixPath(unquote(urlsplit(source).path)).name
    except ValueError:
        return ""


def _announced(answer: requests.Response, largest: int) -> int:
    """The length the file's server promises, or why the file cannot be had."""
    if answer.status_code >= _SERVER_ERROR:
        raise Unreachable(Why.SERVER_ERROR)
    match answer.status_code:
        case 200:
            pass
        case 403 | 401:
            raise Unreachable(Why.REFUSED)
        case 404 | 410:
            raise Unreachable(Why.NOT_FOUND)
        case _:
            raise Unreachable(Why.DOWNLOAD_FAILED)
    length = answer.headers.get("Content-Length", "")
    if not length.isdecimal():
        raise Unreachable(Why.NO_LENGTH)
    if int(length) > largest:
        raise Unreachable(Why.TOO_LARGE)
    return int(length)


def _is_this_machine(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _sound_of(path: Path, name: str) -> Sound:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Sound(path=path, sha256=digest, size=path.stat().st_size, name=name)

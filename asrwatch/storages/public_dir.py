"""A folder that a web server already publishes: nothing is copied, only the URL is worked out."""

import os
from pathlib import Path
from urllib.parse import quote, quote_from_bytes, urlsplit

from pydantic import Field, field_validator

from asrwatch.errors import RecordingError
from asrwatch.storages import Published, Source, Storage, StorageOptions
from asrwatch.values import printable

__all__ = ["PublicDir", "PublicDirOptions"]


class PublicDirOptions(StorageOptions):
    """Options of `public-dir`.

    `root` is the folder that is published, `url` the address it is published under, reachable from the
    internet without a login; a query in it is kept.
    """

    root: Path = Field(examples=["/srv/recordings"])
    url: str = Field(examples=["https://media.example.org/recordings/"])

    @field_validator("url")
    @classmethod
    def _is_url(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.fragment:
            msg = "must be http://host/path or https://host/path"
            raise ValueError(msg)
        if not url.isascii() or any(character.isspace() for character in url):
            msg = "must be plain ASCII; write other characters percent-encoded"
            raise ValueError(msg)
        return url


class PublicDir(Storage[PublicDirOptions]):
    """Maps a file's path below `root` to its URL below `url`."""

    Options = PublicDirOptions
    copies = False

    def publish(self, source: Source, *, ask_id: str, model: str) -> Published:  # noqa: ARG002 - any model can fetch it
        """The file's URL, which carries the ask id in its query.

        Raises:
            RecordingError: the file does not lie below `root`.
        """
        below = self._below_root(source.path)
        parts = urlsplit(self.options.url)
        path = f"{parts.path.rstrip('/')}/{quote_from_bytes(below, safe='/')}"
        mark = f"asrwatch={quote(ask_id, safe='')}"
        query = f"{parts.query}&{mark}" if parts.query else mark
        return Published(
            url=f"{parts.scheme}://{parts.netloc}{path}?{query}",
            expires=None,
        )

    def _below_root(self, path: bytes) -> bytes:
        """The path relative to the root, as written or with symbolic links followed."""
        root = os.fsencode(self.options.root)
        for shape in (os.path.abspath, os.path.realpath):
            top, file = shape(root).rstrip(b"/") + b"/", shape(path)
            if file.startswith(top):
                return file[len(top) :]
        raise RecordingError(
            f"{printable(path)} does not lie below {printable(root)}, the folder that is published.",
            code="outside-root",
            advice="Move it there, or use another storage for its inbox.",
        )

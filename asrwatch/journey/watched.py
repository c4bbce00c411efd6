"""A recording's open stream that hashes what is read from it, so that what was sent is known."""

import hashlib
import io
from contextlib import suppress
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["Watched"]


class Watched(io.BufferedIOBase, BinaryIO):
    """Reads through to `stream`; going back to the start begins the hash anew.

    `digest` is the sha256 of what was read since the start, `all_read` whether that was everything.
    """

    def __init__(self, stream: BinaryIO) -> None:
        super().__init__()
        self._stream = stream
        self._hash = hashlib.sha256()
        self._at_end = False

    @property
    def digest(self) -> str:
        """The sha256, in hexadecimal, of what was read so far."""
        return self._hash.hexdigest()

    @property
    def all_read(self) -> bool:
        """Whether the last byte of the file was read, as far as that can be told: an answer in hand outweighs it."""
        with suppress(OSError):
            position = self._stream.tell()
            size = self._stream.seek(0, io.SEEK_END)
            self._stream.seek(position)
            return position > 0 and position >= size
        return False

    def readable(self) -> bool:
        """Yes."""
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        """Read up to `size` bytes, and hash them."""
        chunk = self._stream.read(-1 if size is None else size)
        self._hash.update(chunk)
        return chunk

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        """Read into a buffer, and hash what was read."""
        view = memoryview(buffer).cast("B")
        chunk = self.read(len(view))
        view[: len(chunk)] = chunk
        return len(chunk)

    def seekable(self) -> bool:
        """Back to the start only."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Back to the start, where the hash begins anew.

        Raises:
            io.UnsupportedOperation: anywhere else.
        """
        if (offset, whence) != (0, io.SEEK_SET):
            msg = "a watched recording is read from its start"
            raise io.UnsupportedOperation(msg)
        self._hash = hashlib.sha256()
        return self._stream.seek(0)

    def tell(self) -> int:
        """How far it was read, in bytes."""
        return self._stream.tell()

    def fileno(self) -> int:
        """The descriptor, for fstat."""
        return self._stream.fileno()

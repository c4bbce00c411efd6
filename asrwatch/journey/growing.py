"""A copy that is read while it is still being encoded, so that both go on at once."""

import hashlib
import io
import os
import select
import time
from collections.abc import Callable
from threading import Thread
from typing import BinaryIO

from asrwatch.audio.orders import Encoded
from asrwatch.crew import begun
from asrwatch.errors import AsrwatchError, OurBug, TemporaryError
from asrwatch.heartbeats import beat

__all__ = ["Growing"]

_AT_ONCE = 1 << 16
_LOOK_EVERY = 0.5


class Growing(io.BufferedIOBase, BinaryIO):
    """Reads what an encoder writes, once, from its start. To be closed, which ends an encoder that is at work.

    It only ends where the encoder came to its own end: whoever uploads it can never take half of it for the whole.

    Args:
        encode: writes to the open descriptor that it is given until it is done; runs in a thread of its own.

    Attributes:
        encoded: what was written; None until the encoder is done.
        failure: why nothing more comes, which lies in the recording or the encoder.
        size: bytes that were read.
        waited: seconds for which there was nothing to read.

    Raises:
        TemporaryError: no thread could be started.
    """

    def __init__(self, encode: Callable[[int], Encoded]) -> None:
        super().__init__()
        self.encoded: Encoded | None = None
        self.failure: AsrwatchError | None = None
        self.size = 0
        self.waited = 0.0
        self._hash = hashlib.sha256()
        self._out, self._into = os.pipe()
        self._encoder = Thread(target=self._run, args=(encode,), name="encoder", daemon=True)
        if not begun(self._encoder):
            os.close(self._into)
            os.close(self._out)
            raise TemporaryError(
                "No thread could be started to encode it.",
                code="no-thread",
                advice="Raise the limit (TasksMax=, ulimit -u); it is tried again by itself.",
            )

    @property
    def digest(self) -> str:
        """The sha256, in hexadecimal, of what was read so far."""
        return self._hash.hexdigest()

    def _run(self, encode: Callable[[int], Encoded]) -> None:
        try:
            self.encoded = encode(self._into)
        except AsrwatchError as error:
            self.failure = error
        finally:  # only now can the reader see an end
            os.close(self._into)

    def readable(self) -> bool:
        """Yes."""
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        """Up to `size` bytes, as soon as there are some; all there will be where no size is given.

        Raises:
            AsrwatchError: the encoder failed.
        """
        if size is None or size < 0:
            return b"".join(iter(lambda: self.read(_AT_ONCE), b""))
        begun_at = time.monotonic()
        while not select.select([self._out], [], [], _LOOK_EVERY)[0]:
            beat()  # the encoder has a deadline of its own
        self.waited += time.monotonic() - begun_at
        piece = os.read(self._out, size)
        if size and not piece:
            self._check_end()
        self._hash.update(piece)
        self.size += len(piece)
        return piece

    def read1(self, size: int = -1, /) -> bytes:
        """As `read`, in one piece."""
        return self.read(_AT_ONCE if size < 0 else size)

    def _check_end(self) -> None:
        self._encoder.join()
        if self.failure is not None:
            raise self.failure
        if self.encoded is None:
            msg = "an encoder ended without a word"
            raise OurBug(msg)

    def close(self) -> None:
        """Nobody reads any more."""
        if not self.closed:
            super().close()
            os.close(self._out)
            self._encoder.join()

"""What a storage is: one file per way to give the cloud a URL for a local file, found by its name."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO, ClassVar, Generic, TypeVar

from pydantic import BaseModel, ConfigDict

from asrwatch.cloud import Cloud

__all__ = ["Published", "Source", "Storage", "StorageOptions"]


class StorageOptions(BaseModel):
    """Options of a storage; a storage's own `Options` add to them."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """A local file to be reached by the cloud: where it lies, its open stream at the start, its size.

    `extension` is the ASCII file name ending without the dot, `mime` the content type.
    """

    path: bytes
    stream: BinaryIO
    size: int
    extension: str
    mime: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Published:
    """A URL that carries the ask id, and until when it can be fetched (None: as long as the file lies there)."""

    url: str
    expires: datetime | None


OptionsT = TypeVar("OptionsT", bound=StorageOptions)


class Storage(ABC, Generic[OptionsT]):
    """One way to give the cloud a URL for a local file.

    Class variables:
        Options: its options with their defaults.
        copies: it takes the bytes of the stream, so that a re-encoded copy can be published as well; otherwise only
            a file where it lies.
        streams: it takes a stream whose length nobody knows beforehand (`publish_stream`), so that a copy is uploaded
            while it is being encoded. The vendor's form is documented with a length only (contract section 6.1).
    """

    Options: ClassVar[type[StorageOptions]]
    copies: ClassVar[bool] = True
    streams: ClassVar[bool] = False

    def __init__(self, options: OptionsT, cloud: Cloud) -> None:
        self.options = options
        self.cloud = cloud

    @abstractmethod
    def publish(self, source: Source, *, ask_id: str, model: str) -> Published:
        """Make `source` reachable for `model`; costs nothing and may be repeated.

        Raises:
            TooLargeToUpload: a smaller copy of it can be published here.
            RecordingError: this file can never be published here (outside the folder).
            TemporaryError: not now.
            EngineError: the key or the service is at fault.
        """

    def publish_stream(
        self, stream: BinaryIO, *, extension: str, mime: str, ask_id: str, model: str
    ) -> Published:
        """As `publish`, of a copy that is read once, to its end, and whose length shows only there.

        Where reading raises, nothing may be published: what came until then is not the copy.
        """
        msg = f"{type(self).__name__} takes no {extension} for {model} without its length ({ask_id}, {mime}, {stream})"
        raise NotImplementedError(msg)

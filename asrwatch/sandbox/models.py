"""The catalogue: which model exists where, which protocol it speaks and what it is allowed."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final

__all__ = ["MODELS", "REGION_IDS", "Family", "Model", "Region", "find_model"]


class Region(StrEnum):
    """The regions with recognition of recordings (contract 1.2)."""

    BEIJING = "beijing"
    SINGAPORE = "singapore"
    US = "us"


REGION_IDS: Final[Mapping[Region, str]] = {
    Region.BEIJING: "cn-beijing",
    Region.SINGAPORE: "ap-southeast-1",
    Region.US: "us-east-1",
}


class Family(StrEnum):
    """One per dialect: what a request and an answer look like (contract 0.1)."""

    QWEN3_SYNC = "qwen3-sync"
    QWEN3_FILETRANS = "qwen3-filetrans"
    AUDIO_SYNC = "qwen-audio-sync"
    AUDIO_FILETRANS = "qwen-audio-filetrans"
    OLD_SYNC = "qwen-audio-asr"

    @property
    def asynchronous(self) -> bool:
        """Whether it is asked through tasks."""
        return self in {Family.QWEN3_FILETRANS, Family.AUDIO_FILETRANS}


_EVERYWHERE: Final = frozenset(Region)
_ASIA: Final = frozenset({Region.BEIJING, Region.SINGAPORE})
_CHINA: Final = frozenset({Region.BEIJING})
_US: Final = frozenset({Region.US})

_SYNC_LONGEST: Final = timedelta(seconds=300)
_TASK_LONGEST: Final = timedelta(hours=12)
_DATA_URI: Final = 10_485_760  # 10 MB of text, contract 3 ("BadRequest.TooLarge", 10485760)
_DATA_URI_AUDIO: Final = 20_971_520  # measured for the Qwen-Audio family, contract 3
_SYNC_FILE: Final = 10_485_760
_TWO_GB: Final = 2 * 1024**3


@dataclass(frozen=True, kw_only=True)
class Model:
    """One model id.

    Args:
        name: as asked for.
        family: its dialect.
        regions: where it exists; elsewhere it is 404.
        requests_per_minute: its documented rate (contract 8).
        longest: the longest audio it takes.
        largest_data_uri: bytes of text of one data URI; 0 where none is taken.
        largest_file: bytes of a file reached by URL.
    """

    name: str
    family: Family
    regions: frozenset[Region]
    requests_per_minute: int
    longest: timedelta
    largest_data_uri: int
    largest_file: int

    @property
    def longest_seconds(self) -> int:
        """The longest audio in whole seconds, for messages."""
        return int(self.longest.total_seconds())


def _model(name: str, family: Family, regions: frozenset[Region], per_minute: int) -> Model:
    data_uri = {
        Family.QWEN3_SYNC: _DATA_URI,
        Family.OLD_SYNC: _DATA_URI,
        Family.AUDIO_SYNC: _DATA_URI_AUDIO,
    }.get(family, 0)
    small = family in {Family.QWEN3_SYNC, Family.OLD_SYNC}
    return Model(
        name=name,
        family=family,
        regions=regions,
        requests_per_minute=per_minute,
        longest=_TASK_LONGEST if family.asynchronous else _SYNC_LONGEST,
        largest_data_uri=data_uri,
        largest_file=_SYNC_FILE if small else _TWO_GB,
    )


# Contract 1.2, 1.3 and 8.
MODELS: Final[Mapping[str, Model]] = {
    model.name: model
    for model in (
        _model("qwen3-asr-flash", Family.QWEN3_SYNC, _EVERYWHERE, 100),
        _model("qwen3-asr-flash-2026-02-10", Family.QWEN3_SYNC, _EVERYWHERE, 100),
        _model("qwen3-asr-flash-2025-09-08", Family.QWEN3_SYNC, _EVERYWHERE, 100),
        _model("qwen3-asr-flash-us", Family.QWEN3_SYNC, _US, 100),
        _model("qwen3-asr-flash-2025-09-08-us", Family.QWEN3_SYNC, _US, 100),
        _model("qwen3-asr-flash-filetrans", Family.QWEN3_FILETRANS, _ASIA, 100),
        _model("qwen3-asr-flash-filetrans-2025-11-17", Family.QWEN3_FILETRANS, _ASIA, 100),
        _model("qwen-audio-3.1-asr-flash", Family.AUDIO_SYNC, _ASIA, 600),
        _model("qwen-audio-3.0-asr-flash", Family.AUDIO_SYNC, _ASIA, 600),
        _model("fun-asr-flash-2026-06-15", Family.AUDIO_SYNC, _ASIA, 600),
        _model("qwen-audio-3.1-asr-flash-filetrans", Family.AUDIO_FILETRANS, _ASIA, 600),
        _model("qwen-audio-3.0-asr-flash-filetrans", Family.AUDIO_FILETRANS, _ASIA, 600),
        _model("fun-asr", Family.AUDIO_FILETRANS, _ASIA, 600),
        _model("fun-asr-2025-11-07", Family.AUDIO_FILETRANS, _ASIA, 600),
        _model("fun-asr-mtl", Family.AUDIO_FILETRANS, _ASIA, 600),
        _model("paraformer-v2", Family.AUDIO_FILETRANS, _CHINA, 1200),
        _model("qwen-audio-asr", Family.OLD_SYNC, _CHINA, 60),
    )
}


def find_model(name: str, region: Region) -> Model | None:
    """The model of that name in that region, if there is one."""
    model = MODELS.get(name)
    return model if model is not None and region in model.regions else None

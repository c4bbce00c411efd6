"""asrwatch: recordings dropped in a folder become transcripts through Alibaba Cloud's Qwen ASR."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asrwatch.transcription import Transcription, collect, transcribe

__version__ = "0.1.0"
__all__ = ["Transcription", "__version__", "collect", "transcribe"]

_LATER = frozenset({"Transcription", "collect", "transcribe"})


def __getattr__(name: str) -> Any:
    """Import what speaks to the cloud only when it is asked for: `import asrwatch` stays cheap."""
    if name in _LATER:
        return getattr(importlib.import_module("asrwatch.transcription"), name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)

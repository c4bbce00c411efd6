"""WAVs of 8 kHz mono whose content depends on a number."""

import io
import wave
from pathlib import Path

__all__ = ["wav_bytes", "write_wav"]


def wav_bytes(number: int = 1, *, seconds: float = 0.5) -> bytes:
    """A steady sound, far above silence, which is not sent."""
    memory = io.BytesIO()
    sample = (number if number > 100 else 1_000 + number) % 2**16
    with wave.open(memory, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(8_000)
        out.writeframes(sample.to_bytes(2, "little") * int(8_000 * seconds))
    return memory.getvalue()


def write_wav(path: Path, *, seconds: float = 1.0, number: int = 1) -> Path:
    """The same as a file, written at one stroke."""
    path.write_bytes(wav_bytes(number, seconds=seconds))
    return path

"""A sandbox to transcribe against, and the configuration that leads there."""

import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import start_helpers

from asrwatch.config import load
from asrwatch.sandbox import Knobs, Sandbox, Scripted
from asrwatch.transcription.request import Wanted
from asrwatch.transcription.transcriber import Transcriber


@dataclass(kw_only=True)
class Bench:
    """A sandbox, a configuration file that names it, and what a transcriber told meanwhile."""

    sandbox: Sandbox
    config: Path
    folder: Path
    told: list[str] = field(default_factory=list)
    tickets: list[str] = field(default_factory=list)
    pauses: list[timedelta] = field(default_factory=list)

    def transcriber(
        self, *, pause: Callable[[timedelta], None] | None = None, **wanted: Any
    ) -> Transcriber:
        """One whose waiting takes no time."""

        def passing(span: timedelta) -> None:
            self.pauses.append(span)
            if pause is not None:
                pause(span)

        return Transcriber(
            load(self.config),
            Wanted(**wanted),
            on_left_out=self.told.append,
            on_ticket=self.tickets.append,
            pause=passing,
        )

    def recording(self, name: str = "note.wav", *, seconds: float = 2.0) -> Path:
        """A WAV file of silence; the sandbox's script decides what is heard in it."""
        return wav(self.folder / name, seconds=seconds)

    def run(
        self, *arguments: str | Path, environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """`asrwatch transcribe` as a process of its own."""
        words = ("transcribe", "-c", self.config, *arguments)
        given = {"DASHSCOPE_API_KEY": self.sandbox.key, **(environment or {})}
        env = start_helpers.environment(self.folder, **given)
        return start_helpers.run(*words, env=env, cwd=self.folder, errors="strict")


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """A sandbox without rate limits, whose key is in the environment."""
    with Sandbox(recogniser=Scripted(), knobs=Knobs(rate_limits=False)) as sandbox:
        monkeypatch.setenv("DASHSCOPE_API_KEY", sandbox.key)
        monkeypatch.delenv("OUTPUT_DIR", raising=False)
        config = tmp_path / "asrwatch.yaml"
        config.write_text(
            f"cloud: {{base_url: '{sandbox.url}'}}\n"
            "engines: {qwen3-asr-flash-filetrans: {first_poll: 50ms, list_delay: 0}}\n"
        )
        yield Bench(sandbox=sandbox, config=config, folder=tmp_path)


def wav(path: Path, *, seconds: float, rate: int = 8000) -> Path:
    """Write a mono 8-bit WAV file of silence."""
    size = round(seconds * rate)
    header = b"RIFF" + (36 + size).to_bytes(4, "little") + b"WAVEfmt " + (16).to_bytes(4, "little")
    shape = (1).to_bytes(2, "little") * 2 + rate.to_bytes(4, "little") * 2
    depth = (1).to_bytes(2, "little") + (8).to_bytes(2, "little")
    path.write_bytes(header + shape + depth + b"data" + size.to_bytes(4, "little") + b"\x80" * size)
    return path

"""The installed program in a folder of its own, talking to a sandbox."""

import json
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import start_helpers
from wait_helpers import PATIENCE, wait_for


@dataclass
class Installed:
    """`asrwatch` with its own home, state and one inbox."""

    root: Path
    url: str
    key: str = "sk-none"
    inbox_keys: Mapping[str, Any] = field(default_factory=dict)
    engines: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    more: Mapping[str, Any] = field(default_factory=dict)
    _running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.inbox.mkdir(parents=True, exist_ok=True)

    @property
    def inbox(self) -> Path:
        """The watched folder."""
        return self.root / "inbox"

    @property
    def log(self) -> Path:
        """What the daemons of this world wrote to stderr."""
        return self.root / "log"

    def config(self, *, first_version: bool = False) -> Path:
        """The configuration file, as JSON, which is YAML; with keys of the first version only, if it is for that."""
        engines: dict[str, dict[str, Any]] = {
            "qwen3-asr-flash": {"requests_per_minute": 100_000},
            "qwen3-asr-flash-filetrans": {
                "requests_per_minute": 100_000,
                "first_poll": "100ms",
                "list_delay": "0s",
            },
        }
        for name, options in self.engines.items():
            engines.setdefault(name, {}).update(options)
        inbox = {"path": str(self.inbox), "settle": "100ms", "scan_every": "1s", **self.inbox_keys}
        settings = {
            "state_dir": str(self.root / "state"),
            "cloud": {"base_url": self.url},
            "engines": engines,
            "inboxes": [inbox],
            **({} if first_version else {"web": False}),  # no fixed ports in tests
            **self.more,
        }
        path = self.root / "asrwatch.yaml"
        path.write_text(json.dumps(settings, indent=1))
        return path

    def environment(self, **more: str) -> dict[str, str]:
        """A clean environment: this Python, this home, this key."""
        return start_helpers.environment(self.root, **{"DASHSCOPE_API_KEY": self.key, **more})

    def call(
        self, *words: str, patience: float = PATIENCE, **more: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command with this configuration to its end."""
        words = (*words, "-c", str(self.config(first_version="PYTHONPATH" in more)))
        env = self.environment(**more)
        return start_helpers.run(*words, env=env, cwd=self.root, patience=patience)

    def start(self, **more: str) -> subprocess.Popen[bytes]:
        """The daemon, in the background, ready or dead when this returns."""
        begin = self.log.stat().st_size if self.log.exists() else 0
        process = self.launch(**more)
        wait_for(
            lambda: process.poll() is not None or b'"started"' in self.log.read_bytes()[begin:]
        )
        return process

    def launch(self, **more: str) -> subprocess.Popen[bytes]:
        """The daemon, in the background, not waited for."""
        with self.log.open("ab") as log:
            words = ("run", "-c", str(self.config()))
            env = self.environment(**more)
            process = start_helpers.start(*words, env=env, cwd=self.root, stdout=log, stderr=log)
        self._running.append(process)
        return process

    def follow(self, *words: str, **more: str) -> tuple[subprocess.Popen[bytes], Path]:
        """A command in the background, and the file that it prints to."""
        out = self.root / f"{words[0]}.out"
        with out.open("wb") as printed:
            words = (*words, "-c", str(self.config()))
            env = self.environment(**more)
            process = start_helpers.start(
                *words, env=env, cwd=self.root, stdout=printed, stderr=printed
            )
        self._running.append(process)
        return process, out

    def stop(self, process: subprocess.Popen[bytes]) -> int:
        """An orderly end."""
        process.send_signal(signal.SIGTERM)
        return process.wait(PATIENCE)

    def kill_all(self) -> None:
        """Whatever is still running, at the end of a test."""
        for process in self._running:
            if process.poll() is None:
                process.kill()
            process.wait(PATIENCE)

    def lines(self) -> list[dict[str, Any]]:
        """The log, every line of which must be JSON."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def text_of(self, stem: str, suffix: str = ".txt") -> str:
        """A transcript, once it is there."""
        path = self.inbox / f"{stem}{suffix}"
        wait_for(path.exists)
        return path.read_text()

    def status(self) -> dict[str, Any]:
        """`asrwatch status --json`."""
        done = self.call("status", "--json")
        assert done.returncode == 0, done.stderr
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

"""The whole house in this process, over a real folder and a sandbox: what happens to files in it."""

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from wait_helpers import PATIENCE, wait_for

from asrwatch.bootstrap import build_daemon, build_parts, open_store
from asrwatch.daemon import Daemon
from asrwatch.daemon.mail import Stop
from asrwatch.journey.book import Change
from asrwatch.journey.recording import Recording, State
from asrwatch.sandbox import Knobs, Sandbox, Scripted
from asrwatch.settings import Settings
from asrwatch.systemd import Notifier

QUICK = Knobs(rate_limits=False, queue_time=timedelta(0), work_time=timedelta(0))
FILETRANS = {"engine": "qwen3-asr-flash-filetrans"}
"""Inbox keys with which everything is uploaded and goes by task."""


@dataclass
class Housed:
    """A folder, a sandbox, and a daemon between them whenever `running`."""

    root: Path
    sandbox: Sandbox
    inbox_keys: Mapping[str, Any] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.inbox.mkdir(exist_ok=True)

    @property
    def inbox(self) -> Path:
        """Where files are dropped."""
        return self.root / "inbox"

    @property
    def key_file(self) -> Path:
        """Where the key is looked for, and nowhere else."""
        return self.root / "key"

    def settings(self) -> Settings:
        """One inbox that settles fast, both engines without a pace."""
        if not self.key_file.exists():
            self.key_file.touch(mode=0o600)
            self.key_file.write_text(self.sandbox.key)
        inbox = {"path": str(self.inbox), "name": "in", "settle": "100ms", "scan_every": "1s"}
        return Settings.model_validate(
            {
                "state_dir": str(self.root / "state"),
                "cloud": {"base_url": self.sandbox.url, "api_key_file": str(self.key_file)},
                "engines": {
                    "qwen3-asr-flash": {"requests_per_minute": 100_000},
                    "qwen3-asr-flash-filetrans": {
                        "requests_per_minute": 100_000,
                        "first_poll": "100ms",
                        "list_delay": "0s",
                    },
                },
                "inboxes": [{**inbox, **self.inbox_keys}],
            }
        )

    @contextmanager
    def running(self) -> Iterator[Daemon]:
        """A daemon in a thread, which owns its store, stopped in order at the end."""
        settings = self.settings()
        ready = threading.Event()
        holder: list[Daemon] = []

        def work() -> None:
            with open_store(settings) as store:
                daemon = build_daemon(
                    settings,
                    store,
                    build_parts(settings),
                    on_change=(self.changes.append,),
                    notifier=Notifier.from_environment({}),
                )
                holder.append(daemon)
                ready.set()
                daemon.run()

        thread = threading.Thread(target=work)
        thread.start()
        assert ready.wait(PATIENCE)
        try:
            wait_for(lambda: "in" in holder[0].lookouts)
            yield holder[0]
        finally:
            holder[0].post(Stop(reason="test over"))
            thread.join(PATIENCE)
            assert not thread.is_alive()

    def recordings(self) -> dict[bytes, list[Recording]]:
        """Everything in the store by file name, oldest first, once no daemon has it."""
        told: dict[bytes, list[Recording]] = {}
        with open_store(self.settings()) as store:
            for each in sorted(store.in_state(*State), key=lambda recording: recording.id):
                told.setdefault(os.path.basename(each.path), []).append(each)  # noqa: PTH119 - bytes
        return told

    def became(self, state: State, name: str | None = None) -> bool:
        """Whether a recording, or that of this name, was saved in this state."""
        return any(
            change.after.state is state
            and name in (None, os.fsdecode(os.path.basename(change.after.path)))  # noqa: PTH119 - bytes
            for change in tuple(self.changes)
        )

    def noted(self, text: str) -> bool:
        """Whether any recording's story says so."""
        return any(text in change.note for change in tuple(self.changes))


@contextmanager
def a_house(root: Path, script: Any = None, **inbox_keys: Any) -> Iterator[Housed]:
    """A world whose cloud answers what `script` says (see `Scripted`), "Hello world." otherwise."""
    with Sandbox(recogniser=Scripted(script), knobs=QUICK) as sandbox:
        yield Housed(root=root, sandbox=sandbox, inbox_keys=inbox_keys)

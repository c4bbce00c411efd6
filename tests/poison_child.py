"""A daemon in a process of its own, with files that kill it: for `test_poison`, which starts it again and again."""

import os
import signal
import sys
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from fake_engine import FakeOptions, fake_cloud
from test_daemon import Scripted, World, heard

from asrwatch.daemon import Daemon
from asrwatch.engines import Ask, Heard, Pending, StillOut
from asrwatch.journey.evidence import Answer
from asrwatch.journey.route import Route
from asrwatch.journey.store import Store
from asrwatch.journey.transcript import Transcript
from asrwatch.storages import Source
from asrwatch.storages.public_dir import PublicDir

ALL_OUT = 4


def die() -> None:
    """As by the kernel when memory runs out."""
    os.kill(os.getpid(), signal.SIGKILL)


class Deadly(Scripted):
    """Hears the name of the file; dies of those whose names say in which step."""

    def start(self, ask: Ask) -> Heard:
        """The paid request."""
        stream: Any = getattr(ask.audio, "stream", None)
        name = Path(os.fsdecode(stream._stream.name)).stem
        if "ask" in name:
            die()
        stream.read()
        self.asked.append(ask)
        with (Path(sys.argv[1]) / "asked").open("a") as asked:
            asked.write(f"{name}\n")
        return heard(name)

    def read(self, answer: Answer) -> Transcript:
        """The delivery."""
        if b"deliver" in answer.raw:
            die()
        return super().read(answer)


class Uploading(Deadly):
    """The same by URL."""

    takes_bytes = False

    def start(self, ask: Ask) -> Heard:
        """Nothing to read."""
        self.asked.append(ask)
        return heard("by url")


class Fetching(Deadly):
    """Of tasks, one of which kills whoever fetches its result; none is done before all are out."""

    tasks = True

    def start(self, ask: Ask) -> Any:
        """The paid request, whose ticket is the file's name."""
        return Pending(ticket=super().start(ask).answer.raw.decode(), wait=timedelta(0))

    def check(self, tickets: Sequence[str]) -> Iterator[tuple[str, Any]]:
        """The deadly one first, so that the others of its round are not answered."""
        rounds = Path(sys.argv[1]) / "rounds"
        with rounds.open("a") as written:
            written.write(" ".join(sorted(tickets)) + "\n")
        # not before all four were asked about: a death while one is submitted would be another story
        all_out = len(set(rounds.read_text().split())) == ALL_OUT
        for ticket in sorted(tickets, key=lambda name: "fetch" not in name):
            if all_out and "fetch" in ticket:
                die()
            yield ticket, heard(ticket) if all_out else StillOut(status="RUNNING")


class Publishing(PublicDir):
    """Dies of files that say so."""

    def publish(self, source: Source, *, ask_id: str, model: str) -> Any:
        """The upload."""
        if b"publish" in source.path:
            die()
        return super().publish(source, ask_id=ask_id, model=model)


def main() -> None:
    """Until everything there is has been dealt with, or the end."""
    root = Path(sys.argv[1])
    kinds = {"upload": Uploading, "tasks": Fetching}
    kind = next((kinds[word] for word in sys.argv[2:] if word in kinds), Deadly)
    world = World(root=root, engine=kind(FakeOptions(), fake_cloud()))
    with Store(root / "state") as store:
        house = world.house(store)
        route = house.routes["inbox"]
        options = PublicDir.Options(root=world.inbox, url="http://127.0.0.1:9/")
        fields = {name: getattr(route, name) for name in Route.__slots__}
        fields["storage"] = Publishing(options, fake_cloud())
        parts = {name: getattr(house, name) for name in house.__dataclass_fields__}
        parts["routes"] = {"inbox": Route(**fields)}
        parts["until_quiet"] = True
        Daemon(type(house)(**parts)).run()


if __name__ == "__main__":
    main()

"""A receiver of webhooks that really listens, and news to tell it."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from asrwatch.news import About, Message, News

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Got:
    """One request that arrived."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def document(self) -> dict[str, Any]:
        """Its JSON."""
        told: dict[str, Any] = json.loads(self.body)
        return told

    @property
    def id(self) -> str:
        """The message's."""
        return self.headers["webhook-id"]


@dataclass
class Receiver:
    """Answers with `status` (or what `respond` says) and remembers everything."""

    url: str = ""
    status: int = 204
    headers: dict[str, str] = field(default_factory=dict)
    got: list[Got] = field(default_factory=list)
    respond: Callable[[Got], int] | None = None

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.url.rpartition(":")[2].partition("/")[0])

    def told(self, kind: str) -> list[dict[str, Any]]:
        """The documents of one kind, in the order in which they came."""
        documents = [each.document for each in list(self.got)]
        return [each for each in documents if each["type"].endswith(f".{kind}")]


@contextmanager
def receiving(**made: Any) -> Iterator[Receiver]:
    """A receiver while the block lasts."""
    receiver = Receiver(**made)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            got = Got(path=self.path, headers=dict(self.headers), body=body)
            receiver.got.append(got)
            status = receiver.respond(got) if receiver.respond else receiver.status
            self.send_response(status)
            for name, value in receiver.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    receiver.url = f"http://127.0.0.1:{server.server_address[1]}/hook"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def secret_file(folder: Path, *lines: str) -> Path:
    """A secret that is ours alone."""
    path = folder / "webhook-secret"
    path.write_text("\n".join(lines or (SECRET,)) + "\n")
    path.chmod(0o600)
    return path


def a_message(kind: str = "failed", **more: Any) -> Message:
    """A message about one recording."""
    about = About(
        id=7,
        inbox="dictation",
        path="/inbox/talk.wav",
        state=kind,
        at=NOW,
        code="broke",
        message="/inbox/talk.wav broke.",
        advice="Mend it.",
    )
    return Message(id="msg_1", news=News(kind=kind, at=NOW, recordings=(about,), **more))

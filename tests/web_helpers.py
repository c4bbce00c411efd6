"""A daemon that serves its status page at a free port, and a visitor who speaks plain HTTP."""

import http.client
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from desk_helpers import daemon_for
from wait_helpers import wait_for

from asrwatch.bootstrap import build_daemon, build_parts
from asrwatch.config import Settings
from asrwatch.daemon import Daemon
from asrwatch.daemon.mail import Stop
from asrwatch.desk import Desk
from asrwatch.desk.scene import PageSeen
from asrwatch.journey.store import Store
from asrwatch.web.bell import Bell
from asrwatch.web.serving import PageServer


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()


@dataclass
class Visitor:
    """A browser of sorts: keeps its cookie, sends forms as browsers do."""

    url: str
    cookie: str = ""

    @property
    def host(self) -> str:
        """Host and port of the page."""
        return urlsplit(self.url).netloc

    def ask(
        self, path: str, *, method: str = "GET", body: str | None = None, **headers: str
    ) -> Answer:
        """One request; header names are written with underscores."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.cookie:
            sent.setdefault("Cookie", self.cookie)
        connection = http.client.HTTPConnection(self.host, timeout=30)
        try:
            connection.request(method, path, body=body, headers=sent)
            answer = connection.getresponse()
            told = Answer(
                answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
            )
        finally:
            connection.close()
        if "set-cookie" in told.headers:
            self.cookie = told.headers["set-cookie"].partition(";")[0]
        return told

    def form_token(self, path: str = "/recordings") -> str:
        """What a form of this visitor's pages carries."""
        found = re.search(r'name="form" content="(\w+)"', self.ask(path).text)
        assert found, "there is no form on this page"
        return found[1]

    def send(self, path: str, form: Mapping[str, str], **headers: str) -> Answer:
        """A form, as a browser sends it from a page of ours."""
        return self.ask(
            path,
            method="POST",
            body=urlencode(form),
            Content_Type="application/x-www-form-urlencoded",
            **{"Origin": f"http://{self.host}", "Sec_Fetch_Site": "same-origin", **headers},
        )


@dataclass
class Served:
    """A daemon in a thread of this process, with its page."""

    settings: Settings
    before: Callable[[Store], None]
    real: bool = False
    meddle: Callable[["Served"], None] = lambda _: None
    daemon: Daemon | None = None
    desk: Desk | None = None
    bell: Bell = field(default_factory=Bell)
    ready: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """The whole life of it, in one thread, as the store demands."""
        try:
            with Store(self.settings.state_dir) as store:
                self.before(store)
                self.daemon = (
                    build_daemon(
                        self.settings,
                        store,
                        build_parts(self.settings),
                        on_change=(self.bell.ring,),
                    )
                    if self.real
                    else daemon_for(store)
                )
                self.desk = Desk(self.settings, store, self.daemon)
                self.meddle(self)
                with PageServer(self.settings, self.daemon, self.desk, self.bell):
                    self.ready.set()
                    self.daemon.run()
        finally:
            self.ready.set()

    def page(self) -> PageSeen:
        """Where the page is served, or why it is not."""
        assert self.desk is not None
        return self.desk._scene.page


def settings_for_page(root: Path, *, web: Any = None, **inbox: Any) -> Settings:
    """Settings with one inbox, called `inbox`, and a page at a free port."""
    written = {
        "state_dir": str(root / "state"),
        "cloud": {"base_url": "http://127.0.0.1:9"},
        "web": {"listen": "127.0.0.1:0"} if web is None else web,
        "inboxes": [{"path": str(root / "inbox"), "name": "inbox", **inbox}],
    }
    return Settings.model_validate(written, context={"base": root})


@contextmanager
def living_with_page(
    settings: Settings,
    before: Callable[[Store], None] = lambda _: None,
    *,
    real: bool = False,
    meddle: Callable[[Served], None] = lambda _: None,
) -> Iterator[Served]:
    """A daemon while the block lasts; `before` fills its store, `real` looks at its inboxes."""
    life = Served(settings, before, real=real, meddle=meddle)
    thread = threading.Thread(target=life.run)
    thread.start()
    try:
        assert life.ready.wait(30)
        assert life.daemon is not None, "the daemon died"
        yield life
    finally:
        if life.daemon is not None:
            life.daemon.post(Stop(reason="test"))
        thread.join(30)
        assert not thread.is_alive()


@contextmanager
def served(
    settings: Settings, before: Callable[[Store], None] = lambda _: None, *, real: bool = False
) -> Iterator[Visitor]:
    """Somebody who visits the page of such a daemon."""
    with living_with_page(settings, before, real=real) as life:
        wait_for(lambda: life.page().url)
        yield Visitor(life.page().url or "")


__all__ = ["Answer", "Served", "Visitor", "living_with_page", "served", "settings_for_page"]

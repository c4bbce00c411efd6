"""The gate of the status page: who gets in, from where, and what a browser may do with the answer."""

import asyncio
import socket
import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from wait_helpers import wait_for
from web_helpers import Served, Visitor, living_with_page, served, settings_for_page

from asrwatch.address import parse_address
from asrwatch.cli._finding import Level
from asrwatch.cli._page import page_findings
from asrwatch.config import load
from asrwatch.desk.scene import PageSeen
from asrwatch.errors import ConfigError
from asrwatch.web.guard import hosts_of, is_known_host
from asrwatch.web.patience import Patient
from asrwatch.web.session import ATTEMPTS, WITHIN, Attempts, Sessions

pytestmark = pytest.mark.xdist_group("guarded page")  # what they share is made once

TOKEN = "correct horse battery staple"


@pytest.fixture(scope="module")
def visitor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visitor]:
    """Of a page that asks for no token."""
    root = tmp_path_factory.mktemp("open")
    with served(settings_for_page(root)) as made:
        yield made


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visitor]:
    """Of a page that asks for one."""
    root = tmp_path_factory.mktemp("shut")
    token = root / "token"
    token.touch(mode=0o600)
    token.write_text(TOKEN + "\n")
    web = {"listen": "127.0.0.1:0", "token_file": str(token), "hosts": ["status.example.org"]}
    with served(settings_for_page(root, web=web)) as made:
        yield made


def test_pages_carry_their_armour(visitor: Visitor) -> None:
    """No script or style but ours, in no frame, kept by no cache, read by no other site."""
    told = visitor.ask("/")
    assert told.status == 200
    policy = told.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert told.headers["x-content-type-options"] == "nosniff"
    assert told.headers["cache-control"] == "no-store"
    assert told.headers["cross-origin-resource-policy"] == "same-origin"
    cookie = told.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert "<script>" not in told.text
    assert "style=" not in told.text


@pytest.mark.parametrize(
    "name", ["evil.example", "localhost.evil.example", "", "8.8.8.8", "a@localhost"]
)
def test_a_name_pointed_at_this_machine_gets_nothing(visitor: Visitor, name: str) -> None:
    """DNS rebinding: a Host header that is not ours is refused before anything is looked at [X20]."""
    assert visitor.ask("/", Host=name).status == 421


def test_other_sites_cannot_act(visitor: Visitor) -> None:
    """A form of another site is refused by where it comes from, one without our token by that [X20]."""
    good = {"form": visitor.form_token("/"), "all": "failed"}
    assert visitor.send("/retry", good, Origin="https://evil.example").status == 403
    for odd in ("null", "http://[", "garbage"):
        assert visitor.send("/retry", good, Origin=odd).status == 403
    assert visitor.send("/retry", good, Sec_Fetch_Site="cross-site").status == 403
    assert visitor.send("/retry", good, Sec_Fetch_Site="same-site").status == 403
    assert visitor.send("/retry", {**good, "form": "0" * 64}).status == 403
    assert visitor.send("/retry", {"all": "failed"}).status == 403
    assert visitor.send("/retry", good, Cookie="").status == 403


def test_other_sites_cannot_embed(visitor: Visitor) -> None:
    """Another site's page may link to ours; it may load nothing of it [X20]."""
    link = visitor.ask("/", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate")
    assert link.status == 200
    assert visitor.ask("/", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="no-cors").status == 403


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_other_methods_are_refused(visitor: Visitor, method: str) -> None:
    """Whatever neither reads nor sends a form is refused."""
    assert visitor.ask("/", method=method).status == 405


def test_a_form_is_small(visitor: Visitor) -> None:
    """What is too large for a form is refused without being read to its end."""
    assert visitor.send("/retry", {"form": "x" * 20_000}).status == 413


def test_without_the_token_there_is_nothing(stranger: Visitor) -> None:
    """Browsers are sent to the login, programs get 401; only the login and its style are open [X20]."""
    nobody = Visitor(stranger.url)
    sent = nobody.ask("/recordings?state=failed", Accept="text/html")
    assert (sent.status, sent.headers["location"]) == (
        303,
        "/login?next=/recordings%3Fstate%3Dfailed",
    )
    assert nobody.ask("/recordings").status == 401
    assert nobody.ask("/static/page.css").status == 200
    assert nobody.ask("/static/../../secret.py").status in {400, 401, 404}
    assert nobody.send("/retry", {"all": "failed"}).status == 401
    assert nobody.ask("/", Authorization="Bearer wrong").status == 401
    assert nobody.ask("/", Authorization=f"Bearer {TOKEN}").status == 200
    assert nobody.ask("/", Authorization=f"Bearer {TOKEN}", Host="status.example.org").status == 200


def test_the_token_opens_the_door(stranger: Visitor) -> None:
    """Logging in leads to where one wanted to go, logging out ends it; the token is in no cookie."""
    somebody = Visitor(stranger.url)
    assert somebody.send("/login", {"token": "wrong", "next": "/"}).status == 403
    entered = somebody.send("/login", {"token": TOKEN, "next": "/recordings"})
    assert (entered.status, entered.headers["location"]) == (303, "/recordings")
    assert TOKEN not in entered.headers["set-cookie"]
    assert somebody.ask("/recordings").status == 200
    left = somebody.send("/logout", {"form": somebody.form_token()})
    assert left.status == 303
    assert somebody.ask("/recordings").status == 401


@pytest.mark.parametrize(
    "place", ["//evil.example", "https://evil.example", "/\\evil.example", "/\r\nX: y"]
)
def test_the_login_leads_nowhere_else(stranger: Visitor, place: str) -> None:
    """After the login nobody is sent to another site [X20]."""
    told = Visitor(stranger.url).send("/login", {"token": TOKEN, "next": place})
    assert (told.status, told.headers["location"]) == (303, "/")


def test_cookies_are_signed() -> None:
    """A cookie is good if we made it, with this token, and not too long ago."""
    now = datetime(2026, 11, 22, tzinfo=UTC)
    sessions = Sessions(TOKEN)
    cookie = sessions.cookie(now)
    assert sessions.is_good(cookie, now)
    assert Sessions(TOKEN).is_good(cookie, now), "a restart logs nobody out"
    assert not Sessions(TOKEN + "x").is_good(cookie, now), "another token does"
    assert not sessions.is_good(cookie, now + timedelta(days=31))
    name, until, signature = cookie.split(".")
    assert not sessions.is_good(f"{name}.{int(until) + 1}.{signature}", now)
    for odd in ("", ".", "..", "a.b.c", "\udcff.1.2", cookie + "é"):
        assert not sessions.is_good(odd, now)
    assert sessions.is_form_token(sessions.form_token(cookie), cookie)
    assert not sessions.is_form_token(sessions.form_token(cookie), sessions.cookie(now))
    assert not sessions.is_form_token("é", cookie)


def test_guessing_is_slow() -> None:
    """After a few wrong tokens nobody may try for a while."""
    now = datetime(2026, 11, 22, tzinfo=UTC)
    attempts = Attempts()
    for _ in range(ATTEMPTS):
        assert attempts.wait(now) is None
        attempts.failed(now)
    assert attempts.wait(now) == WITHIN
    assert attempts.wait(now + WITHIN) is None


@pytest.mark.parametrize(
    ("listen", "header", "known"),
    [
        ("127.0.0.1:8760", "localhost:8760", True),
        ("127.0.0.1:8760", "127.0.0.1", True),
        ("127.0.0.1:8760", "[::1]:8760", True),
        ("127.0.0.1:8760", "192.168.1.5:8760", False),
        ("0.0.0.0:8760", "192.168.1.5:8760", True),
        ("0.0.0.0:8760", "evil.example", False),
        ("0.0.0.0:8760", "Status.Example.org", True),
        ("unix:/run/x.sock", "status.example.org", True),
        ("unix:/run/x.sock", "evil.example", False),
        ("127.0.0.1:8760", "localhost:99999999", False),
        ("127.0.0.1:8760", "[::1", False),
    ],
)
def test_hosts(listen: str, header: str, known: bool) -> None:
    """Known are the configured names, ours, and numbers, which nobody's DNS was pointed at."""
    address = parse_address(listen)
    names = hosts_of(address, ["status.example.org"])
    assert is_known_host(header, names, address) is known


def test_a_unix_socket_is_its_owners(tmp_path: Path) -> None:
    """`listen: unix:PATH` answers there, for its owner alone, takes a dead socket's place and leaves none behind."""
    path = tmp_path / "page.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with served(settings_for_page(tmp_path, web={"listen": f"unix:{path}"})):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        with socket.socket(socket.AF_UNIX) as asker:
            asker.settimeout(30)
            asker.connect(str(path))
            asker.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            assert asker.recv(100).startswith(b"HTTP/1.1 200")
    assert not path.exists()


def test_a_port_in_use_is_told_and_stops_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another program has the port: log and `status` say so, and the daemon goes on."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        listen = f"127.0.0.1:{other.getsockname()[1]}"
        settings = settings_for_page(tmp_path, web={"listen": listen})
        with living_with_page(settings) as life:
            assert life.desk is not None
            wait_for(lambda: life.page().trouble)
            trouble = life.page().trouble
    assert trouble is not None
    assert trouble.code == "page-address-in-use"
    assert listen in trouble.message
    assert capsys.readouterr().err.count("page-unavailable") == 1


@pytest.mark.parametrize(
    ("web", "said"),
    [
        ("{listen: '0.0.0.0:8760'}", "a token is required"),
        ("{listen: 'status.example.org:80'}", "a token is required"),
        ("{listen: '[::]:8760'}", "a token is required"),
        ("{listen: 'nowhere'}", "is no address"),
        ("{listen: '127.0.0.1:99999'}", "is no address"),
        ("{listen: 'unix:page.sock'}", "absolute/path"),
        ("{token: short}", "at least 16"),
        ("{token: 0123456789abcdef, token_file: x}", "two answers"),
        ("{lisen: x}", "did you mean listen?"),
        ("7", "must be a mapping"),
    ],
)
def test_a_page_that_cannot_be_is_told(tmp_path: Path, web: str, said: str) -> None:
    """What is wrong with `web:` is told with its key, before anything is started."""
    config = tmp_path / "asrwatch.yaml"
    config.write_text(f"web: {web}\n")
    with pytest.raises(ConfigError) as caught:
        load(config)
    assert said in caught.value.message
    assert "web" in caught.value.message


@pytest.mark.parametrize(
    ("web", "listens"),
    [("off", None), ("on", "127.0.0.1:8760"), ("{listen: '[::1]:0'}", "[::1]:0")],
)
def test_the_page_can_be_switched_off(tmp_path: Path, web: str, listens: str | None) -> None:
    """`web: off` serves none; left out, it is on loopback."""
    config = tmp_path / "asrwatch.yaml"
    config.write_text(f"web: {web}\n")
    settings = load(config)
    assert (settings.web.listen if settings.web else None) == listens


def test_a_token_file_that_comes_late(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without its token file, or with one that others can read, there is no page; it says why, and all else goes on."""
    token = tmp_path / "token"
    settings = settings_for_page(tmp_path, web={"listen": "127.0.0.1:0", "token_file": str(token)})
    with living_with_page(settings) as life:
        wait_for(lambda: life.page().trouble)
        trouble = life.page().trouble
        assert life.daemon is not None
        assert not life.daemon.stopping
    assert trouble is not None
    assert trouble.code == "page-token"
    assert "cannot be read" in trouble.message
    token.write_text(TOKEN)
    token.chmod(0o644)
    with living_with_page(settings) as life:
        wait_for(lambda: life.page().trouble)
        trouble = life.page().trouble
    assert trouble is not None
    assert "is no secret" in trouble.message
    assert TOKEN not in capsys.readouterr().err


def test_a_page_that_breaks_is_not_the_daemons(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An error nobody foresaw in the page is logged and told, and the daemon goes on."""
    settings = settings_for_page(tmp_path)

    def break_it(life: Served) -> None:
        assert life.desk is not None
        tell, told = life.desk.tell_of_page, []

        def broken(seen: PageSeen) -> None:
            told.append(seen)
            if len(told) == 1:
                raise ZeroDivisionError("oops")
            tell(seen)

        life.desk.tell_of_page = broken  # type: ignore[method-assign] # as a bug would

    with living_with_page(settings, meddle=break_it) as life:
        wait_for(lambda: life.page().trouble)
        trouble = life.page().trouble
        assert life.daemon is not None
        assert not life.daemon.stopping
    assert trouble is not None
    assert trouble.code == "page-died"
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_wrong_tokens_are_counted(tmp_path: Path) -> None:
    """After ten wrong tokens even the right one has to wait, and who is in stays in [X20]."""
    web = {"listen": "127.0.0.1:0", "token": TOKEN}
    with served(settings_for_page(tmp_path, web=web)) as inside:
        assert inside.send("/login", {"token": TOKEN}).status == 303
        outside = Visitor(inside.url)
        for _ in range(ATTEMPTS):
            assert outside.send("/login", {"token": "wrong"}).status == 403
        told = outside.send("/login", {"token": TOKEN})
        assert told.status == 429
        assert 0 < int(told.headers["retry-after"]) <= 61
        assert inside.ask("/recordings").status == 200


def test_check_says_where_the_page_would_be(tmp_path: Path) -> None:
    """`asrwatch check` tries address and token: good, in use, without its token file, or switched off."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = f"127.0.0.1:{other.getsockname()[1]}"
        found = [
            next(page_findings(settings_for_page(tmp_path, web=web), None))
            for web in (
                {"listen": "127.0.0.1:0"},
                {"listen": taken},
                {"listen": "0.0.0.0:0", "token_file": "missing"},
                False,
            )
        ]
    assert [each.level for each in found] == [Level.OK, Level.WARN, Level.WARN, Level.OK]
    assert "for everybody on this machine" in found[0].said
    assert taken in found[1].said
    assert "cannot be read" in found[2].said
    assert "switched off" in found[3].said


def test_who_asks_nothing_is_hung_up_on() -> None:
    """Connections on which no request comes keep nobody else from the page; one that hears events stays."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        del receive
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x", "more_body": True})
        if scope["path"] == "/events":
            await asyncio.sleep(3)
        await send({"type": "http.response.body", "body": b"end"})

    async def told() -> tuple[bytes, ...]:
        config = uvicorn.Config(
            app, http=Patient, lifespan="off", log_config=None, timeout_keep_alive=1
        )
        server = uvicorn.Server(config)
        with socket.socket() as listening:
            listening.bind(("127.0.0.1", 0))
            serving = asyncio.create_task(server.serve(sockets=[listening]))

            async def ask(sent: bytes) -> bytes:
                reading, writing = await asyncio.open_connection(*listening.getsockname())
                writing.write(sent)
                async with asyncio.timeout(30):
                    answer = await reading.read()
                writing.close()
                return answer

            while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
                await asyncio.sleep(0.01)
            whole = b" HTTP/1.1\r\nHost: x\r\n\r\n"
            answers = await asyncio.gather(
                ask(b""),
                ask(b"GET / HTTP/1.1\r\nHo"),
                ask(b"GET /" + whole + b"GET / HT"),
                ask(b"GET /events" + whole),
            )
            server.should_exit = True
            await serving
        return tuple(answers)

    silent, half, one_and_a_half, events = asyncio.run(told())
    assert (silent, half) == (b"", b"")
    assert one_and_a_half.count(b"end") == 1
    assert events.count(b"end") == 1

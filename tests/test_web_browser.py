"""The status page in a real browser: live, heard, acted upon, on a phone, in the dark, by keyboard."""

import re
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from browser_helpers import browsing, visiting
from conftest import Keep
from e2e_helpers import Installed
from playwright.sync_api import Browser, Page, expect
from wait_helpers import wait_for
from wav_helpers import write_wav

from asrwatch.sandbox import Knobs, Said, Sandbox, Scripted

pytestmark = pytest.mark.xdist_group("browser")  # what they share is made once

PHONE = {"width": 375, "height": 740}
SAID = "The first sentence is short. The <b>second</b> one <script>alert(1)</script> is not. A third ends it."
EVIL = "<img src=x onerror=alert(1)> 'quoted'.wav"


@dataclass(frozen=True)
class Home:
    """A daemon with its page, a sandbox, and what has been delivered there before any test."""

    installed: Installed
    sandbox: Sandbox
    url: str


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One for all tests of this module."""
    with browsing() as made:
        yield made


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """With a recording that was delivered, and one that failed."""
    root = tmp_path_factory.mktemp("home")
    said = Said(text=SAID, seconds=12.0)
    with Sandbox(recogniser=Scripted(lambda _: said), knobs=Knobs(rate_limits=False)) as sandbox:
        installed = Installed(
            root=root,
            url=sandbox.url,
            key=sandbox.key,
            inbox_keys={"words": True},
            more={"web": {"listen": "127.0.0.1:0"}},
        )
        write_wav(installed.inbox / "talk.wav", seconds=12)
        write_wav(installed.inbox / EVIL, seconds=3, number=2)
        (installed.inbox / "broken.wav").write_bytes(b"this is no recording " * 99)
        process = installed.start()
        try:
            installed.text_of("talk")
            wait_for(lambda: installed.status()["page"])
            yield Home(installed, sandbox, installed.status()["page"])
            assert installed.stop(process) == 0
        finally:
            installed.kill_all()


def open_story(page: Page, url: str, name: str) -> None:
    """Go to a recording's page through the list."""
    page.goto(f"{url}recordings")
    page.get_by_role("link", name=name, exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(name)


def test_a_recording_is_seen_on_its_way(browser: Browser, home: Home) -> None:
    """Dropped while the page is open, it appears and passes through its states without a reload."""
    home.sandbox.knobs = replace(home.sandbox.knobs, queue_time=timedelta(seconds=1.5))
    with visiting(browser, home.url) as page:
        page.evaluate(
            """() => {
                window.seen = [];
                const look = () => {
                    const row = [...document.querySelectorAll("tr[data-recording]")]
                        .find((each) => each.textContent.includes("fresh.wav"));
                    if (row && window.seen.at(-1) !== row.dataset.state) window.seen.push(row.dataset.state);
                };
                new MutationObserver(look).observe(document.body, { childList: true, subtree: true });
            }"""
        )
        expect(page.locator("[data-live]")).to_have_text("live")
        before = int(page.locator('[data-count="delivered"]').inner_text())
        write_wav(home.installed.inbox / "fresh.wav", seconds=2, number=7)
        row = page.locator("tr", has_text="fresh.wav")
        expect(row.locator(".badge")).to_have_text("submitted")
        expect(row.locator(".badge")).to_have_text("delivered")
        expect(page.locator('[data-count="delivered"]')).to_have_text(str(before + 1))
        seen = page.evaluate("window.seen")
        assert seen[-1] == "delivered"
        assert "submitted" in seen
    home.sandbox.knobs = replace(home.sandbox.knobs, queue_time=timedelta(0))


def test_a_clicked_word_is_heard(browser: Browser, home: Home) -> None:
    """A click on a word plays from there; what is said is marked as it is said; a sentence by keyboard, too."""
    with visiting(browser, home.url) as page:
        open_story(page, home.url, "talk.wav")
        word = page.locator(".w", has_text="ends")
        word.click()
        at = float(word.get_attribute("data-at") or 0)
        assert at > 4
        words = f"{page.url}/words"
        told = page.request.get(words).json()
        assert [sentence[0] for sentence in told] == [0, 1, 2]
        page.reload()
        expect(page.locator(".transcript.ready")).to_be_visible()
        assert page.request.get(words).json() == told
        word.click()
        moved = "(at) => document.querySelector('audio').currentTime > at + 0.2"
        page.wait_for_function(moved, arg=at)
        assert page.evaluate("document.querySelector('audio').currentTime") < 12
        expect(page.locator("p.now")).to_contain_text("A third")
        expect(page.locator(".w.now")).to_have_count(1)
        page.evaluate("document.querySelector('audio').pause()")
        first = page.get_by_role("link", name="0:00")
        first.focus()
        page.keyboard.press("Enter")
        expect(page.locator("p.now")).to_contain_text("The first")
        expect(page.locator(".w.now")).to_have_text("first")
        page.evaluate("document.querySelector('audio').pause()")


def test_what_people_wrote_stays_text(browser: Browser, home: Home) -> None:
    """Markup in names and transcripts is shown, not obeyed: no script of theirs runs, no element is made [X20]."""
    with visiting(browser, home.url) as page:
        open_story(page, home.url, EVIL)
        transcript = page.locator(".transcript")
        expect(transcript).to_contain_text("<script>alert(1)</script>")
        assert page.locator(".transcript b:not(.who), main img, main script").count() == 0
        page.goto(f"{home.url}recordings?q=%3Cscript%3E%22'&inbox=%22%3E%3Cb%3E")
        expect(page.get_by_role("searchbox")).to_have_value("<script>\"'")


def test_a_failed_one_is_retried(browser: Browser, home: Home) -> None:
    """Its page says why it failed and what to do; mended, one button takes it up again, and it is delivered."""
    with visiting(browser, home.url) as page:
        open_story(page, home.url, "broken.wav")
        expect(page.locator(".notice.bad")).to_contain_text("What to do")
        write_wav(home.installed.inbox / "later.wav", seconds=2, number=9)
        open_story_when_there(page, home, "later.wav")
        page.get_by_text("Forget", exact=True).first.click()
        page.get_by_role("button", name="Forget").click()
        expect(page.locator(".notice.good")).to_contain_text("It is forgotten")
        open_story(page, home.url, "broken.wav")
        page.get_by_text("Retry", exact=True).first.click()
        page.get_by_role("button", name="Retry").click()
        expect(page.locator(".notice.good")).to_contain_text("It starts over from the file.")
        expect(page.locator(".events")).to_contain_text("a person asked for it again")


def open_story_when_there(page: Page, home: Home, name: str) -> None:
    """Once it has been delivered."""
    home.installed.text_of(Path(name).stem)
    page.goto(f"{home.url}recordings?state=delivered")
    expect(page.get_by_role("link", name=name, exact=True)).to_be_visible()
    open_story(page, home.url, name)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_it_all(browser: Browser, home: Home, scheme: str) -> None:
    """At a phone's width nothing sticks out; by night it is dark; and nothing is wrong by axe's rules."""
    with visiting(browser, home.url, viewport=PHONE, color_scheme=scheme) as page:
        pages = ["", "recordings", "recordings?state=failed"]
        for place in (*pages, None):
            if place is None:
                open_story(page, home.url, "talk.wav")
            else:
                page.goto(home.url + place)
            for details in page.locator("details").all():
                details.evaluate("(each) => { each.open = true; }")
            sticks_out = (
                "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            )
            assert page.evaluate(sticks_out) == 0, place
            brightness = page.evaluate(
                "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3).map(Number)"
            )
            assert (sum(brightness) < 3 * 80) is (scheme == "dark")
            found = Axe().run(page)
            assert found.violations_count == 0, found.generate_report()


def test_chinese_for_who_reads_it(browser: Browser, home: Home) -> None:
    """The browser's language is the page's: headings, states and what the daemon says are Chinese."""
    with visiting(browser, home.url, locale="zh-CN") as page:
        assert page.locator("html").get_attribute("lang") == "zh"
        expect(page.get_by_role("heading", level=1)).to_have_text(re.compile("^[\u4e00-\u9fff]+$"))
        expect(page.locator("tr .badge.delivered").last).to_have_text("已交付")


def test_the_keyboard_is_enough(browser: Browser, home: Home) -> None:
    """The first Tab offers to skip to the content; everything that can be done has focus sooner or later."""
    with visiting(browser, home.url) as page:
        open_story(page, home.url, "talk.wav")
        page.keyboard.press("Tab")
        expect(page.locator(":focus")).to_have_text("Skip to the content")
        reached = set()
        for _ in range(40):
            page.keyboard.press("Tab")
            told = page.evaluate(
                "[document.activeElement.tagName, document.activeElement.textContent.trim().slice(0, 20)].join(' ')"
            )
            reached.add(told)
        for wanted in (
            "SUMMARY Deliver again",
            "SUMMARY Forget",
            "A 0:00",
            "A Download the recordi",
        ):
            assert any(each.startswith(wanted) for each in reached), (wanted, reached)
        assert any(each.startswith("AUDIO") for each in reached)


def test_tabs_nobody_sees_hold_no_connection(browser: Browser, home: Home) -> None:
    """A tab that is not looked at hangs up, as browsers have six connections for all; seen again, it catches up."""

    def turns(page: Page, hidden: bool) -> None:
        page.evaluate(
            """(hidden) => {
                Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
                document.dispatchEvent(new Event("visibilitychange"));
            }""",
            hidden,
        )

    with visiting(browser, f"{home.url}recordings") as first:
        expect(first.locator("[data-live]")).to_have_text("live")
        turns(first, hidden=True)
        for _ in range(7):
            page = first.context.new_page()
            page.goto(home.url)
            expect(page.locator("[data-live]")).to_have_text("live")
            turns(page, hidden=True)
        write_wav(home.installed.inbox / "meanwhile.wav", seconds=2, number=31)
        home.installed.text_of("meanwhile")
        assert first.locator("tr", has_text="meanwhile.wav").count() == 0
        turns(first, hidden=False)
        expect(first.locator("tr", has_text="meanwhile.wav").locator(".badge")).to_have_text(
            "delivered"
        )


def test_a_row_without_news_of_its_own_is_looked_up(browser: Browser, home: Home) -> None:
    """Of a burst only the newest rows are sent; a page that shows another of those that changed looks for itself."""
    with visiting(browser, f"{home.url}recordings?q=talk.wav") as page:
        expect(page.locator("[data-live]")).to_have_text("live")
        row = page.locator("tr[data-recording]")
        number = int(row.get_attribute("data-recording") or 0)
        told = f'event: change\ndata: {{"ids": [{number}], "rows": {{}}}}\n\n'
        page.route(
            "**/events*",
            lambda route: route.fulfill(content_type="text/event-stream", body=told),
        )
        with page.expect_request(lambda asked: asked.resource_type == "fetch") as looked:
            page.reload()
        assert looked.value.url == page.url
        expect(row.locator(".badge")).to_have_text("delivered")


def test_a_click_meets_what_was_pressed(browser: Browser, home: Home) -> None:
    """While a button of the mouse is down nothing is exchanged under it; what came meanwhile is shown after it."""
    with visiting(browser, home.url) as page:
        expect(page.locator("[data-live]")).to_have_text("live")
        page.get_by_role("link", name="All recordings").hover()
        page.mouse.down()
        write_wav(home.installed.inbox / "pressed.wav", seconds=2, number=33)
        home.installed.text_of("pressed")
        page.wait_for_timeout(1500)
        assert page.locator("tr", has_text="pressed.wav").count() == 0
        page.mouse.move(2, 2)
        page.mouse.up()
        expect(page.locator("tr", has_text="pressed.wav").locator(".badge")).to_have_text(
            "delivered"
        )


def test_a_restart_under_an_open_page(browser: Browser, tmp_path: Path) -> None:
    """The page says that nobody is there; afterwards it goes on as it is: what was typed stays, its buttons work."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    installed = Installed(
        root=tmp_path, url="http://127.0.0.1:9", more={"web": {"listen": f"127.0.0.1:{port}"}}
    )
    for name in ("one.wav", "two.wav"):
        (installed.inbox / name).write_bytes(b"this is no recording " * 99)
    try:
        process = installed.start()
        wait_for(lambda: installed.status()["page"])
        url = f"http://127.0.0.1:{port}/"
        with visiting(browser, url, expected=("net::ERR_",)) as page:
            open_story(page, url, "one.wav")
            page.get_by_text("Forget", exact=True).first.click()
            form = page.locator("input[name=form]").first
            before = form.input_value()
            other = page.context.new_page()
            other.goto(f"{url}recordings")
            other.get_by_role("searchbox").fill("half a word")
            assert installed.stop(process) == 0
            for each in (page, other):
                expect(each.locator("[data-live]")).to_have_text("not connected")
            (installed.inbox / "three.wav").write_bytes(b"nor is this " * 99)
            process = installed.start()
            for each in (page, other):
                expect(each.locator("[data-live]")).to_have_text("live")
            expect(other.locator("tr", has_text="three.wav").locator(".badge")).to_have_text(
                "failed"
            )
            expect(other.get_by_role("searchbox")).to_have_value("half a word")
            expect(form).not_to_have_value(before)
            page.get_by_role("button", name="Forget").click()
            expect(page.locator(".notice.good")).to_contain_text("It is forgotten")
        assert installed.stop(process) == 0
    finally:
        installed.kill_all()


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_twelve_hours_stay_smooth(
    browser: Browser, tmp_path: Path, rounds: Callable[[int, int], int], promise: Keep
) -> None:
    """A transcript of twelve hours is shown, scrolled through and played with few words laid out at any moment."""
    hours = rounds(12, 12)
    sentences = hours * 60 * 12
    text = " ".join(
        f"Sentence {n} is one of very many in this long recording." for n in range(sentences)
    )
    said = Said(text=text, seconds=hours * 3600.0)
    with Sandbox(recogniser=Scripted(lambda _: said), knobs=Knobs(rate_limits=False)) as sandbox:
        installed = Installed(
            root=tmp_path,
            url=sandbox.url,
            key=sandbox.key,
            inbox_keys={"words": True},
            more={"web": {"listen": "127.0.0.1:0"}},
        )
        write_wav(installed.inbox / "long.wav", seconds=30)
        installed.start()
        try:
            installed.text_of("long")
            wait_for(lambda: installed.status()["page"])
            with visiting(browser, installed.status()["page"]) as page:
                begun = time.monotonic()
                page.get_by_role("link", name="long.wav", exact=True).click()
                expect(page.locator(".transcript.ready")).to_be_visible()
                shown = time.monotonic() - begun
                assert page.locator("p[data-s]").count() == sentences
                most = 0
                for part in range(11):
                    page.evaluate(
                        "(part) => scrollTo(0, part / 10 * document.documentElement.scrollHeight)",
                        part,
                    )
                    page.wait_for_timeout(200)
                    most = max(most, page.locator(".w").count())
                last = page.locator(f'p[data-s="{sentences - 1}"]')
                last.scroll_into_view_if_needed()
                expect(last.locator(".w").first).to_be_visible()
                halving = page.evaluate(
                    """() => {
                        const sound = document.querySelector("audio");
                        const begun = performance.now();
                        for (let n = 0; n < 200; n += 1) sound.dispatchEvent(new Event("timeupdate"));
                        return (performance.now() - begun) / 200;
                    }"""
                )
        finally:
            installed.kill_all()
    words = sentences * 10
    promise(
        "a transcript of 12 hours in the browser",
        promised="at most 1 of 20 words laid out, a mark within 16 ms",
        measured=f"{most} of {words} words, mark {halving:.2f} ms, shown after {shown:.1f} s",
    )
    assert 0 < most < words / 20
    assert halving < 16

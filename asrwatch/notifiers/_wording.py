"""News in words, for people: a title of one line and a body of a few."""

from collections.abc import Iterator
from pathlib import PurePath

from asrwatch.news import About, Day, News, Standstill
from asrwatch.values import counted, format_hours, format_money, printable
from asrwatch.words import Language, shown

__all__ = ["body", "title"]

LISTED = 10
"""How many of many a person wants to read."""


def title(news: News, language: Language = "en") -> str:
    """What happened, in one line."""
    return shown(_title(news), language)


def body(news: News, language: Language = "en") -> str:
    """What a person should know and do, in plain text; a transcript's own text stays as it is."""
    return "\n".join(
        line if is_text else shown(line, language) for line, is_text in _marked_lines(news)
    )


def _title(news: News) -> str:
    match news.kind:
        case "test":
            return "asrwatch: this is a test message"
        case "digest":
            return _digest_title(news.day)
        case "held" | "healed":
            return _standstill_title(news)
        case kind:
            what = {
                "delivered": "transcribed",
                "failed": "failed",
                "parked": "parked: a person must decide",
            }[kind]
            if news.count == 1 and news.recordings:
                return f"asrwatch: {_name(news.recordings[0])} {what}"
            inboxes = f" in {', '.join(map(printable, news.inboxes))}" if news.inboxes else ""
            return f"asrwatch: {counted(news.count, 'recording')} {what}{inboxes}"


def _marked_lines(news: News) -> Iterator[tuple[str, bool]]:
    """Each line, and whether it is a transcript's text."""
    for about in (None, *news.recordings[:LISTED]):
        lines = _lines_before(news) if about is None else _about_lines(about)
        for line in lines:
            yield line, False
        if about is not None and about.text is not None:
            yield about.text + (" [...]" if about.text_is_cut else ""), True
    for line in _lines_after(news):
        yield line, False


def _lines_before(news: News) -> Iterator[str]:
    if news.kind == "test":
        yield "If you can read this, asrwatch can reach you."
    if news.day is not None:
        yield from _day_lines(news.day)
    if len(news.reasons) > 1 or news.count > 1:
        told = ", ".join(f"{number} {printable(code)}" for code, number in news.reasons.items())
        if told:
            yield f"By reason: {told}"


def _lines_after(news: News) -> Iterator[str]:
    for standstill in news.standstills[:LISTED]:
        yield from _standstill_lines(standstill, healed=news.kind == "healed")
    shown = min(LISTED, len(news.recordings) or len(news.standstills))
    more = news.count - shown if shown and news.day is None else 0
    if more > 0:
        yield f"and {more} more: see asrwatch status"


def _digest_title(day: Day | None) -> str:
    if day is None:
        return "asrwatch: the day"
    told = [f"{day.delivered} transcribed"]
    told += [f"{day.failed} failed"] if day.failed else []
    told += [f"{day.parked} parked"] if day.parked else []
    return f"asrwatch: {', '.join(told)}"


def _standstill_title(news: News) -> str:
    first = news.standstills[0] if news.standstills else None
    if first is None or news.count > 1:
        state = "over" if news.kind == "healed" else "keep recordings waiting"
        return f"asrwatch: {counted(news.count, 'trouble')} {state}"
    which = {"engine": "", "inbox": "inbox ", "disk": "disk "}[first.what]
    named = "every engine" if first.which == "*" else f"{which}{printable(first.which)}"
    state = "works again" if news.kind == "healed" else "waits"
    return f"asrwatch: {named} {state} ({printable(first.code)})"


def _about_lines(about: About) -> Iterator[str]:
    name = printable(about.path)
    if about.state == "delivered":
        yield f"{name}: {', '.join(_base(path) for path in about.outputs) or 'delivered'}"
    elif about.message:
        why = printable(about.message)
        yield why if why.startswith(name) else f"{name}: {why}"
    else:
        yield name
    if about.advice:
        yield f"  {printable(about.advice)}"


def _standstill_lines(standstill: Standstill, *, healed: bool) -> Iterator[str]:
    if healed:
        since = standstill.since.astimezone().strftime("%Y-%m-%d %H:%M")
        yield f"It is over, and was so since {since}: {printable(standstill.message)}"
        return
    yield printable(standstill.message)
    if standstill.advice:
        yield f"  {printable(standstill.advice)}"


def _day_lines(day: Day) -> Iterator[str]:
    begin, end = (each.astimezone().strftime("%Y-%m-%d %H:%M") for each in (day.begin, day.end))
    yield f"{begin} to {end}: {counted(day.delivered, 'recording')} transcribed, {format_hours(day.audio)} of audio"
    spent = format_money(day.money, day.currency)
    yield f"{counted(day.requests, 'request')}, {format_hours(day.billed)} billed, {spent} spent at most"
    if day.failed or day.parked:
        yield f"{day.failed} failed, {day.parked} parked"
    if day.waiting_failed or day.waiting_parked:
        yield f"Waiting for a person: {day.waiting_failed} failed, {day.waiting_parked} parked"


def _name(about: About) -> str:
    return printable(_base(about.path))


def _base(path: str) -> str:
    return printable(PurePath(path).name or path)

"""Finds the rows of a table that a composed English text was made of, and puts it together again in Chinese.

A text is cut at its joints (sentences, commas, colons, brackets); the stretches between them are looked up, and of all
ways to cut it the one counts that recognises the most letters. What no row knows stays as it is, so that a name or a
word of the cloud's is never lost. The work is bounded, whatever a file is called.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

__all__ = ["PLACEHOLDER", "Table", "Template"]

PLACEHOLDER: Final = re.compile(r"\{([a-z_][a-z0-9_]*)([*#]?)\}")

_WORD: Final = re.compile(r"[A-Za-z]{2,}")
_JOINT: Final = re.compile(r"(?<=[.!?)\]])\s+|(?:[:,;]|\s->)\s+|\s+(?=[(\[])")
_NUMBER: Final = re.compile(r"-?\d[\w.:%/+ -]{0,40}")
_DURATION: Final = re.compile(r"-?\d+(?:\.\d+)?(?:ms|[dhms])(?: \d+[hms])?")
_UNITS: Final = {"ms": "毫秒", "d": "天", "h": "小时", "m": "分", "s": "秒"}
_BRACKETS: Final = {"(": ("(", ")", "（", "）"), "[": ("[", "]", "[", "]")}
_JOINTS: Final = {",": "，", ";": "；", ":": "：", "->": " -> "}

_LONGEST: Final = 4000
"""Texts of more letters are shown as they are: none of ours is so long."""
_STRETCHES: Final = 24
"""So many joints are looked at together; a longer text is taken by instalments."""
_DEEPEST: Final = 5
_LOOKUPS: Final = 1500
"""So many stretches of one line are looked up at most: names that are made of our own words would cost the most."""
_REMEMBERED: Final = 4096


@dataclass(frozen=True, slots=True)
class _Said:
    """What a stretch of text is in Chinese, and how many English letters of it were recognised."""

    text: str
    known: int


class Template:
    """One row: finds its English in a text, and says it in Chinese with the values from there.

    Args:
        english: with `{names}`; no two of them side by side.
        chinese: with the same names, each as `{name}`, `{name*}` or `{name#}`.
    """

    __slots__ = ("chinese", "key", "known", "literals", "names", "numbers")

    def __init__(self, english: str, chinese: str) -> None:
        parts = PLACEHOLDER.split(english)
        self.literals = parts[::3]
        self.names = parts[1::3]
        self.known = sum(character.isalpha() for part in self.literals for character in part)
        self.chinese = PLACEHOLDER.split(chinese)
        self.numbers = frozenset(
            name
            for name, kind in zip(self.chinese[1::3], self.chinese[2::3], strict=True)
            if kind == "#"
        )
        words = [word for part in self.literals for word in _WORD.findall(part)]
        self.key = max(words, key=len, default="")

    def values(self, text: str) -> Iterator[dict[str, str]]:
        """What stands in the places of the names: as little as possible in the first, or in the last of them."""
        first, *middle, last = self.literals
        end = len(text) - len(last)
        if end < len(first) or not (text.startswith(first) and text.endswith(last)):
            return
        told = None
        for found in (
            _from_left(text, middle, len(first), end),
            _from_right(text, middle, len(first), end),
        ):
            if found is None or found == told:
                continue
            told = found
            values = dict(zip(self.names, found, strict=True))
            if all(_NUMBER.fullmatch(values.get(name, "")) for name in self.numbers):
                yield values


class Table:
    """All rows; see the module's docstring for how they are found."""

    def __init__(self, rows: Mapping[str, str]) -> None:
        self._exact: dict[str, str] = {}
        self._by_word: dict[str, list[Template]] = {}
        self._remembered: dict[str, str] = {}
        for english, chinese in rows.items():
            for form in _forms(english):
                self._add(form, chinese)

    def _add(self, english: str, chinese: str) -> None:
        # Only a blank stands between a message and its advice: they are found together, and told apart later.
        if english.endswith("{message} {advice}"):
            english, chinese = english.removesuffix(" {advice}"), chinese.replace("{advice*}", "")
        if not PLACEHOLDER.search(english):
            self._exact[english] = chinese
            return
        template = Template(english, chinese)
        self._by_word.setdefault(template.key, []).append(template)

    def shown(self, text: str) -> str:
        """A text in Chinese, line by line; indentation and what is not known stay."""
        if text in self._exact:
            return self._exact[text]
        if len(text) > _LONGEST:
            return text
        if len(self._remembered) > _REMEMBERED:
            self._remembered = {}  # a new one, since another thread may be reading the old one
        return "\n".join(self._line(line) for line in text.split("\n"))

    def _line(self, line: str) -> str:
        bare = line.strip()
        if not bare:
            return line
        remembered = self._remembered.get(bare)
        if remembered is None:
            remembered = self._remembered[bare] = self._read(bare)
        before, _, after = line.partition(bare)
        return f"{before}{remembered}{after}"

    def _read(self, line: str) -> str:
        if line.endswith(":"):  # what it announces stands in the lines below
            said = _Reading(self).said(line[:-1], 0)
            return f"{said.text}{'：' if said.known else ':'}"
        return _Reading(self).said(line, 0).text

    def exact(self, text: str) -> str | None:
        """The row without values that says this, if there is one."""
        return self._exact.get(text)

    def told_by(self, text: str) -> Iterator[tuple[Template, dict[str, str]]]:
        """The rows with values that this may be made from, and the values."""
        for word in set(_WORD.findall(text)):
            for template in self._by_word.get(word, ()):
                for values in template.values(text):
                    yield template, values


class _Reading:
    """One line being read."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._left = _LOOKUPS
        self._remembered: dict[tuple[str, int], _Said] = {}

    def said(self, text: str, depth: int) -> _Said:
        """A stretch in Chinese: as one row says it, or cut, whichever is better."""
        remembered = self._remembered.get((text, depth))
        if remembered is None:
            whole, cut = self._whole(text, depth), self._cut(text, depth)
            remembered = cut if whole is None or cut.known > whole.known else whole
            self._remembered[text, depth] = remembered
        return remembered

    def _cut(self, text: str, depth: int) -> _Said:
        joints = list(_JOINT.finditer(text))
        if not joints:
            return self._alone(text, depth)
        said, known, at = "", 0, 0
        while at < len(text):
            here = [joint for joint in joints if joint.start() >= at][:_STRETCHES]
            until = here[-1].end() if len(here) == _STRETCHES else len(text)
            part = self._best(text[at:until], depth)
            said, known, at = said + part.text, known + part.known, until
        return _Said(said, known)

    def _best(self, text: str, depth: int) -> _Said:
        """The way to cut a text that recognises the most of it: from the end on, what is best from each joint."""
        joints = list(_JOINT.finditer(text))
        starts = [0, *(joint.end() for joint in joints)]
        ends = [*(joint.start() for joint in joints), len(text)]
        best: list[_Said] = [_Said("", 0)] * (len(starts) + 1)
        for first in range(len(starts) - 1, -1, -1):
            ways = []
            for last in range(first, len(starts)):
                stretch = text[starts[first] : ends[last]]
                here = self._whole(stretch, depth) if last > first or stretch != text else None
                if here is None and (last == first or stretch[:1] in _BRACKETS):
                    here = self._alone(stretch, depth)
                if here is not None:
                    rest = best[last + 1]
                    joint = text[ends[last] : starts[last + 1]] if last + 1 < len(starts) else ""
                    both = here.known + rest.known
                    ways.append(_Said(here.text + _joined(joint, here, rest) + rest.text, both))
            best[first] = max(
                ways, key=lambda way: way.known
            )  # of equals the first: the finest cut
        return best[0]

    def _whole(self, text: str, depth: int) -> _Said | None:
        """A text that one row is enough for."""
        exact = self._table.exact(text)
        if exact is not None:
            return _Said(exact, sum(map(str.isalpha, text)))
        if depth >= _DEEPEST or self._left <= 0:
            return None
        self._left -= 1
        told = [self._told(row, values, depth) for row, values in self._table.told_by(text)]
        return max(told, key=lambda said: said.known, default=None)

    def _told(self, template: Template, values: Mapping[str, str], depth: int) -> _Said:
        known = template.known
        pieces: list[str] = [template.chinese[0]]
        rest = template.chinese[1:]
        for name, kind, literal in zip(rest[::3], rest[1::3], rest[2::3], strict=True):
            value = values[name]
            if kind == "*" and value.strip():
                said = self.said(value.strip(), depth + 1)
                known += said.known
                value = said.text
            elif kind == "#":
                value = _measure(value)
            pieces += [value, literal]
        return _Said("".join(pieces), known)

    def _alone(self, text: str, depth: int) -> _Said:
        """A stretch that no row knows: perhaps it is known without its brackets, or a number of something."""
        brackets = _BRACKETS.get(text[:1])
        if brackets and text.endswith(brackets[1]) and depth < _DEEPEST:
            inner = self.said(text[1:-1], depth + 1)
            if inner.known:
                return _Said(f"{brackets[2]}{inner.text}{brackets[3]}", inner.known)
        number, _, word = text.partition(" ")
        known = self._table.exact(word) if number.isdigit() else None
        if known is not None:
            return _Said(f"{known} {number}", len(word))
        return _Said(text, 0)


def _from_left(text: str, parts: Sequence[str], begin: int, end: int) -> list[str] | None:
    """What lies between the parts, each of them taken as early as it can be."""
    found: list[str] = []
    for part in parts:
        there = text.find(part, begin, end)
        if there < 0:
            return None
        found.append(text[begin:there])
        begin = there + len(part)
    return [*found, text[begin:end]]


def _from_right(text: str, parts: Sequence[str], begin: int, end: int) -> list[str] | None:
    """The same, each of them taken as late as it can be."""
    found: list[str] = []
    for part in reversed(parts):
        there = text.rfind(part, begin, end)
        if there < 0:
            return None
        found.append(text[there + len(part) : end])
        end = there
    return [text[begin:end], *reversed(found)]


def _forms(english: str) -> Sequence[str]:
    """A row as it may be met: what is counted has a singular and a plural."""
    return (
        (english.replace("(s)", ""), english.replace("(s)", "s"))
        if "(s)" in english
        else (english,)
    )


def _joined(joint: str, before: _Said, after: _Said) -> str:
    """What stands between two stretches: Chinese punctuation where one of them is Chinese."""
    if not joint or not (before.known or after.known):
        return joint
    mark = joint.strip()
    if mark == ":" and not before.known:
        return joint  # after a name
    if mark:
        return _JOINTS[mark]
    return "" if before.text[-1:] in "。！？；：）" or after.text[:1] == "（" else " "


def _measure(value: str) -> str:
    """A number as it is; a duration with Chinese units."""
    if not _DURATION.fullmatch(value):
        return value
    return re.sub(r"(\d)(ms|[dhms])\b", lambda found: f"{found[1]} {_UNITS[found[2]]}", value)

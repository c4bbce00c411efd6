"""The Chinese README says what the English one says."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Section:
    """What stands below one heading, as far as it is the same in every language."""

    level: int
    heading: str
    code: tuple[str, ...]
    words: Counter[str]
    links: Counter[str]
    rows: int


def sections(name: str) -> Iterator[Section]:
    """The sections of a README, in order."""
    text = (ROOT / name).read_text(encoding="utf-8")
    blocks = re.findall(r"^```.*?^```$", text, re.MULTILINE | re.DOTALL)
    for number, block in enumerate(blocks):
        text = text.replace(block, f"BLOCK-{number}-", 1)
    for part in re.split(r"^(?=#{1,6} )", text, flags=re.MULTILINE)[1:]:
        heading, _, body = part.partition("\n")
        held = [blocks[int(found)] for found in re.findall(r"BLOCK-(\d+)-", body)]
        yield Section(
            level=len(heading.split(" ")[0]),
            heading=heading,
            code=tuple(without_comments(block) for block in held),
            words=Counter(" ".join(found.split()) for found in re.findall(r"`([^`]+)`", body)),
            links=Counter(
                link for link in re.findall(r"\]\(([^)]+)\)", body) if not link.startswith("README")
            ),
            rows=len(re.findall(r"^\|", body, re.MULTILINE)),
        )


def without_comments(block: str) -> str:
    """Code as machines read it."""
    return "\n".join(re.sub(r"\s*(?<!\S)#.*$", "", line).rstrip() for line in block.splitlines())


def test_the_chinese_readme_has_every_section() -> None:
    """The same sections in the same order, with the same code, tables, links, and names of keys and commands."""
    pairs = zip_longest(sections("README.md"), sections("README.zh-CN.md"))
    behind = []
    for english, chinese in pairs:
        assert english is not None, f"README.md has no section like {chinese}"
        assert chinese is not None, f"README.zh-CN.md lacks {english.heading}"
        for what in ("level", "code", "words", "links", "rows"):
            ours, theirs = getattr(english, what), getattr(chinese, what)
            if ours != theirs:
                lacks, more = (
                    (ours - theirs, theirs - ours) if isinstance(ours, Counter) else (ours, theirs)
                )
                behind.append(f"{english.heading} ({what}): lacks {lacks}, has besides {more}")
    assert behind == []

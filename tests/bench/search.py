"""What the search over transcripts costs: `python tests/bench/search.py [TRANSCRIPTS]` prints a table.

The texts are drawn from words and characters as frequent as in speech (Zipf); ratios are against the same work without
the search in the same run.
"""

import itertools
import random
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from journey_helpers import a_recording

from asrwatch.journey.evidence import Answer
from asrwatch.journey.recording import Recording, State
from asrwatch.journey.store import Search, Store
from asrwatch.journey.transcript import Sentence

NUMBER = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
SENTENCES, WORDS = 4, 12
_TIMES = '{"begin": 1200, "end": 1400}, ' * 40
NOW = datetime.now(tz=UTC)


def cumulated(number: int) -> list[float]:
    """How often each of so many words is said, added up."""
    return list(itertools.accumulate(1 / rank for rank in range(1, number + 1)))


class Speech:
    """Sentences, half of them Chinese."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)  # noqa: S311 - no secret
        letters = "etaoinshrdlcumwfgyp"
        self.words = [
            "".join(self._chance.choices(letters, k=self._chance.randint(2, 9)))
            for _ in range(20_000)
        ]
        self.characters = [chr(each) for each in self._chance.sample(range(0x4E00, 0x9FA5), 3500)]
        self._often = cumulated(len(self.words)), cumulated(len(self.characters))

    def sentences(self, number: int) -> tuple[Sentence, ...]:
        """What is said in one recording."""
        chinese = number % 2
        many = (WORDS * 2) if chinese else WORDS
        told = self.characters if chinese else self.words
        between = "" if chinese else " "
        return tuple(
            Sentence(
                text=between.join(
                    self._chance.choices(told, cum_weights=self._often[chinese], k=many)
                ),
                begin=timedelta(seconds=5 * place),
            )
            for place in range(SENTENCES)
        )


def delivered(speech: Speech, number: int, *, searched: bool) -> tuple[Recording, Recording]:
    """A recording found and delivered."""
    said = speech.sentences(number)
    text = "\n".join(sentence.text for sentence in said)
    path = b"/inbox/%08d.wav" % number
    done = a_recording(
        State.DELIVERED, NOW, path=path, sha256=f"{number:064x}", ticket=f"t{number}"
    )
    raw = f'{{"text": "{text}", "words": [{_TIMES}]}}'.encode()
    assert done.delivery is not None
    delivery = replace(done.delivery, said=said if searched else None)
    return (
        a_recording(State.SETTLED, NOW, path=path),
        replace(done, answer=Answer(raw=raw, received_at=NOW), delivery=delivery),
    )


def filled(folder: Path, *, searched: bool) -> tuple[Store, float, int]:
    """A store with so many transcripts, the CPU seconds their deliveries took, and its size in bytes."""
    speech, store = Speech(1), Store(folder)
    spent = 0.0
    for first in range(1, NUMBER + 1, 32):
        numbers = range(first, min(first + 32, NUMBER + 1))
        made = [delivered(speech, number, searched=searched) for number in numbers]
        begun = time.process_time()
        with store.transaction():
            for settled, done in made:
                added = store.add(settled)
                store.save(added, replace(done, id=added.id))
        spent += time.process_time() - begun
    with store.transaction():
        pages, size = (
            store._run(f"PRAGMA {each}").fetchone()[0] for each in ("page_count", "page_size")
        )
    return store, spent, pages * size


def timed(work: Callable[[], object]) -> float:
    """The best of three, in milliseconds."""
    spans = []
    for _ in range(3):
        begun = time.perf_counter()
        work()
        spans.append(time.perf_counter() - begun)
    return min(spans) * 1000


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        bare, bare_time, bare_size = filled(Path(folder) / "bare", searched=False)
        store, its_time, its_size = filled(Path(folder) / "searched", searched=True)
        rows = [
            ("transcripts", f"{NUMBER}"),
            ("CPU of saving a delivery", f"{its_time / bare_time:.2f} x without the search"),
            ("more for each", f"{(its_time - bare_time) / NUMBER * 1000:.2f} ms"),
            ("size of the database", f"{its_size / bare_size:.2f} x without the search"),
        ]
        speech = Speech(1)
        wanted = {
            "a frequent word": speech.words[0],
            "a rare word": speech.words[3000],
            "a frequent character": speech.characters[0],
            "two frequent characters": speech.characters[0] + speech.characters[1],
            "three rarer characters": "".join(speech.characters[100:103]),
            "three words": " ".join(speech.words[5:8]),
        }
        for name, text in wanted.items():
            search = Search(text=text)
            found = store.find(search)
            count = f"{found.count}{'' if found.ranked else ' and more, newest first'}"
            rows.append(
                (
                    f"find {name} ({count})",
                    f"{timed(partial(store.find, search)):.1f} ms",
                )
            )
        often = Search(text=speech.words[0])
        for name, narrowed in {
            "of an inbox without any": replace(often, inbox="x"),
            "of the inbox that has all": replace(often, inbox="inbox"),
            "of recordings found since, without any": replace(often, since=NOW + timedelta(days=1)),
            "of recordings found since, all of them": replace(often, since=NOW - timedelta(days=1)),
        }.items():
            rows.append((name, f"{timed(partial(store.find, narrowed)):.1f} ms"))
        rows.append(("what happened lately", f"{timed(lambda: store.lately(limit=20)):.1f} ms"))
        with store.transaction():
            store._begin_anew()
        begun, portions, longest = time.process_time(), 0, 0.0
        while store.has_gaps:
            portion = time.perf_counter()
            store.fill(lambda _: None, spend=timedelta(milliseconds=40))
            longest = max(longest, time.perf_counter() - portion)
            portions += 1
        spent = time.process_time() - begun
        rows.append(
            ("the index built anew", f"{spent / NUMBER * 1000:.2f} ms each, in {portions} portions")
        )
        rows.append(("the longest portion", f"{longest * 1000:.0f} ms"))
        bare.close()
        store.close()
        for name, figure in rows:
            print(f"{name:<48}{figure}")


if __name__ == "__main__":
    main()

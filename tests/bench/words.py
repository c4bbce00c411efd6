"""Measure what the language costs: the start of `--help`, and a sentence; print one table.

    .venv/bin/python tests/bench/words.py

Ratios to a bare `import typer` in the same run; a sentence in microseconds of processor time.
"""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

from asrwatch.words.matching import Table
from asrwatch.words.tables import rows

ROUNDS = 15
HELP = [sys.executable, "-c", "from asrwatch.cli import main; main()", "--help"]
TYPER = [sys.executable, "-c", "import typer"]
SENTENCES = (
    "/srv/in/talk.wav is not a recording: it is text.",
    "The audio is longer than its limit. Nothing was sent or paid. Copy it once more, or repair it.",
    "dictation: /srv/in, DEGRADED, watched by poll (the inbox says `watch: poll`), 12 files",
    "12 requests, 10 answered, 2 refused, 3m 07s billed; spent at most 4m 00s, 0.05 CNY",
)


def start(command: list[str], locale: str) -> float:
    """Seconds, the best of several."""
    environment = {**os.environ, "LANG": locale, "LC_ALL": locale}
    spans = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)
        spans.append(time.perf_counter() - begun)
    return min(spans)


def spent(work: Callable[[], object]) -> float:
    """Microseconds of processor time, the median of several."""
    spans = []
    for _ in range(ROUNDS):
        begun = time.process_time()
        work()
        spans.append(1e6 * (time.process_time() - begun))
    return statistics.median(spans)


def main() -> None:
    """Measure, print."""
    bare = start(TYPER, "C.UTF-8")
    print("| what | measured |")
    print("| --- | --- |")
    for locale in ("C.UTF-8", "zh_CN.UTF-8"):
        print(f"| `--help` with {locale} | {start(HELP, locale) / bare:.2f} x `import typer` |")
    print(f"| the table read and made ready | {spent(lambda: Table(rows())) / 1000:.1f} ms |")
    known = rows()

    def afresh(sentence: str) -> Callable[[], object]:
        return lambda: table.shown(sentence)

    for sentence in SENTENCES:
        table = Table(known)
        begun = time.process_time()
        table.shown(sentence)
        first = 1e6 * (time.process_time() - begun)
        print(f"| {sentence[:60]} | {first:.0f} us, again {spent(afresh(sentence)):.1f} us |")


if __name__ == "__main__":
    main()

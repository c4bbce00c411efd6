"""A recogniser that really listens: PocketSphinx in worker processes."""

import asyncio
import contextlib
import importlib.util
import json
import queue
import re
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path, PurePath
from typing import Any, Final

from asrwatch.children import bare_environment
from asrwatch.errors import StartupError
from asrwatch.sandbox.recogniser import (
    Listening,
    Sound,
    TooLong,
    Track,
    Unreadable,
    Utterance,
    Word,
)

__all__ = ["PocketSphinx"]

_LISTENER: Final = Path(__file__).with_name("listener.py")
_NEEDED: Final = ("pocketsphinx", "av")
_LONE_I: Final = re.compile(r"\bi\b")


class PocketSphinx:
    """English speech, recognised on this machine.

    Each stretch of speech becomes one sentence: capitalised, with a full stop, its words' times the
    recogniser's own.

    Args:
        workers: how many processes listen at the same time.
    """

    def __init__(self, *, workers: int = 2) -> None:
        self._count = workers
        self._threads: ThreadPoolExecutor | None = None
        self._idle: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
        self._workers: list[_Worker] = []

    def start(self) -> None:
        """Start the processes, which then load their models; see `Recogniser.start`."""
        for needed in _NEEDED:
            if importlib.util.find_spec(needed) is None:
                raise StartupError(
                    f"The sandbox cannot listen without the Python package {needed}.",
                    code="extra-missing",
                    advice="Install it with: pip install 'asrwatch[sandbox]'",
                )
        self._threads = ThreadPoolExecutor(self._count, thread_name_prefix="sandbox-listener")
        self._workers = [_Worker() for _ in range(self._count)]
        self._idle = queue.SimpleQueue()
        for worker in self._workers:
            self._idle.put(worker)

    def close(self) -> None:
        """Stop the processes; see `Recogniser.close`."""
        threads, self._threads = self._threads, None
        for worker in self._workers:
            worker.close()
        self._workers = []
        if threads is not None:
            threads.shutdown(wait=True, cancel_futures=True)

    async def listen(
        self, sound: Sound, *, channels: Sequence[int] | None, longest: timedelta
    ) -> Listening:
        """Recognise in whichever process is free; see `Recogniser.listen`."""
        if self._threads is None:
            raise Unreadable("the recogniser has been stopped")
        request = {
            "path": str(sound.path),
            "channels": None if channels is None else list(channels),
            "longest": longest.total_seconds(),
        }
        loop = asyncio.get_running_loop()
        answer = await loop.run_in_executor(self._threads, self._ask, request)
        match answer.get("error"):
            case None:
                return _listening(answer, sound.name)
            case "too-long":
                raise TooLong(timedelta(seconds=answer["seconds"]))
            case _:
                raise Unreadable(answer["why"])

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        worker = self._idle.get()
        try:
            return worker.ask(request)
        finally:
            self._idle.put(worker)


class _Worker:
    """One process and the pipe to it."""

    def __init__(self) -> None:
        self._closed = False
        self._process = _start()

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """One recording; a process that dies over it is replaced, the recording being to blame."""
        line = json.dumps(request) + "\n"
        answer = ""
        try:
            assert self._process.stdin is not None  # noqa: S101 - it was started with pipes
            assert self._process.stdout is not None  # noqa: S101 - it was started with pipes
            self._process.stdin.write(line)
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except (OSError, ValueError):
            pass  # it died, or was stopped: no answer
        if answer:
            read: dict[str, Any] = json.loads(answer)
            return read
        if not self._closed:
            _end(self._process)
            self._process = _start()
        return {"error": "unreadable", "why": "the decoder gave up on it"}

    def close(self) -> None:
        """End the process."""
        self._closed = True
        _end(self._process)


def _start() -> subprocess.Popen[str]:
    # -P: this folder's modules must not shadow anybody else's. Its own process group: Ctrl-C is for us,
    # and we end it.
    return subprocess.Popen(  # noqa: S603 - our own file, our own interpreter
        [sys.executable, "-P", str(_LISTENER)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        env=bare_environment(),
        process_group=0,
    )


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):  # unwritten bytes for a process that is gone
                pipe.close()


def _listening(answer: dict[str, Any], name: str) -> Listening:
    return Listening(
        duration=timedelta(seconds=answer["seconds"]),
        container=_container(answer["container"], name),
        sample_rate=answer["sample_rate"],
        channels=answer["channels"],
        tracks=tuple(_track(track) for track in answer["tracks"]),
    )


def _container(names: str, file_name: str) -> str:
    """Ffmpeg's name is a list such as `mov,mp4,m4a`: the one the file goes by, else the first."""
    known = names.split(",")
    suffix = PurePath(file_name).suffix.removeprefix(".").lower()
    return suffix if suffix in known else known[0]


def _track(track: dict[str, Any]) -> Track:
    utterances = tuple(_utterance(each) for each in track["utterances"])
    return Track(
        channel=track["channel"],
        text=" ".join(utterance.text for utterance in utterances),
        utterances=utterances,
    )


def _utterance(heard: dict[str, Any]) -> Utterance:
    """Write a stretch of speech down as a sentence; times in milliseconds, as the contract has them."""
    spoken = [_LONE_I.sub("I", word["text"]) for word in heard["words"]]
    spoken[0] = spoken[0][:1].upper() + spoken[0][1:]
    words = tuple(
        Word(
            begin=_span(word["begin"]),
            end=_span(word["end"]),
            text=text,
            punctuation="." if number == len(spoken) else "",
        )
        for number, (text, word) in enumerate(zip(spoken, heard["words"], strict=True), start=1)
    )
    return Utterance(
        begin=_span(heard["begin"]),
        end=_span(heard["end"]),
        text=f"{' '.join(spoken)}.",
        words=words,
    )


def _span(seconds: float) -> timedelta:
    return timedelta(milliseconds=round(seconds * 1000))

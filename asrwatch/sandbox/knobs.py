"""The knobs: every way in which the service may behave, turned before the start or while it runs."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import field, fields
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import (
    BeforeValidator,
    ConfigDict,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    TypeAdapter,
    ValidationError,
)
from pydantic.dataclasses import dataclass

from asrwatch.errors import ConfigError, Problem
from asrwatch.sandbox.models import Region
from asrwatch.values import Duration, parse_duration

__all__ = ["DEFAULT_KEY", "Knobs", "Layout", "SilentSync", "SilentTask", "read_knobs"]

DEFAULT_KEY: Final = "sk-sandbox-0123456789abcdef"
_DEFAULT_ACCOUNT: Final = "1000000000000001"


class SilentSync(StrEnum):
    """How a synchronous call answers silence (contract 2.5)."""

    EMPTY_CONTENT = "empty-content"
    EMPTY_TEXT = "empty-text"
    NO_WORDS = "ASR_RESPONSE_HAVE_NO_WORDS"
    AUDIO_IS_EMPTY = "InvalidParameter"


class SilentTask(StrEnum):
    """How a task answers silence (contract 7.4)."""

    NO_VALID_FRAGMENT = "SUCCESS_WITH_NO_VALID_FRAGMENT"
    NO_WORDS = "ASR_RESPONSE_HAVE_NO_WORDS"
    EMPTY_RESULT = "empty-result"


class Layout(StrEnum):
    """Where the Qwen-Audio family puts its answer (contract 2.3)."""

    SHARED = "shared"
    WORKSPACE = "workspace"
    NESTED = "nested"


def _offset(written: Any) -> timedelta:
    """A duration that may be negative: "-5s"."""
    if isinstance(written, str) and written.startswith("-"):
        return -parse_duration(written[1:])
    return parse_duration(written)


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class Knobs:
    """All of it; `dataclasses.replace` makes another setting of it.

    Args:
        region: which region this is: it decides the models there are.
        keys: accepted keys and the account each belongs to; a key that is not here is 401.
        key_errors: keys that are known but answer this code to every paid request (`Arrearage`, ...).
        latency: how long a synchronous answer takes beyond recognition, after it was billed.
        queue_time: how long a task stays PENDING.
        work_time: how long a task stays RUNNING beyond recognition.
        recogniser_speed: how many seconds of sound are recognised in a second, at most; None: as many as can be.
        sync_failures: code by file name, URL, sha256 or pattern of these (`*.bad.wav`): synchronous refusal.
        task_failures: the same for tasks: the task becomes FAILED with that code.
        silent_sync: how silence is answered synchronously.
        silent_task: how silence ends a task.
        failed_subtask_succeeds: in the `results[]` dialect, a task whose only file failed reads SUCCEEDED,
            as in the vendor's own sample (contract 4.4), instead of FAILED.
        drop_parameters_fails: in the `results[]` dialect, a task without `parameters` is accepted and fails
            later (contract 4.4) instead of being refused at once.
        forget_after: tasks are UNKNOWN this long after they ended (contract 4.2).
        result_life: how long a result URL works.
        flat_compatible_errors: the OpenAI path answers errors in the native envelope (contract 7.1).
        body_code: a synchronous success answers 200 with this code in its body instead (contract 7.1).
        errors_in_stream: native streams answer errors as an `event:error` inside a 200 (contract 7.1).
        cut_stream: streams end in the middle, the connection closed.
        finish_reason: of synchronous answers; `length` cuts the text in half, as when tokens run out.
        layout: which host this pretends to be, for the Qwen-Audio family.
        rate_limits: whether requests are limited at all.
        requests_per_minute: overrides of the documented figure, by model (contract 8).
        per_second: whether the per-minute figure is also enforced per second (contract 7.3).
        burst: requests a second allowed from idle, before `Throttling.BurstRate`; it may double each second.
            None: not limited.
        queries_per_second: of task query, list and cancel, each (contract 5.1).
        uploads_per_second: of upload policies, per model (contract 6.1).
        retry_after: sent with every 429 if set; the vendor documents none.
        page_size_max: of the task list; more is refused. The vendor's figure is not documented.
        max_file_size_mb: of one temporary upload.
        policy_life: how long an upload policy may be used.
        object_life: how long an uploaded object is there.
        clock_offset: added to the sandbox's time of day, for every date and expiry.
        fixtures: a folder with files for URLs of the outside world: `FOLDER/HOST/PATH`.
        request_id_header: whether `x-request-id` is sent.
    """

    region: Region = Region.BEIJING
    keys: Mapping[str, str] = field(default_factory=lambda: {DEFAULT_KEY: _DEFAULT_ACCOUNT})
    key_errors: Mapping[str, str] = field(default_factory=dict)
    latency: Duration = timedelta(0)
    queue_time: Duration = timedelta(0)
    work_time: Duration = timedelta(0)
    recogniser_speed: PositiveFloat | None = None
    sync_failures: Mapping[str, str] = field(default_factory=dict)
    task_failures: Mapping[str, str] = field(default_factory=dict)
    silent_sync: SilentSync = SilentSync.EMPTY_CONTENT
    silent_task: SilentTask = SilentTask.NO_VALID_FRAGMENT
    failed_subtask_succeeds: bool = True
    drop_parameters_fails: bool = True
    forget_after: Duration = timedelta(hours=24)
    result_life: Duration = timedelta(hours=24)
    flat_compatible_errors: bool = False
    body_code: str = ""
    errors_in_stream: bool = False
    cut_stream: bool = False
    finish_reason: str = "stop"
    layout: Layout = Layout.SHARED
    rate_limits: bool = True
    requests_per_minute: Mapping[str, PositiveInt] = field(default_factory=dict)
    per_second: bool = True
    burst: PositiveInt | None = None
    queries_per_second: PositiveInt = 20
    uploads_per_second: PositiveInt = 100
    retry_after: Duration | None = None
    page_size_max: PositiveInt = 100
    max_file_size_mb: NonNegativeInt = 1024
    policy_life: Duration = timedelta(seconds=300)
    object_life: Duration = timedelta(hours=48)
    clock_offset: Annotated[timedelta, BeforeValidator(_offset)] = timedelta(0)
    fixtures: Path | None = None
    request_id_header: bool = True


_ADAPTER: Final = TypeAdapter(Knobs)


def read_knobs(written: Iterable[str], *, start: Knobs | None = None) -> Knobs:
    """Read `name=value` pairs as people type them: `queue_time=5s`, `rate_limits=false`, `keys={"sk-a":"1"}`.

    Args:
        written: the pairs; values that hold several things are written as JSON.
        start: what the pairs change; the defaults if left out.

    Raises:
        ConfigError: with every pair that is wrong.
    """
    known = {each.name for each in fields(Knobs)}
    settings: dict[str, Any] = {}
    problems: list[Problem] = []
    for pair in written:
        name, equals, value = pair.partition("=")
        name = name.strip().replace("-", "_")
        if not equals or name not in known:
            problems.append(
                Problem(where=pair, what=f"not a knob; there are {', '.join(sorted(known))}")
            )
            continue
        settings[name] = _value(value.strip())
    base = {each.name: getattr(start or Knobs(), each.name) for each in fields(Knobs)}
    try:
        knobs = _ADAPTER.validate_python({**base, **settings})
    except ValidationError as error:
        problems.extend(
            Problem(where=".".join(str(part) for part in each["loc"]), what=each["msg"])
            for each in error.errors()
        )
    if problems:
        raise ConfigError(problems, source="the sandbox's knobs")
    return knobs


def _value(written: str) -> Any:
    """JSON where it is meant as JSON, else the text itself."""
    if written.startswith(("{", "[")) or written in {"true", "false", "null"}:
        try:
            return json.loads(written)
        except ValueError:
            return written
    return written

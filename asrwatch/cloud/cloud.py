"""The cloud as the engines and storages see it: one object that knows where it is and which key to show."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol

from asrwatch.cloud import loose
from asrwatch.cloud.bodies import Body
from asrwatch.cloud.clocks import clock_trouble
from asrwatch.cloud.desk import QUERIES_PER_SECOND, TaskDesk
from asrwatch.cloud.envelopes import refused_in
from asrwatch.cloud.hosts import Hosts, check_hosts
from asrwatch.cloud.keys import KeyRing, digest_of
from asrwatch.cloud.pacer import Pacer
from asrwatch.cloud.refusals import NoSpeech, Where, refusal
from asrwatch.cloud.regions import check_proxy, root_of
from asrwatch.cloud.uploads import Form, Policy, policy_path, read_policy
from asrwatch.cloud.wire import Reply, Request, Wire
from asrwatch.crash import crash_point
from asrwatch.errors import AsrwatchError, EngineError, TemporaryError
from asrwatch.values import Secret

__all__ = ["Cloud"]

_CONNECT_TIMEOUT = timedelta(seconds=10)
_UPLOAD_READ_TIMEOUT = timedelta(seconds=60)


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Spool(Protocol):
    """Where answers to paid requests are kept before they are read."""

    def keep(self, ask_id: str, reply: Reply) -> None:
        """Put an answer on the disk."""

    def recall(self, ask_id: str) -> Reply | None:
        """The answer that was kept, if any was."""


class Cloud:
    """DashScope in one region, under one key. Thread-safe; one per process, as it keeps the query pace.

    Args:
        region: one of `regions.REGIONS`.
        keys: where the key is found, anew for each request.
        base_url: replaces the region's host as a whole, such as for a workspace host or the sandbox.
        trusted_hosts: from which results are fetched and to which files are uploaded, beside the vendor's.
        proxy: URL of an HTTP proxy; proxies in the environment are not looked at.
        connect_timeout: to reach the other side.
        workspace: selects a sub-workspace on the shared hosts (contract section 1.1).
        now: aware UTC time.
        pacer: the pace of task queries.
        spool: keeps answers to paid requests before they are read; None where nothing is remembered.

    Raises:
        ConfigError: no such region; a base URL, proxy or host that is not one.
    """

    def __init__(
        self,
        *,
        region: str,
        keys: KeyRing,
        base_url: str | None = None,
        trusted_hosts: Sequence[str] = (),
        proxy: str | None = None,
        connect_timeout: timedelta = _CONNECT_TIMEOUT,
        workspace: str | None = None,
        now: Callable[[], datetime] = _utc_now,
        pacer: Pacer | None = None,
        spool: Spool | None = None,
    ) -> None:
        check_proxy(proxy)
        check_hosts(trusted_hosts)
        self.region = region
        self.base_url = root_of(region, base_url)
        self.keys = keys
        self.now = now
        self._workspace = workspace
        self._spool = spool
        self._hosts = Hosts(self.base_url, trusted_hosts)
        self._wire = Wire(proxy=proxy, connect_timeout=connect_timeout)
        self.tasks = TaskDesk(
            wire=self._wire,
            root=self.base_url,
            headers=lambda: self._headers(self.keys.key()),
            judge=self._judge,
            hosts=self._hosts,
            pacer=pacer or Pacer(QUERIES_PER_SECOND),
        )

    def __repr__(self) -> str:
        return f"Cloud(region={self.region!r}, base_url={self.base_url!r})"

    def ask(
        self,
        path: str,
        body: Body,
        *,
        ask_id: str,
        read_timeout: timedelta,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Make one paid request: sent once, over a fresh connection, never repeated, never redirected.

        Returns:
            An answer with status 2xx that reports no error of its own, which need not be whole; or the
            cloud's finding that nothing was said, in whichever form it came.

        Raises:
            AnswerLost: some of the body left and nothing usable came back.
            AsrwatchError: what the answer means (`refusals.refusal`); certainly not accepted.
        """
        key = self.keys.key()
        reply = self._wire.send(
            Request(
                method="POST",
                url=self.base_url + path,
                headers={
                    **self._headers(key),
                    "Content-Type": "application/json",
                    "Idempotency-Key": ask_id,  # not documented, so harmless and not relied upon
                    **(headers or {}),
                },
                body=body,
                paid=True,
                read_timeout=read_timeout,
            )
        )
        crash_point("answer-got")
        if self._spool is not None and _is_good(reply):
            self._spool.keep(ask_id, reply)
            crash_point("answer-kept")
        return self._accepted(reply, key)

    def recall(self, ask_id: str) -> Reply | None:
        """The answer that came to a paid request, if it was kept; costs nothing. Returns and raises as `ask` does."""
        reply = self._spool.recall(ask_id) if self._spool is not None else None
        return self._accepted(reply) if reply is not None else None

    def _accepted(self, reply: Reply, key: Secret | None = None) -> Reply:
        error = self._judge(reply, Where.ASK, key)
        if key is not None and isinstance(error, EngineError):
            error.key_digest = digest_of(key)  # another may have taken its place meanwhile
        if error is not None and not isinstance(error, NoSpeech):
            raise error
        return reply

    def refusal(self, status: int, body: bytes, *, where: Where = Where.ASK) -> AsrwatchError:
        """What an error inside an otherwise good answer means."""
        return refusal(status, {}, body, where=where, secret=self._secret())

    def policy(self, model: str) -> Policy:
        """Fresh permission to upload one file for `model`.

        Raises:
            TemporaryError: not now.
            EngineError: the key or the model is at fault.
        """
        reply = self._free("GET", policy_path(model))
        policy = read_policy(loose.parse(reply.body))
        if policy is None:
            raise TemporaryError(
                "The cloud's permission to upload cannot be read.",
                code="unreadable-answer",
                advice="If this stays, use another storage.",
            )
        return policy

    def upload(self, form: Form) -> None:
        """Upload a file into the temporary space; costs nothing. No key is sent.

        Raises:
            RecordingError: the space does not take this file.
            TemporaryError: not now, or the cloud named a host that is not its own.
            EngineError: this machine's clock is wrong.
            SourceChanged: the file changed meanwhile.
        """
        self._hosts.check(form.url, what="its temporary space")
        reply = self._wire.send(
            Request(
                method="POST",
                url=form.url,
                headers=form.headers,
                body=form.body,
                read_timeout=_UPLOAD_READ_TIMEOUT,
            )
        )
        if not _is_good(reply):
            error = refusal(reply.status, reply.headers, reply.body, where=Where.UPLOAD)
            raise clock_trouble(reply.headers, self.now(), error) or error

    def probe(self) -> None:
        """Ask the cloud one free question, to see whether it answers and takes the key.

        Raises:
            EngineError: the key is at fault.
            TemporaryError: the cloud does not answer.
        """
        with self.tasks.visit() as visit:
            visit.list(None, status=None, page=1, page_size=1)

    def _free(self, method: str, path: str) -> Reply:
        request = Request(
            method=method,
            url=self.base_url + path,
            headers=self._headers(self.keys.key()),
        )
        reply = self._wire.send(request)
        if (error := self._judge(reply, Where.FREE)) is not None:
            raise error
        return reply

    def _judge(self, reply: Reply, where: Where, key: Secret | None = None) -> AsrwatchError | None:
        """The error an answer stands for, also one that calls itself a success (contract section 7.1)."""
        good = _is_good(reply)
        if good and not _complains(reply.body):
            return None
        return refusal(
            reply.status if not good else 400,
            reply.headers,
            reply.body,
            where=where,
            secret=key or self._secret(),
        )

    def _headers(self, key: Secret) -> dict[str, str]:
        headers = {"Authorization": f"Bearer {key.reveal()}"}
        if self._workspace:
            headers["X-DashScope-WorkSpace"] = self._workspace
        return headers

    def _secret(self) -> Secret | None:
        try:
            return self.keys.key()
        except AsrwatchError:
            return None


def _is_good(reply: Reply) -> bool:
    return 200 <= reply.status < 300  # noqa: PLR2004 - any success


def _complains(body: bytes) -> bool:
    """Whether a successful answer is an error in disguise: words of refusal and nothing beside them."""
    document = loose.mapping(loose.parse(body))
    if not document or refused_in(body) is None:
        return False
    answers = ("choices", "output", "data", "tasks", "text")
    return not any(document.get(name) for name in answers)

"""Tells a program over HTTPS, signed in the form of Standard Webhooks (standardwebhooks.com)."""

import base64
import binascii
import hashlib
import hmac
import json
import re
from datetime import timedelta
from http import HTTPStatus
from typing import Final
from urllib.parse import SplitResult, urlsplit

from pydantic import field_validator, model_validator

from asrwatch.errors import TemporaryError
from asrwatch.news import Message, as_json
from asrwatch.notifiers import AbsolutePath, Gone, Notifier, NotifierOptions, Refused
from asrwatch.notifiers._post import Answer, Target, post
from asrwatch.notifiers._secrets import secret_lines
from asrwatch.notifiers._wording import title
from asrwatch.values import Duration, Secret, parse_duration, printable

__all__ = ["Webhook", "WebhookOptions"]

_PREFIX: Final = "whsec_"
_LEAST_KEY, _MOST_KEY = 24, 64
"""Bytes of a secret, as the specification has them."""
_PATIENCE: Final = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.REQUEST_TIMEOUT})
"""It is not the message that these are about."""
_LONGEST_WAIT: Final = timedelta(days=1)


class WebhookOptions(NotifierOptions):
    """Options of `webhook`.

    `url`: where to. `secret_file` holds the secret, `whsec_` and Base64, one line (two while it is being changed).
    `ca_file`: certificates to trust instead of the usual ones. `private`: addresses of one's own network may be
    told, too. `http`: so may plain http. `timeout`: how long one request may take.
    """

    url: str
    secret_file: AbsolutePath | None = None
    ca_file: AbsolutePath | None = None
    private: bool = False
    http: bool = False
    timeout: Duration = parse_duration("10s")

    @field_validator("url")
    @classmethod
    def _is_url(cls, url: str) -> str:
        if not url.isascii() or not url.isprintable() or re.search(r"[\s\\]", url):
            msg = "must be plain ASCII; write other characters percent-encoded"
            raise ValueError(msg)
        try:
            parts = urlsplit(url)
            _ = parts.port
        except ValueError:
            parts = SplitResult("", "", "", "", "")
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.fragment:
            msg = "must be https://host/path"
            raise ValueError(msg)
        if parts.username is not None:
            msg = "must not hold a password: the receiver knows us by the signature"
            raise ValueError(msg)
        return url

    @model_validator(mode="after")
    def _is_encrypted(self) -> "WebhookOptions":
        if urlsplit(self.url).scheme == "http" and not self.http:
            msg = "url must begin with https://; `http: true` allows plain http"
            raise ValueError(msg)
        return self


class Webhook(Notifier[WebhookOptions]):
    """Signed HTTPS requests to a program (Standard Webhooks)."""

    Options = WebhookOptions

    @property
    def address(self) -> str:
        """The URL."""
        return self.options.url

    @property
    def label(self) -> str:
        """The host: paths of webhooks often are secrets."""
        return f"webhook {printable(urlsplit(self.options.url).netloc)}"

    def check(self) -> str:
        """Whether there is a secret, and the host has addresses that may be told.

        Raises:
            TemporaryError: not so.
        """
        keys = self._keys()
        addresses = self._target().addresses()
        return f"{len(keys)} secret{'s' * (len(keys) > 1)}, at {', '.join(addresses)}"

    def send(self, message: Message) -> str:
        """Post it once.

        Raises:
            Gone: it was answered with 410.
            Refused: with another error of ours (4xx).
            TemporaryError: the receiver is not there, not allowed, or not well.
        """
        self.around.noticed(Secret(self.options.url))
        document = as_json(message, summary=title(message.news))
        body = json.dumps(document, ensure_ascii=True, separators=(",", ":")).encode()
        sent_at = str(int(self.around.now()))
        signed = b".".join((message.id.encode(), sent_at.encode(), body))
        signatures = [
            base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
            for key in self._keys()
        ]
        headers = {
            "Content-Type": "application/json",
            "webhook-id": message.id,
            "webhook-timestamp": sent_at,
            "webhook-signature": " ".join(f"v1,{each}" for each in signatures),
        }
        return self._judged(post(self._target(), headers, body))

    def _target(self) -> Target:
        return Target(
            url=self.options.url,
            private=self.options.private,
            ca_file=self.options.ca_file,
            timeout=self.options.timeout,
            resolve=self.around.resolve,
        )

    def _judged(self, answer: Answer) -> str:
        status, host = answer.status, printable(urlsplit(self.options.url).netloc)
        if status // 100 == 2:  # noqa: PLR2004 - the family of HTTP statuses
            return f"{status}"
        what = f"{host} answered {status} {_phrase(status)}".rstrip() + "."
        wait = answer.retry_after(self.around.now())
        wait = min(wait, _LONGEST_WAIT) if wait else None
        if status == HTTPStatus.GONE:
            raise Gone(what, code="gone", advice="It wants no messages any more.")
        if status // 100 == 3:  # noqa: PLR2004 - same
            raise TemporaryError(
                what,
                code="redirected",
                advice="Redirects are not followed: write the address that is meant into `url:`.",
            )
        if status in _PATIENCE or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise TemporaryError(what, code=f"http-{status}", retry_after=wait)
        raise Refused(
            what,
            code=f"http-{status}",
            advice="Look into the receiver's log: does it know the secret?",
            retry_after=wait,
        )

    def _keys(self) -> list[bytes]:
        lines = secret_lines(
            self.options.secret_file,
            self.around.environment,
            credential="asrwatch-webhook-secret",
            variable="ASRWATCH_WEBHOOK_SECRET",
        )
        for line in lines:
            self.around.noticed(Secret(line))
        return [_key(line) for line in lines]


def _key(line: str) -> bytes:
    try:
        key = base64.b64decode(line.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not line.startswith(_PREFIX) or not _LEAST_KEY <= len(key) <= _MOST_KEY:
        raise TemporaryError(
            "The webhook's secret is none.",
            code="bad-secret",
            advice=f"It is {_PREFIX} and {_LEAST_KEY} to {_MOST_KEY} bytes as Base64; make one with: "
            "echo whsec_$(head -c 32 /dev/urandom | base64)",
        ) from None
    return key


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""

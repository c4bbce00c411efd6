"""Who a visitor is: signed cookies, the token against forged forms, and how often a login may fail. Pure."""

import hashlib
import hmac
import secrets
from collections import deque
from datetime import datetime, timedelta
from typing import Final

__all__ = ["Attempts", "Sessions"]

LASTS: Final = timedelta(days=30)
ATTEMPTS: Final = 10
WITHIN: Final = timedelta(minutes=1)


class Sessions:
    """Makes and reads the cookies of visitors; nothing is kept, so a restart logs nobody out.

    Args:
        token: what visitors must know; None: everybody who reaches the page is welcome, and cookies only tell
            one browser from another until the daemon ends.
    """

    def __init__(self, token: str | None) -> None:
        self._token = token
        secret = token.encode() if token is not None else secrets.token_bytes(32)
        self._key = hmac.digest(secret, b"asrwatch page, sessions", "sha256")

    @property
    def asks_for_token(self) -> bool:
        """Whether visitors must log in."""
        return self._token is not None

    def is_token(self, given: str) -> bool:
        """Whether this is the token, found out in a time that tells nothing of it."""
        wanted = (self._token or "").encode()
        fits = hmac.compare_digest(
            hashlib.sha256(_bytes(given)).digest(),
            hashlib.sha256(wanted).digest(),
        )
        return fits and self._token is not None

    def cookie(self, now: datetime) -> str:
        """The cookie of a new session; only for who has shown the token, if one is asked for."""
        until = int((now + LASTS).timestamp())
        name = f"{secrets.token_urlsafe(18)}.{until}"
        return f"{name}.{self._signed(name, 'session')}"

    def is_good(self, cookie: str, now: datetime) -> bool:
        """Whether we made this cookie, and it is not too old."""
        name, _, signature = cookie.rpartition(".")
        _, _, until = name.rpartition(".")
        if not hmac.compare_digest(_bytes(signature), _bytes(self._signed(name, "session"))):
            return False
        return until.isdecimal() and now.timestamp() < int(until)

    def form_token(self, cookie: str) -> str:
        """What every form of this session carries, and no other site can know.

        Where no token is asked for, all forms carry the same: of two tabs that come back to a restarted daemon at once
        each is given a cookie, and the browser keeps one of them.
        """
        return self._signed(cookie if self.asks_for_token else "", "form")

    def is_form_token(self, given: str, cookie: str) -> bool:
        """Whether a form was made for this session; none is for who has none ("")."""
        return bool(cookie) and hmac.compare_digest(_bytes(given), _bytes(self.form_token(cookie)))

    def _signed(self, text: str, purpose: str) -> str:
        message = _bytes(f"{purpose}:{text}")
        return hmac.new(self._key, message, "sha256").hexdigest()


def _bytes(text: str) -> bytes:
    """Whatever a header held, also where it was no text."""
    return text.encode("utf-8", "surrogatepass")


class Attempts:
    """Counts failed logins, of everybody together, as a proxy makes all visitors look like one."""

    def __init__(self) -> None:
        self._failed: deque[datetime] = deque(maxlen=ATTEMPTS)

    def wait(self, now: datetime) -> timedelta | None:
        """How long nobody may try; None: one may."""
        if len(self._failed) < ATTEMPTS:
            return None
        left = self._failed[0] + WITHIN - now
        return left if left > timedelta(0) else None

    def failed(self, now: datetime) -> None:
        """One more."""
        self._failed.append(now)

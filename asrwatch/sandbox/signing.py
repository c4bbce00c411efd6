"""Signatures of the object store: HMAC-SHA1 over a policy or a URL, as OSS makes them."""

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass, field

__all__ = ["Signer"]


@dataclass(frozen=True, kw_only=True)
class Signer:
    """One access key of the object store, made up afresh for each sandbox."""

    access_key_id: str = field(default_factory=lambda: f"LTAI{secrets.token_hex(8)}")
    secret: bytes = field(default_factory=lambda: secrets.token_bytes(30), repr=False)

    def sign(self, text: str) -> str:
        """The signature of a text, Base64."""
        digest = hmac.new(self.secret, text.encode(), hashlib.sha1).digest()
        return base64.b64encode(digest).decode("ascii")

    def agrees(self, text: str, signature: str) -> bool:
        """Whether a signature is ours for that text."""
        return hmac.compare_digest(self.sign(text).encode(), signature.encode("utf-8", "replace"))

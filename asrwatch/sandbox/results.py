"""Result files behind presigned links: 403 after their expiry, broken by an Authorization header."""

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from asrwatch.sandbox.refusals import OssRefusal
from asrwatch.sandbox.signing import Signer

__all__ = ["RESULT_ROOT", "Results"]

RESULT_ROOT: Final = "/oss/dashscope-result-sandbox/"


@dataclass(kw_only=True)
class Results:
    """The result bucket.

    Args:
        folder: where the files are.
        signer: who signs the links.
    """

    folder: Path
    signer: Signer
    _files: dict[str, Path] = field(default_factory=dict)

    def publish(self, result: Mapping[str, Any], *, now: datetime, life: timedelta) -> str:
        """Keep a result and return the path and query of its link, which has a `%3A` in its path."""
        name = uuid.uuid4()
        key = f"pre/speech/{now:%Y%m%d}/{now:%H:%M}/{name}-1.json"
        path = self.folder / f"{name}.json"
        path.write_text(json.dumps(result, ensure_ascii=False), encoding="utf-8")
        self._files[key] = path
        expires = int((now + life).timestamp())
        signature = self.signer.sign(f"{expires}\n{key}")
        return (
            f"{RESULT_ROOT}{quote(key, safe='/')}?Expires={expires}"
            f"&OSSAccessKeyId={self.signer.access_key_id}&Signature={quote(signature, safe='')}"
        )

    def fetch(
        self, key: str, query: Mapping[str, str], *, has_authorization: bool, now: datetime
    ) -> bytes:
        """A result's bytes.

        Raises:
            OssRefusal: the link is wrong or has expired, or came with an Authorization header.
        """
        expires = query.get("Expires", "")
        signed = self.signer.agrees(f"{expires}\n{key}", query.get("Signature", ""))
        if not query.get("Signature"):
            raise OssRefusal(403, "AccessDenied", "You have no right to access this object.")
        if has_authorization or not signed:
            raise OssRefusal(
                403,
                "SignatureDoesNotMatch",
                "The request signature we calculated does not match the signature you provided.",
            )
        if now.timestamp() >= int(expires):
            raise OssRefusal(403, "AccessDenied", "Request has expired.")
        path = self._files.get(key)
        if path is None:
            raise OssRefusal(404, "NoSuchKey", "The specified key does not exist.")
        return path.read_bytes()

"""Temporary uploads: policies handed out, objects kept for 48 hours for one model and one account."""

import base64
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from asrwatch.sandbox.refusals import OssRefusal
from asrwatch.sandbox.signing import Signer

__all__ = ["Policy", "Stored", "Uploads"]

_MEGABYTE: Final = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Stored:
    """One uploaded object.

    Args:
        key: its name in the bucket.
        path: its bytes on disk.
        sha256, size: of the bytes.
        model, account: whom it was uploaded for.
        at: when it was complete.
    """

    key: str
    path: Path
    sha256: str
    size: int
    model: str
    account: str
    at: datetime


@dataclass(frozen=True, kw_only=True)
class Policy:
    """One permission to upload, as the client gets it.

    Args:
        directory: what the object's key has to start with.
        text: the policy document, Base64.
        signature: of `text`.
        model, account: whom it is for.
    """

    directory: str
    text: str
    signature: str
    model: str
    account: str


@dataclass(kw_only=True)
class Uploads:
    """The bucket.

    Args:
        folder: where the bytes go.
        signer: whose signatures are accepted.
    """

    folder: Path
    signer: Signer
    _policies: dict[str, Policy] = field(default_factory=dict)
    _stored: dict[str, Stored] = field(default_factory=dict)

    def permit(
        self, *, model: str, account: str, now: datetime, life: timedelta, max_mb: int
    ) -> Policy:
        """Hand out a policy (contract 6.1, step 1)."""
        directory = f"dashscope-instant/{account}/{now:%Y-%m-%d}/{uuid.uuid4()}"
        document = {
            "expiration": f"{now + life:%Y-%m-%dT%H:%M:%S.}{(now + life).microsecond // 1000:03}Z",
            "conditions": [
                ["content-length-range", 0, max_mb * _MEGABYTE],
                ["starts-with", "$key", f"{directory}/"],
                {"x-oss-object-acl": "private"},
                {"x-oss-forbid-overwrite": "true"},
            ],
        }
        text = base64.b64encode(json.dumps(document).encode()).decode("ascii")
        policy = Policy(
            directory=directory,
            text=text,
            signature=self.signer.sign(text),
            model=model,
            account=account,
        )
        self._policies[directory] = policy
        return policy

    def check(self, fields: Mapping[str, str], now: datetime) -> int:
        """Check a form's fields before its file is read (contract 6.1, step 2).

        Returns the largest size the policy allows.

        Raises:
            OssRefusal: the XML error OSS would answer.
        """
        for name in ("OSSAccessKeyId", "policy", "Signature", "key"):
            if not fields.get(name):
                raise OssRefusal(
                    400, "InvalidArgument", f"Bucket POST must contain the specified '{name}'."
                )
        if fields["OSSAccessKeyId"] != self.signer.access_key_id:
            raise OssRefusal(
                403, "InvalidAccessKeyId", "The OSS Access Key Id you provided does not exist."
            )
        if not self.signer.agrees(fields["policy"], fields["Signature"]):
            raise OssRefusal(
                403,
                "SignatureDoesNotMatch",
                "The request signature we calculated does not match the signature you provided.",
            )
        document = json.loads(base64.b64decode(fields["policy"]))
        if datetime.fromisoformat(document["expiration"]) <= now:
            raise _not_allowed("Policy expired.")
        largest = _hold(document["conditions"], fields)
        if fields["key"] in self._stored and fields.get("x-oss-forbid-overwrite") == "true":
            raise already_exists()
        return largest

    def keep(self, *, key: str, path: Path, sha256: str, size: int, now: datetime) -> None:
        """Put a complete object into the bucket.

        Raises:
            OssRefusal: another upload was faster under the same name.
        """
        if key in self._stored:
            raise already_exists()
        policy = next(
            policy
            for directory, policy in self._policies.items()
            if key.startswith(f"{directory}/")
        )
        self._stored[key] = Stored(
            key=key,
            path=path,
            sha256=sha256,
            size=size,
            model=policy.model,
            account=policy.account,
            at=now,
        )

    def find(self, key: str) -> Stored | None:
        """The object of that name, however old."""
        return self._stored.get(key)

    @property
    def stored(self) -> tuple[Stored, ...]:
        """Everything in the bucket."""
        return tuple(self._stored.values())


def already_exists() -> OssRefusal:
    """What a second upload under the same name is told."""
    return OssRefusal(
        409,
        "FileAlreadyExists",
        "The object you specified already exists and can not be overwritten.",
    )


def _hold(conditions: list[Any], fields: Mapping[str, str]) -> int:
    """Check every condition of a policy against the form; return the largest size it allows."""
    largest = 0
    for condition in conditions:
        match condition:
            case ["content-length-range", int(), int() as most]:
                largest = most
                held = True
            case ["starts-with", str() as name, str() as start]:
                held = fields.get(name.removeprefix("$"), "").startswith(start)
            case dict() as equal:
                held = all(fields.get(name) == value for name, value in equal.items())
            case _:
                held = False
        if not held:
            raise _not_allowed(f"Policy Condition failed: {json.dumps(condition)}")
    return largest


def _not_allowed(why: str) -> OssRefusal:
    return OssRefusal(403, "AccessDenied", f"Invalid according to Policy: {why}")

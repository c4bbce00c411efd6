"""The cloud's temporary space: what a policy says, and the form that uploads a file (contract section 6.1)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import BinaryIO
from urllib.parse import urlencode, urlsplit

from pydantic import JsonValue

from asrwatch.cloud import loose
from asrwatch.cloud.bodies import FileBody

__all__ = ["Form", "Policy", "policy_path", "read_policy", "upload_form"]

_MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Policy:
    """Permission to upload one file: where to, under which folder, how large, and the signed fields."""

    host: str
    folder: str
    largest: int | None
    fields: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Form:
    """An upload ready to be sent, and the `oss://` URL under which the cloud then finds the file."""

    url: str
    headers: Mapping[str, str]
    body: FileBody
    oss_url: str


def policy_path(model: str) -> str:
    """Where to ask for permission; a file can be used with this model only."""
    return "/api/v1/uploads?" + urlencode({"action": "getPolicy", "model": model})


def read_policy(document: JsonValue) -> Policy | None:
    """What the answer permits; None where something needed is missing."""
    held = loose.mapping(loose.field(document, "data"))
    wanted = {
        "OSSAccessKeyId": "oss_access_key_id",
        "Signature": "signature",
        "policy": "policy",
        "x-oss-object-acl": "x_oss_object_acl",
        "x-oss-forbid-overwrite": "x_oss_forbid_overwrite",
    }
    fields = {name: _plain(held.get(key)) for name, key in wanted.items()}
    host, folder = _plain(held.get("upload_host")), _plain(held.get("upload_dir"))
    if not host or not folder or not all(fields.values()):
        return None
    if urlsplit(host).scheme not in {"http", "https"}:
        return None
    megabytes = loose.number(held.get("max_file_size_mb"))
    return Policy(
        host=host,
        folder=folder.strip("/"),
        # read as MiB: refusing here what the cloud would take helps nobody, and it checks itself
        largest=int(megabytes * _MEBIBYTE) if megabytes and megabytes > 0 else None,
        fields=fields,
    )


def _plain(value: JsonValue) -> str:
    """A field's text; what would break out of a form's line is not one."""
    if isinstance(value, bool):
        return str(value).lower()
    found = str(value) if isinstance(value, int) else (loose.text(value) or "")
    return "" if "\r" in found or "\n" in found else found


def upload_form(
    policy: Policy, *, name: str, stream: BinaryIO, size: int, mime: str, boundary: str
) -> Form:
    """The form, in the documented order with `file` last: OSS ignores whatever follows it.

    Args:
        policy: fresh: the same key cannot be written twice.
        name: of the object, ASCII without spaces, quotes or slashes.
        stream: the file, open at its start.
        size: in bytes.
        mime: of the file.
        boundary: ASCII letters and digits that the fields do not hold; OSS wants it unquoted.
    """
    name = re.sub(r"[^A-Za-z0-9._-]", "_", name)
    key = f"{policy.folder}/{name}"
    fields = {
        "OSSAccessKeyId": policy.fields["OSSAccessKeyId"],
        "Signature": policy.fields["Signature"],
        "policy": policy.fields["policy"],
        "key": key,
        "x-oss-object-acl": policy.fields["x-oss-object-acl"],
        "x-oss-forbid-overwrite": policy.fields["x-oss-forbid-overwrite"],
        "success_action_status": "200",
    }
    head = "".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"\r\n\r\n{value}\r\n'
        for field, value in fields.items()
    )
    head += (
        f"--{boundary}\r\n"
        f'Content-Disposition: form-data; name="file"; filename="{name}"\r\n'
        f"Content-Type: {mime}\r\n\r\n"
    )
    return Form(
        url=policy.host,
        headers={"Content-Type": f"multipart/form-data; boundary={boundary}"},
        body=FileBody(
            before=head.encode("utf-8", "replace"),
            stream=stream,
            size=size,
            after=f"\r\n--{boundary}--\r\n".encode("ascii"),
            as_base64=False,
        ),
        oss_url=f"oss://{key}",
    )

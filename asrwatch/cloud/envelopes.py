"""Find the provider's own words in a body, whichever envelope they came in (contract section 7.1)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from asrwatch.cloud import loose

__all__ = ["Refused", "refused_in"]

_XML_FIELD = r"<{0}>\s*(.{{0,500}}?)\s*</{0}>"


@dataclass(frozen=True, kw_only=True, slots=True)
class Refused:
    """The provider's own words, out of whichever envelope they came in (contract section 7.1)."""

    code: str
    message: str
    request_id: str | None = None


def refused_in(body: bytes) -> Refused | None:
    """The provider's words in a body; None where it holds none of either envelope."""
    document = loose.mapping(loose.parse(body)) or _last_event(body)
    if document:
        return _from_json(document)
    if body.lstrip()[:1] == b"<":
        return _from_xml(body)
    return None


def _from_json(document: Mapping[str, JsonValue]) -> Refused | None:
    error = document.get("error")
    inner = loose.mapping(error) or document
    code = _code(inner.get("code")) or (_code(inner.get("type")) if inner is not document else "")
    message = loose.text(inner.get("message")) or loose.text(error) or ""
    if not code and not (message and "message" in inner) and not isinstance(error, str):
        return None
    return Refused(
        code=code,
        message=message,
        request_id=loose.text(document.get("request_id")),
    )


def _code(value: JsonValue) -> str:
    return str(value) if isinstance(value, int) and value else (loose.text(value) or "").strip()


def _last_event(body: bytes) -> Mapping[str, JsonValue]:
    """An event stream's last JSON object: where an error stands, if there is one."""
    if not body.lstrip().startswith((b"id:", b"event:", b"data:", b":")):
        return {}
    lines = [line[5:] for line in body.splitlines() if line.startswith(b"data:")]
    return next((found for line in reversed(lines) if (found := _object(line))), {})


def _object(line: bytes) -> Mapping[str, JsonValue]:
    return loose.mapping(loose.parse(line.strip()))


def _from_xml(body: bytes) -> Refused | None:
    """OSS answers in XML. Two fields of it are wanted, so nothing is parsed that could bite."""
    text = body[:16_384].decode("utf-8", "replace")
    code, message, request_id = (
        found[1] if (found := re.search(_XML_FIELD.format(name), text, re.DOTALL)) else ""
        for name in ("Code", "Message", "RequestId")
    )
    return Refused(code=code, message=message, request_id=request_id or None) if code else None
